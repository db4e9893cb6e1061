/**
 * A private Redis and a private Postgres for a test file, as real processes that can be killed, frozen and restarted.
 *
 *     const { redis, postgres } = await testServers(t)                  // ended by t.teardown
 *     const redis = await startTestRedis({ args: ['--appendonly', 'yes'] })
 *     const url = await postgres.createDatabase()                       // postgres://…, empty
 *
 * Each in its own temporary directory on a free port of 127.0.0.1, fast instead of durable (no fsync; Redis without AOF unless
 * asked). Postgres starts from a copy of a data directory that the first test on this machine makes (0.2 s instead of 0.8 s). A
 * watchdog ends the servers and removes their files when the test process dies in any way, SIGKILL included; so a missing teardown leaks nothing.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, statfsSync, statSync, writeFileSync } from 'node:fs'
import { readFile, rename } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { postgresAccount, run, type Account } from '../../src/dev/postgres-account.ts'
import { postgresBinaries, type Binaries } from '../../src/dev/postgres-binaries.ts'
import { askPostgres, initPostgres, postgresUrl, startPostgresServer } from '../../src/dev/postgres-server.ts'
import { descendants, endProcess, isAlive, signalProcess, waitGone, type RunningServer } from '../../src/dev/processes.ts'
import { redisBinary } from '../../src/dev/redis-binary.ts'
import { startRedisServer } from '../../src/dev/redis-server.ts'

/** What both have. `url`, `pid` and `port` are those of now; the port and the data stay the same over restarts. */
export interface TestServer {
  readonly url: string
  readonly port: number
  readonly pid: number
  readonly dir: string
  /** SIGKILL, workers included; resolves when they are gone. */
  kill (): Promise<void>
  /** SIGSTOP, workers included: connections stay open and nothing answers. */
  freeze (): void
  /** SIGCONT. */
  thaw (): void
  /** Starts it again on the same port and data; stops it first if it still runs. `args` replace those given before. */
  restart (options?: { args?: string[] }): Promise<void>
  /** Ends it and removes its files. Twice does nothing more. */
  stop (): Promise<void>
}

export interface TestPostgres extends TestServer {
  /** Makes an empty database and returns its URL. */
  createDatabase (name?: string): Promise<string>
  /** URL of a database of this server. */
  urlOf (database: string): string
}

/** Where tests put directories: in memory where there is room, for copying a data directory and making a database take 0.1 s there, 0.4 s on a slow disk. */
export const BASE = roomy('/dev/shm') ? '/dev/shm' : tmpdir()

function roomy (dir: string): boolean {
  try {
    const { bavail, bsize } = statfsSync(dir)
    return bavail * bsize >= 2 * 1024 ** 3
  } catch {
    return false
  }
}

interface Teardown { teardown: (fn: () => Promise<void>) => unknown }

/** Both servers for one test file, ended with `t`, and an empty database. */
export async function testServers (t: Teardown, options: { redisArgs?: string[], postgresArgs?: string[] } = {}): Promise<{ redis: TestRedis, postgres: TestPostgres, redisUrl: string, databaseUrl: string }> {
  const [redis, postgres] = await Promise.all([testRedis(t, { args: options.redisArgs }), testPostgres(t, { args: options.postgresArgs })])
  return { redis, postgres, redisUrl: redis.url, databaseUrl: await postgres.createDatabase() }
}

export type TestRedis = TestServer

export async function testRedis (t: Teardown, options: TestRedisOptions = {}): Promise<TestRedis> {
  const redis = await startTestRedis(options)
  t.teardown(async () => { await redis.stop() })
  return redis
}

export async function testPostgres (t: Teardown, options: TestPostgresOptions = {}): Promise<TestPostgres> {
  const postgres = await startTestPostgres(options)
  t.teardown(async () => { await postgres.stop() })
  return postgres
}

export interface TestRedisOptions {
  port?: number
  /** As on redis-server's command line: `['--appendonly', 'yes', '--requirepass', 'x']`. */
  args?: string[]
  /** Name for AUTH; give it instead of `--requirepass`, so that `url` has it. */
  password?: string
  /** Another program, such as an older Redis. */
  binary?: string
}

