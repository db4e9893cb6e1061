/**
 * Passwords of protected rooms, as hashes. The row is written before the room is made, so that no room is ever open for want of
 * one; a room without a row is entered with an invite only.
 */
import type { Queryable } from './pool.ts'

/** The hash (a PHC string) of this room's password; undefined if it has none. */
export async function roomPasswordOf (db: Queryable, roomId: string): Promise<string | undefined> {
  const { rows: [row] } = await db.query<{ password_hash: string }>(`
    SELECT password_hash
      FROM room_passwords
     WHERE room_id = $1`, [roomId])
  return row?.password_hash
}

/** Sets the first password of a room that is about to be made. One that is there stays: the same request came before. */
export async function addRoomPassword (db: Queryable, roomId: string, hash: string, now: Date): Promise<void> {
  await db.query(`
    INSERT INTO room_passwords (room_id, password_hash, changed_at)
    VALUES ($1, $2, $3)
        ON CONFLICT (room_id) DO NOTHING`, [roomId, hash, now])
}

/** Sets the password of a room, in place of another or as its first. */
export async function changeRoomPassword (db: Queryable, roomId: string, hash: string, now: Date): Promise<void> {
  await db.query(`
    INSERT INTO room_passwords (room_id, password_hash, changed_at)
    VALUES ($1, $2, $3)
        ON CONFLICT (room_id) DO UPDATE
       SET password_hash = excluded.password_hash,
           changed_at = excluded.changed_at`, [roomId, hash, now])
}

/** Takes the password of a room away; with `hash` only if it is that one. */
export async function removeRoomPassword (db: Queryable, roomId: string, hash?: string): Promise<void> {
  await db.query(`
    DELETE FROM room_passwords
     WHERE room_id = $1
       AND ($2::text IS NULL OR password_hash = $2)`, [roomId, hash ?? null])
}
