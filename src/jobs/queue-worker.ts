/**
 * Works a queue of pg-boss off in slots: each item has its own, and is settled as soon as its attempt is over. pg-boss's own workers take
 * a batch and wait for the slowest of it, so a few hosts that let every attempt run into its time limit held up those that answer at once:
 * here they hold as many slots as one host may have, and no more.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { PgBoss } from 'pg-boss'
import type { Logger } from '../telemetry/logging.ts'

/** Between two looks at an empty queue. */
const POLL_MS = 2000
/** A slot that is free is filled again no sooner: so that several that become free at once cost one look. */
const PAUSE_MS = 50
/** Once the signal of attempts under way is aborted, they are waited for so long. */
const ABORTED_MS = 1000

export interface Attempt {
  /** No other follows if this one fails. */
  readonly last: boolean
  /** Asked for by a person: what only time would have made pointless is done all the same. */
  readonly forced: boolean
  /** Aborted when the process stops: the attempt is made again by another. */
  readonly signal: AbortSignal
}

/** What is to be done once for each item, and tried again with growing pauses until it is done or `retries` are used up. */
export interface Queue {
  readonly name: string
  readonly retries: number
  /** Before the first retry, and at most before the others, in seconds. */
  readonly pauseS: number
  readonly pauseMaxS: number
  /** Attempts of all processes that go to the same host at the same time. */
  readonly perHostMax: number
  /** One attempt. False, or throwing: it failed, and is made again unless it was the last. */
  attempt: (id: string, about: Attempt) => Promise<boolean>
  /** Items whose last attempt ended, one way or another, without success. */
  bury: (ids: readonly string[]) => Promise<void>
}

export interface ItemData { readonly id: string, readonly forced: boolean }

interface Taken { readonly id: string, readonly data: ItemData, readonly retryCount: number, readonly retryLimit: number }

export interface QueueWorkerOptions {
  readonly boss: Pick<PgBoss, 'fetch' | 'complete' | 'fail'>
  readonly queue: Queue
  /** Attempts of this process at a time. */
  readonly slots: number
  readonly logger: Logger
}

export interface QueueWorker {
  /** Takes nothing more, waits for what is under way, and after `drainMs` gives it up: it is tried again by another. */
  stop: (drainMs: number) => Promise<void>
}

export function startQueueWorker ({ boss, queue, slots, logger }: QueueWorkerOptions): QueueWorker {
  const stopping = new AbortController()
  const givingUp = new AbortController()
  const underWay = new Set<Promise<void>>()
  let freed = (): void => {}

  async function work (job: Taken): Promise<void> {
    let done = false
    try {
      done = await queue.attempt(job.data.id, { last: job.retryCount >= job.retryLimit, forced: job.data.forced, signal: givingUp.signal })
    } catch (error) {
      logger.warn({ queue: queue.name, reason: (error as Error).message }, 'an attempt failed')
    }
    try {
      await (done ? boss.complete(queue.name, job) : boss.fail(queue.name, job))
    } catch (error) {
      logger.warn({ queue: queue.name, reason: (error as Error).message }, 'what came of an attempt could not be noted: it is made again') // once it counts as expired
    }
  }

  async function run (): Promise<void> {
    while (!stopping.signal.aborted) {
      const free = slots - underWay.size
      let taken: Taken[] = []
      if (free > 0) {
        try {
          taken = await boss.fetch<ItemData>(queue.name, { batchSize: free, includeMetadata: true, groupConcurrency: queue.perHostMax })
        } catch (error) {
          logger.warn({ queue: queue.name, reason: (error as Error).message }, 'the job queue failed') // Postgres is away: it goes on when it is back
        }
      }
      for (const job of taken) {
        const attempt = work(job).finally(() => {
          underWay.delete(attempt)
          freed()
        })
        underWay.add(attempt)
      }
      if (taken.length < free || free === 0) await freedOrPoll()
    }
  }

  /** Until a slot becomes free, and with it perhaps a host; or for so long. */
  async function freedOrPoll (): Promise<void> {
    const waited = new AbortController()
    const woken = AbortSignal.any([waited.signal, stopping.signal])
    freed = () => { waited.abort() }
    await sleep(POLL_MS, undefined, { signal: woken }).catch(() => {})
    freed = () => {}
    if (waited.signal.aborted) await sleep(PAUSE_MS, undefined, { signal: stopping.signal }).catch(() => {})
  }

  const done = run()
  return {
    async stop (drainMs) {
      stopping.abort()
      await done
      const over = new AbortController()
      const all = Promise.all(underWay)
      await Promise.race([all, sleep(drainMs, undefined, { signal: over.signal }).catch(() => {})])
      givingUp.abort()
      await Promise.race([all, sleep(ABORTED_MS, undefined, { signal: over.signal }).catch(() => {})])
      over.abort()
    },
  }
}