export async function startTestRedis ({ port = 0, args = [], password, binary }: TestRedisOptions = {}): Promise<TestRedis> {
  const program = binary ?? await redisBinary({ log: console.error })
  const dir = temporaryDir('redis')
  return await restartable(dir, args, async (given, at) => await startRedisServer({
    binary: program,
    dir,
    logFile: join(dir, 'redis.log'),
    port: at === 0 ? port : at,
    password,
    settings: { appendonly: 'no', ...pairs(given, '--') },
    onSpawn: async id => { writeFileSync(join(dir, 'redis.pid'), `${id.pid}\n`) },
  }), async () => [])
}

export interface TestPostgresOptions {
  port?: number
  /** As on postgres's command line: `['-c', 'fsync=on']`. */
  args?: string[]
}

const PASSWORD = 'test'
// Commits are written at once, so that they outlive a SIGKILL; only the machine's own crash could lose them.
const FAST = { fsync: 'off', full_page_writes: 'off', autovacuum_naptime: '10s', shared_buffers: '64MB', dynamic_shared_memory_type: 'mmap' } // mmap: in the data directory, so a killed server leaves nothing in /dev/shm

export async function startTestPostgres ({ port = 0, args = [] }: TestPostgresOptions = {}): Promise<TestPostgres> {
  const account = await postgresAccount()
  const binaries = await postgresBinaries(account, console.error)
  const dir = temporaryDir('postgres', account)
  const dataDir = join(dir, 'data')
  const from = await template(binaries, account)
  const copied = await run('cp', ['-a', from, dataDir], { uid: account?.uid, gid: account?.gid, cwd: '/' })
  if (copied.code !== 0) throw new Error(`could not copy ${from}: ${copied.err}`)
  const server = await restartable(dir, args, async (given, at) => await startPostgresServer({
    binaries, account, dataDir, logFile: join(dir, 'postgres.log'), password: PASSWORD, port: at === 0 ? port : at, database: 'postgres', settings: { ...FAST, ...assignments(given) },
  }), async pid => descendants(pid))
  const urlOf = (database: string): string => postgresUrl(PASSWORD, server.port, database)
  return Object.defineProperties({} as TestPostgres, {
    ...Object.getOwnPropertyDescriptors(server),
    urlOf: { value: urlOf },
    createDatabase: {
      value: async (name = `t_${randomBytes(6).toString('hex')}`) => {
        const { error } = await askPostgres(urlOf('postgres'), `CREATE DATABASE "${name}" STRATEGY FILE_COPY`)
        if (error !== undefined) throw new Error(`database ${name} could not be made: ${error}`)
        return urlOf(name)
      },
    },
  })
}

/** `workersOf`: pids that die and freeze with the server but are not ended by a signal to it. */
async function restartable (dir: string, args: string[], start: (args: string[], port: number) => Promise<RunningServer>, workersOf: (pid: number) => Promise<number[]>): Promise<TestServer> {
  let running = await start(args, 0)
  let stopped = false
  const signalAll = async (signal: NodeJS.Signals): Promise<void> => {
    const workers = await workersOf(running.id.pid)
    signalProcess(running.id, signal)
    for (const pid of workers) try { process.kill(pid, signal) } catch {} // gone with its parent
  }
  const kill = async (): Promise<void> => {
    await signalAll('SIGKILL')
    await waitGone(running.id, 5000)
  }
  return {
    get url () { return running.url },
    get port () { return running.port },
    get pid () { return running.id.pid },
    dir,
    kill,
    freeze () { void signalAll('SIGSTOP') },
    thaw () { void signalAll('SIGCONT') },
    async restart (options = {}) {
      if (isAlive(running.id)) {
        await signalAll('SIGCONT')
        await running.stop()
      }
      args = options.args ?? args
      const { port } = running
      running = await start(args, port)
    },
    async stop () {
      if (stopped) return
      stopped = true
      await signalAll('SIGCONT')
      await endProcess(running.id, [['SIGQUIT', 2000]]) // of Postgres an immediate shutdown, which also gives back its shared memory
      rmSync(dir, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 }) // backends may still be writing
    },
  }
}

