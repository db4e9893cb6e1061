/**
 * Lists of rooms from the read model `history`: the rooms of a user, and the directory of those that anyone may find. One
 * query each, however many rooms. As far as the projection is: the caller lays what a user has just done over it.
 */
import type { Queryable } from './pool.ts'

export interface ListedRoom {
  readonly id: string
  readonly name: string
  readonly kind: string
  readonly topic?: string
  /** The asking user's; in lists of their own rooms only. */
  readonly role?: string
  /** Last event that the read model has. */
  readonly head_seq?: number
  readonly last_message?: { readonly seq: number, readonly user_id: string, readonly content: string, readonly timestamp: string }
  readonly members?: number
}

export interface RoomList {
  readonly items: ListedRoom[]
  /** Hand it in as `after` for the next page; null on the last one. */
  readonly next: string | null
}

interface Row {
  id: string
  name: string
  kind: string
  topic: string
  role: string | null
  last_seq: number
  member_count: number
  seq: number | null
  user_id: string
  content: string
  timestamp: Date
}

const FIRST = '00000000-0000-0000-0000-000000000000'

/**
 * The newest message that the reader may see: in a room with `history: joined`, nothing from before they came in.
 * `rooms` and `seen_from` are of the query around it.
 */
const LAST_MESSAGE = `
      LEFT JOIN LATERAL (
           SELECT seq, user_id, content, timestamp
             FROM messages
            WHERE room_id = listed.id
            ORDER BY seq DESC
            LIMIT 1) AS newest
             ON newest.seq >= listed.seen_from`

/** Rooms that the user is in, and the lobby, in the order of their IDs (which is that of their making). */
export async function roomsOf (db: Queryable, userId: string, { after, limit }: { after?: string | undefined, limit: number }): Promise<RoomList> {
  const { rows } = await db.query<Row>({
    name: 'rooms_of',
    text: `
    SELECT listed.*, newest.*
      FROM (
           SELECT id, name, kind, topic, last_seq, member_count, role, CASE WHEN history = 'joined' THEN joined_seq ELSE 0 END AS seen_from
             FROM members
             JOIN rooms ON rooms.id = members.room_id
            WHERE members.user_id = $1
              AND members.role <> 'none'
              AND members.room_id > $2
              AND rooms.kind NOT IN ('inbox', 'lobby')
            UNION ALL
           SELECT id, name, kind, topic, last_seq, member_count, coalesce(nullif(role, 'none'), 'member'), 0
             FROM rooms
             LEFT JOIN members ON members.room_id = rooms.id AND members.user_id = $1
            WHERE kind = 'lobby'
              AND id > $2
            ORDER BY id
            LIMIT $3) AS listed${LAST_MESSAGE}
     ORDER BY listed.id`,
    values: [userId, after ?? FIRST, limit + 1],
  })
  return listOf(rows, limit)
}

/**
 * Rooms that anyone may find, by a part of their name if `query` is given, in the order of their IDs. Of protected rooms
 * only name and kind are told.
 */
export async function publicRooms (db: Queryable, query: string | undefined, { after, limit }: { after?: string | undefined, limit: number }): Promise<RoomList> {
  const { rows } = await db.query<Row>({
    name: 'public_rooms',
    text: `
    SELECT listed.*, newest.*
      FROM (
           SELECT id, name, kind, topic, last_seq, member_count, NULL AS role, CASE WHEN kind = 'protected' THEN NULL ELSE 0 END AS seen_from
             FROM rooms
            WHERE kind IN ('public', 'protected', 'lobby')
              AND id > $1
              AND ($2 = '' OR name ILIKE '%' || $2 || '%')
            ORDER BY id
            LIMIT $3) AS listed${LAST_MESSAGE}
     ORDER BY listed.id`,
    values: [after ?? FIRST, (query ?? '').replace(/[\\%_]/g, '\\$&'), limit + 1],
  })
  return listOf(rows, limit)
}

function listOf (rows: readonly Row[], limit: number): RoomList {
  const items = rows.slice(0, limit).map(roomOf)
  return { items, next: rows.length > limit ? items.at(-1)!.id : null }
}

function roomOf ({ id, name, kind, topic, role, last_seq, member_count, seq, user_id, content, timestamp }: Row): ListedRoom {
  if (kind === 'protected' && role === null) return { id, name, kind }
  return {
    id,
    name,
    kind,
    topic,
    ...(role === null ? {} : { role }),
    head_seq: last_seq,
    ...(seq === null ? {} : { last_message: { seq, user_id, content, timestamp: timestamp.toISOString() } }),
    members: member_count,
  }
}
