/**
 * Which rooms of the served partitions have news. A bell only says which partition to look at; what is new there is read from where the
 * last look ended. A look that failed is made again with the next.
 */
import { settleAll, type Source } from './source.ts'
import { NEWS_MAX } from './sweep.ts'

export interface News {
  /** Begins to serve partitions: what comes from now on is heard; what was there before, the next sweep finds. */
  gain: (partitions: readonly number[]) => Promise<void>
  lose: (partition: number) => void
  serves: (partition: number) => boolean
  /** The partition may have news. */
  ring: (partition: number) => void
  /** Looks at the partitions that rang. Throws faults. */
  listen: () => Promise<void>
  /** Whether any rang since it was looked at. */
  readonly rang: boolean
}

/** @param note told of each room that has news */
export function createNews (source: Pick<Source, 'counter' | 'news'>, note: (roomId: string, partition: number) => void): News {
  const cursors = new Map<number, number>()
  const dirty = new Set<number>()

  async function look (partition: number): Promise<void> {
    const cursor = cursors.get(partition)
    dirty.delete(partition)
    if (cursor === undefined) return
    try {
      const news = await source.news(partition, cursor, NEWS_MAX)
      cursors.set(partition, news.cursor)
      for (const id of news.rooms) note(id, partition)
      if (news.rooms.length === NEWS_MAX) dirty.add(partition)
    } catch (error) {
      dirty.add(partition)
      throw error
    }
  }

  return {
    async gain (partitions) {
      const counters = await Promise.all(partitions.map(async partition => await source.counter(partition)))
      partitions.forEach((partition, i) => { cursors.set(partition, counters[i]!) })
    },
    lose (partition) {
      cursors.delete(partition)
      dirty.delete(partition)
    },
    serves: partition => cursors.has(partition),
    ring (partition) { dirty.add(partition) },
    async listen () { await settleAll([...dirty].map(look)) },
    get rang () { return dirty.size > 0 },
  }
}
