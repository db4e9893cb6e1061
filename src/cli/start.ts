/**
 * `npm start`: the whole of Millrace on one machine. Brings up what was not given (Redis, Postgres, secrets), migrates, runs gateway and jobs
 * in one process and the projector in another, and keeps them running until a signal.
 *
 * Guarantees: one launcher per data directory; what cannot work is one line and exit code 1; on SIGTERM, SIGINT or SIGHUP, however
 * often, the children drain first, then Redis and Postgres stop, exit code 0, no process left; killed outright, its children end by
 * themselves and the next start takes Redis and Postgres over. Does no work of a role itself.
 *
 * A child gets its configuration in its environment and keeps the contract of src/dev/child.ts.
 */
import { chmodSync, mkdirSync } from 'node:fs'
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Config } from '../config.ts'
import { runChild, startChild, type Child } from '../dev/child.ts'
import { checkGivenPostgres, checkGivenRedis } from '../dev/given.ts'
import { LIBRARY } from '../dev/postgres-binaries.ts'
import { startPostgres } from '../dev/postgres.ts'
import { freePort, portError } from '../dev/ports.ts'
import { endProcess, type RunningServer } from '../dev/processes.ts'
import { startRedis } from '../dev/redis.ts'
import { forgetProcesses, lockDataDir, rememberedProcesses, rememberProcess, removeRunFile, writeRunFile } from '../dev/run-file.ts'
import { keptSigningKey } from '../dev/secrets.ts'
import { reason, StartError } from '../dev/start-error.ts'
import { supervise, type Supervised } from '../dev/supervisor.ts'
import { createLifecycle, type Lifecycle } from '../lifecycle.ts'
import { buildWeb, type WebBuildOptions } from './web-build.ts'

export interface StartOptions {
  /** The script that runs a role. */
  entry?: string
  out?: (line: string) => void
  err?: (line: string) => void
  /** Environment that the children get, below what this file sets. Passed on, not read: config.ts has read it. */
  env?: NodeJS.ProcessEnv
  /** Builds the web client where that is needed; must not throw. */
  web?: (options: WebBuildOptions) => Promise<boolean>
  /** Where root puts what the user that Postgres runs as cannot reach in DATA_DIR or in the clone. */
  library?: string
}

const MAIN = fileURLToPath(new URL('../main.ts', import.meta.url))

/** What the children get beyond DRAIN_MS before they are killed, and the two servers after them: together within 10 s by default. */
const CHILD_GRACE_MS = 1500
const SERVERS_MS = 4000

/** Runs until a signal and returns the exit code. Prints; never throws. Its signal handlers stay: one more signal must not kill what is ending. */
export async function start (config: Config, options: StartOptions = {}): Promise<number> {
  const { out = line => { process.stdout.write(`${line}\n`) }, err = line => { process.stderr.write(`${line}\n`) } } = options
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {}) // a reader that went away (`| head`) is no reason to end
  const life = createLifecycle({
    log: { debug: () => {}, error: (facts, message) => { err(`${(facts as { part?: string }).part ?? 'Millrace'}: ${message}`) } },
    deadlineMs: config.DRAIN_MS + CHILD_GRACE_MS + SERVERS_MS,
  })
  const signalled = new Promise<'signalled'>(resolve => {
    for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => { resolve('signalled') })
  })
  const dataDir = resolve(config.DATA_DIR)
  const opening = openAll(life, dataDir, config, { entry: MAIN, env: process.env, library: LIBRARY, web: buildWeb, ...options, out, err }).then(() => undefined, (error: unknown) => error)

  const failure = await Promise.race([opening.then(async error => error ?? await signalled), signalled])
  const clean = await life.close()
  if (failure === 'signalled' && !clean) process.exit(0) // what hangs would keep this process
  if (failure === 'signalled') return 0
  if (!(failure instanceof StartError)) err(`Millrace could not start: ${reason(failure)}`)
  else if (failure.message !== '') err(`Millrace could not start: ${failure.message}`)
  if (config.LOG_LEVEL === 'debug' || config.LOG_LEVEL === 'trace') err(String((failure as Error).stack))
  return 1
}

type Wiring = Required<StartOptions>

