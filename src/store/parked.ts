/** Parked rooms as they are listed and looked at. Parking, retrying and skipping are in `projections/`. */
import type { Queryable } from './pool.ts'

export interface ParkedRoom {
  /** Name and version of the projection. */
  readonly projection: string
  readonly room_id: string
  readonly partition: number
  /** First event that is not applied. */
  readonly seq: number
  /** As the log has it; null where there is no such event. */
  readonly event_id: string | null
  readonly error: string
  /** SQLSTATE, `corrupt`, `bug`, `parted` or `hole`. */
  readonly error_code: string
  readonly parked_at: Date
  readonly attempts: number
}

/** Where a page of them goes on. */
export type ParkedPlace = Pick<ParkedRoom, 'parked_at' | 'projection' | 'room_id'>

/** Parked rooms, of one projection or of all, of one room or of all, oldest first, from behind `after`. */
export async function listParked (db: Queryable, { projection, room_id, after, limit = 1000 }: { projection?: string | undefined, room_id?: string | undefined, after?: ParkedPlace | undefined, limit?: number } = {}): Promise<ParkedRoom[]> {
  // By whole milliseconds, which is what a Date holds of the time that a page ends at.
  const { rows } = await db.query<ParkedRoom>(`
    SELECT projection, room_id, partition, seq, event_id, error, error_code, date_trunc('milliseconds', parked_at) AS parked_at, attempts
      FROM parked_rooms
     WHERE ($1::text IS NULL OR projection = $1)
       AND ($2::uuid IS NULL OR room_id = $2)
       AND ($3::timestamptz IS NULL OR (date_trunc('milliseconds', parked_at), projection, room_id) > ($3, $4::text, $5::uuid))
     ORDER BY date_trunc('milliseconds', parked_at), projection, room_id
     LIMIT $6`, [projection ?? null, room_id ?? null, after?.parked_at ?? null, after?.projection ?? null, after?.room_id ?? null, limit])
  return rows
}
