/**
 * Users: reading and adding rows. Names come with their keys, which the caller makes; what a name may be is not asked here.
 */
import type { Queryable } from './pool.ts'

export type UserKind = 'person' | 'guest' | 'imported'

export interface User {
  readonly id: string
  readonly username: string
  readonly display_name: string
  readonly email: string | null
  readonly kind: UserKind
  readonly created_at: Date
}

const COLUMNS = 'id, username, display_name, email, kind, created_at'

export async function userById (db: Queryable, id: string): Promise<User | undefined> {
  const { rows: [user] } = await db.query<User>(`
    SELECT ${COLUMNS}
      FROM users
     WHERE id = $1`, [id])
  return user
}

export type Credentials = User & { readonly password_hash: string | null }

export async function credentialsOf (db: Queryable, usernameKey: string): Promise<Credentials | undefined> {
  const { rows: [user] } = await db.query<Credentials>(`
    SELECT ${COLUMNS}, password_hash
      FROM users
     WHERE username_key = $1`, [usernameKey])
  return user
}

export type NewUser = Omit<Credentials, 'created_at'> & { readonly username_key: string, readonly created_at: Date }

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
export async function usersByPrefix (db: Queryable, { prefix, after, limit }: { prefix: string, after: string, limit: number }): Promise<Array<User & { username_key: string }>> {
  const { rows } = await db.query<User & { username_key: string }>(String.raw`
    SELECT ${COLUMNS}, username_key
      FROM users
     WHERE username_key LIKE $1
       AND username_key > $2
     ORDER BY username_key
     LIMIT $3`, [prefix.replace(/[\\%_]/g, String.raw`\$&`) + '%', after, limit])
  return rows
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
