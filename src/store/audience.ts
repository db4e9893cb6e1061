/** Who is told of somebody's presence: the users who list them, without those whom they have blocked, and the rooms that they are in. */
import type { Queryable } from './pool.ts'
import { BLOCKS_MAX } from './contacts.ts'

/** Users who list somebody that are told of them; and rooms. Beyond it, nobody is: presence is no more than a courtesy. */
export const CONTACTS_TOLD_MAX = 1000
export const ROOMS_TOLD_MAX = 200

export interface Audience {
  readonly user_id: string
  readonly contacts: readonly string[]
  readonly blocked: readonly string[]
  /** As the read model knows them. */
  readonly rooms: readonly string[]
}

/** The audiences of many users, in one query. */
export async function audiencesOf (db: Queryable, userIds: readonly string[]): Promise<Audience[]> {
  const { rows } = await db.query<Audience>(`
    SELECT subject.id AS user_id,
           ARRAY (SELECT contacts.user_id::text
                    FROM contacts
                   WHERE contact_id = subject.id
                     AND NOT EXISTS (SELECT FROM blocks WHERE blocks.user_id = subject.id AND blocked_id = contacts.user_id)
                   LIMIT $2) AS contacts,
           ARRAY (SELECT blocked_id::text
                    FROM blocks
                   WHERE blocks.user_id = subject.id
                   LIMIT $3) AS blocked,
           ARRAY (SELECT room_id::text
                    FROM members
                   WHERE members.user_id = subject.id
                     AND role <> 'none'
                     AND role <> 'kicked'
                   LIMIT $4) AS rooms
      FROM unnest($1::uuid[]) AS subject (id)`, [userIds, CONTACTS_TOLD_MAX, BLOCKS_MAX, ROOMS_TOLD_MAX])
  return rows
}
