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
  readonly archived?: true
  /** As it is now: edited, or a tombstone without content. */
  readonly last_message?: { readonly seq: number, readonly user_id: string, readonly content: string, readonly timestamp: string, readonly edited_at?: string, readonly deleted?: true }
  readonly members?: number
  /** The two of a DM. */
  readonly peers?: string[]
  /** The other one, in lists of the asking user's own rooms. */
  readonly peer?: { readonly user_id: string, readonly username: string, readonly display_name: string, readonly avatar_url: string | null }
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
  archived: boolean
  peers: string[]
  last_seq: number
  member_count: number
  seq: number | null
  user_id: string
  content: string
  timestamp: Date
  edited_at: Date | null
  deleted: boolean
  peer_id: string | null
  username: string
  display_name: string
  avatar_url: string | null
}

const FIRST = '00000000-0000-0000-0000-000000000000'

/**
 * The newest message that the reader may see: in a room with `history: joined`, nothing from before they came in.
 * `rooms` and `seen_from` are of the query around it.
 */
const LAST_MESSAGE = `
      LEFT JOIN LATERAL (
           SELECT seq, user_id, content, timestamp, edited_at, deleted
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
    SELECT listed.*, newest.*, peer.id AS peer_id, peer.username, peer.display_name, peer.avatar_url
      FROM (
           SELECT id, name, kind, topic, archived, peers, last_seq, member_count, role, CASE WHEN history = 'joined' THEN joined_seq ELSE 0 END AS seen_from
             FROM members
             JOIN rooms ON rooms.id = members.room_id
            WHERE members.user_id = $1
              AND members.role NOT IN ('none', 'kicked')
              AND members.room_id > $2
              AND rooms.kind NOT IN ('inbox', 'lobby')
              AND NOT rooms.removed
            UNION ALL
           SELECT id, name, kind, topic, archived, peers, last_seq, member_count, coalesce(nullif(nullif(role, 'none'), 'kicked'), 'member'), 0
             FROM rooms
             LEFT JOIN members ON members.room_id = rooms.id AND members.user_id = $1
            WHERE kind = 'lobby'
              AND id > $2
            ORDER BY id
            LIMIT $3) AS listed${LAST_MESSAGE}
      LEFT JOIN users AS peer
             ON listed.kind = 'dm'
            AND peer.id = CASE WHEN listed.peers[1] = $1 THEN listed.peers[2] ELSE listed.peers[1] END
     ORDER BY listed.id`,
    values: [userId, after ?? FIRST, limit + 1],
  })
  return listOf(rows, limit)
}

/** IDs of the rooms that the user is in, but for lobby and inbox, the last made first. */
export async function roomIdsOf (db: Queryable, userId: string, limit: number): Promise<string[]> {
  const { rows } = await db.query<{ room_id: string }>({
    name: 'room_ids_of',
    text: `
    SELECT room_id
      FROM members
      JOIN rooms ON rooms.id = members.room_id
     WHERE members.user_id = $1
       AND members.role NOT IN ('none', 'kicked')
       AND rooms.kind NOT IN ('inbox', 'lobby')
       AND NOT rooms.removed
     ORDER BY room_id DESC
     LIMIT $2`,
    values: [userId, limit],
  })
  return rows.map(({ room_id }) => room_id)
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
           SELECT id, name, kind, topic, archived, last_seq, member_count, NULL AS role, CASE WHEN kind = 'protected' THEN NULL ELSE 0 END AS seen_from
             FROM rooms
            WHERE kind IN ('public', 'protected', 'lobby')
              AND NOT removed
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

function roomOf (row: Row): ListedRoom {
  const { id, name, kind, topic, role, archived, peers, last_seq, member_count, peer_id, username, display_name, avatar_url } = row
  if (kind === 'protected' && role === null) return { id, name, kind }
  return {
    id,
    name,
    kind,
    topic,
    ...(role === null ? {} : { role }),
    ...(archived ? { archived } : {}),
    head_seq: last_seq,
    ...(row.seq === null ? {} : { last_message: lastMessageOf({ ...row, seq: row.seq }) }),
    members: member_count,
    ...(kind === 'dm' ? { peers } : {}),
    ...(peer_id == null ? {} : { peer: { user_id: peer_id, username, display_name, avatar_url } }), // the directory has none
  }
}

function lastMessageOf ({ seq, user_id, content, timestamp, edited_at, deleted }: Row & { seq: number }): NonNullable<ListedRoom['last_message']> {
  return {
    seq,
    user_id,
    content,
    timestamp: timestamp.toISOString(),
    ...(edited_at === null ? {} : { edited_at: edited_at.toISOString() }),
    ...(deleted ? { deleted } : {}),
  }
}
