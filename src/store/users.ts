/**
 * Users: reading and adding rows. Names come with their keys, which the caller makes; what a name may be is not asked here.
 */
import type { Queryable } from './pool.ts'

export const USER_KINDS = ['person', 'guest', 'imported', 'foreign'] as const
export type UserKind = typeof USER_KINDS[number]

export interface User {
  readonly id: string
  readonly username: string
  readonly display_name: string
  readonly email: string | null
  readonly avatar_url: string | null
  readonly status_text: string | null
  readonly kind: UserKind
  readonly created_at: Date
  /** Null for never. */
  readonly last_seen_at: Date | null
}

export const USER_COLUMNS = ['id', 'username', 'display_name', 'email', 'avatar_url', 'status_text', 'kind', 'created_at', 'last_seen_at'] as const
const COLUMNS = USER_COLUMNS.join(', ')

export async function userById (db: Queryable, id: string): Promise<User | undefined> {
  const { rows: [user] } = await db.query<User>(`
    SELECT ${COLUMNS}
      FROM users
     WHERE id = $1`, [id])
  return user
}

export type Credentials = User & { readonly password_hash: string | null, readonly disabled_at: Date | null }

export async function credentialsOf (db: Queryable, usernameKey: string): Promise<Credentials | undefined> {
  const { rows: [user] } = await db.query<Credentials>(`
    SELECT ${COLUMNS}, password_hash, disabled_at
      FROM users
     WHERE username_key = $1`, [usernameKey])
  return user
}

/** The hash of this user's password, null if they have none; undefined if there is no such user. */
export async function passwordHashOf (db: Queryable, id: string): Promise<{ readonly kind: UserKind, readonly password_hash: string | null } | undefined> {
  const { rows: [user] } = await db.query<{ kind: UserKind, password_hash: string | null }>(`
    SELECT kind, password_hash
      FROM users
     WHERE id = $1`, [id])
  return user
}

/** Whether this is still the user's password, and the account is not shut; it stays so until the transaction around this ends. */
export async function holdPassword (db: Queryable, id: string, hash: string): Promise<boolean> {
  const { rowCount } = await db.query(`
    SELECT
      FROM users
     WHERE id = $1
       AND password_hash = $2
       AND disabled_at IS NULL
       FOR SHARE`, [id, hash])
  return rowCount === 1
}

/** Sets the password of a person or, as their first, of a guest, who is a person then. False if it is not `before` any more. */
export async function changePassword (db: Queryable, id: string, { before, after }: { before: string | null, after: string }): Promise<boolean> {
  const { rowCount } = await db.query(`
    UPDATE users
       SET password_hash = $3,
           kind = 'person'
     WHERE id = $1
       AND password_hash IS NOT DISTINCT FROM $2
       AND kind IN ('person', 'guest')`, [id, before, after])
  return rowCount === 1
}

/** What users may change about themselves; what is left out stays. */
export interface ProfileChange {
  readonly display_name?: string | undefined
  readonly avatar_url?: string | null | undefined
  readonly status_text?: string | null | undefined
  readonly email?: string | null | undefined
}

export async function updateProfile (db: Queryable, id: string, { display_name, avatar_url, status_text, email }: ProfileChange): Promise<User | undefined> {
  const { rows: [user] } = await db.query<User>(`
    UPDATE users
       SET display_name = coalesce($2, display_name),
           avatar_url = CASE WHEN $3 THEN $4 ELSE avatar_url END,
           status_text = CASE WHEN $5 THEN $6 ELSE status_text END,
           email = CASE WHEN $7 THEN $8 ELSE email END
     WHERE id = $1
 RETURNING ${COLUMNS}`,
  [id, display_name ?? null, avatar_url !== undefined, avatar_url ?? null, status_text !== undefined, status_text ?? null, email !== undefined, email ?? null])
  return user
}

/** Notes when users were last seen. Only moves forward; users that do not exist are passed over. */
export async function noteLastSeen (db: Queryable, entries: ReadonlyArray<readonly [userId: string, at: Date]>): Promise<void> {
  if (entries.length === 0) return
  // Locked in the order of the IDs: two nodes that note the same users wait for each other in one order, so they cannot deadlock.
  await db.query(`
    WITH seen AS (
         SELECT id, max(at) AS at
           FROM unnest($1::uuid[], $2::timestamptz[]) AS entry (id, at)
          GROUP BY id
    ), locked AS (
         SELECT users.id, seen.at
           FROM users
           JOIN seen ON seen.id = users.id
          WHERE last_seen_at IS NULL OR last_seen_at < seen.at
          ORDER BY users.id
            FOR NO KEY UPDATE OF users
    )
    UPDATE users
       SET last_seen_at = locked.at
      FROM locked
     WHERE users.id = locked.id`, [entries.map(([userId]) => userId), entries.map(([, at]) => at)])
}

