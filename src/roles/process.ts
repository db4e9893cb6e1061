/**
 * One process of Millrace: configuration from the environment, roles as given; stops on SIGTERM, SIGINT and SIGHUP, and when the
 * launcher that started it is gone.
 *
 * Exit codes: 0 stopped as asked, 1 could not start (one line on standard error says why).
 */
import { ConfigError, loadConfig, type Config } from '../config.ts'
import { TlsUnfit } from '../http/tls.ts'
import { createLifecycle } from '../lifecycle.ts'
import { openGateway } from './gateway.ts'
import { openHealth } from './health.ts'
import { openJobs } from './jobs.ts'
import { openProjector } from './projector.ts'
import { openShared, RoleUnfit } from './shared.ts'
import { checkRedisPartitions } from '../log/deployment.ts'
import { LogFault } from '../log/log.ts'
import { connectRedis, RedisUnfit } from '../log/redis.ts'
import { checkPostgresPartitions } from '../store/deployment.ts'
import { migrate } from '../store/migrate.ts'
import { isUnavailable, openStore, PostgresUnfit, sqlStateOf } from '../store/pool.ts'
import { SigningKeyUnfit } from '../auth/tokens.ts'
import { createLogger, type Logger } from '../telemetry/logging.ts'

const ROLES = ['gateway', 'jobs', 'projector', 'migrate']
/** Those that serve health and metrics by themselves. */
const LISTENS = ['gateway', 'projector']

async function run (roles: readonly string[]): Promise<void> {
  const unknown = roles.filter(role => !ROLES.includes(role))
  if (roles.length === 0 || unknown.length > 0) throw new RoleUnfit(`Say which roles to run: ${ROLES.join(', ')}${unknown.length > 0 ? `, not ${unknown.join(', ')}` : ''}.`)
  const config = loadConfig()
  const logger = createLogger({ level: config.LOG_LEVEL, role: roles.join('+') })
  const life = createLifecycle({ log: logger, deadlineMs: config.DRAIN_MS })
  const stop = async (): Promise<void> => { process.exit(await life.close() ? 0 : 1) }
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => { void stop() })
  process.on('disconnect', () => { void stop() })
  if (process.send !== undefined && !process.connected) void stop() // the launcher was gone before this line

  try {
    if (roles.includes('migrate')) {
      await runMigrations(config, logger)
      if (roles.length === 1) return await stop()
    }
    const shared = await openShared(life, config, roles.includes('gateway') ? 'gateway' : roles[0]!)
    if (roles.includes('jobs')) await openJobs(life, shared)
    if (roles.includes('projector')) await openProjector(life, shared)
    if (roles.every(role => !LISTENS.includes(role))) await openHealth(life, shared)
    const url = roles.includes('gateway') ? await openGateway(life, shared) : undefined
    logger.info({ roles, url }, 'ready')
    process.send?.({ ready: true, url })
  } catch (error) {
    if (life.signal.aborted) return // stopping while starting
    await life.close()
    throw error
  }
}

/** Migrates, and makes sure that both stores belong to a deployment with this number of partitions, before any role looks. */
async function runMigrations ({ DATABASE_URL: url, REDIS_URL: redisUrl, PARTITIONS }: Config, logger: Logger): Promise<void> {
  if (url === undefined) throw new RoleUnfit('DATABASE_URL must be set to migrate; `npm start` migrates by itself.')
  const store = await openStore({ url, max: 2, name: 'migrate', log: logger })
  try {
    const applied = await migrate({ store, log: logger })
    logger.info({ applied }, applied.length === 0 ? 'the database is up to date' : 'migrated')
    await checkPostgresPartitions(store, PARTITIONS)
    if (redisUrl === undefined) return
    const redis = await connectRedis(redisUrl, 'migrate', logger)
    await checkRedisPartitions(redis, PARTITIONS).finally(() => { redis.disconnect() })
  } finally {
    await store.close()
  }
}

/** What a person can mend is one line; anything else is a bug, and says where. */
function explain (error: unknown): string {
  const { code, message, stack } = error as NodeJS.ErrnoException
  if (code === 'EADDRINUSE') return `The port is taken (${message}). Stop what listens there, or set PORT.`
  if (code === 'EACCES' || code === 'EADDRNOTAVAIL') return `Cannot listen: ${message}. Set HOST or PORT.`
  const forPeople = [ConfigError, RoleUnfit, RedisUnfit, PostgresUnfit, SigningKeyUnfit, TlsUnfit].some(kind => error instanceof kind)
  if (forPeople) return message
  if (error instanceof LogFault || (sqlStateOf(error) !== undefined && isUnavailable(error))) return `Redis or Postgres failed while this process started (${message}). Start it again; a supervisor should.`
  return stack ?? message
}

/** Runs these roles in this process until a signal. Resolves when they are ready; what cannot start ends the process. */
export async function runRoles (roles: readonly string[]): Promise<void> {
  try {
    await run(roles)
  } catch (error) {
    process.stderr.write(`${explain(error)}\n`)
    process.exit(1)
  }
}
