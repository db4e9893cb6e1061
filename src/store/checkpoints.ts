/** How far a projection has applied rooms, for reads that must know what a read model lacks. Moved by `projections/` alone. */
import type { Queryable } from './pool.ts'

/** The last seq applied by the live version of the projection in each of these rooms; a room that was never applied is absent. */
export async function appliedSeqs (db: Queryable, projection: string, roomIds: readonly string[]): Promise<Map<string, number>> {
  const { rows } = await db.query<{ room_id: string, seq: number }>(`
    SELECT room_id, seq
      FROM checkpoints
     WHERE projection = (SELECT live_group($1))
       AND room_id = ANY ($2::uuid[])`, [projection, roomIds])
  return new Map(rows.map(({ room_id, seq }) => [room_id, seq]))
}
