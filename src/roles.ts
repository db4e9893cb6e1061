/**
 * The wiring of each role, by hand, in one place: what a gateway, the jobs and a projector are made of, opened in order and
 * closed in reverse.
 */
import { hostname } from 'node:os'
import { archive } from '../projections/archive.ts'
import { history } from '../projections/history.ts'
import { startProjector } from '../projections/projector.ts'
import { createReconciler, startReconciling } from '../projections/reconcile.ts'
import { createAccounts } from './auth/accounts.ts'
import { createPasswords } from './auth/passwords.ts'
import { createSessions } from './auth/sessions.ts'
import { createTokens, readSigningKey } from './auth/tokens.ts'
import { createAccess } from './commands/access.ts'
import { createCommands } from './commands/commands.ts'
import { createFirstResults, type ArchiveLook } from './commands/first-results.ts'
import { ensureLobby } from './commands/lobby.ts'
import type { Config } from './config.ts'
import { createGateway } from './gateway/gateway.ts'
import type { Readiness } from './http/health.ts'
import { addRoutes, createOps, createServer } from './http/server.ts'
import { uuidv7 } from './ids.ts'
import { expireSessions } from './jobs/expire-sessions.ts'
import { startJobs } from './jobs/jobs.ts'
import type { Lifecycle } from './lifecycle.ts'
import { createBells } from './log/bells.ts'
import { startCanary } from './log/canary.ts'
import { checkRedisPartitions } from './log/deployment.ts'
import { createFence } from './log/fence.ts'
import { createGroups } from './log/groups.ts'
import { createKeys } from './log/keys.ts'
import { createRecentRooms } from './log/recent-rooms.ts'
import { createRedisLog } from './log/redis-log.ts'
import { connectRedis, connectSubscriber } from './log/redis.ts'
import { createSubscriptions } from './log/subscriptions.ts'
import { createTail } from './log/tail.ts'
import { findByClientIds, readArchive } from './store/archive.ts'
import { checkPostgresPartitions } from './store/deployment.ts'
import { openStore, type Store } from './store/pool.ts'
import { createLogger } from './telemetry/logging.ts'
import { createMetrics } from './telemetry/metrics.ts'
import { startTracing } from './telemetry/tracing.ts'

const CANARY_MS = 2000
const STATS_MS = 5000

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
  await life.open('tracing', async () => await startTracing({ endpoint: config.OTEL_EXPORTER_OTLP_ENDPOINT, role }), async tracing => { await tracing.stop() })
  const clock = Date.now
  const keys = createKeys(config.PARTITIONS)
  const store = await life.open('postgres', async () => await openStore({ url: databaseUrl, max: config.POSTGRES_CONNECTIONS_MAX, name: role, log: logger }), async store => { await store.close() })
  const redis = await life.open('redis', async () => await connectRedis(redisUrl, role, logger), redis => { redis.disconnect() })
  await checkRedisPartitions(redis, config.PARTITIONS)
  await checkPostgresPartitions(store, config.PARTITIONS)
  const log = createRedisLog({ redis, keys, log: logger })
  const fence = createFence({ redis, keys })
  const reconciler = createReconciler({ store, log, fence, logger, metrics })
  const reconciling = await life.open('reconciling', () => startReconciling({ reconciler, logger }), async loop => { await loop.stop() })
  redis.on('ready', () => { reconciling.now() })
  const stats = setInterval(() => {
    metrics.redisUp.set(redis.status === 'ready' ? 1 : 0)
    for (const [state, value] of Object.entries(store.stats())) metrics.poolConnections.set({ state }, value)
  }, STATS_MS)
  await life.open('statistics', () => {}, () => { clearInterval(stats) })
  return { config, logger, metrics, clock, keys, store, redis, redisUrl, databaseUrl, log, fence, reconciling }
}

/** Waits until no partition is fenced: a new deployment, or one whose Redis was restarted while nobody was there. */
async function untilLifted ({ fence, reconciling, logger }: Shared, signal: AbortSignal): Promise<void> {
  for (let said = false; !signal.aborted;) {
    const { size } = await fence.fencedPartitions()
    if (size === 0) return
    if (!said) logger.debug({ fenced: size }, 'waiting for fenced partitions to be reconciled')
    said = true
    reconciling.now()
    await new Promise(resolve => setTimeout(resolve, 50))
  }
}

