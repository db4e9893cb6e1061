/**
 * The bells of partitions, for projectors: hints over sharded pub/sub that something was appended. One subscriber connection
 * serves all projections of a process.
 *
 * Any bell may be lost. After a reconnect every followed partition is rung, and once more a little later, for a subscription
 * that says it stands may not hear everything yet (REDIS.md). The connection is PINGed: a half-open one says nothing.
 * Does not read anything, and promises nothing about bells lost in between: that is what the projectors' sweep is for.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from 'pino'
import type { Keys } from './keys.ts'
import type { Redis } from './redis.ts'

const PING_MS = 1500
const PONG_MS = 1000
const CHANNELS_PER_CALL = 500

/** What hears bells on behalf of one projection. */
export interface Follower {
  /** Follows exactly these partitions from now on. Those that are new ring once they are subscribed to. */
  follow: (partitions: ReadonlySet<number>) => void
  /** Follows nothing any more. */
  stop: () => void
}

/** Where bells come from. */
export interface BellSource {
  /** @param onBell told the partition whose bell rang (or may have rung unheard) */
  follower: (onBell: (partition: number) => void) => Follower
}

export interface Bells extends BellSource {
  readonly done: Promise<void>
  /** Ends the listening; the connection is its owner's to close. */
  stop: () => Promise<void>
}

/** @param subscriber a connection of its own, from `connectSubscriber` */
export function startBells ({ subscriber, keys, logger }: { subscriber: Redis, keys: Keys, logger: Logger }): Bells {
  const aborter = new AbortController()
  const followers = new Map<(partition: number) => void, ReadonlySet<number>>()
  const partitionOfChannel = new Map<string, number>()
  const subscribed = new Set<number>()
  let again: NodeJS.Timeout | undefined

  const ring = (partition: number): void => {
    for (const [onBell, partitions] of followers) if (partitions.has(partition)) onBell(partition)
  }
  const wanted = (): Set<number> => new Set([...followers.values()].flatMap(partitions => [...partitions]))
  const channelOf = (partition: number): string => {
    const channel = keys.partitionBell(partition)
    partitionOfChannel.set(channel, partition)
    return channel
  }

  /** Makes the subscriptions what the followers want. What fails is tried again with the next PING. */
  async function agree (): Promise<void> {
    if (subscriber.status !== 'ready') return
    const want = wanted()
    const gone = [...subscribed].filter(partition => !want.has(partition))
    const missing = [...want].filter(partition => !subscribed.has(partition))
    for (const partition of missing) subscribed.add(partition) // before asking, so that two calls do not ask for the same
    for (const partition of gone) subscribed.delete(partition)
    try {
      if (gone.length > 0) await subscriber.sunsubscribe(...gone.map(channelOf))
      for (let i = 0; i < missing.length; i += CHANNELS_PER_CALL) {
        const part = missing.slice(i, i + CHANNELS_PER_CALL)
        await subscriber.ssubscribe(...part.map(channelOf))
        part.forEach(ring)
      }
    } catch (error) {
      for (const partition of missing) subscribed.delete(partition)
      logger.debug({ reason: (error as Error).message }, 'bells could not be subscribed to')
    }
  }

  const onMessage = (channel: string): void => {
    const partition = partitionOfChannel.get(channel)
    if (partition !== undefined) ring(partition)
  }
  const onReady = (): void => {
    subscribed.clear()
    void agree()
    clearTimeout(again)
    again = setTimeout(() => { for (const partition of wanted()) ring(partition) }, 1000)
  }
  subscriber.on('smessage', onMessage)
  subscriber.on('ready', onReady)
  if (subscriber.status === 'ready') onReady()

  async function run (): Promise<void> {
    while (!aborter.signal.aborted) {
      await sleep(PING_MS, undefined, { signal: aborter.signal }).catch(() => {})
      if (aborter.signal.aborted || subscriber.status !== 'ready') continue
      const pong = await Promise.race([subscriber.ping().then(() => true, () => false), sleep(PONG_MS, false, { signal: aborter.signal }).catch(() => true)])
      if (!pong) subscriber.disconnect(true)
      else await agree()
    }
    clearTimeout(again)
    subscriber.off('smessage', onMessage)
    subscriber.off('ready', onReady)
  }

  const done = run()
  return {
    follower (onBell) {
      followers.set(onBell, new Set())
      return {
        follow (partitions) {
          followers.set(onBell, new Set(partitions))
          void agree()
        },
        stop () {
          followers.delete(onBell)
          void agree()
        },
      }
    },
    done,
    async stop () {
      aborter.abort()
      await done
    },
  }
}
