/**
 * One Postgres server over one data directory: makes it (initdb), starts it, says when it answers, stops it.
 *
 * In a session of its own, so that a terminal's Ctrl-C does not reach it: it must outlive what uses it. On 127.0.0.1 only,
 * without a Unix socket, scram passwords. The caller holds the data directory; this file copes with what a killed server
 * left there (a stale pid file, backends that still hold its shared memory), not with two callers.
 */
import { spawn } from 'node:child_process'
import { chown, mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { totalmem } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { freePort } from './ports.ts'
import { run, type Account } from './postgres-account.ts'
import type { Binaries } from './postgres-binaries.ts'
import { endProcess, isAlive, processId, waitGone, workingIn, type ProcessId, type RunningServer } from './processes.ts'
import { openServerLog } from './server-log.ts'
import { reason, StartError } from './start-error.ts'

/** The role that owns everything in an embedded Postgres. */
export const ROLE = 'millrace'

export interface PostgresServerOptions {
  binaries: Binaries
  account: Account | undefined
  dataDir: string
  logFile: string
  password: string
  /** 0 draws a free one. */
  port: number
  /** Server settings beyond those of DEFAULTS, or instead of them. */
  settings?: Record<string, string>
  /** Database that `url` names. */
  database: string
  /** How long start-up, crash recovery included, may take. */
  timeoutMs?: number
  /** Aborted: stop starting, leave no server, throw. */
  signal?: AbortSignal
}

/** An eighth of the memory, which is touched as it is needed. With 128 MB, searches in a million messages (800 MB) took three times as long. */
const SHARED_BUFFERS_MB = Math.round(Math.min(1024, Math.max(128, totalmem() / 8 / 2 ** 20)))

// Durable, and otherwise modest: this is a developer's machine.
const DEFAULTS: Record<string, string> = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  max_connections: '220',
  shared_buffers: `${SHARED_BUFFERS_MB}MB`,
  max_wal_size: '512MB',
  log_checkpoints: 'off',
  log_timezone: 'UTC',
  timezone: 'UTC',
  jit: 'off', // compiling costs more than it saves at this size
}

const STOPPING = [['SIGINT', 2500], ['SIGQUIT', 1000]] as const // fast shutdown (rolls back, checkpoints), then immediate
const QUIET_ENV = { PATH: process.env.PATH, LC_ALL: 'C' } // no PG* variable of the caller's gets in

/** Makes a new data directory. Done beside it and renamed, so one that exists is whole. A locale that every system has. */
export async function initPostgres (options: { binaries: Binaries, account: Account | undefined, dataDir: string, password: string, args?: string[] }): Promise<void> {
  const { binaries, account, dataDir, password, args = [] } = options
  const half = `${dataDir}.new`
  const passwordFile = join(half, '..', `.initdb-${process.pid}`)
  await rm(half, { recursive: true, force: true })
  await mkdir(half, { recursive: true, mode: 0o700 })
  await writeFile(passwordFile, `${password}\n`, { mode: 0o600 })
  try {
    if (account !== undefined) for (const path of [half, passwordFile]) await chown(path, account.uid, account.gid)
    const { code, err } = await run(binaries.initdb, [
      '--pgdata', half, '--username', ROLE, '--pwfile', passwordFile, '--auth=scram-sha-256', '--encoding=UTF8',
      '--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8', '--no-instructions', ...args,
    ], { uid: account?.uid, gid: account?.gid, cwd: dirname(half), env: QUIET_ENV })
    if (code !== 0) throw new StartError(`Postgres could not make its data directory ${dataDir}: ${err.trim().split('\n').join(' ')}`)
    await rename(half, dataDir)
  } finally {
    await rm(passwordFile, { force: true })
    await rm(half, { recursive: true, force: true })
  }
}

/** Starts a server and waits until it takes connections. Throws StartError, with the last line of its log, when it does not. */
export async function startPostgresServer (options: PostgresServerOptions): Promise<RunningServer> {
  const { dataDir, timeoutMs = 60_000 } = options
  const end = Date.now() + timeoutMs
  await clearLeftovers(dataDir)
  for (;;) {
    const port = options.port === 0 ? await freePort() : options.port
    const started = await tryStart(options, port, end)
    if ('id' in started) return started
    const again = /still in use|lock file .* already exists/.test(started.failure) || // of a server killed just now
      (options.port === 0 && /could not bind|could not create any TCP/.test(started.failure))
    if (!again || Date.now() > end || options.signal?.aborted === true) throw new StartError(`Postgres did not start (${started.failure}); its log is ${options.logFile}`)
    await sleep(200)
    await clearLeftovers(dataDir)
  }
}

