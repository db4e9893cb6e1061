// Millrace as it runs in production, for end-to-end tests: two gateways and a projector as processes of their own, over a
// real Redis and a real Postgres that the test may kill, freeze and restart. What was sent, acked and received goes to one
// checker; `judge` reads log, archive and read models and lets it decide.
import { spawn, type ChildProcess } from 'node:child_process'
import { generateKeyPairSync, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { PROJECTIONS } from '../../projections/live.ts'
import { groupOf } from '../../projections/projection.ts'
import { LOBBY_ID } from '../../src/domain/lobby.ts'
import { createKeys } from '../../src/log/keys.ts'
import type { RoomLog } from '../../src/log/log.ts'
import { createRedisLog } from '../../src/log/redis-log.ts'
import { connectRedis } from '../../src/log/redis.ts'
import { createLogger } from '../../src/telemetry/logging.ts'
import { readArchive } from '../../src/store/archive.ts'
import { migrate } from '../../src/store/migrate.ts'
import { openStore, type Store } from '../../src/store/pool.ts'
import { createChecker, type Judgement } from '../checker.ts'
import { connect, http, type Client, type ConnectOptions } from '../client.ts'
import { MAIN } from '../dev/compiled.ts'
import { testServers } from '../dev/servers.ts'
import { until } from '../until.ts'

const PARTITIONS = 16
const logger = createLogger({ level: 'silent', role: 'test' })

/** Whatever ends what was opened: a tap test, or a run of its own. */
export interface Teardown { teardown: (fn: () => unknown) => unknown }

export interface Role {
  readonly url: string
  readonly pid: number
  readonly running: boolean
  /** How it ended, if it did after it was ready and nobody here had asked for it: it never should. */
  readonly died: string | undefined
  /** Everything it wrote to standard error. */
  output: () => string
  signal: (signal: NodeJS.Signals) => void
  /** SIGKILL; resolves when it is gone. */
  kill: () => Promise<void>
  /** SIGTERM; resolves with the exit code. */
  stop: () => Promise<number | null>
  /** Starts it again on the same port, after it ended. */
  restart: () => Promise<void>
}

export async function startRole (t: Teardown, roles: string[], env: Record<string, string>): Promise<Role> {
  let child: ChildProcess
  let url = ''
  let output = ''
  let asked = false
  let died: string | undefined
  const start = async (): Promise<void> => {
    asked = false
    const port = url === '' ? '0' : new URL(url).port
    const mine = child = spawn(process.execPath, [MAIN, ...roles], { env: { PATH: process.env.PATH, ...env, PORT: port, OPS_PORT: env.OPS_PORT ?? '0' }, stdio: ['ignore', 'ignore', 'pipe', 'ipc'] })
    mine.stderr!.on('data', data => { output = (output + String(data)).slice(-100_000) })
    const ready = once(mine, 'message')
    const failed = once(mine, 'exit').then(([code]) => { throw new Error(`${roles.join(' ')} ended with ${code}: ${output}`) })
    const [message] = await Promise.race([ready, failed]) as [{ url?: string }]
    failed.catch(() => {})
    mine.once('exit', (code, signal) => { if (!asked) died ??= `${roles.join(' ')} ended by itself with ${code ?? signal}` })
    url = message.url ?? url
  }
  const ended = async (): Promise<void> => { if (child.exitCode === null && child.signalCode === null) await once(child, 'exit') }
  const kill = async (): Promise<void> => {
    asked = true
    child.kill('SIGCONT')
    child.kill('SIGKILL')
    await ended()
  }
  t.teardown(kill)
  await start()
  return {
    get url () { return url },
    get pid () { return child.pid! },
    get running () { return child.exitCode === null && child.signalCode === null },
    get died () { return died },
    output: () => output,
    signal (signal) {
      asked ||= signal !== 'SIGSTOP' && signal !== 'SIGCONT'
      child.kill(signal)
    },
    kill,
    async stop () {
      asked = true
      child.kill('SIGTERM')
      await ended()
      return child.exitCode
    },
    restart: start,
  }
}

/** What the processes have in common, short enough in its times for tests. */
export function environment ({ redisUrl, databaseUrl }: { redisUrl: string, databaseUrl: string }): Record<string, string> {
  return {
    REDIS_URL: redisUrl,
    DATABASE_URL: databaseUrl,
    PARTITIONS: String(PARTITIONS),
    JWT_PRIVATE_KEY: generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    LOG_LEVEL: 'warn',
    RATE_LIMITS: 'off',
    HEADS_COMPARE_MS: '500',
    LEASE_MS: '1500',
    SWEEP_MS: '1000',
  }
}

/** The servers, a migrated database, and the test's own way to the log and the tables. */
export async function openServers (t: Teardown, { redisArgs = ['--appendonly', 'yes', '--appendfsync', 'always'] }: { redisArgs?: string[] } = {}) {
  const { redis: redisServer, postgres, redisUrl, databaseUrl } = await testServers(t, { redisArgs })
  const store = await openStore({ url: databaseUrl, max: 4, name: 'test', log: logger })
  t.teardown(async () => { await store.close() })
  await migrate({ store, log: logger })
  const redis = await connectRedis(redisUrl, 'test', logger)
  t.teardown(() => { redis.disconnect() })
  return { redis, redisServer, postgres, redisUrl, databaseUrl, store, log: createRedisLog({ redis, keys: createKeys(PARTITIONS), log: logger }) }
}

/** One run: users, rooms and sockets of its own, and the checker that sees all of them. There may be many over the same servers. */
export function createScene (t: Teardown, { store, log, urlOf }: { store: Store, log: RoomLog, urlOf: (gateway: number) => string }) {
  const checker = createChecker()
  const rooms = new Set<string>()
  let subscribers = 0

  /** All events of a room: from the stream, and what was trimmed from it, from the archive. */
  async function logOf (roomId: string) {
    const hot = []
    for (;;) {
      const chunk = await log.read(roomId, hot.at(-1)?.seq ?? 0, 1000)
      hot.push(...chunk)
      if (chunk.length < 1000) break
    }
    const first = hot[0]?.seq ?? Infinity
    return first === 1 ? hot : [...(await archiveOf(roomId)).filter(({ seq }) => seq < first), ...hot]
  }

  async function archiveOf (roomId: string) {
    const events = []
    for (;;) {
      const chunk = await readArchive(store, roomId, events.at(-1)?.seq ?? 0, 1000)
      events.push(...chunk)
      if (chunk.length < 1000) return events
    }
  }

  async function checkpoints () {
    const { rows } = await store.query<{ projection: string, room_id: string, seq: number, chain: string }>('SELECT projection, room_id, seq, chain FROM checkpoints WHERE room_id = ANY ($1)', [[...rooms]])
    return rows
  }

  /** Resolves when all projections have applied every event of the rooms under test. */
  async function projected (timeoutMs = 60_000): Promise<void> {
    const { heads } = await log.heads([...rooms])
    await until(async () => {
      const at = await checkpoints()
      return [...heads].every(([room, { seq }]) => PROJECTIONS.map(groupOf).every(projection => at.some(row => row.projection === projection && row.room_id === room && row.seq >= seq)))
    }, { timeoutMs, everyMs: 50, what: 'the projections to catch up' })
  }

  /** Lets the checker judge all rooms under test: log, archive, read models, and what every client sent and received. */
  async function judge ({ expectAllDelivered = true, wait = true, lost = false } = {}): Promise<Judgement> {
    if (wait) await projected()
    const logs = new Map(); const archive = new Map(); const messages = new Map()
    for (const room of rooms) {
      logs.set(room, await logOf(room))
      archive.set(room, await archiveOf(room))
      const { rows } = await store.query(`
        SELECT seq, event_id, user_id, content, timestamp, client_id, reply_to, edited_at, deleted,
               coalesce((SELECT jsonb_object_agg(emoji, users)
                           FROM (SELECT emoji, jsonb_agg(reactions.user_id) AS users FROM reactions WHERE reactions.room_id = messages.room_id AND message_seq = messages.seq GROUP BY emoji) AS shown), '{}') AS reactions
          FROM messages
         WHERE room_id = $1
         ORDER BY seq`, [room])
      messages.set(room, rows)
    }
    return checker.judge({ logs, archive, messages, checkpoints: await checkpoints(), expectAllDelivered, expectAllProjected: true, lost })
  }

  return {
    checker,
    rooms,
    logOf,
    archiveOf,
    projected,
    judge,
    urlOf,
    api: (gateway: number) => http(urlOf(gateway)),
    /** A new user. */
    signup: async (name = `u${randomUUID().slice(0, 8)}`) => await http(urlOf(0)).signup(name, 'correct horse battery'),
    /** A public room, watched by the checker. */
    async room (token: string, name = `room ${randomUUID().slice(0, 8)}`): Promise<string> {
      const { status, body } = await http(urlOf(0)).post('/rooms', { name, kind: 'public' }, token)
      if (status !== 201) throw new Error(`no room: ${status} ${JSON.stringify(body)}`)
      rooms.add(body.id)
      return body.id as string
    },
    /**
     * A socket that the checker watches. Clients of the same `as` are one subscriber, over all its connections: after a cut it is
     * expected back. Who closes, or is cut without a name, has gone for good and is owed nothing more.
     */
    async connect (gateway: number, token: string, more: Partial<ConnectOptions> & { as?: ReturnType<typeof checker.subscriber> } = {}): Promise<Client> {
      const { as, ...options } = more
      const recorder = as ?? checker.subscriber(`client ${++subscribers}`)
      const client = await connect({ url: urlOf(gateway), token, recorder, ...options })
      t.teardown(() => { client.cut() })
      return {
        ...client,
        get frames () { return client.frames },
        async close () { recorder.gone(); return await client.close() },
        cut () { if (as === undefined) recorder.gone(); client.cut() },
      }
    },
    subscriber: (name: string) => checker.subscriber(name),
  }
}

export async function millrace (t: Teardown, { env = {}, redisArgs, projectors = 1, gateways = 2 }: { env?: Record<string, string>, redisArgs?: string[], projectors?: number, gateways?: number } = {}) {
  const servers = await openServers(t, { redisArgs })
  const common = { ...environment(servers), ...env }
  const roles = await Promise.all([
    ...Array.from({ length: gateways }, async () => await startRole(t, ['gateway'], common)),
    ...Array.from({ length: projectors }, async () => await startRole(t, ['projector'], common)),
  ])
  const gatewayRoles = roles.slice(0, gateways)
  const urlOf = (gateway: number): string => gatewayRoles[gateway % gateways]!.url
  const scene = createScene(t, { ...servers, urlOf })
  scene.rooms.add(LOBBY_ID)
  return { ...servers, ...scene, env: common, gateways: gatewayRoles, projectors: roles.slice(gateways) }
}
