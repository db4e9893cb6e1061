/**
 * Sessions: one row for each log-in of a device. Each change is one statement that says what must still be true, so two
 * gateways that act on a session at the same time cannot both win.
 */
import type { Queryable } from './pool.ts'

export interface NewSession {
  readonly id: string
  readonly user_id: string
  readonly device_id: string | null
  readonly user_agent: string | null
  readonly refresh_family: Buffer
  readonly refresh_hash: Buffer
  readonly created_at: Date
  readonly expires_at: Date
}

export async function insertSession (db: Queryable, session: NewSession): Promise<void> {
  await db.query(`
    INSERT INTO sessions (id, user_id, device_id, user_agent, refresh_family, refresh_hash, created_at, used_at, expires_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $7, $8)`,
  [session.id, session.user_id, session.device_id, session.user_agent, session.refresh_family, session.refresh_hash, session.created_at, session.expires_at])
}

export interface SessionRef {
  readonly id: string
  readonly user_id: string
}

/** Exchanges the session's refresh token, if `hash` is the current one and the session is alive. */
export async function rotateSession (db: Queryable, { family, hash, nextHash, now, expiresAt }: { family: Buffer, hash: Buffer, nextHash: Buffer, now: Date, expiresAt: Date }): Promise<SessionRef | undefined> {
  const { rows: [session] } = await db.query<SessionRef>(`
    UPDATE sessions
       SET refresh_hash = $3,
           used_at = $4,
           expires_at = $5
     WHERE refresh_family = $1
       AND refresh_hash = $2
       AND revoked_at IS NULL
       AND expires_at > $4
 RETURNING id, user_id`, [family, hash, nextHash, now, expiresAt])
  return session
}

/** Revokes the session of which `hash` was a token before; undefined if it is the current one, or the session is over. */
export async function revokeReused (db: Queryable, { family, hash, now }: { family: Buffer, hash: Buffer, now: Date }): Promise<SessionRef | undefined> {
  const { rows: [session] } = await db.query<SessionRef>(`
    UPDATE sessions
       SET revoked_at = $3,
           revoked_for = 'reuse'
     WHERE refresh_family = $1
       AND refresh_hash <> $2
       AND revoked_at IS NULL
 RETURNING id, user_id`, [family, hash, now])
  return session
}

/** Ends a session by its ID or by the family of its refresh token. Ending it twice does nothing more. */
export async function endSession (db: Queryable, { id, family, now }: { id?: string | undefined, family?: Buffer | undefined, now: Date }): Promise<SessionRef | undefined> {
  const { rows: [session] } = await db.query<SessionRef>(`
    UPDATE sessions
       SET revoked_at = $3,
           revoked_for = 'logout'
     WHERE (id = $1 OR refresh_family = $2)
       AND revoked_at IS NULL
 RETURNING id, user_id`, [id ?? null, family ?? null, now])
  return session
}

/** Deletes sessions that were over before `before`; returns how many. */
export async function deleteOldSessions (db: Queryable, before: Date): Promise<number> {
  const { rowCount } = await db.query(`
    DELETE FROM sessions
     WHERE expires_at < $1
        OR revoked_at < $1`, [before])
  return rowCount ?? 0
}
