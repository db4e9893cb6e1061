/**
 * The processes of a run: Redis and Postgres over a directory on disk (an fsync that costs nothing would flatter Millrace), Millrace's
 * gateway and projector, the peer's server, the load clients. Everything is ended with the run, however it ends.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { chmodSync, chownSync, existsSync, mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { postgresAccount } from '../src/dev/postgres-account.ts'
import { postgresBinaries } from '../src/dev/postgres-binaries.ts'
import { initPostgres, startPostgresServer } from '../src/dev/postgres-server.ts'
import { redisBinary } from '../src/dev/redis-binary.ts'
import { startRedisServer } from '../src/dev/redis-server.ts'
import type { RunningServer } from '../src/dev/processes.ts'
import { watch } from '../test/dev/servers.ts'
import type { Requests, Target } from './load/main.ts'

const at = (path: string): string => fileURLToPath(new URL(path, import.meta.url))
const TMPFS = 0x01021994
export const PARTITIONS = 128

export interface Child {
  readonly pid: number
  readonly url: string
  /** SIGTERM; resolves when it is gone. */
  stop: () => Promise<void>
  /** SIGKILL; resolves when it is gone. */
  kill: () => Promise<void>
}

export interface Millrace {
  readonly kind: 'millrace'
  readonly gateway: Child
  readonly redis: RunningServer
  readonly postgres: RunningServer
  readonly databaseUrl: string
  readonly target: Target
  /** What Postgres writes to its log. */
  readonly postgresLog: string
  startProjector: () => Promise<Child>
  /** One more gateway. @param port of one that has ended, to take its place; left out: a free one */
  startGateway: (port?: number) => Promise<Child>
}

export interface Peer {
  readonly kind: 'socket.io'
  readonly gateway: Child
  readonly redis: RunningServer
  readonly target: Target
  startGateway: (port?: number) => Promise<Child>
}

export interface Load {
  readonly pid: number
  ask: <N extends keyof Requests>(name: N, ...request: Parameters<Requests[N]>) => ReturnType<Requests[N]>
}

export const peerInstalled = (): boolean => existsSync(at('node_modules/socket.io'))

export type Stage = ReturnType<typeof createStage>