/** HTTP and WebSocket. Returns the URL it listens on. */
export async function openGateway (life: Lifecycle, shared: Shared): Promise<string> {
  const { config, logger, metrics, clock, keys, store, redis, redisUrl, log, reconciling } = shared
  if (config.JWT_PRIVATE_KEY === undefined) throw new RoleUnfit('JWT_PRIVATE_KEY must be set to run a gateway by itself: an Ed25519 key, the same for all gateways; `npm start` makes one.')
  const signingKey = readSigningKey(config.JWT_PRIVATE_KEY)
  const app = await createServer({ signingKey, metrics, logger })
  const tokens = createTokens({ jwt: app.jwt, key: signingKey, lifetimeS: config.ACCESS_TOKEN_S, clock })
  await untilLifted(shared, life.signal)

  const subscriptions = await life.open('subscriptions', () => createSubscriptions({ client: connectSubscriber(redisUrl, 'gateway-bells', logger), logger }), subscriptions => { subscriptions.close() })
  const archiveOf = async (roomId: string, after: number, limit: number) => await readArchive(store, roomId, after, limit)
  const tail = await life.open('tail', () => createTail({ log, readArchive: archiveOf, subscriptions, keys, compareMs: config.HEADS_COMPARE_MS, metrics, logger }), async tail => { await tail.close() })
  const canary = await life.open('canary', () => startCanary({ redis, subscriptions, name: `${hostname()}-${process.pid}`, everyMs: CANARY_MS, clock }), canary => { canary.stop() })

  const recentRooms = createRecentRooms({ redis, clock })
  const commands = await life.open('commands', () => createCommands({
    log,
    firstResults: createFirstResults({ archiveLook: archiveLook(store), log }),
    noteMembership: recentRooms.note,
    onFenced: reconciling.now,
    clock,
    newId: uuidv7,
    queuedMax: config.COMMANDS_QUEUED_MAX,
    roomsMax: config.ROOMS_CACHED_MAX,
    metrics,
    logger,
  }), async commands => { await commands.drained() })
  const access = createAccess({ log, clock })
  const sessions = createSessions({ store, tokens, refreshLifetimeS: config.REFRESH_TOKEN_S, clock, newId: uuidv7, metrics, logger })
  const accounts = createAccounts({ store, passwords: createPasswords(), sessions, guests: config.GUESTS === 'on', clock, newId: uuidv7, metrics })
  await ensureLobby({ commands, log, archived: async roomId => (await archiveOf(roomId, 0, 1)).length > 0, logger })

  const fenced = await life.open('fence watch', () => watchFence(shared), watch => { watch.stop() })
  const ready = async (): Promise<Readiness> => {
    const checks: Record<string, string> = {
      log: canary.trouble() ?? 'ok',
      fence: fenced.count() === 0 ? 'ok' : `${fenced.count()} partitions are being reconciled`,
      stopping: life.signal.aborted ? 'this process is stopping' : 'ok',
    }
    return { ok: Object.values(checks).every(check => check === 'ok'), checks }
  }

  addRoutes(app, { config, commands, access, log, store, recentRooms, tokens, accounts, metrics, logger, newId: uuidv7, ready })
  const gateway = await createGateway(app, { config, access, commands, tail, log, readArchive: archiveOf, verify: tokens.verify, newId: uuidv7, clock, metrics, logger })
  return await life.open('http', async () => await app.listen({ host: config.HOST, port: config.PORT }), async () => {
    await gateway.stop(config.DRAIN_MS / 2)
    await app.close()
  })
}

/** Background jobs. */
export async function openJobs (life: Lifecycle, { config, databaseUrl, store, clock, logger }: Shared): Promise<void> {
  await life.open('jobs', async () => await startJobs({ url: databaseUrl, jobs: [expireSessions({ store, clock })], logger, drainMs: config.DRAIN_MS / 2 }), async jobs => { await jobs.stop() })
}

/** Projections, each a loop of its own. Returns the URL of health and metrics if this process serves them itself. */
export async function openProjector (life: Lifecycle, shared: Shared): Promise<void> {
  const { config, logger, metrics, keys, store, redis, redisUrl, log } = shared
  const subscriptions = await life.open('subscriptions', () => createSubscriptions({ client: connectSubscriber(redisUrl, 'projector-bells', logger), logger }), subscriptions => { subscriptions.close() })
  const bells = createBells({ subscriptions, keys })
  const groups = createGroups({ redis, keys })
  const owner = `${hostname()}-${process.pid}-${uuidv7().slice(-8)}`
  const projectors = [archive, history].map(projection => startProjector({
    projection, store, groups, log, keys, bells, owner, metrics, logger, batchEvents: config.PROJECTOR_BATCH_EVENTS, leaseMs: config.LEASE_MS, sweepMs: config.SWEEP_MS,
  }))
  await life.open('projections', () => projectors, async projectors => { await Promise.all(projectors.map(async projector => { await projector.stop() })) })

  const ready = async (): Promise<Readiness> => {
    const checks = Object.fromEntries(projectors.map(projector => {
      const { projection, swept, fault } = projector.progress()
      return [projection, fault ?? (swept ? 'ok' : 'not all partitions were swept yet')]
    }))
    return { ok: Object.values(checks).every(check => check === 'ok'), checks }
  }
  const ops = createOps({ config, metrics, logger, ready })
  await life.open('health', async () => await ops.listen({ host: config.OPS_HOST, port: config.OPS_PORT }), async () => { await ops.close() })
}

/** The archive's half of the look for first results. */
export function archiveLook (store: Store): ArchiveLook {
  return async (roomId, sent) => {
    const { archived, hits } = await findByClientIds(store, roomId, sent)
    return { checkpoint: archived, hits }
  }
}

/** Knows, without asking at that moment, how many partitions are fenced. */
function watchFence ({ fence, metrics, reconciling }: Shared) {
  let count = 0
  const look = async (): Promise<void> => {
    try {
      count = (await fence.fencedPartitions()).size
      metrics.partitionsFenced.set(count)
      if (count > 0) reconciling.now()
    } catch {} // Redis is away: the canary says so
  }
  const timer = setInterval(() => { void look() }, CANARY_MS)
  return { count: () => count, stop: () => { clearInterval(timer) } }
}
