/**
 * Where an intake gets its events: from the room logs, in the consumer group of its projection, or from the archive.
 *
 * The archive hands on what it commits (`offer` of the intake), so what follows it reads next to nothing: only rooms that it has not
 * opened yet, and what was too much to hold.
 */
import type { LogEvent } from '../src/log/codec.ts'
import type { Groups, News } from '../src/log/groups.ts'
import type { RoomLog } from '../src/log/log.ts'
import { readArchives } from '../src/store/archive.ts'
import type { Store } from '../src/store/pool.ts'

/** A place in a room: what is asked for comes behind it. */
interface Place { readonly id: string, readonly after: number }

export interface Source {
  /** The archive hands on what it commits. */
  readonly follows: boolean
  /** As of `Groups`. */
  counter: (partition: number) => Promise<number>
  news: (partition: number, cursor: number, limit: number) => Promise<News>
  /** Whether new events of the room can be read from a group, which now stands at `seq`; else they are fetched. */
  open: (roomId: string, seq: number) => Promise<boolean>
  read: (roomIds: readonly string[], count: number) => Promise<Map<string, LogEvent[]>>
  /** Events behind each place, at most `count` of each room; `seen`: rooms whose log has something behind it, though perhaps not the next. */
  fetch: (places: readonly Place[], count: number) => Promise<{ events: ReadonlyMap<string, LogEvent[]>, seen: ReadonlySet<string> }>
}

interface LogDeps {
  /** Name and version of the projection. */
  readonly group: string
  readonly groups: Groups
  readonly log: RoomLog
  readonly consumer: string
  /** Events of any age; absent for the archive itself. */
  readonly readArchive?: ((roomId: string, after: number, limit: number) => Promise<LogEvent[]>) | undefined
}

export function fromLog ({ group, groups, log, consumer, readArchive }: LogDeps): Source {
  return {
    follows: false,
    counter: groups.counter,
    news: async (partition, cursor, limit) => await groups.news(partition, cursor, limit),
    open: async (roomId, seq) => await groups.open(roomId, group, consumer, seq),
    read: async (roomIds, count) => await groups.read(roomIds, group, consumer, count),
    async fetch (places, count) {
      const events = new Map<string, LogEvent[]>()
      const seen = new Set<string>()
      await settleAll(places.map(async ({ id, after }) => {
        const logged = await log.read(id, after, count)
        if (logged.length > 0) seen.add(id)
        // The stream first: what is trimmed from it meanwhile is in the archive.
        events.set(id, logged[0]?.seq !== after + 1 && readArchive !== undefined ? await readArchive(id, after, count) : logged)
      }))
      return { events, seen }
    },
  }
}

export function fromArchive ({ store }: { store: Store }): Source {
  return {
    follows: true,
    counter: async () => 0,
    news: async () => ({ rooms: [], cursor: 0 }),
    open: async () => false,
    read: async () => new Map(),
    fetch: async (places, count) => ({ events: await readArchives(store, places, count), seen: new Set() }),
  }
}

/** Waits for all, then throws the first failure: nothing is left running behind a caller that tries again. */
export async function settleAll (promises: ReadonlyArray<Promise<unknown>>): Promise<void> {
  for (const result of await Promise.allSettled(promises)) {
    if (result.status === 'rejected') throw result.reason
  }
}
