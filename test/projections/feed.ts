/**
 * What the tests of projections and stores share: a migrated database, a log on a private Redis, events put into it as
 * the gateway would, and projectors over both.
 *
 *     const world = await createWorld(t)
 *     const room = await world.feed.room()
 *     await world.feed.say(room, 100)
 */
import { randomUUID } from 'node:crypto'
import { archive } from '../../projections/archive.ts'
import { history } from '../../projections/history.ts'
import { startProjector, type Projector, type ProjectorOptions } from '../../projections/projector.ts'
import { createReconciler } from '../../projections/reconcile.ts'
import { createRestorer } from '../../projections/restore.ts'
import { patchOf } from '../../src/commands/room-hashes.ts'
import type { EventBody, RoomKind } from '../../src/domain/events.ts'
import { emptyRoom, evolve, type Room } from '../../src/domain/room.ts'
import { createBells, type BellSource } from '../../src/log/bells.ts'
import { encodeEvent, type LogEvent } from '../../src/log/codec.ts'
import { createCold } from '../../src/log/cold.ts'
import { createFence } from '../../src/log/fence.ts'
import { createGroups } from '../../src/log/groups.ts'
import { createKeys, type Keys } from '../../src/log/keys.ts'
import type { RoomLog } from '../../src/log/log.ts'
import { createMarkClamp } from '../../src/log/mark-clamp.ts'
import { createPeopleKeys } from '../../src/log/people-keys.ts'
import { createRedisLog } from '../../src/log/redis-log.ts'
import { connectRedis, connectSubscriber } from '../../src/log/redis.ts'
import { createSubscriptions } from '../../src/log/subscriptions.ts'
import { migrate } from '../../src/store/migrate.ts'
import { openStore, type Queryable } from '../../src/store/pool.ts'
import { createLogger } from '../../src/telemetry/logging.ts'
import { createMetrics } from '../../src/telemetry/metrics.ts'
import { testServers } from '../dev/servers.ts'
import { until } from '../until.ts'

export const logger = createLogger({ level: process.env.TEST_LOG ?? 'silent', role: 'test' })
export const NO_BELLS: BellSource = { follower: () => ({ follow: () => {}, stop: () => {} }) }

export type World = Awaited<ReturnType<typeof openWorld>>
interface Test { teardown: (fn: () => Promise<void>) => unknown }

/** Connects to servers that run, for this process or a child of it. */
export async function openWorld ({ redisUrl, databaseUrl, partitions = 8 }: { redisUrl: string, databaseUrl: string, partitions?: number }) {
  const keys = createKeys(partitions)
  const redis = await connectRedis(redisUrl, 'test', logger)
  const subscriber = connectSubscriber(redisUrl, 'test-bells', logger)
  const store = await openStore({ url: databaseUrl, max: 10, name: 'test', log: logger })
  const log = createRedisLog({ redis, keys, log: logger })
  const groups = createGroups({ redis, keys })
  const subscriptions = createSubscriptions({ client: subscriber, logger })
  const bells = createBells({ subscriptions, keys })
  const metrics = createMetrics('test')
  const fence = createFence({ redis, keys })
  const cold = createCold({ redis, keys })
  const peopleKeys = createPeopleKeys(keys)
  const reconciling = { store, log, cold, fence, marks: createMarkClamp({ redis, keys, peopleKeys }), replayed: [history], partitions, logger, metrics }
  const reconciler = createReconciler(reconciling)
  const restorer = createRestorer({ store, cold, metrics, clock: Date.now })
  const projectors: Projector[] = []
  const base = { store, groups, log, keys, bells, metrics, logger, batchEvents: 1000, leaseMs: 2000, sweepMs: 300 }
  return {
    keys,
    peopleKeys,
    redis,
    subscriber,
    store,
    log,
    groups,
    bells,
    metrics,
    fence,
    cold,
    /** What the reconciler is made of. */
    reconciling,
    reconciler,
    restorer,
    base,
    feed: createFeed({ log, keys }),
    /** Starts a projector; it is stopped at the end. */
    project (projection: ProjectorOptions['projection'], more: Partial<ProjectorOptions> = {}): Projector {
      const projector = startProjector({ ...base, projection, owner: `test-${randomUUID()}`, ...more })
      projectors.push(projector)
      return projector
    },
    async close () {
      await Promise.all(projectors.map(async projector => { await projector.stop() }))
      redis.disconnect()
      subscriptions.close()
      await store.close()
    },
  }
}

