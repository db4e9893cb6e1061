/**
 * Contacts and blocks: two lists of users that each user keeps, bounded, and the questions that others ask about them. Lists are
 * in the order of user names, a page in one query.
 */
import type { Queryable, Store } from './pool.ts'
import { USER_COLUMNS, type User } from './users.ts'

/** Users that one user may list as contacts; as many may be blocked. */
export const CONTACTS_MAX = 1000
export const BLOCKS_MAX = 1000

/** What became of putting a user on a list. */
export type Listed = 'listed' | 'no such user' | 'full'

export type ListedUser = User & { readonly username_key: string, readonly listed_at: Date }

export interface PeopleList {
  /** Puts `other` on the list of `userId`; again does nothing. `now` is when. */
  put: (store: Store, userId: string, other: string, now: Date) => Promise<Listed>
  /** Takes `other` off the list; if they are not on it, nothing happens. */
  remove: (db: Queryable, userId: string, other: string) => Promise<void>
  /** By name, from after the key `after`; at most `limit`. */
  page: (db: Queryable, userId: string, page: { after: string, limit: number }) => Promise<ListedUser[]>
}

export const contacts: PeopleList = peopleList({ table: 'contacts', column: 'contact_id', max: CONTACTS_MAX })
export const blocks: PeopleList = peopleList({ table: 'blocks', column: 'blocked_id', max: BLOCKS_MAX })

function peopleList ({ table, column, max }: { table: 'contacts' | 'blocks', column: 'contact_id' | 'blocked_id', max: number }): PeopleList {
  return {
    async put (store, userId, other, now) {
      return await store.transaction(async db => {
        // One change of a user's lists at a time: two that count at once would both find room for one more.
        await db.query('SELECT FROM users WHERE id = $1 FOR NO KEY UPDATE', [userId])
        const { rows: [found] } = await db.query<{ exists: boolean, listed: boolean, full: boolean }>(`
          WITH found AS (
               SELECT EXISTS (SELECT FROM users WHERE id = $2) AS exists,
                      EXISTS (SELECT FROM ${table} WHERE user_id = $1 AND ${column} = $2) AS listed,
                      (SELECT count(*) FROM ${table} WHERE user_id = $1) >= $4 AS full
          ), added AS (
               INSERT INTO ${table} (user_id, ${column}, created_at)
               SELECT $1, $2, $3
                 FROM found
                WHERE exists AND NOT listed AND NOT "full"
          )
          SELECT exists, listed, "full" FROM found`, [userId, other, now, max])
        if (!found!.exists) return 'no such user'
        return found!.full && !found!.listed ? 'full' : 'listed'
      })
    },

    async remove (db, userId, other) {
      await db.query(`
        DELETE FROM ${table}
         WHERE user_id = $1
           AND ${column} = $2`, [userId, other])
    },

    async page (db, userId, { after, limit }) {
      const { rows } = await db.query<ListedUser>(`
        SELECT ${USER_COLUMNS.map(name => `users.${name}`).join(', ')}, username_key, ${table}.created_at AS listed_at
          FROM ${table}
          JOIN users ON users.id = ${column}
         WHERE user_id = $1
           AND username_key > $2
         ORDER BY username_key
         LIMIT $3`, [userId, after, limit])
      return rows
    },
  }
}

/** Whether `by` has blocked `user`. */
export async function isBlocked (db: Queryable, { by, user }: { by: string, user: string }): Promise<boolean> {
  const { rows: [row] } = await db.query<{ blocked: boolean }>('SELECT EXISTS (SELECT FROM blocks WHERE user_id = $1 AND blocked_id = $2) AS blocked', [by, user])
  return row!.blocked
}

/** Those of `others` between whom and this user there is a block, whoever made it. */
export async function blockedAmong (db: Queryable, userId: string, others: readonly string[]): Promise<string[]> {
  const { rows } = await db.query<{ id: string }>(`
    SELECT blocked_id AS id FROM blocks WHERE user_id = $1 AND blocked_id = ANY ($2::uuid[])
     UNION
    SELECT user_id AS id FROM blocks WHERE blocked_id = $1 AND user_id = ANY ($2::uuid[])`, [userId, others])
  return rows.map(({ id }) => id)
}
