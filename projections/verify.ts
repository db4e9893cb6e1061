/**
 * Verifying: walks through the whole archive, computes every chain anew from the event IDs, compares each room's end with its
 * checkpoint and with what Redis has, and lists what was set aside. It only reads, page by page, while everything runs.
 */
import { START, type Position } from '../src/domain/position.ts'
import { chainOf } from '../src/log/chain.ts'
import type { Fence } from '../src/log/fence.ts'
import type { RoomLog } from '../src/log/log.ts'
import { ARCHIVE } from '../src/store/archive.ts'
import type { Queryable } from '../src/store/pool.ts'
import { holeAfter, listSkipped, type Skipped } from '../src/store/skipped.ts'
import { checkpointsOf } from './checkpoint.ts'
import { compareRooms, type Archived, type Deviant } from './compare.ts'
import { listParked } from './park.ts'

const EVENTS_PER_PAGE = 10_000
const ROOMS_PER_PAGE = 1000
/** Of parked rooms and of recorded holes, each. */
const LISTED_MAX = 10_000
const NO_ROOM = '00000000-0000-0000-0000-000000000000'

export interface Finding {
  /**
   * `chain`: an event's chain is not what follows from those before it. `hole`: events are missing. `checkpoint`: a room's end is not where
   * the archive's checkpoint says. `log`: Redis has less, or another history. `fenced`: a partition waits to be reconciled. `parted`: events of
   * a history that does not stand. `parked`: a projection stands still there. `skipped`: a hole, or an event of one projection, that somebody skipped by hand.
   */
  readonly kind: 'chain' | 'hole' | 'checkpoint' | 'log' | 'fenced' | 'parted' | 'parked' | 'skipped'
  readonly room_id?: string
  readonly seq?: number
  readonly text: string
}

/** What was skipped is known: it says nothing new. */
export const isTrouble = ({ kind }: Finding): boolean => kind !== 'skipped'

export interface Walked { rooms: number, events: number }

interface Deps { readonly db: Queryable, readonly log: RoomLog, readonly fence: Fence }
interface EventRow extends Position { readonly room_id: string, readonly event_id: string }

/**
 * Yields what it finds.
 * @param room one room only
 * @param walked counts along
 */
export async function * verify (deps: Deps, room: string | undefined, walked: Walked): AsyncGenerator<Finding> {
  for (const partition of (await deps.fence.fencedPartitions()).keys()) yield { kind: 'fenced', text: `partition ${partition} is fenced: it waits to be reconciled` }
  yield * walkChains(deps, room, walked)
  yield * compareEnds(deps, room, walked)
  yield * listSetAside(deps, room)
}

/** Every event of the archive, in the order of rooms and seqs. */
async function * walkChains ({ db }: Deps, room: string | undefined, walked: Walked): AsyncGenerator<Finding> {
  let last: Position & { room_id: string } = { room_id: room ?? NO_ROOM, ...START }
  for (;;) {
    const { rows } = await db.query<EventRow>(`
      SELECT room_id, seq, chain, event_id
        FROM events
       WHERE (room_id, seq) > ($1, $2)
         AND ($3::uuid IS NULL OR room_id = $3)
       ORDER BY room_id, seq
       LIMIT $4`, [last.room_id, last.seq, room ?? null, EVENTS_PER_PAGE])
    for (const row of rows) {
      const { room_id, seq, chain, event_id } = row
      const before: Position = room_id === last.room_id ? last : START
      if (seq !== before.seq + 1) {
        if (await holeAfter(db, room_id, before.seq) !== seq - 1) yield { kind: 'hole', room_id, seq: before.seq + 1, text: `the archive lacks seq ${before.seq + 1} to ${seq - 1}` }
      } else if (chain !== chainOf(before.chain, event_id)) {
        yield { kind: 'chain', room_id, seq, text: `the chain at seq ${seq} is ${chain}, and ${chainOf(before.chain, event_id)} follows from the event before` }
      }
      last = { room_id, seq, chain }
    }
    walked.events += rows.length
    if (rows.length < EVENTS_PER_PAGE) return
  }
}

