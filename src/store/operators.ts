/**
 * Operators: who is one, whom they have shut out, and what they did. Asked at each request: who is none any more can do nothing from that
 * moment on.
 */
import type { Queryable } from './pool.ts'
import { USER_COLUMNS, usersByPrefix, type User } from './users.ts'

/** Name of this user if they are an operator now; undefined if they are not. */
export async function operatorName (db: Queryable, userId: string): Promise<string | undefined> {
  const { rows: [user] } = await db.query<{ username: string }>({
    name: 'operator_name',
    text: `
    SELECT username
      FROM users
     WHERE id = $1
       AND operator
       AND disabled_at IS NULL`,
    values: [userId],
  })
  return user?.username
}

/** Makes the user with this name an operator, or takes that away. Undefined if there is none; `changed` is false if it was so already. */
export async function setOperator (db: Queryable, usernameKey: string, operator: boolean): Promise<{ readonly id: string, readonly changed: boolean } | undefined> {
  const { rows: [user] } = await db.query<{ id: string, changed: boolean }>(`
    UPDATE users
       SET operator = $2
      FROM (SELECT id, operator
              FROM users
             WHERE username_key = $1
               FOR UPDATE) AS before
     WHERE users.id = before.id
 RETURNING users.id, before.operator <> $2 AS changed`, [usernameKey, operator])
  return user
}

export async function listOperators (db: Queryable): Promise<Array<{ readonly id: string, readonly username: string, readonly disabled_at: Date | null }>> {
  const { rows } = await db.query<{ id: string, username: string, disabled_at: Date | null }>(`
    SELECT id, username, disabled_at
      FROM users
     WHERE operator
     ORDER BY username_key`)
  return rows
}

export interface NewAct {
  readonly id: string
  /** Left out for the command line. */
  readonly operator_id?: string
  readonly operator: string
  readonly action: string
  readonly user_id?: string | undefined
  readonly room_id?: string | undefined
  /** More facts; never a secret. */
  readonly detail?: Readonly<Record<string, unknown>>
  readonly address?: string | null
}

export interface Act {
  readonly id: string
  readonly at: Date
  readonly operator_id: string | null
  readonly operator: string
  readonly action: string
  readonly user_id: string | null
  readonly room_id: string | null
  readonly detail: Readonly<Record<string, unknown>>
  readonly address: string | null
}

export async function insertAct (db: Queryable, { id, operator_id, operator, action, user_id, room_id, detail = {}, address }: NewAct): Promise<void> {
  await db.query(`
    INSERT INTO operator_acts (id, operator_id, operator, action, user_id, room_id, detail, address)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`, [id, operator_id ?? null, operator, action, user_id ?? null, room_id ?? null, JSON.stringify(detail), address ?? null])
}

/** Newest first, from below the act `after`; at most `limit`. */
export async function listActs (db: Queryable, { after, limit }: { after?: string | undefined, limit: number }): Promise<Act[]> {
  const { rows } = await db.query<Act>(`
    SELECT id, at, operator_id, operator, action, user_id, room_id, detail, address
      FROM operator_acts
     WHERE $1::uuid IS NULL OR (at, id) < (SELECT at, id FROM operator_acts WHERE id = $1)
     ORDER BY at DESC, id DESC
     LIMIT $2`, [after ?? null, limit])
  return rows
}

/** A user as operators see them. */
export interface KnownUser extends User {
  readonly operator: boolean
  /** Null for no. */
  readonly disabled_at: Date | null
}

const COLUMNS = [...USER_COLUMNS, 'operator', 'disabled_at'].join(', ')

export async function knownUser (db: Queryable, id: string): Promise<KnownUser | undefined> {
  const { rows: [user] } = await db.query<KnownUser>(`
    SELECT ${COLUMNS}
      FROM users
     WHERE id = $1`, [id])
  return user
}

/** As `usersByPrefix`, with what operators know of them. */
export async function knownUsers (db: Queryable, asked: { prefix: string, after: string, limit: number }): Promise<Array<KnownUser & { readonly username_key: string }>> {
  return await usersByPrefix<KnownUser>(db, asked, COLUMNS)
}

