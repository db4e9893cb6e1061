/**
 * How many messages wait for people: unread ones, and what a device was not delivered. Made of marks, joins and messages when somebody
 * asks; nothing is kept that could drift. Whether they are in a room, and since when, is asked of the room itself [G9].
 *
 * A constant number of queries, however many rooms.
 */
import { chainOf } from '../log/chain.ts'
import { decodeEvent } from '../log/codec.ts'
import type { RoomLog } from '../log/log.ts'
import type { Marks } from '../log/marks.ts'
import type { Queryable } from '../store/pool.ts'
import { countsAfter, marksOf, type Asked, type Level, type MarkOf, type Pair } from '../store/unread.ts'
import type { Access, Reading } from './access.ts'

export interface Unread extends Pair {
  readonly unread: number
  readonly mentions: number
  /** The read mark; 0 for none. */
  readonly read_seq: number
  readonly head_seq: number
  readonly level: Level
  /** Counted up to here; less than `head_seq` where the read model is far behind. */
  readonly applied_seq: number
}

export interface Undelivered {
  readonly room_id: string
  readonly from_seq: number
  readonly to_seq: number
  /** Messages among them that are not deleted. */
  readonly count: number
  readonly applied_seq: number
}

/** `moved_to`: where a read mark is known to have moved, which need not be folded yet. */
export interface PairRead extends Pair { readonly moved_to?: number }

export interface Counts {
  /** Of pairs whose user is not in the room, nothing is told. Throws what the log and Postgres throw. */
  unread: (pairs: readonly PairRead[]) => Promise<Unread[]>
  /** Rooms of which the device lacks something. */
  undelivered: (userId: string, device: string, roomIds: readonly string[]) => Promise<Undelivered[]>
}

export interface CountsDeps {
  access: Access
  marks: Pick<Marks, 'readBy' | 'deliveredTo'>
  log: RoomLog
  store: Queryable
}

export function createCounts ({ access, marks, log, store }: CountsDeps): Counts {
  const reads = { store, log, decode: decodeEvent, chainOf }

  /** The rooms as they are now, by user. */
  async function readingsOf (pairs: readonly Pair[]): Promise<(pair: Pair) => Reading> {
    const byUser = Map.groupBy(pairs, ({ user_id }) => user_id)
    const found = new Map(await Promise.all([...byUser].map(async ([user_id, own]) => [user_id, await access.readings(own.map(({ room_id }) => room_id), user_id)] as const)))
    return ({ room_id, user_id }) => found.get(user_id)!.get(room_id)!
  }

  /** Marks as Redis has them, which keeps those of small rooms, and needs nobody to fold them first. */
  async function freshMarks (of: MarkOf, pairs: readonly Pair[]): Promise<(pair: Pair) => number> {
    const byUser = Map.groupBy(pairs, ({ user_id }) => user_id)
    const found = new Map(await Promise.all([...byUser].map(async ([user_id, own]) => {
      const roomIds = own.map(({ room_id }) => room_id)
      return [user_id, of.kind === 'read' ? await marks.readBy(roomIds, user_id) : await marks.deliveredTo(roomIds, user_id, of.device)] as const
    })))
    return ({ room_id, user_id }) => found.get(user_id)!.get(room_id) ?? 0
  }

  async function counted (of: MarkOf, pairs: readonly PairRead[]) {
    const [marked, fresh] = await Promise.all([marksOf(store, of, pairs), freshMarks(of, pairs)])
    const moved = new Map(pairs.map(({ room_id, user_id, moved_to = 0 }) => [`${user_id} ${room_id}`, moved_to]))
    const readingOf = await readingsOf(pairs) // after the marks: see `marksOf`
    const asked: Array<Asked & { readonly mark: number, readonly level: Level }> = marked.flatMap(item => {
      const reading = readingOf(item)
      if (!reading.allowed || !reading.inside) return []
      const { room: { seq: head }, member: { joined_seq } } = reading
      const mark = Math.max(...[item.mark ?? 0, fresh(item), moved.get(`${item.user_id} ${item.room_id}`)!].filter(seq => seq <= head), 0) // beyond the head: of a history that does not stand
      return [{ ...item, head, mark, place: Math.max(mark, joined_seq) }]
    })
    const counts = await countsAfter(reads, asked)
    return counts.map((count, i) => ({ ...count, mark: asked[i]!.mark, level: asked[i]!.level }))
  }

  return {
    async unread (pairs) {
      return (await counted({ kind: 'read' }, pairs)).map(({ room_id, user_id, unread, mentions, mark: read_seq, head: head_seq, level, applied_seq }) => ({ room_id, user_id, unread, mentions, read_seq, head_seq, level, applied_seq }))
    },

    async undelivered (user_id, device, roomIds) {
      const counts = await counted({ kind: 'delivered', device }, roomIds.map(room_id => ({ room_id, user_id })))
      return counts
        .filter(({ place, head }) => head > place)
        .map(({ room_id, place, head, standing, applied_seq }) => ({ room_id, from_seq: place + 1, to_seq: head, count: standing, applied_seq }))
    },
  }
}