/** Opens everything in order. Throws StartError; what was opened until then is closed by `life`. */
async function openAll (life: Lifecycle, dataDir: string, config: Config, wiring: Wiring): Promise<void> {
  const { out, env } = wiring
  await life.open('data directory', () => holdDataDir(dataDir), release => { release() })
  await endLeftovers(dataDir, config.DRAIN_MS, out)
  await checkPort(config)
  await Promise.all([
    config.REDIS_URL === undefined ? undefined : checkGivenRedis(config.REDIS_URL),
    config.DATABASE_URL === undefined ? undefined : checkGivenPostgres(config.DATABASE_URL),
  ])
  const jwtKey = config.JWT_PRIVATE_KEY ?? keptSigningKey(dataDir)
  const opsPort = config.OPS_PORT === OPS_PORT_BY_DEFAULT || config.OPS_PORT === 0 ? await freePort(config.OPS_HOST) : config.OPS_PORT
  const building = wiring.web({ out, signal: life.signal, env })
  const { redisUrl, databaseUrl } = await openServers(life, dataDir, config, wiring)

  const common: NodeJS.ProcessEnv = { ...env, ...asEnv(config), DATA_DIR: dataDir, REDIS_URL: redisUrl, DATABASE_URL: databaseUrl, JWT_PRIVATE_KEY: jwtKey, OPS_PORT: String(opsPort), LOG_LEVEL: env.LOG_LEVEL === undefined || env.LOG_LEVEL === '' ? QUIET : config.LOG_LEVEL }
  const metrics = `http://${inUrl(config.OPS_HOST)}:${opsPort}/metrics.json`
  const roles: Role[] = [
    { name: 'gateway', args: ['gateway', 'jobs'], env: { ...common, METRICS_FROM: [config.METRICS_FROM, metrics].filter(Boolean).join(',') } },
    { name: 'projector', args: ['projector'], env: common },
  ]
  const child = { entry: wiring.entry, stopMs: config.DRAIN_MS + CHILD_GRACE_MS }
  await life.open('migrations', async () => { await runChild({ ...child, name: 'migrate', args: ['migrate'], env: common, signal: life.signal, onSpawn: id => { rememberProcess(dataDir, 'migrate', id) } }) })

  const children = await life.open('children', async () => await openRoles(roles, child, dataDir, life.signal, out), async opened => {
    removeRunFile(dataDir)
    await Promise.all(opened.map(async one => { await one.stop() }))
  })
  const url = children[0]?.current.url ?? `http://${inUrl(config.HOST)}:${config.PORT}`
  const hasWeb = await building // the API serves meanwhile
  if (life.signal.aborted) return
  writeRunFile(dataDir, { url, redis_url: redisUrl, database_url: databaseUrl, ready_at: new Date().toISOString() })
  for (const line of readyLines(url, hasWeb)) out(line)
}

const OPS_PORT_BY_DEFAULT = 9465
/** Log level of the children unless one was asked for: whoever starts all by one command reads lines for people. */
const QUIET = 'warn'

/** Makes DATA_DIR, takes it, and clears away what says that another runs. */
function holdDataDir (dataDir: string): () => void {
  try {
    if (mkdirSync(dataDir, { recursive: true }) !== undefined) {
      // Every secret in it has a mode of its own. As root it may be passed through (not listed): Postgres runs as another user.
      chmodSync(dataDir, process.getuid?.() === 0 ? 0o711 : 0o700)
    }
    const release = lockDataDir(dataDir)
    removeRunFile(dataDir)
    return () => {
      forgetProcesses(dataDir)
      release()
    }
  } catch (error) {
    if (error instanceof StartError) throw error
    throw new StartError(`the data directory ${dataDir} cannot be used (${reason(error)}): set DATA_DIR to one that can be written to`)
  }
}

/**
 * Children of a launcher that was killed drain by themselves; they hold the port and the servers until then. They are asked once
 * more: one that was just starting may have missed the end of its channel.
 */
async function endLeftovers (dataDir: string, drainMs: number, out: (line: string) => void): Promise<void> {
  const left = rememberedProcesses(dataDir)
  if (left.length > 0) out(`Waiting for processes of a killed npm start to end: ${left.map(({ name, pid }) => `${name} (pid ${pid})`).join(', ')}`)
  await Promise.all(left.map(async id => { await endProcess(id, [['SIGTERM', drainMs + CHILD_GRACE_MS]]) }))
  forgetProcesses(dataDir)
}