/** Private servers, a migrated database, a log that takes appends. All ended with the test. */
export async function createWorld (t: Test, options: { partitions?: number, redisArgs?: string[] } = {}) {
  const { redis: redisServer, postgres, redisUrl, databaseUrl } = await testServers(t, { redisArgs: options.redisArgs })
  const world = await openWorld({ redisUrl, databaseUrl, ...options })
  t.teardown(async () => { await world.close() })
  await migrate({ store: world.store, log: logger })
  await world.reconciler.reconcile()
  return { ...world, redisServer, postgres, redisUrl, databaseUrl }
}

export type Feed = ReturnType<typeof createFeed>

/** Appends what the gateway would append, without asking who may. */
export function createFeed ({ log, keys }: { log: RoomLog, keys: Keys }) {
  let minute = Date.UTC(2026, 10, 20, 10)
  const rooms = new Map<string, Room>()
  async function put (roomId: string, user: string, bodies: readonly EventBody[], { clientIds = false, create = false, by }: { clientIds?: boolean, create?: boolean, by?: string } = {}): Promise<void> {
    const room = rooms.get(roomId) ?? emptyRoom(roomId)
    rooms.set(roomId, room)
    const units = bodies.map(body => {
      const client_id = clientIds ? randomUUID() : undefined
      const event = { ...body, user_id: user, timestamp: new Date(minute += 1000).toISOString(), ...(client_id === undefined ? {} : { client_id }) }
      return {
        session: user,
        author: user,
        key: client_id ?? randomUUID(),
        onceMs: 600_000,
        create,
        preconditions: [],
        events: [{ event_id: randomUUID(), v: 1, data: encodeEvent(event), by }],
        patches: evolve(room, event, room.seq + 1).map(effect => patchOf(effect, 0)),
      }
    })
    for (const result of await log.append(roomId, units)) {
      if (result.status !== 'appended') throw new Error(`an append of the feed was answered ${result.status}`)
    }
  }
  return {
    put,
    /** Makes a room (in a given partition, if one is given) and returns its ID. Its log then has one event. */
    async room ({ partition, owner = randomUUID(), kind = 'public', name = 'a room', id }: { partition?: number, owner?: string, kind?: RoomKind, name?: string, id?: string } = {}): Promise<string> {
      let roomId = id ?? randomUUID()
      if (partition !== undefined) while (keys.partitionOf(roomId) !== partition) roomId = randomUUID()
      await put(roomId, owner, [{ type: 'room', change: 'created', name, kind, history: 'all' }], { create: true })
      return roomId
    },
    async say (roomId: string, count: number, user = randomUUID(), content = 'hello'): Promise<void> {
      for (let i = 0; i < count; i += 100) {
        await put(roomId, user, Array.from({ length: Math.min(100, count - i) }, (_, n) => ({ type: 'message' as const, content: `${content} ${i + n + 1}`, ...(n % 7 === 3 ? { reply_to: 1 } : {}) })), { clientIds: true })
      }
    },
    join: async (roomId: string, user: string) => { await put(roomId, user, [{ type: 'join' }]) },
    leave: async (roomId: string, user: string) => { await put(roomId, user, [{ type: 'leave' }]) },
  }
}

/** The whole stream of a room. */
export async function wholeLog (log: RoomLog, roomId: string): Promise<LogEvent[]> {
  return await log.read(roomId, 0, 1_000_000)
}

/** Until a projection's checkpoints of these rooms are at the heads of their logs. */
export async function caughtUp ({ store, log }: { store: Queryable, log: RoomLog }, group: string, rooms: readonly string[], timeoutMs = 60_000): Promise<void> {
  await until(async () => {
    const { heads } = await log.heads(rooms)
    const { rows } = await store.query('SELECT room_id, seq, chain FROM checkpoints WHERE projection = $1 AND room_id = ANY ($2::uuid[])', [group, rooms])
    const at = new Map(rows.map(({ room_id, seq, chain }) => [room_id, `${seq} ${chain}`]))
    return rooms.every(room => at.get(room) === `${heads.get(room)?.seq} ${heads.get(room)?.chain}`)
  }, { timeoutMs, what: `${group} to be at the heads` })
}

export { archive, history }
