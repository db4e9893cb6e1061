// Restoring, and the races around it: rooms are let go of at once, again and again, while two gateways append, and nothing is
// lost, doubled or reordered [G5, G8].
import { randomUUID } from 'node:crypto'
import t from 'tap'
import { createRestorer } from '../../projections/restore.ts'
import { createAccess } from '../../src/commands/access.ts'
import { createCommands } from '../../src/commands/commands.ts'
import { createFirstResults } from '../../src/commands/first-results.ts'
import type { Outcome } from '../../src/commands/request.ts'
import { createCold } from '../../src/log/cold.ts'
import { createRedisLog } from '../../src/log/redis-log.ts'
import { connectRedis } from '../../src/log/redis.ts'
import { archiveLook } from '../../src/roles/archive-look.ts'
import { createChecker } from '../checker.ts'
import { archive, caughtUp, createWorld, history, logger, wholeLog, type World } from './feed.ts'
import { projectedAll, wholeHistory } from './loss.ts'
import { equal } from './naive.ts'

/** Evictions that the race goes on for; `npm run evictions` has 10,000. */
const EVICTIONS = Number(process.env.TEST_EVICTIONS ?? 2500)
const EVICTIONS_PER_ROOM = 50
const ROOMS_AT_A_TIME = 32

/** A gateway's commands over connections of its own. */
async function gateway (t: { teardown: (fn: () => unknown) => unknown }, world: World & { redisUrl: string }) {
  const redis = await connectRedis(world.redisUrl, 'gateway', logger)
  t.teardown(() => { redis.disconnect() })
  const log = createRedisLog({ redis, keys: world.keys, log: logger })
  const { restore, hashes } = createRestorer({ store: world.store, cold: createCold({ redis, keys: world.keys }), metrics: world.metrics, clock: Date.now })
  const commands = createCommands({
    log, firstResults: createFirstResults({ archiveLook: archiveLook(world.store), log }), noteMembership: async () => {}, onFenced: () => {}, restore, clock: Date.now, newId: randomUUID, queuedMax: 1000, roomsMax: 100, metrics: world.metrics, logger,
  })
  return { ...commands, access: createAccess({ log, coldHashes: hashes, clock: Date.now }) }
}

const checkpointOf = async ({ store }: World, room: string): Promise<{ seq: number, chain: string }> =>
  (await store.query("SELECT seq, chain FROM checkpoints WHERE projection = 'archive_v1' AND room_id = $1", [room])).rows[0]

t.test('a room that was let go of is read from the archive, and comes back with the first command', async t => {
  const world = await createWorld(t)
  const { execute, access } = await gateway(t, world)
  const [room, ada, eve] = [randomUUID(), randomUUID(), randomUUID()]
  const run = async (user_id: string, command: Parameters<typeof execute>[0]['command'], client_id?: string, resend = false): Promise<Outcome> => await execute({ command, user_id, session: user_id, client_id, resend })
  await run(ada, { type: 'create', room_id: room, name: 'a room', kind: 'private' })
  await run(ada, { type: 'ban', room_id: room, target: eve })
  const first = await run(ada, { type: 'message', room_id: room, content: 'hello' }, 'a key')
  t.match(first, { ok: true, seq: 3 })
  const projectors = [archive, history].map(projection => world.project(projection))
  await caughtUp(world, 'archive_v1', [room])
  await caughtUp(world, 'history_v1', [room])
  const letGo = async (): Promise<void> => { t.equal(await world.cold.evict(room, await checkpointOf(world, room)), true) }
  const before = await wholeLog(world.log, room)

  await letGo()
  t.match(await access.reading(room, ada), { allowed: true, inside: true, member: { role: 'owner', joined_seq: 1 } })
  t.match(await access.reading(room, eve), { allowed: false, rejection: { code: 'room_not_found' } })
  t.match((await access.readings([room], ada)).get(room), { allowed: true, room: { kind: 'private', name: 'a room', messages: 1 } })
  t.equal((await world.redis.hgetall(world.keys.meta(room))).cold, '1', 'reading does not bring it back')
  t.match(await run(eve, { type: 'message', room_id: room, content: 'me too' }), { ok: false, rejection: { code: 'room_not_found' } }, 'a ban holds')
  equal(t, await wholeLog(world.log, room), before, 'its events are back')

  await letGo()
  t.match(await run(ada, { type: 'message', room_id: room, content: 'hello' }, 'a key'), { ok: true, duplicate: true, seq: 3 }, 'what was sent before is known')
  await world.redis.del(world.keys.once(room, ada, 'a key'))
  t.match(await run(ada, { type: 'message', room_id: room, content: 'hello' }, 'a key', true), { ok: true, duplicate: true, seq: 3 })
  await letGo()
  t.match(await run(ada, { type: 'create', room_id: room, name: 'mine', kind: 'public' }), { ok: false, rejection: { code: 'room_exists' } }, 'nobody makes it a second time')
  await letGo()
  t.match(await run(ada, { type: 'message', room_id: room, content: 'again' }), { ok: true, seq: 4 })
  await Promise.all(projectors.map(async projector => { await projector.stop() }))
  await projectedAll(t, world, [room])
  t.ok((await world.metrics.restored.get()).values[0]!.value >= 4)
})

