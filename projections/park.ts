/**
 * Parked rooms: where a projection cannot apply an event, its room stands still there, visibly, and is replayed in order
 * once it is retried; other rooms go on [G10]. One row per projection and room. A parked room stays in the log and in the
 * other projections; nothing of it is lost.
 */
import type { Position } from '../src/domain/position.ts'
import type { ParkedRoom } from '../src/store/parked.ts'
import type { Queryable } from '../src/store/pool.ts'

export { listParked, type ParkedRoom } from '../src/store/parked.ts'

/** Parked rooms of some partitions: what a worker leaves out. */
export async function parkedIn (db: Queryable, group: string, partitions: readonly number[]): Promise<Array<Pick<ParkedRoom, 'room_id' | 'partition' | 'seq' | 'attempts'>>> {
  const { rows } = await db.query(`
    SELECT room_id, partition, seq, attempts
      FROM parked_rooms
     WHERE projection = $1
       AND partition = ANY ($2::int[])`, [group, partitions])
  return rows
}

/**
 * Lets the projection try the room again: a running projector takes it up with its next sweep, from its checkpoint on.
 * @param projection name and version, such as `history_v1`
 * @returns false if it was not parked
 */
export async function retryParked (db: Queryable, projection: string, roomId: string): Promise<boolean> {
  const { rowCount } = await db.query(`
    DELETE FROM parked_rooms
     WHERE projection = $1
       AND room_id = $2`, [projection, roomId])
  return rowCount === 1
}

/**
 * Parks a room whose checkpoint is still at `at`.
 * @returns false if it has moved meanwhile: another worker got further
 */
export async function park (db: Queryable, { projection, room_id, partition, at, seq, event_id, error, error_code, attempts }: Omit<ParkedRoom, 'parked_at'> & { at: Position }): Promise<boolean> {
  const { rowCount } = await db.query(`
    INSERT INTO parked_rooms (projection, room_id, partition, seq, event_id, error, error_code, attempts)
    SELECT projection, room_id, $3, $6, $7, $8, $9, $10
      FROM checkpoints
     WHERE projection = $1
       AND room_id = $2
       AND seq = $4
       AND chain = $5
       FOR UPDATE
        ON CONFLICT (projection, room_id) DO UPDATE
       SET seq = excluded.seq, event_id = excluded.event_id, error = excluded.error, error_code = excluded.error_code`,
  [projection, room_id, partition, at.seq, at.chain, seq, printable(event_id), printable(error), error_code, attempts])
  return rowCount === 1
}

/** Postgres stores no U+0000, and an error that quotes a whole event is cut. */
function printable <T extends string | null> (text: T): T {
  return text === null ? text : text.replaceAll('\0', '�').slice(0, 2000) as T
}