/** Shuts an account, or opens it again. False if it was so already, or there is none. */
export async function setDisabled (db: Queryable, id: string, disabledAt: Date | null): Promise<boolean> {
  const { rowCount } = await db.query(`
    UPDATE users
       SET disabled_at = $2
     WHERE id = $1
       AND (disabled_at IS NULL) = ($2::timestamptz IS NOT NULL)`, [id, disabledAt])
  return rowCount === 1
}

/** Sets a password whatever it was before. False where this user has none here. */
export async function resetPassword (db: Queryable, id: string, hash: string): Promise<boolean> {
  const { rowCount } = await db.query(`
    UPDATE users
       SET password_hash = $2,
           kind = 'person'
     WHERE id = $1
       AND kind IN ('person', 'guest')`, [id, hash])
  return rowCount === 1
}

/** Ends all sessions of a user that are not over; returns their IDs. */
export async function revokeAllSessions (db: Queryable, userId: string, now: Date): Promise<string[]> {
  const { rows } = await db.query<{ id: string }>(`
    UPDATE sessions
       SET revoked_at = $2,
           revoked_for = 'operator'
     WHERE user_id = $1
       AND revoked_at IS NULL
 RETURNING id`, [userId, now])
  return rows.map(({ id }) => id)
}

/** Sessions of a user that operators ended since then. */
export async function endedByOperators (db: Queryable, userId: string, since: Date): Promise<string[]> {
  const { rows } = await db.query<{ id: string }>(`
    SELECT id
      FROM sessions
     WHERE user_id = $1
       AND revoked_for = 'operator'
       AND revoked_at >= $2`, [userId, since])
  return rows.map(({ id }) => id)
}

/** Ends one session, of anybody; undefined if there is none, or it is over. */
export async function revokeAnySession (db: Queryable, id: string, now: Date): Promise<{ readonly id: string, readonly user_id: string } | undefined> {
  const { rows: [session] } = await db.query<{ id: string, user_id: string }>(`
    UPDATE sessions
       SET revoked_at = $2,
           revoked_for = 'operator'
     WHERE id = $1
       AND revoked_at IS NULL
       AND expires_at > $2
 RETURNING id, user_id`, [id, now])
  return session
}

export interface KnownRoom {
  readonly id: string
  readonly name: string
  readonly kind: string
  readonly topic: string
  readonly members: number
  readonly messages: number
  readonly last_seq: number
  readonly archived: boolean
  readonly removed: boolean
  readonly created_by: string | null
  readonly created_at: Date | null
}

const ROOM_COLUMNS = 'id, name, kind, topic, member_count AS members, messages, last_seq, archived, removed, created_by, created_at'

/** Rooms of every kind but inboxes, removed ones too, by a part of the name, in the order of their IDs. */
export async function knownRooms (db: Queryable, { query, after, limit }: { query: string, after?: string | undefined, limit: number }): Promise<KnownRoom[]> {
  const { rows } = await db.query<KnownRoom>(`
    SELECT ${ROOM_COLUMNS}
      FROM rooms
     WHERE kind <> 'inbox'
       AND ($2::uuid IS NULL OR id > $2)
       AND ($1 = '' OR name ILIKE '%' || $1 || '%')
     ORDER BY id
     LIMIT $3`, [query.replace(/[\\%_]/g, '\\$&'), after ?? null, limit])
  return rows
}

export async function knownRoom (db: Queryable, id: string): Promise<KnownRoom | undefined> {
  const { rows: [room] } = await db.query<KnownRoom>(`
    SELECT ${ROOM_COLUMNS}
      FROM rooms
     WHERE id = $1`, [id])
  return room
}

/** How far each projection has applied a room. */
export async function checkpointsOf (db: Queryable, roomId: string): Promise<Array<{ readonly projection: string, readonly seq: number, readonly chain: string, readonly updated_at: Date }>> {
  const { rows } = await db.query<{ projection: string, seq: number, chain: string, updated_at: Date }>(`
    SELECT projection, seq, chain, updated_at
      FROM checkpoints
     WHERE room_id = $1
     ORDER BY projection`, [roomId])
  return rows
}
