/**
 * What was skipped by hand: holes in the archive, which nobody can read any more, and events that another projection could not
 * apply. Written by `projections/skip.ts`.
 */
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

/** A hole, or an event that a projection passes over. */
export interface Skipped extends Hole {
  /** Name and version. */
  readonly projection: string
  /** Null for holes. */
  readonly event_id: string | null
  readonly skipped_by: string | null
  readonly reason: string | null
}

/** All of them, of every projection, at most `limit`, in the order of rooms. */
export async function listSkipped (db: Queryable, { roomId, limit = 1000 }: { roomId?: string | undefined, limit?: number } = {}): Promise<Skipped[]> {
  const { rows } = await db.query<Skipped>(`
    SELECT projection, room_id, from_seq, to_seq, event_id, skipped_by, reason, skipped_at
      FROM skipped
     WHERE $1::uuid IS NULL OR room_id = $1
     ORDER BY room_id, from_seq, projection
     LIMIT $2`, [roomId ?? null, limit])
  return rows
}

/** The events that this projection passes over in these rooms, as `room seq`; a rebuild beside it those of the version that it fills. Holes of the archive are no events. */
export async function skippedEvents (db: Queryable, projection: string, roomIds: readonly string[]): Promise<Set<string>> {
  const { rows } = await db.query<{ room_id: string, from_seq: number }>({
    name: 'skipped_events',
    text: `
    SELECT room_id, from_seq
      FROM skipped
     WHERE projection = $1
       AND room_id = ANY ($2::uuid[])
       AND event_id IS NOT NULL`,
    values: [versionOf(projection), `{${roomIds.join(',')}}`],
  })
  return new Set(rows.map(({ room_id, from_seq }) => skipKey(room_id, from_seq)))
}

/** Under which name skips are kept: a rebuild (`history_rebuild_v2`) is the same code as what it becomes (`history_v2`), and leaves out the same. */
export const versionOf = (group: string): string => group.replace(/_rebuild(?=_v\d+$)/, '')

export const skipKey = (roomId: string, seq: number): string => `${roomId} ${seq}`
