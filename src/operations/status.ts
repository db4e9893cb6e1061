/**
 * How a deployment fares, in one look: processes, partitions and leases, heads against checkpoints, what is parked and fenced, Redis,
 * Postgres, jobs. For `millrace status` and `GET /admin/status`, which give the same.
 *
 * It works while any of the parts is down, and is bounded: it asks both stores for sums, and compares the rooms with the latest news
 * only (`ROOMS_LOOKED_MAX`), since a projection that lags does so there. What it found wrong is judged in `judge.ts`.
 */
import { createFence } from '../log/fence.ts'
import { createKeys } from '../log/keys.ts'
import { listNodes, type Node } from '../log/nodes.ts'
import { latestRooms, redisOverview, redisSettings, type RedisOverview } from '../log/overview.ts'
import { createRedisLog } from '../log/redis-log.ts'
import type { Redis } from '../log/redis.ts'
import { jobCounts, liveProjections, postgresOverview, servedProjections, type AskedProjection, type JobCount, type PostgresOverview, type ServedProjection } from '../store/overview.ts'
import { listParked, type ParkedRoom } from '../store/parked.ts'
import { sqlStateOf, type Queryable } from '../store/pool.ts'
import type { Logger } from '../telemetry/logging.ts'
import { judge } from './judge.ts'
import { lagsOf, type Lag } from './lag.ts'
import type { Status } from './report.ts'

/** Rooms whose heads are compared with checkpoints, over all partitions. */
const ROOMS_LOOKED_MAX = 4096
const PARKED_SHOWN_MAX = 50
/** How long each store may take for all that it is asked. */
const LOOK_MS = 5000

/** A store that may be away: then why. */
export type Reached<T> = { readonly it: T } | { readonly reason: string }

export interface LookDeps {
  readonly redis: Reached<Redis>
  readonly store: Reached<Queryable>
  /** As they may be shown. */
  readonly redisUrl: string
  readonly databaseUrl: string
  /** PARTITIONS. */
  readonly partitions: number
  /** Those that run, the archive first. */
  readonly projections: readonly AskedProjection[]
  readonly logger: Logger
}

interface RedisLook {
  readonly overview: RedisOverview
  readonly nodes: readonly Node[]
  readonly fenced: number
  readonly durability: string
  readonly rooms: readonly string[]
  readonly known: number
}
interface PostgresLook { readonly overview: PostgresOverview, readonly live: readonly string[], readonly served: readonly ServedProjection[], readonly parked: readonly ParkedRoom[], readonly jobs: readonly JobCount[] }

/** Never throws: what cannot be asked is said in what it returns. */
export async function look (deps: LookDeps): Promise<Status> {
  const keys = createKeys(deps.partitions)
  const log = 'it' in deps.redis ? createRedisLog({ redis: deps.redis.it, keys, log: deps.logger }) : undefined

  async function askRedis (redis: Redis): Promise<RedisLook> {
    const overview = await redisOverview(redis)
    const [{ nodes }, fenced, { rooms, known }, settings] = await Promise.all([
      listNodes(redis),
      createFence({ redis, keys }).fencedPartitions(),
      latestRooms({ redis, keys }, Math.ceil(ROOMS_LOOKED_MAX / deps.partitions)),
      redisSettings(redis, ['appendfsync']),
    ])
    return { overview, nodes, fenced: fenced.size, durability: overview.aof && settings?.get('appendfsync') === 'always' ? 'fsync' : 'memory', rooms, known }
  }

  async function askPostgres (db: Queryable): Promise<PostgresLook> {
    const overview = await postgresOverview(db)
    if (overview.partitions === null) return { overview, live: [], served: [], parked: [], jobs: [] }
    const live = await liveProjections(db, deps.projections)
    return { overview, live: live.map(({ projection }) => projection), served: await servedProjections(db, live), parked: await listParked(db, { limit: PARKED_SHOWN_MAX }), jobs: await jobCounts(db) }
  }

  const [redis, postgres] = await Promise.all([asked(deps.redis, askRedis), asked(deps.store, askPostgres)])
  const lags = 'it' in redis && 'it' in postgres && 'it' in deps.store && log !== undefined
    ? await asked(deps.store, async db => await lagsOf({ db, log }, postgres.it.live, redis.it.rooms, redis.it.overview.now_ms))
    : { reason: '' }
  const status = assembled(deps, redis, postgres, 'it' in lags ? lags.it : undefined)
  const troubles = judge(status)
  return { ...status, troubles, ok: troubles.length === 0 }
}

/** What `ask` says of it, if it says so in time. */
async function asked<T, A> (reached: Reached<T>, ask: (it: T) => Promise<A>): Promise<Reached<A>> {
  if ('reason' in reached) return reached
  let timer: NodeJS.Timeout | undefined
  try {
    const late = new Promise<never>((_resolve, reject) => { timer = setTimeout(() => { reject(new Error(`no answer within ${LOOK_MS} ms`)) }, LOOK_MS) })
    return { it: await Promise.race([ask(reached.it), late]) }
  } catch (error) {
    const { message } = error as Error
    return { reason: sqlStateOf(error) === undefined ? message : `error: ${message}` }
  } finally {
    clearTimeout(timer)
  }
}

function assembled (deps: LookDeps, redis: Reached<RedisLook>, postgres: Reached<PostgresLook>, lags: ReadonlyMap<string, Lag> | undefined): Status {
  const { redisUrl, databaseUrl, partitions } = deps
  return {
    at: new Date().toISOString(),
    ok: false,
    troubles: [],
    nodes: 'it' in redis ? redis.it.nodes.map(nodeOf) : null,
    redis: 'it' in redis ? { url: redisUrl, ...shownRedis(redis.it) } : { url: redisUrl, reason: redis.reason },
    postgres: 'it' in postgres ? { url: databaseUrl, ...shownPostgres(postgres.it) } : { url: databaseUrl, reason: postgres.reason },
    partitions,
    projections: 'it' in postgres ? postgres.it.served.map(({ projection, workers, partitions, parked_rooms }) => ({ projection, workers, partitions, parked_rooms, ...lags?.get(projection) })) : null,
    rooms_looked: lags === undefined || !('it' in redis) ? 0 : redis.it.rooms.length,
    parked: 'it' in postgres ? postgres.it.parked.map(({ projection, room_id, seq, error_code, error, parked_at }) => ({ projection, room_id, seq, error_code, error, parked_at: parked_at.toISOString() })) : null,
    jobs: 'it' in postgres ? [...postgres.it.jobs] : null,
  }
}

function nodeOf ({ role, host, pid, version, started_at, seen_ms, clock_ms, alive, stopped, ready, trouble, connections, url }: Node): NonNullable<Status['nodes']>[number] {
  return {
    role,
    host,
    pid,
    version,
    started_at,
    seen_at: new Date(seen_ms).toISOString(),
    state: stopped === true ? 'stopped' : !alive ? 'silent' : ready ? 'ready' : 'not ready',
    ...(trouble === undefined ? {} : { trouble }),
    ...(connections === undefined ? {} : { connections }),
    ...(url === undefined ? {} : { url }),
    clock_skew_ms: clock_ms - seen_ms,
  }
}

function shownRedis ({ overview: { now_ms: _n, loading: _l, ...overview }, fenced, durability, known }: RedisLook) {
  return { ...overview, durability, partitions_fenced: fenced, rooms: known }
}

function shownPostgres ({ overview: { now: _, ...overview } }: PostgresLook) {
  return overview
}
