/**
 * Comparing: how what Redis has of a room stands to what the archive has of it [G8]. This only looks: `reconcile.ts` puts right what
 * it finds in a fenced partition, `millrace verify` tells of it. Where the log has the archive's checkpoint, or chains onto it, all
 * is well, and that costs one call for hundreds of rooms.
 */
import { START, type Position } from '../src/domain/position.ts'
import { chainOf } from '../src/log/chain.ts'
import type { LogEvent } from '../src/log/codec.ts'
import type { RoomLog } from '../src/log/log.ts'
import { archivedAt, chainsBetween, chainsOf } from '../src/store/archive.ts'
import type { Queryable } from '../src/store/pool.ts'

/** Rooms that are looked at more closely at a time. */
const CLOSELY = 64
/** Places that one step back looks at, in search of the one where histories parted. */
const STEP_EVENTS = 500

/** A room with the archive's checkpoint. */
export interface Archived extends Position { readonly room_id: string, readonly partition: number }

/** A room whose log is not what the archive says; `head` is the one that was compared. */
export type Deviant = { readonly room: Archived, readonly head: Position | undefined } & (
  /** Redis has less: the room is gone, or ends at a place of the archive's history. What it has is in the archive too. */
  | { readonly status: 'lacking' }
  /** Both have events that the other does not have; `fork` is the newest position that they share, as far as can be told. */
  | { readonly status: 'parted', readonly fork: Position }
  /** The log goes on beyond the checkpoint, but what comes first after it is in neither: the log begins at `next`, if anywhere. */
  | { readonly status: 'hole', readonly next: number | undefined })

interface Deps { readonly db: Queryable, readonly log: RoomLog }

/** Says which of these rooms deviate. Throws faults of Redis and Postgres; does not ask whether a partition is fenced. */
export async function compareRooms ({ db, log }: Deps, rooms: readonly Archived[]): Promise<Deviant[]> {
  const { heads } = await log.heads(rooms.map(({ room_id }) => room_id))
  const unequal = rooms.filter(room => room.seq > 0 && !isAt(heads.get(room.room_id), room)) // of those at 0, the archive has nothing
  const shorter = unequal.filter(({ room_id, seq }) => (heads.get(room_id)?.seq ?? seq) < seq)
  const chains = await chainsOf(db, shorter.map(({ room_id }) => ({ room_id, seq: heads.get(room_id)!.seq })))
  const found: Deviant[] = []
  for (let i = 0; i < unequal.length; i += CLOSELY) {
    const results = await Promise.all(unequal.slice(i, i + CLOSELY).map(async room => await compareClosely({ db, log }, room, heads.get(room.room_id), chains.get(room.room_id)).catch(unlessCorrupt)))
    found.push(...results.filter(result => result !== undefined))
  }
  return found
}

const isAt = (head: Position | undefined, { seq, chain }: Position): boolean => head?.seq === seq && head.chain === chain

/** A key that holds no stream: the archive parks the room, and it must not keep its whole partition fenced. */
function unlessCorrupt (error: Error): undefined {
  if (!/^WRONGTYPE/.test(error.message)) throw error
}

/** @param archivedThere the archive's chain at the seq of a head that is below the checkpoint */
async function compareClosely ({ db, log }: Deps, room: Archived, head: Position | undefined, archivedThere: string | undefined): Promise<Deviant | undefined> {
  const { room_id, seq, chain } = room
  if (head === undefined) return { room, head, status: 'lacking' }
  if (head.seq > seq) {
    const [there, next] = await Promise.all([log.chainsAt(room_id, [seq]), log.read(room_id, seq, 1)])
    if (there.get(seq) === chain) return undefined
    if (!there.has(seq)) { // trimmed: the next one must chain onto it
      if (next[0]?.seq !== seq + 1) return { room, head, status: 'hole', next: next[0]?.seq }
      if (next[0].chain === chainOf(chain, next[0].event_id)) return undefined
    }
  } else if (head.seq < seq && (archivedThere ?? head.chain) === head.chain) return { room, head, status: 'lacking' }
  const [first] = await log.read(room_id, 0, 1)
  // A head without a stream has nothing to stand for.
  return first === undefined ? { room, head, status: 'lacking' } : { room, head, status: 'parted', fork: await forkOf({ db, log }, room, head, first) }
}

/** The newest position that stream and archive share; the start, if what the stream has shows none. */
async function forkOf ({ db, log }: Deps, { room_id, seq }: Archived, head: Position, first: LogEvent): Promise<Position> {
  for (let to = Math.min(seq, head.seq); to >= first.seq; to -= STEP_EVENTS) {
    const from = Math.max(first.seq, to - STEP_EVENTS + 1)
    const seqs = Array.from({ length: to - from + 1 }, (_, i) => to - i)
    const [stream, archive] = await Promise.all([log.chainsAt(room_id, seqs), chainsBetween(db, room_id, from, to)])
    const common = seqs.find(at => archive.has(at) && archive.get(at) === stream.get(at))
    if (common !== undefined) return { seq: common, chain: archive.get(common)! }
  }
  const [before] = await archivedAt(db, room_id, [first.seq - 1])
  return before !== undefined && chainOf(before.chain, first.event_id) === first.chain ? { seq: before.seq, chain: before.chain } : START
}
