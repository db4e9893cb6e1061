/** Holes in the archive that were skipped by hand: nobody can read what was in them. Written by `projections/skip.ts`. */
import { ARCHIVE } from './archive.ts'
import type { Queryable } from './pool.ts'

export interface Hole { readonly room_id: string, readonly from_seq: number, readonly to_seq: number, readonly skipped_at: Date }

/** Last seq of the hole that begins right behind `after`, or that `after` lies in; undefined if none does. */
export async function holeAfter (db: Queryable, roomId: string, after: number): Promise<number | undefined> {
  const { rows: [hole] } = await db.query<{ to_seq: number }>({
    name: 'hole_after',
    text: `
    SELECT max(to_seq) AS to_seq
      FROM skipped
     WHERE projection = $1
       AND room_id = $2
       AND from_seq <= $3 + 1
       AND to_seq > $3`,
    values: [ARCHIVE, roomId, after],
  })
  return hole?.to_seq ?? undefined
}

/** All of them, at most `limit`, in the order of rooms. */
export async function listHoles (db: Queryable, { roomId, limit = 1000 }: { roomId?: string | undefined, limit?: number } = {}): Promise<Hole[]> {
  const { rows } = await db.query<Hole>(`
    SELECT room_id, from_seq, to_seq, skipped_at
      FROM skipped
     WHERE projection = $1
       AND ($2::uuid IS NULL OR room_id = $2)
     ORDER BY room_id, from_seq
     LIMIT $3`, [ARCHIVE, roomId ?? null, limit])
  return rows
}