/** @param dataDir where the servers keep their data; @param profileDir where CPU profiles of the gateways go, if they are wanted */
export function createStage ({ dataDir = tmpdir(), profileDir, say }: { dataDir?: string, profileDir?: string | undefined, say: (line: string) => void }) {
  const undo: Array<() => Promise<void> | void> = []
  const privateKey = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
  const onDisk = Number(statfsSync(dataDir).type) !== TMPFS
  if (!onDisk) say(`${dataDir} is in memory: an fsync costs nothing there, and durable acks look cheaper than they are (--dir)`)

  function directory (what: string): string {
    const dir = mkdtempSync(join(dataDir, `millrace-bench-${what}-`))
    watch(dir)
    undo.push(() => { rmSync(dir, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 }) })
    return dir
  }

  async function startRedis (what: string, settings: Record<string, string>): Promise<RunningServer> {
    const dir = directory(`redis-${what}`)
    const server = await startRedisServer({ binary: await redisBinary({ log: say }), dir, logFile: join(dir, 'redis.log'), port: 0, settings, onSpawn: async id => { writeFileSync(join(dir, 'redis.pid'), `${id.pid}\n`) } })
    undo.push(async () => { await server.stop() })
    return server
  }

  async function startPostgres (): Promise<RunningServer & { logFile: string }> {
    const account = await postgresAccount()
    const binaries = await postgresBinaries(account, say)
    const dir = directory('postgres')
    chmodSync(dir, 0o755)
    if (account !== undefined) chownSync(dir, account.uid, account.gid)
    const dataDir = join(dir, 'data')
    await initPostgres({ binaries, account, dataDir, password: 'bench' })
    const logFile = join(dir, 'postgres.log')
    const server = await startPostgresServer({ binaries, account, dataDir, logFile, password: 'bench', port: 0, database: 'postgres' })
    undo.push(async () => { await server.stop() })
    return { ...server, logFile }
  }

  async function start (name: string, file: string, args: string[], env: Record<string, string>): Promise<Child> {
    const profile = profileDir === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profileDir}`, `--cpu-prof-name=${name}-${Date.now()}.cpuprofile`]
    const child = spawn(process.execPath, [...profile, at(file), ...args], { env: { PATH: process.env.PATH, NODE_ENV: 'production', ...env }, stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
    const failed = once(child, 'exit').then(([code, signal]) => { throw new Error(`${name} ended with ${code ?? signal}`) })
    const [message] = await Promise.race([once(child, 'message'), failed]) as [{ url?: string }]
    failed.catch(() => {})
    const stop = async (): Promise<void> => { await end(child) }
    const kill = async (): Promise<void> => { await end(child, 'SIGKILL') }
    undo.push(stop)
    return { pid: child.pid!, url: message.url ?? '', stop, kill }
  }

  return {
    onDisk,

    /** A gateway, its Redis with `appendfsync always`, and a Postgres. No projector. */
    async millrace (env: Record<string, string> = {}): Promise<Millrace> {
      const [redis, postgres] = await Promise.all([startRedis('millrace', { appendonly: 'yes', appendfsync: 'always', 'maxmemory-policy': 'noeviction' }), startPostgres()])
      const common = { REDIS_URL: redis.url, DATABASE_URL: postgres.url, PARTITIONS: String(PARTITIONS), JWT_PRIVATE_KEY: privateKey, LOG_LEVEL: 'warn', RATE_LIMITS: 'off', PORT: '0', OPS_PORT: '0', ...env }
      const gateway = await start('gateway', '../src/main.ts', ['migrate', 'gateway'], common)
      const { hostname: host, port } = new URL(gateway.url)
      return {
        kind: 'millrace',
        gateway,
        redis,
        postgres,
        databaseUrl: postgres.url,
        postgresLog: postgres.logFile,
        target: { kind: 'millrace', host, port: Number(port), privateKey, redisUrl: redis.url, databaseUrl: postgres.url, partitions: PARTITIONS },
        startGateway: async (port = 0) => await start('gateway', '../src/main.ts', ['gateway'], { ...common, PORT: String(port) }),
        startProjector: async () => await start('projector', '../src/main.ts', ['projector'], common),
      }
    },

    /**
     * The peer, if it is installed. Its Redis writes nothing to disk.
     * @param recovery switches its connection state recovery on
     * @param durable its Redis has `appendfsync always` like Millrace's, and its acks wait for it
     */
    async socketIo ({ recovery = false, durable = false } = {}): Promise<Peer | undefined> {
      if (!peerInstalled()) {
        say('The peer is not installed, so Millrace runs alone: npm ci --prefix bench')
        return undefined
      }
      const redis = await startRedis('socket-io', durable ? { appendonly: 'yes', appendfsync: 'always' } : { appendonly: 'no' })
      const startGateway = async (port = 0): Promise<Child> => await start('socket-io', 'peers/socket-io.ts', [], { REDIS_URL: redis.url, JWT_PRIVATE_KEY: privateKey, PORT: String(port), RECOVERY: recovery ? 'on' : 'off', ACKS: durable ? 'written' : 'taken' })
      const gateway = await startGateway()
      const { hostname: host, port } = new URL(gateway.url)
      return { kind: 'socket.io', gateway, redis, startGateway, target: { kind: 'socket.io', host, port: Number(port), privateKey } }
    },

    async load (target: Target): Promise<Load> {
      const child = spawn(process.execPath, ['--max-old-space-size=6000', at('load/main.ts')], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'], serialization: 'advanced' })
      undo.push(async () => { await end(child) })
      const waiting = new Map<number, { resolve: (answer: never) => void, reject: (error: Error) => void }>()
      let last = 0
      child.on('message', ({ id, answer, error }: { id: number, answer: never, error?: string }) => {
        const asked = waiting.get(id)
        waiting.delete(id)
        if (error === undefined) asked?.resolve(answer)
        else asked?.reject(new Error(`${target.kind}: ${error}`))
      })
      child.on('exit', code => { for (const { reject } of waiting.values()) reject(new Error(`the load client of ${target.kind} ended with ${code}`)) })
      const ask: Load['ask'] = (name, ...request) => new Promise((resolve, reject) => {
        waiting.set(++last, { resolve, reject })
        child.send({ id: last, name, request: request[0] })
      }) as never
      await ask('target', target)
      return { pid: child.pid!, ask }
    },

    async close (): Promise<void> {
      for (const step of undo.reverse()) await step()
    },
  }
}

async function end (child: ChildProcess, signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'exit')
  child.kill(signal)
  const late = setTimeout(() => { child.kill('SIGKILL') }, 10_000)
  await gone
  clearTimeout(late)
}