/** `['--a', 'b', 'c', '--d', 'e']` as settings `{a: 'b c', d: 'e'}`. */
function pairs (args: string[], dashes: string): Record<string, string> {
  const found: Record<string, string> = {}
  let name = ''
  for (const arg of args) {
    if (arg.startsWith(dashes)) found[name = arg.slice(dashes.length)] = ''
    else found[name] = found[name] === '' ? arg : `${found[name]} ${arg}`
  }
  return found
}

function assignments (args: string[]): Record<string, string> {
  return Object.fromEntries(args.filter(arg => arg !== '-c').map(arg => arg.split(/=(.*)/s).slice(0, 2))) as Record<string, string>
}

/** A directory of its own, that the account may enter. */
function temporaryDir (what: string, account?: Account): string {
  const dir = mkdtempSync(join(BASE, `millrace-test-${what}-`))
  watch(dir)
  if (account !== undefined) {
    chownSync(dir, account.uid, account.gid)
    chmodSync(dir, 0o755)
  }
  return dir
}

/** A data directory fresh from initdb, made once per machine, version and user. Two at once both make one, and one is kept. */
async function template (binaries: Binaries, account: Account | undefined): Promise<string> {
  const uid = account?.uid ?? process.getuid?.() ?? 0
  const home = join(BASE, `millrace-test-templates-${uid}`)
  const { size, mtimeMs } = statSync(binaries.postgres)
  const path = join(home, `v1-${size}-${Math.round(mtimeMs)}`)
  mkdirSync(home, { recursive: true, mode: 0o755 })
  const owner = statSync(home).uid
  if (owner !== process.getuid?.() && owner !== uid) throw new Error(`${home} belongs to somebody else (uid ${owner}): remove it`)
  if (account !== undefined) chownSync(home, account.uid, account.gid)
  if (await readFile(join(path, 'PG_VERSION')).then(() => true, () => false)) return path
  const mine = join(home, `${basename(path)}.${process.pid}`)
  await initPostgres({ binaries, account, dataDir: mine, password: PASSWORD, args: ['--no-sync', '--wal-segsize=1'] })
  await rename(mine, path).catch(() => { rmSync(mine, { recursive: true, force: true }) }) // another was quicker
  return path
}

// The watchdog: a shell that reads the directories of our servers from a pipe. The pipe ends when this process does, however it ends.
// It is in a session of its own, so that what kills us does not kill it too. Servers are found by the pid files in the directories,
// which are gone after a proper stop. SIGQUIT first: a killed Postgres leaves its workers behind for a moment.
const WATCHDOG = `
dirs=
while read -r dir; do dirs="$dirs $dir"; done
pids=
for dir in $dirs; do for file in $dir/data/postmaster.pid $dir/redis.pid; do [ ! -e $file ] || pids="$pids $(head -n 1 $file)"; done; done
for signal in QUIT CONT; do for pid in $pids; do kill -$signal $pid 2>/dev/null; done; done
[ -z "$pids" ] || sleep 0.5
for dir in $dirs; do n=0; while [ -e $dir/data/lock.json ] && [ $n -lt 80 ]; do sleep 0.1; n=$((n+1)); done; done
for pid in $pids; do kill -KILL $pid 2>/dev/null; done
[ -z "$dirs" ] || rm -rf $dirs || { sleep 1; rm -rf $dirs; }
`
let watchdog: ChildProcess | undefined

/** Has the watchdog remove `dir` when this process has ended, after a server or an `npm start` that runs in it has. */
export function watch (dir: string): void {
  if (watchdog === undefined) {
    watchdog = spawn('/bin/sh', ['-c', WATCHDOG], { detached: true, stdio: ['pipe', 'ignore', 'ignore'], cwd: '/' })
    watchdog.unref()
    ;(watchdog.stdin as unknown as { unref: () => void }).unref()
    watchdog.stdin?.on('error', () => {})
  }
  watchdog.stdin?.write(`${dir}\n`)
}
