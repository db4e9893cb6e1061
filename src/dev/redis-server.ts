/**
 * One Redis (or Valkey) server over one directory: starts it, says when it answers, stops it; and what a running one says of itself.
 *
 * In a session of its own, so that a terminal's Ctrl-C does not reach it: it must outlive what uses it. On 127.0.0.1 only. Its
 * configuration goes in through standard input: nothing of /etc, and no password on a command line that everyone can read.
 * Does not keep two servers off one directory: the caller holds it.
 */
import { spawn } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { freePort } from './ports.ts'
import { endProcess, processId, type ProcessId, type RunningServer } from './processes.ts'
import { openServerLog } from './server-log.ts'
import { reason, StartError } from './start-error.ts'

export interface RedisServerOptions {
  binary: string
  dir: string
  logFile: string
  /** Without one, anyone on this machine may connect. */
  password?: string
  /** 0 draws a free one. */
  port: number
  /** Lines of redis.conf: name and value. */
  settings?: Record<string, string>
  /** How long start-up, loading included, may take. */
  timeoutMs?: number
  /** Aborted: stop starting, leave no server, throw. */
  signal?: AbortSignal
  /** Called as soon as there is a process, before it answers. */
  onSpawn?: (id: ProcessId, port: number) => Promise<void>
}

/** SIGTERM flushes the AOF. */
export const STOPPING = [['SIGTERM', 3000]] as const

/** Starts a server and waits until it answers and has loaded its data. Throws StartError, with the last line of its log. */
export async function startRedisServer (options: RedisServerOptions): Promise<RunningServer> {
  const end = Date.now() + (options.timeoutMs ?? 60_000)
  for (;;) {
    const port = options.port === 0 ? await freePort() : options.port
    const started = await tryStart(options, port, end)
    if ('id' in started) return started
    const again = options.port === 0 && /Address already in use|Failed listening/.test(started.failure)
    if (!again || Date.now() > end || options.signal?.aborted === true) throw new StartError(`Redis did not start (${started.failure}); its log is ${options.logFile}`)
  }
}

async function tryStart (options: RedisServerOptions, port: number, end: number): Promise<RunningServer | { failure: string }> {
  const { binary, dir, logFile, password } = options
  const log = await openServerLog(logFile)
  const child = spawn(binary, ['-'], { detached: true, stdio: ['pipe', log.file.fd, log.file.fd], cwd: dir, env: { PATH: process.env.PATH, LC_ALL: 'C' } })
  const gone = new AbortController() // aborted when the process has ended
  let failure = 'no answer in time'
  const exited = new Promise<void>(resolve => {
    child.once('exit', () => { gone.abort(); resolve() })
    child.once('error', error => { gone.abort(); failure = reason(error); resolve() })
  })
  child.stdin?.on('error', () => {}) // it died before it read: `exited` says so
  child.stdin?.end(configuration({
    bind: '127.0.0.1', 'protected-mode': 'no', port: String(port), daemonize: 'no', dir, save: '', ...(password === undefined ? {} : { requirepass: password }), ...options.settings,
  }))
  await log.file.close()
  const id = child.pid === undefined ? undefined : processId(child.pid)
  const url = redisUrl(port, password)
  if (id !== undefined) {
    await options.onSpawn?.(id, port)
    while (!gone.signal.aborted && options.signal?.aborted !== true && Date.now() < end) {
      const answer = await askRedis(url)
      if (answer.info !== undefined && answer.info.loading === '0' && !gone.signal.aborted) {
        child.unref() // only now: until it answers, nothing else may hold this process
        return { id, url, port, exited, stop: async () => { await endProcess(id, STOPPING) } }
      }
      failure = answer.error ?? failure
      await sleep(15)
    }
    if (!gone.signal.aborted) await endProcess(id, [['SIGTERM', 2000]])
  }
  await exited
  const line = await log.lastLine(/ # |FATAL|\bBad\b|rror/i)
  return { failure: gone.signal.aborted && line !== '' ? line.replace(/^\d+:\w \d+ \w+ \d+ [\d:.]+ [#*.-] /, '') : failure }
}

/** redis.conf as text. An empty value is `""`; others are quoted, since a path may hold spaces. */
function configuration (settings: Record<string, string>): string {
  return Object.entries(settings).map(([name, value]) => `${name} ${/^[\w.:/-]+$/.test(value) ? value : JSON.stringify(value)}\n`).join('')
}

export function redisUrl (port: number, password?: string): string {
  return `redis://${password === undefined ? '' : `:${password}@`}127.0.0.1:${port}`
}

/** Fields of INFO, on a connection of its own. Never throws; `error` holds no password. Also says the working directory where that may be asked. */
export async function askRedis (url: string, options: { timeoutMs?: number, dir?: boolean } = {}): Promise<{ info?: Record<string, string>, dir?: string, error?: string }> {
  const redis = new Redis(url, {
    lazyConnect: true, retryStrategy: () => null, maxRetriesPerRequest: 0, enableOfflineQueue: false, enableReadyCheck: false, disableClientInfo: true, disconnectTimeout: 100, connectTimeout: options.timeoutMs ?? 2000, commandTimeout: options.timeoutMs ?? 2000,
  })
  let firstError: string | undefined
  redis.on('error', error => { firstError ??= reason(error) }) // the true cause: connect() itself often says "Connection is closed."
  try {
    await redis.connect()
    const info = await redis.info()
    const dir = options.dir === true ? (await redis.config('GET', 'dir') as string[])[1] : undefined
    return { info: Object.fromEntries(info.split(/\r?\n/).map(line => line.split(/:(.*)/s).slice(0, 2))) as Record<string, string>, dir }
  } catch (error) {
    return { error: firstError ?? reason(error) }
  } finally {
    redis.disconnect()
  }
}