async function checkPort ({ HOST, PORT }: Config): Promise<void> {
  if (PORT === 0) return
  const error = await portError(HOST, PORT)
  if (error === undefined) return
  if (error === 'EADDRINUSE') throw new StartError(`port ${PORT} on ${HOST} is taken by another program: stop that one, or set PORT to another (PORT=0 takes a free one)`)
  if (error === 'EACCES') throw new StartError(`port ${PORT} on ${HOST} may not be used by this user: set PORT to one above 1023`)
  throw new StartError(`HOST=${HOST} is no address to listen on here (${error}): set HOST to one of this machine, such as 127.0.0.1 or 0.0.0.0`)
}

/** The private servers of those that were not given, both at once and kept alive. They close after the children, for they are opened before. */
async function openServers (life: Lifecycle, dataDir: string, config: Config, { out, library }: Wiring): Promise<{ redisUrl: string, databaseUrl: string }> {
  const open = async (name: string, given: string | undefined, startServer: typeof startPostgres): Promise<Supervised<RunningServer> | undefined> => {
    if (given !== undefined) return undefined
    const first = await startServer({ dataDir, log: out, library, signal: life.signal })
    const again = async (last: RunningServer, signal: AbortSignal): Promise<RunningServer> => await startServer({ dataDir, log: out, library, port: last.port, signal })
    return supervise({ name, first, start: again, log: out })
  }
  const [redis, postgres] = await life.open('servers', async () => await allOrNone([
    open('Redis', config.REDIS_URL, startRedis),
    open('Postgres', config.DATABASE_URL, startPostgres),
  ]), async opened => { await Promise.all(opened.map(async server => { await server?.stop() })) })
  return { redisUrl: config.REDIS_URL ?? redis?.current.url ?? '', databaseUrl: config.DATABASE_URL ?? postgres?.current.url ?? '' }
}

interface Role { name: string, args: string[], env: NodeJS.ProcessEnv }

/** Both roles at once; when one fails the other is stopped. A gateway that comes back comes back on the same port. */
async function openRoles (roles: Role[], child: { entry: string, stopMs: number }, dataDir: string, stopping: AbortSignal, out: (line: string) => void): Promise<Array<Supervised<Child>>> {
  const failed = new AbortController()
  const startRole = async ({ name, args, env }: Role, signal: AbortSignal): Promise<Child> => await startChild({
    ...child, name, args, env, signal, onSpawn: id => { rememberProcess(dataDir, name, id) },
  })
  return await allOrNone(roles.map(async role => {
    try {
      const first = await startRole(role, AbortSignal.any([stopping, failed.signal]))
      const env = first.url === undefined || role.env.PORT !== '0' ? role.env : { ...role.env, PORT: new URL(first.url).port }
      return supervise({ name: `The ${role.name}`, first, start: async (_last, signal) => await startRole({ ...role, env }, signal), log: out })
    } catch (error) {
      failed.abort()
      throw error
    }
  }))
}

/** All of them, or the first error after those that worked were stopped. */
async function allOrNone<T extends { stop: () => Promise<void> } | undefined> (starting: Array<Promise<T>>): Promise<T[]> {
  const errors: unknown[] = []
  const started = await Promise.all(starting.map(async one => await one.catch((error: unknown) => { errors.push(error); return undefined })))
  if (errors.length === 0) return started as T[]
  await Promise.all(started.map(async one => { await one?.stop() }))
  throw errors[0]
}

function asEnv (config: Config): Record<string, string> {
  return Object.fromEntries(Object.entries(config).filter(([, value]) => value !== undefined).map(([name, value]) => [name, String(value)]))
}

function inUrl (host: string): string {
  return host.includes(':') ? `[${host}]` : host
}

/** What a person sees when it runs; the first line is what scripts wait for. */
function readyLines (url: string, hasWeb: boolean): string[] {
  return [
    `Millrace is ready on ${url}`,
    ...(hasWeb ? [`  Chat:     open ${url} in a browser, in two tabs to talk with yourself`] : []),
    `  Sign up:  curl ${url}/auth/signup -H 'content-type: application/json' -d '{"username":"ada","password":"correct horse battery"}'`,
    '  See two people talk, one cut off and catching up:  npm run demo  (in another terminal)',
    `  Metrics:  ${url}/metrics`,
  ]
}