/** Every room: its end, its checkpoint, its state for restoring, and the log. */
async function * compareEnds ({ db, log }: Deps, room: string | undefined, walked: Walked): AsyncGenerator<Finding> {
  for (let after = NO_ROOM; ;) {
    const { rows } = await db.query<Archived & { end_seq: number | null, end_chain: string | null, state_seq: number | null, state_chain: string | null }>(`
      SELECT checkpoints.room_id, checkpoints.partition, checkpoints.seq, checkpoints.chain,
             last.seq AS end_seq, last.chain AS end_chain, room_state.seq AS state_seq, room_state.chain AS state_chain
        FROM checkpoints
        LEFT JOIN room_state USING (room_id)
        LEFT JOIN LATERAL (
             SELECT seq, chain
               FROM events
              WHERE events.room_id = checkpoints.room_id
              ORDER BY seq DESC
              LIMIT 1) AS last ON true
       WHERE checkpoints.projection = $1
         AND checkpoints.room_id > $2
         AND ($3::uuid IS NULL OR checkpoints.room_id = $3)
       ORDER BY checkpoints.room_id
       LIMIT $4`, [ARCHIVE, after, room ?? null, ROOMS_PER_PAGE])
    for (const { room_id, seq, chain, end_seq, end_chain, state_seq, state_chain } of rows) {
      const skippedToEnd = end_seq !== seq && await holeAfter(db, room_id, end_seq ?? 0) === seq
      if (!skippedToEnd && ((end_seq ?? 0) !== seq || (end_chain ?? START.chain) !== chain)) yield { kind: 'checkpoint', room_id, seq, text: `the archive ends at seq ${end_seq ?? 0} (${end_chain ?? START.chain}), its checkpoint is at seq ${seq} (${chain})` }
      if ((state_seq ?? 0) !== seq || (state_chain ?? START.chain) !== chain) yield { kind: 'checkpoint', room_id, seq, text: `the state for restoring is as of seq ${state_seq ?? 0}, the checkpoint is at seq ${seq}` }
    }
    for (const deviant of await deviantsOf({ db, log }, rows)) yield told(deviant)
    walked.rooms += rows.length
    if (rows.length < ROOMS_PER_PAGE) return
    after = rows.at(-1)!.room_id
  }
}

/** Those that still deviate at a second look: the first may have come in the middle of a change. */
async function deviantsOf ({ db, log }: Pick<Deps, 'db' | 'log'>, rooms: readonly Archived[]): Promise<Deviant[]> {
  const suspects = (await compareRooms({ db, log }, rooms)).map(({ room }) => room)
  const now = await checkpointsOf(db, ARCHIVE, suspects.map(({ room_id }) => room_id))
  return suspects.length === 0 ? [] : await compareRooms({ db, log }, suspects.map(room => ({ ...room, ...now.get(room.room_id) })))
}

function told (deviant: Deviant): Finding {
  const { room: { room_id, seq }, head } = deviant
  const text = {
    lacking: () => head === undefined ? `Redis does not have the room, the archive has it up to seq ${seq}` : `Redis ends at seq ${head.seq}, the archive at seq ${seq}`,
    parted: () => `Redis and the archive parted after seq ${deviant.status === 'parted' ? deviant.fork.seq : 0}; their ends are seq ${head?.seq ?? 0} and ${seq}`,
    hole: () => `neither Redis nor the archive has seq ${seq + 1} to ${(deviant.status === 'hole' ? deviant.next ?? (head?.seq ?? 0) + 1 : 0) - 1}`,
  }[deviant.status]()
  return { kind: deviant.status === 'hole' ? 'hole' : 'log', room_id, seq, text }
}

async function * listSetAside ({ db }: Deps, room: string | undefined): AsyncGenerator<Finding> {
  for (let after = NO_ROOM; ;) {
    const { rows } = await db.query<{ room_id: string, events: number, from_seq: number, to_seq: number }>(`
      SELECT room_id, count(*) AS events, min(seq) AS from_seq, max(seq) AS to_seq
        FROM events_parted
       WHERE room_id > $1
         AND ($2::uuid IS NULL OR room_id = $2)
       GROUP BY room_id
       ORDER BY room_id
       LIMIT $3`, [after, room ?? null, ROOMS_PER_PAGE])
    for (const { room_id, events, from_seq, to_seq } of rows) yield { kind: 'parted', room_id, seq: from_seq, text: `${events} events that do not stand, from seq ${from_seq} to ${to_seq}, are set aside in events_parted` }
    if (rows.length < ROOMS_PER_PAGE) break
    after = rows.at(-1)!.room_id
  }
  for (const { projection, room_id, seq, error_code, error } of await listParked(db, { limit: LISTED_MAX })) {
    if (room === undefined || room === room_id) yield { kind: 'parked', room_id, seq, text: `parked in ${projection} at seq ${seq}: ${error_code}: ${error}` }
  }
  for (const skipped of await listSkipped(db, { roomId: room, limit: LISTED_MAX })) yield { kind: 'skipped', room_id: skipped.room_id, seq: skipped.from_seq, text: skippedText(skipped) }
}

function skippedText ({ projection, from_seq, to_seq, event_id, skipped_by, reason, skipped_at }: Skipped): string {
  const what = event_id === null ? `seq ${from_seq} to ${to_seq} were skipped` : `seq ${from_seq} (event ${event_id}) was skipped in ${projection}`
  return `${what} by hand on ${skipped_at.toISOString()}${skipped_by === null ? '' : ` by ${skipped_by}`}${reason === null ? '' : `: ${reason}`}`
}
