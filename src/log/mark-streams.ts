/**
 * The partitions' streams of marks (`marks.lua` writes them), for the one who folds them into Postgres: what is in them, oldest first,
 * and taking out what was folded. Folding is by maximum, so entries may be read twice, by two at once, and after a crash again.
 */
import type { PeopleKeys } from './people-keys.ts'
import { faultOf, type Redis } from './redis.ts'

/** A mark as it stands in a stream: texts, not checked. */
export interface StreamedMark {
  /** `<milliseconds>-<n>` by the clock of Redis. */
  readonly id: string
  readonly room: string
  readonly user: string
  readonly device: string
  readonly kind: string
  readonly seq: string
}

export interface MarkStreams {
  /** The oldest marks of these partitions, at most `count` of each; those that have none are absent. Throws LogFault. */
  read: (partitions: Iterable<number>, count: number) => Promise<Map<number, StreamedMark[]>>
  /** Takes out everything up to the entry `id`. Throws LogFault. */
  trim: (upTo: ReadonlyMap<number, string>) => Promise<void>
  /** How many marks wait in partitions 0 … this − 1, and since when the oldest (epoch milliseconds, by the clock of Redis). Throws LogFault. */
  waiting: (partitions: number) => Promise<{ events: number, since: number | undefined }>
}

export function createMarkStreams ({ redis, peopleKeys }: { redis: Redis, peopleKeys: PeopleKeys }): MarkStreams {
  return {
    async read (partitions, count) {
      const asked = [...partitions]
      // Written together: one round trip, also where the partitions lie on several servers.
      const found = await Promise.all(asked.map(async partition => await redis.xrange(peopleKeys.marks(partition), '-', '+', 'COUNT', count)))
        .catch((error: unknown) => { throw faultOf(error) })
      return new Map(found.flatMap((entries, i) => entries.length === 0 ? [] : [[asked[i]!, entries.map(([id, fields]) => markOf(id, fields))] as const]))
    },

    async trim (upTo) {
      await Promise.all([...upTo].map(async ([partition, id]) => await redis.xtrim(peopleKeys.marks(partition), 'MINID', after(id))))
        .catch((error: unknown) => { throw faultOf(error) })
    },

    async waiting (partitions) {
      const keys = Array.from({ length: partitions }, (_, p) => peopleKeys.marks(p))
      try {
        const lengths = await Promise.all(keys.map(async key => await redis.xlen(key)))
        const oldest = await Promise.all(keys.filter((_, p) => lengths[p]! > 0).map(async key => (await redis.xrange(key, '-', '+', 'COUNT', 1))[0]?.[0]))
        const times = oldest.flatMap(id => id === undefined ? [] : Number(id.slice(0, id.indexOf('-'))))
        return { events: lengths.reduce((sum, length) => sum + length, 0), since: times.length === 0 ? undefined : Math.min(...times) }
      } catch (error) {
        throw faultOf(error)
      }
    },
  }
}

function markOf (id: string, fields: readonly string[]): StreamedMark {
  const of = new Map<string, string>()
  for (let i = 0; i + 1 < fields.length; i += 2) of.set(fields[i]!, fields[i + 1]!)
  const text = (name: string): string => of.get(name) ?? ''
  return { id, room: text('room'), user: text('user'), device: text('device'), kind: text('kind'), seq: text('seq') }
}

/** The ID that follows. */
function after (id: string): string {
  const [ms, n] = id.split('-')
  return `${ms}-${BigInt(n!) + 1n}`
}
