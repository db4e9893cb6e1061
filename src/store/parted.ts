/** Events of histories that do not stand (`events_parted`): what was set aside when a room's log and the archive had parted. */
import type { Queryable } from './pool.ts'

export interface Parted {
  readonly room_id: string
  readonly events: number
  readonly from_seq: number
  readonly to_seq: number
}

/** Deletes what was set aside of a room, or of all rooms; returns what that was, by room. It cannot be read any more then. */
export async function forgetParted (tx: Queryable, roomId: string | undefined): Promise<Parted[]> {
  const { rows } = await tx.query<Parted>(`
    WITH gone AS (
         DELETE FROM events_parted
          WHERE $1::uuid IS NULL
             OR room_id = $1
      RETURNING room_id, seq)
    SELECT room_id, count(*) AS events, min(seq) AS from_seq, max(seq) AS to_seq
      FROM gone
     GROUP BY room_id
     ORDER BY room_id`, [roomId ?? null])
  return rows
}
