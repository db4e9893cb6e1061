/** What every role stands on: Redis, Postgres, the log, and the fence that is kept lifted. Opened in order and closed in reverse. */
import { startLagWatch } from '../../projections/lag-watch.ts'
import { PROJECTIONS } from '../../projections/live.ts'
import { createReconciler, startReconciling } from '../../projections/reconcile.ts'
import { createRestorer } from '../../projections/restore.ts'
import type { Config } from '../config.ts'
import type { Lifecycle } from '../lifecycle.ts'
import { createCold } from '../log/cold.ts'
import { checkRedisPartitions } from '../log/deployment.ts'
import { createFence } from '../log/fence.ts'
import { createGroups } from '../log/groups.ts'
import { createKeys } from '../log/keys.ts'
import { LogFault } from '../log/log.ts'
import { createMarkStreams } from '../log/mark-streams.ts'
import { createPeopleKeys } from '../log/people-keys.ts'
import { createMarkClamp } from '../log/mark-clamp.ts'
import { createRedisLog } from '../log/redis-log.ts'
import { connectRedis } from '../log/redis.ts'
import { checkPostgresPartitions } from '../store/deployment.ts'
import { openStore } from '../store/pool.ts'
import { createLogger } from '../telemetry/logging.ts'
import { createMetrics } from '../telemetry/metrics.ts'
import { readRatio, startTracing } from '../telemetry/tracing.ts'
import { VERSION } from '../version.ts'
import { startJobCounts } from './job-counts.ts'
import { startVitals } from './vitals.ts'

/** What must be given to run a role; the message is one line. */
export class RoleUnfit extends Error {
  override name = 'RoleUnfit'
}

export type Shared = Awaited<ReturnType<typeof openShared>>

/** What every role stands on: Redis, Postgres, the log, and the fence that is kept lifted. */
export async function openShared (life: Lifecycle, config: Config, role: string) {
  const { REDIS_URL: redisUrl, DATABASE_URL: databaseUrl } = config
  if (redisUrl === undefined || databaseUrl === undefined) throw new RoleUnfit('REDIS_URL and DATABASE_URL must be set to run a role by itself; `npm start` brings both.')
  const logger = createLogger({ level: config.LOG_LEVEL, role })
  const metrics = createMetrics(role)
  await life.open('tracing', async () => await startTracing({ endpoint: config.OTEL_EXPORTER_OTLP_ENDPOINT, role, ratio: readRatio(config.OTEL_TRACES_SAMPLER_ARG) }), async tracing => { await tracing.stop() })
  const clock = Date.now
  const keys = createKeys(config.PARTITIONS)
  const store = await life.open('postgres', async () => await openStore({ url: databaseUrl, max: config.POSTGRES_CONNECTIONS_MAX, name: role, log: logger }), async store => { await store.close() })
  const redis = await life.open('redis', async () => await connectRedis(redisUrl, role, logger), redis => { redis.disconnect() })
  await checkRedisPartitions(redis, config.PARTITIONS)
  await checkPostgresPartitions(store, config.PARTITIONS)
  const log = createRedisLog({ redis, keys, log: logger, metrics })
  const cold = createCold({ redis, keys })
  const restorer = createRestorer({ store, cold, metrics, clock })
  const fence = createFence({ redis, keys })
  const reconciler = createReconciler({ store, log, cold, fence, marks: createMarkClamp({ redis, keys, peopleKeys: createPeopleKeys(keys) }), replayed: PROJECTIONS, partitions: config.PARTITIONS, logger, metrics })
  const reconciling = await life.open('reconciling', () => startReconciling({ reconciler, logger }), async loop => { await loop.stop() })
  redis.on('ready', () => { reconciling.now() })
  metrics.build.set({ version: VERSION }, 1)
  const { query, stats } = store
  await life.open('vitals', () => startVitals({ redis, store: { query, stats }, poolMax: config.POSTGRES_CONNECTIONS_MAX, metrics }), async vitals => { await vitals.stop() })
  await life.open('job counts', () => startJobCounts({ store: { query }, metrics }), async counts => { await counts.stop() })
  const watched = { store: { query }, log, groups: createGroups({ redis, keys }), marks: createMarkStreams({ redis, peopleKeys: createPeopleKeys(keys) }), partitions: config.PARTITIONS, projections: PROJECTIONS }
  await life.open('lag watch', () => startLagWatch({ ...watched, clock, metrics, logger }), async watch => { await watch.stop() })
  return { config, logger, metrics, clock, keys, store, redis, redisUrl, databaseUrl, log, cold, restorer, fence, reconciling }
}

/** Waits until no partition is fenced: a new deployment, or one whose Redis was restarted while nobody was there. */
export async function untilLifted ({ fence, reconciling, logger }: Shared, signal: AbortSignal): Promise<void> {
  for (let said = false; !signal.aborted;) {
    try {
      const { size } = await fence.fencedPartitions()
      if (size === 0) return
      if (!said) {
        logger.debug({ fenced: size }, 'waiting for fenced partitions to be reconciled')
        reconciling.now() // once: it goes on by itself, and others that wait as well need not slow down the one at work
      }
      said = true
    } catch (error) {
      if (!(error instanceof LogFault)) throw error
      if (!said) logger.warn({ reason: error.message }, 'Redis does not answer; waiting for it')
      said = true
    }
    await new Promise(resolve => setTimeout(resolve, 50))
  }
}
