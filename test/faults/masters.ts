// The Redis of a rig: a master that may lose what it has acknowledged in every way that a Redis can, a replica where one is
// needed, and who of the processes talks to which of two masters while there are two. It only does the deed: when, the schedule says.
import { cp, readdir, rm, stat, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { connectRedis, type Redis } from '../../src/log/redis.ts'
import { createLogger } from '../../src/telemetry/logging.ts'
import { startTestRedis, type TestRedis } from '../dev/servers.ts'
import type { Teardown } from '../e2e/world.ts'
import { until } from '../until.ts'
import { startProxy, type Proxy } from './proxy.ts'
import type { Loss } from './schedule.ts'

/** Durable, and quick to get a replica in step. */
export const MASTER_ARGS = ['--appendonly', 'yes', '--appendfsync', 'always', '--repl-diskless-sync-delay', '0', '--repl-ping-replica-period', '1']
const IN_STEP_MS = 8000
const START_MS = 5000
/** In the middle of a command. */
const TORN_BYTES = 117
const logger = createLogger({ level: 'silent', role: 'test' })

/** Starts it on its port again. In between, the port may have become that of somebody's connection: that passes. */
export async function startAgain (server: TestRedis): Promise<void> {
  const deadline = performance.now() + START_MS
  for (;;) {
    try {
      return await server.restart()
    } catch (error) {
      if (performance.now() > deadline) throw error
      await sleep(100)
    }
  }
}

export interface Masters {
  /** The master that stands. */
  readonly current: TestRedis
  /** Where somebody who is called so finds their Redis. */
  targetOf: (name: string) => { port: number }
  /** Starts a replica, so that a failover need not wait for one. */
  standBy: () => Promise<void>
  /**
   * Loses something. @param stays of a `wake`: who stays with the old master · @param justBefore is called when what there is will be lost next
   */
  lose: (loss: Loss, forMs: number, stays: readonly string[], justBefore: () => Promise<void>) => Promise<void>
}

interface Replica { readonly server: TestRedis, readonly line: Proxy, readonly redis: Redis }

/** @param onMoved told who finds another Redis from now on; everybody, if nobody is named */
export function createMasters (t: Teardown, first: TestRedis, onMoved: (stays: readonly string[]) => void): Masters {
  let current = first
  let replica: Replica | undefined
  let astray: { server: TestRedis, names: readonly string[] } | undefined
  const opened: Array<() => Promise<unknown>> = []
  t.teardown(async () => { for (const end of opened) await end() })

  async function startReplica (): Promise<Replica> {
    const server = await startTestRedis({ args: MASTER_ARGS })
    opened.push(server.stop)
    const line = await startProxy(() => current)
    const redis = await connectRedis(server.url, 'replica', logger)
    opened.push(line.close, async () => { redis.disconnect() })
    await redis.replicaof('127.0.0.1', line.port)
    return { server, line, redis }
  }

  async function inStep (): Promise<Replica> {
    const found = replica ??= await startReplica()
    await until(async () => /master_link_status:up/.test(await found.redis.info('replication')), { timeoutMs: IN_STEP_MS, what: 'the replica to be in step' })
    return found
  }

  async function promote ({ server, line, redis }: Replica, stays: readonly string[]): Promise<TestRedis> {
    const old = current
    await redis.replicaof('NO', 'ONE')
    replica = undefined
    current = server
    astray = stays.length > 0 ? { server: old, names: stays } : undefined
    onMoved(stays)
    redis.disconnect()
    await line.close()
    return old
  }

  const aofDir = (): string => join(current.dir, 'appendonlydir')

  async function newestAof (): Promise<string> {
    const files = (await readdir(aofDir())).filter(name => name.endsWith('.incr.aof'))
    const numberOf = (name: string): number => Number(/\.(\d+)\.incr/.exec(name)?.[1])
    return join(aofDir(), files.sort((a, b) => numberOf(b) - numberOf(a))[0]!)
  }

  const WAYS: Record<Loss, (forMs: number, stays: readonly string[], justBefore: () => Promise<void>) => Promise<void>> = {
    async flush (_forMs, _stays, justBefore) {
      const redis = await connectRedis(current.url, 'nemesis', logger)
      try {
        await justBefore()
        await redis.flushall()
      } finally {
        redis.disconnect()
      }
    },

    async 'cut short' (forMs, _stays, justBefore) {
      const file = await newestAof()
      const { size } = await stat(file)
      await sleep(forMs)
      await justBefore()
      await current.kill()
      const after = await stat(file).then(found => found.size, () => 0) // rewritten meanwhile: then nothing is lost
      if (after > size) await truncate(file, Math.min(after, size + TORN_BYTES))
      await startAgain(current)
    },

    async 'roll back' (forMs, _stays, justBefore) {
      const copy = join(current.dir, 'copy')
      await cp(aofDir(), copy, { recursive: true })
      await sleep(forMs)
      await justBefore()
      await current.kill()
      await rm(aofDir(), { recursive: true })
      await cp(copy, aofDir(), { recursive: true })
      await rm(copy, { recursive: true })
      await startAgain(current)
    },

    async 'fail over' (forMs, _stays, justBefore) {
      const next = await inStep()
      next.line.hold()
      await sleep(forMs)
      await justBefore()
      const old = await promote(next, [])
      await old.kill()
      await old.stop()
    },

    async wake (forMs, stays, justBefore) {
      const next = await inStep()
      await justBefore()
      current.freeze()
      const old = await promote(next, stays)
      await sleep(forMs / 2)
      old.thaw()
      await sleep(forMs / 2)
      astray = undefined
      onMoved([])
      await old.kill()
      await old.stop()
    },
  }

  return {
    get current () { return current },
    targetOf: name => astray?.names.includes(name) === true ? astray.server : current,
    async standBy () { await inStep() },
    async lose (loss, forMs, stays, justBefore) { await WAYS[loss](forMs, stays, justBefore) },
  }
}
