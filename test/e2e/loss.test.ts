// Every way of losing what Redis had, done for real to two gateways and a projector while people are connected [G8]: what was
// archived comes back under its own seqs, what was not is announced, clients end up equal to the log and send again what they
// lost, once; bans, roles and first results hold; and the read models are the log folded naïvely.
import t, { type Test } from 'tap'
import { randomUUID } from 'node:crypto'
import { cp, readdir, rm, stat, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { createKeys } from '../../src/log/keys.ts'
import { createRedisLog } from '../../src/log/redis-log.ts'
import { connectRedis } from '../../src/log/redis.ts'
import { createLogger } from '../../src/telemetry/logging.ts'
import type { Account, Client, Frame } from '../client.ts'
import { startTestRedis, type TestRedis } from '../dev/servers.ts'
import { startProxy } from '../faults/proxy.ts'
import { archive, openWorld } from '../projections/feed.ts'
import { wholeHistory } from '../projections/loss.ts'
import { equal, naiveHistory, storedHistory } from '../projections/naive.ts'
import { until } from '../until.ts'
import { createScene, environment, openServers, startRole } from './world.ts'

const PARTITIONS = 16
const AOF = ['--appendonly', 'yes', '--appendfsync', 'always']
const FAST_REPLICATION = ['--repl-diskless-sync-delay', '0', '--repl-ping-replica-period', '1']
const logger = createLogger({ level: 'silent', role: 'test' })

/** Millrace whose Redis can be exchanged: all roles reach it through a proxy. */
async function open (t: Test, redisArgs: string[]) {
  const servers = await openServers(t, { redisArgs })
  let redisPort = servers.redisServer.port
  const proxy = await startProxy(() => ({ port: redisPort }))
  t.teardown(async () => { await proxy.close() })
  const url = `redis://127.0.0.1:${proxy.port}`
  const common = { ...environment(servers), REDIS_URL: url }
  const [near, far, projector] = await Promise.all([startRole(t, ['gateway'], common), startRole(t, ['gateway'], common), startRole(t, ['projector'], common)])
  const gateways = [near!, far!]
  const redis = await connectRedis(url, 'test', logger)
  t.teardown(() => { redis.disconnect() })
  const log = createRedisLog({ redis, keys: createKeys(PARTITIONS), log: logger })
  const scene = createScene(t, { store: servers.store, log, urlOf: gateway => gateways[gateway % 2]!.url })
  return {
    ...servers,
    ...scene,
    redis,
    log,
    projector: projector!,
    /** From now on that server is the Redis of everyone; connections to the other are cut. */
    switchTo (server: TestRedis) {
      redisPort = server.port
      proxy.cut()
    },
  }
}

type World = Awaited<ReturnType<typeof open>>

/** Somebody at a socket, who remembers what they said and, once told that it is gone, says it again. */
async function sit (world: World, { access_token, user }: Account, gateway: number, room: string, name: string) {
  const recorder = world.subscriber(name)
  const { acked: _acked, ...watched } = recorder // what is acked may be lost: the checker is told in the end
  const client: Client = await world.connect(gateway, access_token, { as: watched as typeof recorder })
  const said = new Map<string, { content: string, ack: Frame }>()
  await client.subscribe(room, { seq: 0 })
  return {
    client,
    user,
    said,
    async say (content: string): Promise<Frame> {
      const client_id = randomUUID()
      const ack = await client.message(room, content, { client_id })
      said.set(client_id, { content, ack })
      return ack
    },
    resets: () => client.frames.filter(frame => frame.type === 'reset' && frame.room_id === room),
    /** Says again what is beyond the newest reset; returns how much that was. */
    async sayAgain (): Promise<number> {
      const seq = Math.min(...this.resets().map(reset => reset.seq as number), Number.MAX_SAFE_INTEGER)
      const lost = [...said].filter(([, { ack }]) => ack.seq > seq)
      for (const [client_id, { content }] of lost) {
        recorder.refused({ room_id: room, client_id, code: 'unavailable' })
        for (let tries = 0; ; tries++) {
          try {
            const ack = await client.message(room, content, { client_id, resend: true })
            said.set(client_id, { content, ack })
            break
          } catch (error) {
            if (tries > 20 || (error as { code?: string }).code !== 'unavailable') throw error
            await sleep(200)
          }
        }
      }
      return lost.length
    },
    /** Tells the checker what was acked and stands. */
    own () { for (const [client_id, { ack }] of said) recorder.acked({ room_id: room, client_id, seq: ack.seq, chain: ack.chain, event_id: ack.event_id, duplicate: ack.duplicate === true }) },
  }
}

/** A room with everything that must hold, two who talk in it over two gateways, and another room in which nobody is. */
async function people (world: World) {
  const [ada, bob, eve, mal] = await Promise.all([world.signup(), world.signup(), world.signup(), world.signup()]) as [Account, Account, Account, Account]
  const room = await world.room(ada.access_token)
  const quiet = await world.room(ada.access_token)
  const call = async (who: Account, method: string, path: string, body: unknown = {}): Promise<void> => {
    const { status, body: answer } = await world.api(0).call(method, `/rooms/${room}${path}`, { token: who.access_token, body })
    if (status >= 300) throw new Error(`${method} ${path}: ${status} ${JSON.stringify(answer)}`)
  }
  for (const who of [bob, eve, mal]) await call(who, 'POST', '/join')
  await call(ada, 'PUT', `/members/${bob.user.id}`, { role: 'moderator' })
  await call(bob, 'PUT', `/bans/${eve.user.id}`)
  await call(bob, 'PUT', `/mutes/${mal.user.id}`)
  const a = await sit(world, ada, 0, room, 'ada')
  const b = await sit(world, bob, 1, room, 'bob')
  return { ada, bob, eve, mal, room, quiet, a, b }
}

type People = Awaited<ReturnType<typeof people>>

async function talk ({ a, b }: People, turns: number, about: string): Promise<void> {
  for (let i = 0; i < turns; i++) {
    await a.say(`ada on ${about}, ${i}`)
    await b.say(`bob on ${about}, ${i}`)
  }
}

const headOf = async (world: World, room: string) => (await world.log.heads([room])).heads.get(room)!

/** Talks until the archive has it; then on, while no projector is there to archive it. */
async function talkAndLose (world: World, all: People, archivedTurns: number, lostTurns: number): Promise<{ seq: number, chain: string }> {
  await talk(all, archivedTurns, 'what is archived')
  await world.projected()
  const archived = await headOf(world, all.room)
  world.projector.signal('SIGSTOP')
  await talk(all, lostTurns, 'what is lost')
  const { seq } = await headOf(world, all.room)
  await until(() => [all.a, all.b].every(({ client }) => client.position(all.room)!.seq === seq), { what: 'both to hear what will be lost' })
  return archived
}

/** Everything that must be so after a loss. `common`: the position that clients are to be taken back to; undefined if they lost nothing. */
async function holds (t: Test, world: World, all: People, before: readonly Frame[], common: { seq: number, chain: string } | undefined): Promise<void> {
  const { room, quiet, a, b, ada, eve, mal } = all
  if (common !== undefined) {
    for (const { client, resets } of [a, b]) {
      await until(() => resets().length > 0, { what: 'the loss to be announced' })
      t.match(resets(), [{ reason: 'parted', ...common }], 'it is announced, with the newest common position')
      t.equal(client.frames.filter(frame => frame.type === 'bye').length, 0)
    }
    t.ok(await a.sayAgain() > 0)
    t.ok(await b.sayAgain() > 0)
  } else t.same([...a.resets(), ...b.resets()], [], 'nobody is told of a loss')
  const api = world.api(1)
  t.match(await until(async () => {
    const answer = await api.post(`/rooms/${room}/join`, {}, eve.access_token)
    return answer.status === 503 ? undefined : answer
  }), { status: 403, body: { code: 'banned' } }, 'a ban holds')
  t.match((await api.post(`/rooms/${room}/messages`, { content: 'let me' }, mal.access_token)).body, { code: 'muted' }, 'a mute holds')
  const { status } = await api.call('DELETE', `/rooms/${room}/mutes/${mal.user.id}`, { token: all.bob.access_token })
  t.ok(status < 300, `a role holds: ${status}`)

  const [[client_id, { ack, content }]] = [...a.said] as [[string, { ack: Frame, content: string }]]
  for (const resend of [true, false]) t.match(await a.client.message(room, content, { client_id, resend }), { seq: ack.seq, chain: ack.chain, event_id: ack.event_id, duplicate: true }, `what is sent again is not appended again${resend ? '' : ', even if it is not said to be'}`)

  await talk(all, 3, 'what comes after')
  t.equal((await api.post(`/rooms/${quiet}/messages`, { content: 'is anybody here?' }, ada.access_token)).status, 201)
  await world.projected()
  const stands = common?.seq ?? Number.MAX_SAFE_INTEGER
  const log = await wholeHistory(world, room)
  for (const { seq, chain, event_id } of before.filter(({ seq }) => seq <= stands)) t.match(log[seq - 1], { seq, chain, event_id }, 'what was archived is back under its own seq')
  const { seq } = log.at(-1)!
  await until(() => [a, b].every(({ client }) => client.position(room)!.seq === seq), { what: 'both to hear everything' })
  a.own()
  b.own()
  t.same((await world.judge()).problems, [])
  const { rows } = await world.store.query<{ room_id: string }>("SELECT room_id FROM checkpoints WHERE projection = 'archive_v1'")
  const logs = new Map(await Promise.all(rows.map(async ({ room_id }) => [room_id, await wholeHistory(world, room_id)] as const)))
  equal(t, await storedHistory(world.store), naiveHistory(logs), 'the history is the log folded')
  t.same((await world.store.query('SELECT * FROM parked_rooms')).rows, [], 'nothing is parked')
}

const heardSoFar = ({ a, room }: People): Frame[] => a.client.events(room)

t.test('an AOF that is cut short', async t => {
  const world = await open(t, AOF)
  const all = await people(world)
  await talk(all, 5, 'what is on disk')
  const dir = join(world.redisServer.dir, 'appendonlydir')
  const file = join(dir, (await readdir(dir)).find(name => name.endsWith('.incr.aof'))!)
  const { size } = await stat(file)
  const archived = await talkAndLose(world, all, 5, 5)
  const before = heardSoFar(all)
  await world.redisServer.kill()
  await truncate(file, size + 117) // in the middle of a command
  await world.redisServer.restart()
  world.projector.signal('SIGCONT')
  await holds(t, world, all, before, archived)
})

t.test('FLUSHALL', async t => {
  const world = await open(t, ['--appendonly', 'no'])
  const all = await people(world)
  const archived = await talkAndLose(world, all, 5, 5)
  const before = heardSoFar(all)
  await world.redis.flushall()
  world.projector.signal('SIGCONT')
  await holds(t, world, all, before, archived)
})

t.test('a snapshot of yesterday', async t => {
  const world = await open(t, AOF)
  const all = await people(world)
  await talk(all, 5, 'yesterday')
  const dir = join(world.redisServer.dir, 'appendonlydir')
  await cp(dir, join(world.redisServer.dir, 'copy'), { recursive: true })
  const archived = await talkAndLose(world, all, 5, 5)
  const before = heardSoFar(all)
  await world.redisServer.kill()
  await rm(dir, { recursive: true })
  await cp(join(world.redisServer.dir, 'copy'), dir, { recursive: true })
  await world.redisServer.restart()
  world.projector.signal('SIGCONT')
  await holds(t, world, all, before, archived)
})

/** A replica of the world's Redis that has all that it has. */
async function replica (t: Test, world: World): Promise<TestRedis & { promote: () => Promise<void> }> {
  const server = await startTestRedis({ args: FAST_REPLICATION })
  t.teardown(async () => { await server.stop() })
  const redis = await connectRedis(server.url, 'replica', logger)
  t.teardown(() => { redis.disconnect() })
  await redis.replicaof('127.0.0.1', world.redisServer.port)
  await until(async () => /master_link_status:up/.test(await redis.info('replication')), { what: 'the replica to be in step' })
  return Object.assign(server, { promote: async () => { await redis.replicaof('NO', 'ONE') } })
}

t.test('a failover to a replica that lags, with appends coming in', async t => {
  const world = await open(t, [...AOF, ...FAST_REPLICATION])
  const all = await people(world)
  const other = await replica(t, world)
  await talk(all, 5, 'what is replicated')
  await sleep(300)
  await other.promote() // its link is cut: what comes in from here on it does not have
  const archived = await talkAndLose(world, all, 5, 5)
  const before = heardSoFar(all)
  const late = talk(all, 40, 'what comes in meanwhile').catch(() => {})
  await sleep(30)
  world.switchTo(other)
  world.projector.signal('SIGCONT')
  await world.redisServer.kill()
  await late
  await holds(t, world, all, before, archived)
})

t.test('a frozen master that wakes and takes appends, which are archived', async t => {
  const world = await open(t, [...AOF, ...FAST_REPLICATION])
  const all = await people(world)
  const { room } = all
  const other = await replica(t, world)
  await talk(all, 5, 'what both have')
  await world.projected()
  await sleep(300)
  world.projector.signal('SIGSTOP') // that of the old master will be the first to archive anything
  world.redisServer.freeze()
  await other.promote()
  world.switchTo(other)
  await until(async () => await all.a.say('on the new master').catch(() => undefined), { everyMs: 200, what: 'the new master to take appends' })
  await talk(all, 3, 'the new master')

  world.redisServer.thaw()
  const asleep = await openWorld({ redisUrl: world.redisServer.url, databaseUrl: world.databaseUrl, partitions: PARTITIONS })
  t.teardown(async () => { await asleep.close() })
  await asleep.feed.say(room, 30, all.ada.user.id as never, 'on the old master')
  const stray = asleep.project(archive)
  const { heads } = await asleep.log.heads([room])
  await until(async () => {
    const { rows: [now] } = await world.store.query('SELECT chain FROM checkpoints WHERE projection = $1 AND room_id = $2', ['archive_v1', room])
    return now.chain === heads.get(room)!.chain
  }, { what: 'the other branch to be archived' })
  await stray.stop()
  const before = heardSoFar(all)
  world.projector.signal('SIGCONT')
  await until(async () => (await world.store.query('SELECT FROM events_parted WHERE room_id = $1', [room])).rows.length >= 30, { what: 'the other branch to be set aside' })
  const { rows: parted } = await world.store.query('SELECT seq, chain FROM events_parted WHERE room_id = $1 ORDER BY id DESC LIMIT 1', [room])
  t.match(parted, [heads.get(room)!], 'the events of the other branch are kept')
  await world.redisServer.kill()
  await holds(t, world, all, before, undefined)
})