async function tryStart (options: PostgresServerOptions, port: number, end: number): Promise<RunningServer | { failure: string }> {
  const { binaries, account, dataDir, logFile } = options
  const settings = Object.entries({ ...DEFAULTS, ...options.settings, port: String(port) })
  const log = await openServerLog(logFile)
  const child = spawn(binaries.postgres, ['-D', dataDir, ...settings.flatMap(([name, value]) => ['-c', `${name}=${value}`])], {
    detached: true, stdio: ['ignore', log.file.fd, log.file.fd], uid: account?.uid, gid: account?.gid, cwd: dataDir, env: QUIET_ENV,
  })
  const gone = new AbortController() // aborted when the process has ended
  const exited = new Promise<void>(resolve => {
    const onEnd = (): void => { gone.abort(); resolve() }
    child.once('exit', onEnd)
    child.once('error', onEnd)
  })
  const id = child.pid === undefined ? undefined : processId(child.pid)
  await log.file.close()
  const url = postgresUrl(options.password, port, options.database)
  let lastError = 'no answer in time'
  while (!gone.signal.aborted && options.signal?.aborted !== true && Date.now() < end) {
    const answer = await askPostgres(postgresUrl(options.password, port, 'postgres'), 'SELECT 1')
    if (answer.rows !== undefined && id !== undefined && !gone.signal.aborted) {
      child.unref() // only now: until it answers, nothing else may hold this process
      return { id, url, port, exited, stop: async () => { await endProcess(id, STOPPING) } }
    }
    lastError = answer.error ?? lastError
    if (/password authentication failed/.test(lastError)) break
    await sleep(20)
  }
  if (!gone.signal.aborted && id !== undefined) await endProcess(id, STOPPING)
  const fatal = await log.lastLine(/FATAL|PANIC/)
  return { failure: gone.signal.aborted && fatal !== '' ? fatal.replace(/^.*?(FATAL|PANIC):\s*/, '') : lastError }
}

/** The server that runs over `dataDir` now, if it answers to our password; one that does not is stopped. */
export async function adoptPostgresServer (options: Pick<PostgresServerOptions, 'dataDir' | 'password' | 'database' | 'signal'>): Promise<RunningServer | undefined> {
  const found = await readPidFile(options.dataDir)
  if (found === undefined) return undefined
  const { id, port } = found
  const end = Date.now() + 15_000 // it may be recovering, or on its way out
  while (isAlive(id) && options.signal?.aborted !== true && Date.now() < end) {
    const answer = await askPostgres(postgresUrl(options.password, port, 'postgres'), 'SHOW data_directory')
    if (answer.rows !== undefined) {
      const exited = waitGone(id, Infinity, 300).then(() => {})
      return { id, port, url: postgresUrl(options.password, port, options.database), exited, stop: async () => { await endProcess(id, STOPPING) } }
    }
    await sleep(100)
  }
  await endProcess(id, STOPPING)
  return undefined
}

/** What postmaster.pid says, if that process is a Postgres over this directory. */
async function readPidFile (dataDir: string): Promise<{ id: ProcessId, port: number } | undefined> {
  const [pid, , , port] = await pidFileLines(dataDir)
  const id = processId(Number(pid))
  if (id === undefined || !(Number(port) > 0)) return undefined
  return await isPostgresOver(dataDir, id) ? { id, port: Number(port) } : undefined
}

async function isPostgresOver (dataDir: string, id: ProcessId): Promise<boolean> {
  if (process.platform === 'linux') return workingIn(dataDir).some(other => other.pid === id.pid)
  return /postgres/.test((await run('ps', ['-o', 'comm=', '-p', String(id.pid)])).out)
}

async function pidFileLines (dataDir: string): Promise<string[]> {
  return await readFile(join(dataDir, 'postmaster.pid'), 'utf8').then(text => text.split('\n'), () => [])
}

/**
 * Removes what would keep the next server from starting: a pid file whose pid is now a zombie or somebody else's (Postgres
 * only asks whether that pid lives), and backends that outlived their postmaster and hold its shared memory.
 */
async function clearLeftovers (dataDir: string): Promise<void> {
  const [pid] = await pidFileLines(dataDir)
  if (pid === undefined) return
  const id = processId(Number(pid))
  if (id !== undefined && await isPostgresOver(dataDir, id)) return
  for (const orphan of workingIn(dataDir)) await endProcess(orphan, [['SIGQUIT', 1500]])
  await rm(join(dataDir, 'postmaster.pid'), { force: true })
}

export function postgresUrl (password: string, port: number, database: string): string {
  return `postgres://${ROLE}:${password}@127.0.0.1:${port}/${database}`
}

/** One question on a connection of its own. Never throws; `error` holds no password. */
export async function askPostgres (url: string, sql: string, connectMs = 3000): Promise<{ rows?: Array<Record<string, unknown>>, error?: string }> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: connectMs, query_timeout: 10_000 })
  client.on('error', () => {}) // the answer below says it
  try {
    await client.connect()
    return { rows: (await client.query<Record<string, unknown>>(sql)).rows }
  } catch (error) {
    return { error: reason(error) }
  } finally {
    await client.end().catch(() => {})
  }
}

/** Makes the database unless it is there. */
export async function ensureDatabase (server: RunningServer, password: string, database: string): Promise<void> {
  const admin = postgresUrl(password, server.port, 'postgres')
  const there = await askPostgres(admin, `SELECT 1 FROM pg_database WHERE datname = '${database}'`)
  if (there.rows?.length === 1) return
  const made = await askPostgres(admin, `CREATE DATABASE "${database}"`)
  if (made.error !== undefined) throw new StartError(`the database ${database} could not be made: ${made.error}`)
}

/** Whether `dataDir` is a data directory already. */
export async function isInitialised (dataDir: string): Promise<boolean> {
  return await stat(join(dataDir, 'PG_VERSION')).then(() => true, () => false)
}
