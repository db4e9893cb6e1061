/**
 * The bells of partitions, for projectors: hints that something was appended. One subscriber connection serves all projections
 * of a process (`subscriptions.ts`).
 *
 * Any bell may be lost. When a subscription begins, or begins anew, its partition is rung, and once more a little later, for
 * one that says it stands may not hear everything yet (REDIS.md). Does not read anything, and promises nothing about bells
 * lost in between: that is what the projectors' sweep is for.
 */
import type { Keys } from './keys.ts'
import type { Subscriptions } from './subscriptions.ts'

const ONCE_MORE_MS = 1000

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

export function createBells ({ subscriptions, keys }: { subscriptions: Subscriptions, keys: Keys }): BellSource {
  /** partition → who hears it. */
  const hearers = new Map<number, Set<(partition: number) => void>>()

  const ring = (partition: number): void => { for (const onBell of hearers.get(partition) ?? []) onBell(partition) }

  function join (partition: number, onBell: (partition: number) => void): void {
    const known = hearers.get(partition)
    if (known !== undefined) {
      known.add(onBell)
      onBell(partition)
      return
    }
    hearers.set(partition, new Set([onBell]))
    subscriptions.add(keys.partitionBell(partition), {
      onMessage: () => { ring(partition) },
      onReady: () => {
        ring(partition)
        setTimeout(ring, ONCE_MORE_MS, partition).unref()
      },
    })
  }

  function leave (partition: number, onBell: (partition: number) => void): void {
    const known = hearers.get(partition)
    if (known === undefined || !known.delete(onBell) || known.size > 0) return
    hearers.delete(partition)
    subscriptions.remove(keys.partitionBell(partition))
  }

  return {
    follower (onBell) {
      let followed: ReadonlySet<number> = new Set()
      const follow = (partitions: ReadonlySet<number>): void => {
        for (const partition of followed) if (!partitions.has(partition)) leave(partition, onBell)
        for (const partition of partitions) if (!followed.has(partition)) join(partition, onBell)
        followed = new Set(partitions)
      }
      return { follow, stop: () => { follow(new Set()) } }
    },
  }
}
