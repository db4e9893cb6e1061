/**
 * The canary: proves, every `everyMs`, that an append goes through and is heard again by the subscriber. What a gateway's
 * readiness rests on. It writes to a capped stream of its own, one per process, not to a room.
 */
import type { Metrics } from '../telemetry/metrics.ts'
import type { Redis } from './redis.ts'
import type { Subscriptions } from './subscriptions.ts'

const LATE_MS = 3000
const ENTRIES_MAX = 10

export interface Canary {
  /** Undefined if the last canary came through in time; else what is wrong. */
  trouble: () => string | undefined
  stop: () => void
}

export function startCanary ({ redis, subscriptions, name, everyMs, clock, metrics }: { redis: Redis, subscriptions: Subscriptions, name: string, everyMs: number, clock: () => number, metrics?: Pick<Metrics, 'canarySeconds'> }): Canary {
  const key = `millrace:canary:${name}`
  let sent = 0
  let heard = -1
  let heardAt = clock()
  let failure: string | undefined

  subscriptions.add(key, {
    onMessage: text => {
      const [n, sentAt] = text.split(' ').map(Number) as [number, number]
      if (n <= heard) return
      heard = n
      heardAt = clock()
      metrics?.canarySeconds.observe((performance.now() - sentAt) / 1000)
    },
    onReady: () => { void send() },
  })

  async function send (): Promise<void> {
    const n = sent++
    try {
      const results = await redis.pipeline()
        .xadd(key, 'MAXLEN', '~', ENTRIES_MAX, '*', 'n', n)
        .expire(key, 3600)
        .spublish(key, `${n} ${performance.now()}`)
        .exec()
      const error = results?.find(([error]) => error !== null)?.[0]
      failure = error == null ? undefined : error.message
    } catch (error) {
      failure = (error as Error).message
    }
  }

  const timer = setInterval(() => { void send() }, everyMs)
  void send()

  return {
    trouble () {
      if (failure !== undefined) return `an append failed: ${failure}`
      const silentMs = clock() - heardAt
      return silentMs > everyMs + LATE_MS || heard < 0 ? `no append was heard back for ${silentMs} ms` : undefined
    },
    stop () {
      clearInterval(timer)
      subscriptions.remove(key)
    },
  }
}
