/**
 * Skipping by hand, where nothing else helps. Recorded (`skipped`: what, who, when, why), and shown by `millrace verify`.
 *
 * A hole: events that neither Redis nor the archive has, because Postgres was restored from a backup older than what Redis still
 * keeps. Whoever resumes across it is told that something is gone. The archive goes on with all that the log still has, and takes the
 * room's state from Redis as it is now: a ban among what is gone still holds. Other projections follow by themselves, with the first
 * event behind the hole; what was in it they do not know.
 *
 * A poisonous event: one that a projection cannot apply. It stays in the log, in the archive and in the other projections; this one
 * leaves it out, now and whenever it is replayed under this version. A new version tries it again: it may be what was mended.
 */
import type { Position } from '../src/domain/position.ts'
import { memberFrom } from '../src/commands/room-hashes.ts'
import { decodeEvent, type LogEvent } from '../src/log/codec.ts'
import type { Cold } from '../src/log/cold.ts'
import type { RoomHashes, RoomLog } from '../src/log/log.ts'
import { ARCHIVE } from '../src/store/archive.ts'
import type { Queryable, Store } from '../src/store/pool.ts'
import { versionOf } from '../src/store/skipped.ts'
import { archive, replaceState } from './archive.ts'
import { lockCheckpoints, moveCheckpoints } from './checkpoint.ts'

/** Events that the log may have behind the hole: they are read at once. More than any hot window should be. */
const EVENTS_MAX = 200_000
const APPLIED_AT_ONCE = 1000

export interface SkippedHole {
  /** First and last event that is missing. */
  readonly from: number
  readonly to: number
  /** Events behind the hole that were archived with it. */
  readonly applied: number
}

/** Who skips, and why, for the record. */
export interface Skipper {
  readonly by: string
  readonly reason?: string | undefined
}

interface Deps { readonly store: Store, readonly log: RoomLog, readonly cold: Cold }

/** Why nothing was skipped; the message is one line for people. */
export class NotSkipped extends Error {
  override name = 'NotSkipped'
}

/** Lets the archive go on behind the hole that its room is parked at. Throws NotSkipped, and faults of Redis and Postgres. */
export async function skipHole ({ store, log, cold }: Deps, roomId: string, { by, reason }: Skipper): Promise<SkippedHole> {
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
    await tx.query('INSERT INTO skipped (projection, room_id, from_seq, to_seq, skipped_by, reason) VALUES ($1, $2, $3, $4, $5, $6)', [ARCHIVE, roomId, hole.from, hole.to, by, reason ?? null])
    await tx.query("DELETE FROM parked_rooms WHERE room_id = $1 AND error_code = 'hole'", [roomId]) // of every projection: they follow
    return { ...hole, applied: events.length }
  })
}

/**
 * Lets a projection go on behind the one event that its room is parked at. A running projector takes it up with its next sweep.
 * The archive skips no event that is there: everything else is made of it. Throws NotSkipped, and faults of Postgres.
 * @param group name and version of the projection
 * @returns the seq that was skipped
 */
export async function skipEvent (store: Store, group: string, roomId: string, { by, reason }: Skipper): Promise<number> {
  if (group === ARCHIVE) throw new NotSkipped(`${ARCHIVE} skips holes only: every other read model is made of it.`)
  return await store.transaction(async tx => {
    const { rows: [parked] } = await tx.query<{ seq: number, event_id: string | null, error_code: string }>(`
      SELECT seq, event_id, error_code
        FROM parked_rooms
       WHERE projection = $1
         AND room_id = $2
         FOR UPDATE`, [group, roomId])
    if (parked === undefined) throw new NotSkipped(`Room ${roomId} is not parked in ${group}.`)
    const { seq, event_id, error_code } = parked
    if (error_code === 'hole') throw new NotSkipped(`Room ${roomId} is parked at a hole: skip it in ${ARCHIVE}, and ${group} follows by itself.`)
    if (event_id === null || error_code === 'parted') throw new NotSkipped(`Room ${roomId} is not parked at an event that could be left out (${error_code}).`)
    await tx.query(`
      INSERT INTO skipped (projection, room_id, from_seq, to_seq, event_id, skipped_by, reason)
      VALUES ($1, $2, $3, $3, $4, $5, $6)
          ON CONFLICT (projection, room_id, from_seq) DO UPDATE
         SET event_id = excluded.event_id, skipped_by = excluded.skipped_by, reason = excluded.reason, skipped_at = now()`, [versionOf(group), roomId, seq, event_id, by, reason ?? null])
    await tx.query('DELETE FROM parked_rooms WHERE projection = $1 AND room_id = $2', [group, roomId])
    return seq
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