/** Who a foreign issuer calls `external_id`. */
export interface ExternalId {
  readonly issuer: string
  readonly external_id: string
}

export async function userByExternalId (db: Queryable, { issuer, external_id }: ExternalId): Promise<{ readonly id: string } | undefined> {
  const { rows: [user] } = await db.query<{ id: string }>(`
    SELECT id
      FROM users
     WHERE issuer = $1
       AND external_id = $2`, [issuer, external_id])
  return user
}

export type NewForeignUser = ExternalId & Pick<User, 'id' | 'username' | 'display_name' | 'created_at'> & { readonly username_key: string }

/** Adds a foreign user; undefined where the name is taken, or somebody else has just added this user. */
export async function insertForeignUser (db: Queryable, user: NewForeignUser): Promise<{ readonly id: string } | undefined> {
  const { rows: [added] } = await db.query<{ id: string }>(`
    INSERT INTO users (id, username, username_key, display_name, kind, created_at, issuer, external_id)
    VALUES ($1, $2, $3, $4, 'foreign', $5, $6, $7)
        ON CONFLICT DO NOTHING
 RETURNING id`,
  [user.id, user.username, user.username_key, user.display_name, user.created_at, user.issuer, user.external_id])
  return added
}

export type NewUser = Omit<Credentials, 'created_at' | 'disabled_at' | 'avatar_url' | 'status_text' | 'last_seen_at'> & { readonly username_key: string, readonly created_at: Date }

/** Adds a user; undefined where the name is taken. */
export async function insertUser (db: Queryable, user: NewUser): Promise<User | undefined> {
  const { rows: [added] } = await db.query<User>(`
    INSERT INTO users (id, username, username_key, display_name, email, password_hash, kind, created_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
        ON CONFLICT (username_key) DO NOTHING
 RETURNING ${COLUMNS}`,
  [user.id, user.username, user.username_key, user.display_name, user.email, user.password_hash, user.kind, user.created_at])
  return added
}

/** Users whose name begins with `prefix` (a key), by name, from after the key `after`. */
export async function usersByPrefix<T extends User = User> (db: Queryable, { prefix, after, limit }: { prefix: string, after: string, limit: number }, columns = COLUMNS): Promise<Array<T & { username_key: string }>> {
  const { rows } = await db.query<T & { username_key: string }>(String.raw`
    SELECT ${columns}, username_key
      FROM users
     WHERE username_key LIKE $1
       AND username_key > $2
     ORDER BY username_key
     LIMIT $3`, [prefix.replace(/[\\%_]/g, String.raw`\$&`) + '%', after, limit])
  return rows
}

/** Those of the IDs that are users. */
export async function existingUsers (db: Queryable, ids: readonly string[]): Promise<Set<string>> {
  const { rows } = await db.query<{ id: string }>({ name: 'existing_users', text: 'SELECT id FROM users WHERE id = ANY ($1::uuid[])', values: [ids] })
  return new Set(rows.map(({ id }) => id))
}

export interface NamedUser {
  readonly id: string
  readonly username_key: string
  readonly kind: UserKind
}

export async function usersByKeys (db: Queryable, usernameKeys: readonly string[]): Promise<NamedUser[]> {
  const { rows } = await db.query<NamedUser>(`
    SELECT id, username_key, kind
      FROM users
     WHERE username_key = ANY ($1::text[])`, [usernameKeys])
  return rows
}

/** Adds imported users; those whose name is taken are passed over. */
export async function insertImportedUsers (db: Queryable, users: ReadonlyArray<{ id: string, username: string, username_key: string }>, createdAt: Date): Promise<void> {
  // In the order of the keys: two imports that wait for each other's names wait in the same order, so they cannot deadlock.
  const sorted = users.toSorted((a, b) => a.username_key < b.username_key ? -1 : 1)
  await db.query(`
    INSERT INTO users (id, username, username_key, display_name, kind, created_at)
    SELECT id, username, username_key, username, 'imported', $4
      FROM unnest($1::uuid[], $2::text[], $3::text[]) AS new (id, username, username_key)
        ON CONFLICT (username_key) DO NOTHING`,
  [sorted.map(({ id }) => id), sorted.map(({ username }) => username), sorted.map(({ username_key }) => username_key), createdAt])
}
