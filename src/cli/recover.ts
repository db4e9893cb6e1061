/**
 * `millrace recover`: rebuilds Redis from Postgres. It compares every room of the archive with Redis and puts right what differs,
 * as happens by itself when Redis was lost, but for all rooms and at once; while it does, the partitions take no appends. What Redis
 * lacks becomes cold: each room comes back whole when it is next needed. Running it again changes nothing.
 */
import { PROJECTIONS } from '../../projections/live.ts'
import { createReconciler, type Reconciled } from '../../projections/reconcile.ts'
import type { Config } from '../config.ts'
import { createCold } from '../log/cold.ts'
import { checkRedisPartitions } from '../log/deployment.ts'
import { createFence } from '../log/fence.ts'
import { createKeys } from '../log/keys.ts'
import { createMarkClamp } from '../log/mark-clamp.ts'
import { createPeopleKeys } from '../log/people-keys.ts'
import { createRedisLog } from '../log/redis-log.ts'
import { connectRedis } from '../log/redis.ts'
import { ARCHIVE } from '../store/archive.ts'
import { checkPostgresPartitions } from '../store/deployment.ts'
import { openStore } from '../store/pool.ts'
import { createLogger } from '../telemetry/logging.ts'
import { createMetrics } from '../telemetry/metrics.ts'
import { CommandFailed, UsageError } from './errors.ts'
import { createProgress } from './progress.ts'
import { reachStores } from './reach.ts'

export async function recoverCommand (args: string[], given: Config): Promise<number> {
  if (args.length > 0) throw new UsageError('recover takes no arguments.')
  const config = reachStores(given)
  const { PARTITIONS: partitions } = config
  const logger = createLogger({ level: 'fatal', role: 'recover' })
  const store = await openStore({ url: config.DATABASE_URL, max: 4, name: 'recover', log: logger })
  const redis = await connectRedis(config.REDIS_URL, 'recover', logger)
  try {
    await checkPostgresPartitions(store, partitions)
    await checkRedisPartitions(redis, partitions)
    const keys = createKeys(partitions)
    const { rows: [row] } = await store.query<{ rooms: number }>('SELECT count(*) AS rooms FROM checkpoints WHERE projection = $1 AND seq > 0', [ARCHIVE])
    const progress = createProgress({ total: row?.rooms ?? 0, what: 'rooms compared' })
    let compared = 0
    const reconciler = createReconciler({ store, log: createRedisLog({ redis, keys, log: logger }), cold: createCold({ redis, keys }), fence: createFence({ redis, keys }), marks: createMarkClamp({ redis, keys, peopleKeys: createPeopleKeys(keys) }), replayed: PROJECTIONS, partitions, logger, metrics: createMetrics('recover') })
    const result = await reconciler.reconcile({ all: true, onCompared: rooms => { progress.at(compared += rooms) } })
    progress.end()
    process.stdout.write(`${summary(compared, result)}\n`)
    if (result.left.length > 0) throw new CommandFailed(`${result.left.length} partitions are still fenced: Redis changed meanwhile. Run it again.`)
    return 0
  } finally {
    redis.disconnect()
    await store.close()
  }
}

function summary (compared: number, { rooms_missing, events_missing, rooms_parted, events_parted, rooms_replayed, rooms_holed }: Reconciled): string {
  const lines = [`Compared ${compared} rooms: ${rooms_missing} were lacking in Redis, whole or in part, and come back when they are needed, with ${events_missing} events.`]
  if (rooms_parted > 0) lines.push(`${rooms_parted} had another history in Redis, which stands; ${events_parted} archived events were set aside in events_parted.`)
  if (rooms_replayed > 0) lines.push(`${rooms_replayed} are being replayed into read models that had gone further.`)
  if (rooms_holed > 0) lines.push(`${rooms_holed} have a hole that neither Redis nor the archive can fill: see millrace park list.`)
  return lines.join('\n')
}
