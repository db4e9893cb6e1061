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
  readonly address: string | null
  readonly refresh_family: Buffer
  readonly refresh_hash: Buffer
  readonly created_at: Date
  readonly expires_at: Date
}

export async function insertSession (db: Queryable, session: NewSession): Promise<void> {
  await db.query(`
    INSERT INTO sessions (id, user_id, device_id, user_agent, address, refresh_family, refresh_hash, created_at, used_at, expires_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8, $9)`,
  [session.id, session.user_id, session.device_id, session.user_agent, session.address, session.refresh_family, session.refresh_hash, session.created_at, session.expires_at])
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

/** Ends the sessions with this ID or this family of refresh tokens, if they are not over; mostly that is one. */
export async function endSession (db: Queryable, { id, family, now }: { id?: string | undefined, family?: Buffer | undefined, now: Date }): Promise<SessionRef[]> {
  const { rows } = await db.query<SessionRef>(`
    UPDATE sessions
       SET revoked_at = $3,
           revoked_for = 'logout'
     WHERE (id = $1 OR refresh_family = $2)
       AND revoked_at IS NULL
 RETURNING id, user_id`, [id ?? null, family ?? null, now])
  return rows
}

/** Ends one session of a user; undefined if it is not theirs, or over. */
export async function revokeSessionOf (db: Queryable, userId: string, { id, now }: { id: string, now: Date }): Promise<SessionRef | undefined> {
  const { rows: [session] } = await db.query<SessionRef>(`
    UPDATE sessions
       SET revoked_at = $3,
           revoked_for = 'owner'
     WHERE id = $1
       AND user_id = $2
       AND revoked_at IS NULL
       AND expires_at > $3
 RETURNING id, user_id`, [id, userId, now])
  return session
}

/** Ends all sessions of a user but the one with the ID `except`, because the password was changed; returns their IDs. */
export async function revokeOtherSessions (db: Queryable, userId: string, { except, now }: { except: string, now: Date }): Promise<string[]> {
  const { rows } = await db.query<{ id: string }>(`
    UPDATE sessions
       SET revoked_at = $3,
           revoked_for = 'password'
     WHERE user_id = $1
       AND id <> $2
       AND revoked_at IS NULL
 RETURNING id`, [userId, except, now])
  return rows.map(({ id }) => id)
}

/** Sessions that were revoked after `since`. */
export async function revokedSince (db: Queryable, since: Date): Promise<Array<{ readonly id: string, readonly revoked_at: Date }>> {
  const { rows } = await db.query<{ id: string, revoked_at: Date }>(`
    SELECT id, revoked_at
      FROM sessions
     WHERE revoked_at > $1`, [since])
  return rows
}

export interface SessionRow {
  readonly id: string
  readonly device_id: string | null
  readonly user_agent: string | null
  readonly address: string | null
  readonly created_at: Date
  /** Log-in or last refresh. */
  readonly used_at: Date
}

/** The sessions of a user that are alive, newest first, from below the session `after`; at most `limit`. */
export async function sessionsOf (db: Queryable, userId: string, { after, limit, now }: { after?: string | undefined, limit: number, now: Date }): Promise<SessionRow[]> {
  const { rows } = await db.query<SessionRow>(`
    SELECT id, device_id, user_agent, address, created_at, used_at
      FROM sessions
     WHERE user_id = $1
       AND revoked_at IS NULL
       AND expires_at > $2
       AND ($3::uuid IS NULL OR (created_at, id) < (SELECT created_at, id FROM sessions WHERE id = $3 AND user_id = $1))
     ORDER BY created_at DESC, id DESC
     LIMIT $4`, [userId, now, after ?? null, limit])
  return rows
}

/** Deletes sessions that were over before `before`; returns how many. */
export async function deleteOldSessions (db: Queryable, before: Date): Promise<number> {
  const { rowCount } = await db.query(`
    DELETE FROM sessions
     WHERE expires_at < $1
        OR revoked_at < $1`, [before])
  return rowCount ?? 0
}