t.test('while a room cannot be restored, nobody is told that it is not theirs', async t => {
  const world = await createWorld(t)
  const { execute, access } = await gateway(t, world)
  const [room, ada] = [randomUUID(), randomUUID()]
  await execute({ command: { type: 'create', room_id: room, name: 'a room', kind: 'private' }, user_id: ada, session: 's' })
  await execute({ command: { type: 'message', room_id: room, content: 'one' }, user_id: ada, session: 's' })
  const projector = world.project(archive)
  await caughtUp(world, 'archive_v1', [room])
  await projector.stop()
  await world.cold.evict(room, await checkpointOf(world, room))
  await world.redis.hset(world.keys.meta(room), 'seq', 9, 'chain', 'abcdef0123456789') // the archive is older than that
  await t.rejects(access.reading(room, ada), { code: 'unavailable' })
  t.match(await execute({ command: { type: 'message', room_id: room, content: 'two' }, user_id: ada, session: 's' }), { ok: false, rejection: { code: 'unavailable' } })
})

t.test(`rooms are let go of ${EVICTIONS} times while two gateways append`, { timeout: 500_000 }, async t => {
  const world = await createWorld(t)
  const gateways = await Promise.all([gateway(t, world), gateway(t, world)])
  const ada = randomUUID()
  const checker = createChecker()
  const evictionsOf = new Map<string, number>()
  const waiting = new Map<string, Array<() => void>>()
  let evictions = 0
  let unavailable = 0
  const isOver = (): boolean => evictions >= EVICTIONS
  // At once after each of the archive's checkpoints. Whoever talks goes on as soon as the room is let go of, at the latest a little later.
  const evict = async (room: string, at: { seq: number, chain: string }): Promise<void> => {
    if (!await world.cold.evict(room, at)) return
    evictions += 1
    evictionsOf.set(room, (evictionsOf.get(room) ?? 0) + 1)
    for (const goOn of waiting.get(room)?.splice(0) ?? []) goOn()
  }
  const projector = world.project(archive, { lingerMs: 0, onApplied: applied => { for (const { room_id, to } of applied) void evict(room_id, to) } })

  async function talk (room: string, g: number): Promise<void> {
    const session = `gateway ${g}, room ${room}`
    const say = async (content: string, client_id: string, resend: boolean): Promise<void> => {
      for (;;) {
        const outcome = await gateways[g]!.execute({ command: { type: 'message', room_id: room, content }, user_id: ada, session, client_id, resend })
        if (outcome.ok && outcome.changed) {
          const { seq, chain, event_id } = outcome
          return checker.acked({ session, room_id: room, client_id, seq, chain, event_id })
        }
        if (outcome.ok || outcome.rejection.code !== 'unavailable') throw new Error(`${content}: ${JSON.stringify(outcome)}`)
        unavailable += 1
      }
    }
    for (let n = 0; !isOver() && (evictionsOf.get(room) ?? 0) < EVICTIONS_PER_ROOM; n++) {
      const content = `${session}: ${n}`
      const client_id = `${session} ${n}`
      checker.sent({ session, room_id: room, client_id, content })
      await Promise.all(Array.from({ length: n % 5 === 0 ? 2 : 1 }, async (_, i) => { await say(content, client_id, i > 0) }))
      await new Promise<void>(resolve => {
        waiting.get(room)!.push(resolve)
        setTimeout(resolve, Math.random() * 400)
      })
    }
  }

  const rooms: string[] = []
  await Promise.all(Array.from({ length: ROOMS_AT_A_TIME }, async () => {
    while (!isOver()) {
      const room = randomUUID()
      waiting.set(room, [])
      rooms.push(room)
      await gateways[0]!.execute({ command: { type: 'create', room_id: room, name: 'a room', kind: 'public' }, user_id: ada, session: 's' })
      await Promise.all(gateways.map(async (_, g) => { await talk(room, g) }))
    }
  }))
  await projector.stop()
  await projectedAll(t, world, rooms)
  const logs = new Map(await Promise.all(rooms.map(async room => [room, await wholeHistory(world, room)] as const)))
  const judgement = checker.judge({ logs, archive: logs })
  t.same(judgement.problems, [])
  t.comment(`${evictions} evictions, ${judgement.counted.entries} events of ${rooms.length} rooms, ${unavailable} times unavailable, ${(await world.metrics.restored.get()).values[0]?.value} times restored`)
})
