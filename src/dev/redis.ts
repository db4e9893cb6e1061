/**
 * The private Redis of `npm start`: durable, loopback only, with a password, its data in DATA_DIR/redis.
 *
 * Every acknowledged write is on disk (AOF, fsync always: Redis groups commits, so an ack costs one fsync for many). Nothing is evicted.
 * A Redis left behind by a killed launcher is taken over: used, and stopped at the end. A second Redis over the same files would
 * ruin them, and Redis itself does not look; so one that cannot be asked is stopped before another is started.
 */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { portError } from './ports.ts'
import { endProcess, isAlive, waitGone, workingIn, type ProcessId, type RunningServer } from './processes.ts'
import { redisBinary } from './redis-binary.ts'
import { askRedis, redisUrl, startRedisServer, STOPPING } from './redis-server.ts'
import { readJson, writeJson } from './run-file.ts'
import { keptPassword } from './secrets.ts'

const SETTINGS = {
  appendonly: 'yes',
  appendfsync: 'always',
  'aof-load-truncated': 'yes', // a write cut off by a power loss was never acknowledged
  'maxmemory-policy': 'noeviction',
}

export interface RedisOptions {
  dataDir: string
  log: (line: string) => void
  /** The port to use; else that of the last run if it is free, else another. */
  port?: number
  /** Aborted: stop starting, leave no server, throw. */
  signal?: AbortSignal
}

/** Starts it or takes it over. The caller holds the data directory. Throws StartError. */
export async function startRedis ({ dataDir, log, port, signal }: RedisOptions): Promise<RunningServer> {
  const dir = join(dataDir, 'redis')
  const file = join(dataDir, 'redis.json') // where the last one ran
  const password = keptPassword(dataDir, 'redis')
  await mkdir(dir, { recursive: true, mode: 0o700 })

  const last = readJson<ProcessId & { port: number }>(file)
  const left = workingIn(dir)
  if (last !== undefined && isAlive(last) && !left.some(id => id.pid === last.pid)) left.push(last)
  for (const id of left) {
    const adopted = last === undefined ? undefined : await adopt(id, last.port, password, dir)
    if (adopted !== undefined) {
      log(`Redis still runs (pid ${id.pid}): taking it over`)
      return adopted
    }
    await endProcess(id, STOPPING)
  }

  const binary = await redisBinary({ log, signal })
  const wanted = port ?? (last !== undefined && await portError('127.0.0.1', last.port) === undefined ? last.port : 0)
  return await startRedisServer({
    binary,
    dir,
    logFile: join(dataDir, 'redis.log'),
    password,
    port: wanted,
    settings: SETTINGS,
    signal,
    onSpawn: async (id, at) => { writeJson(file, { ...id, port: at }) },
  })
}

/** It is ours if it answers to our password and works in our directory. One that loads answers too, and is waited for. */
async function adopt (id: ProcessId, port: number, password: string, dir: string): Promise<RunningServer | undefined> {
  const url = redisUrl(port, password)
  const end = Date.now() + 10_000
  while (isAlive(id) && Date.now() < end) {
    const answer = await askRedis(url, { dir: true })
    if (answer.info?.loading === '0') {
      if (answer.info.process_id !== String(id.pid) || answer.dir !== dir) return undefined
      return { id, url, port, exited: waitGone(id, Infinity, 300).then(() => {}), stop: async () => { await endProcess(id, STOPPING) } }
    }
    await waitGone(id, 100)
  }
  return undefined
}
