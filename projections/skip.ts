/**
 * Skipping a hole: events that neither Redis nor the archive has, because Postgres was restored from a backup older than what
 * Redis still keeps. By hand only, and recorded (`skipped`): whoever resumes across it is told that something is gone.
 *
 * The archive goes on with all that the log still has, and takes the room's state from Redis as it is now: a ban among what is gone
 * still holds. Other projections follow by themselves, with the first event behind the hole; what was in it they do not know.
 */
import type { Position } from '../src/domain/position.ts'
import { memberFrom } from '../src/commands/room-hashes.ts'
import { decodeEvent, type LogEvent } from '../src/log/codec.ts'
import type { Cold } from '../src/log/cold.ts'
import type { RoomHashes, RoomLog } from '../src/log/log.ts'
import { ARCHIVE } from '../src/store/archive.ts'
import type { Queryable, Store } from '../src/store/pool.ts'
import { archive, replaceState } from './archive.ts'
import { lockCheckpoints, moveCheckpoints } from './checkpoint.ts'

/** Events that the log may have behind the hole: they are read at once. More than any hot window should be. */
const EVENTS_MAX = 200_000
const APPLIED_AT_ONCE = 1000

export interface Skipped {
  /** First and last event that is missing. */
  readonly from: number
  readonly to: number
  /** Events behind the hole that were archived with it. */
  readonly applied: number
}

interface Deps { readonly store: Store, readonly log: RoomLog, readonly cold: Cold }

/** Why nothing was skipped; the message is one line for people. */
export class NotSkipped extends Error {
  override name = 'NotSkipped'
}

/** Lets the archive go on behind the hole that its room is parked at. Throws NotSkipped, and faults of Redis and Postgres. */
export async function skipHole ({ store, log, cold }: Deps, roomId: string): Promise<Skipped> {
  return await store.transaction(async tx => {
    const { rows: [parked] } = await tx.query<{ partition: number }>(`
      SELECT partition
        FROM parked_rooms
       WHERE projection = $1
         AND room_id = $2
         AND error_code = 'hole'
         FOR UPDATE`, [ARCHIVE, roomId])
    const at = (await lockCheckpoints(tx, ARCHIVE, [roomId])).get(roomId)
    if (parked === undefined || at === undefined) throw new NotSkipped(`Room ${roomId} is not parked at a hole in ${ARCHIVE}.`)
    const { to, events, state } = await behindHole({ log, cold }, roomId, at)
    for (let i = 0; i < events.length; i += APPLIED_AT_ONCE) {
      const some = events.slice(i, i + APPLIED_AT_ONCE).map(entry => ({ entry, event: decodeEvent(entry) }))
      await archive.apply(tx, [{ room_id: roomId, partition: parked.partition, events: some }])
    }
    await takeState(tx, roomId, to, state)
    await moveCheckpoints(tx, ARCHIVE, [{ room_id: roomId, from: at, to }])
    const hole = { from: at.seq + 1, to: (events[0]?.seq ?? to.seq + 1) - 1 }
    await tx.query('INSERT INTO skipped (projection, room_id, from_seq, to_seq) VALUES ($1, $2, $3, $4)', [ARCHIVE, roomId, hole.from, hole.to])
    await tx.query("DELETE FROM parked_rooms WHERE room_id = $1 AND error_code = 'hole'", [roomId]) // of every projection: they follow
    return { ...hole, applied: events.length }
  })
}

/** All that the log has behind the archive's checkpoint, which of a cold room is nothing but its head; and what Redis holds there. */
async function behindHole ({ log, cold }: Pick<Deps, 'log' | 'cold'>, roomId: string, at: Position): Promise<{ to: Position, events: LogEvent[], state: RoomHashes }> {
  const state = await cold.holds(roomId) // first: events up to this head are there to be read
  const to = { seq: Number(state?.meta.get('seq') ?? 0), chain: state?.meta.get('chain') ?? '' }
  if (state === undefined || to.seq <= at.seq) throw new NotSkipped('The log has nothing behind the hole.')
  const events = (await log.read(roomId, at.seq, EVENTS_MAX)).filter(({ seq }) => seq <= to.seq)
  if (events[0]?.seq === at.seq + 1) throw new NotSkipped('There is no hole: retry instead.')
  if (events.length > 0 && events.at(-1)!.seq !== to.seq) throw new NotSkipped(`The log has more than ${EVENTS_MAX} events behind the hole.`)
  return { to, events, state }
}

/** What Redis holds of the room becomes what the archive holds of it. Of a cold room Redis knows no more than the head. */
async function takeState (tx: Queryable, roomId: string, { seq, chain }: Position, { meta, members }: RoomHashes): Promise<void> {
  if (meta.has('cold')) await tx.query('UPDATE room_state SET seq = $2, chain = $3 WHERE room_id = $1', [roomId, seq, chain])
  else await replaceState(tx, roomId, meta, new Map([...members].map(([user, record]) => [user, memberFrom(record)])))
}
