/**
 * The projection `history`: rooms, members and messages with their reactions, edits and pins, for message pages and lists of
 * rooms and members. Types of events that this version does not know change nothing but how far the room has been applied.
 */
import type { Member } from '../src/domain/room.ts'
import type { Queryable } from '../src/store/pool.ts'
import { createColumns } from './columns.ts'
import { foldRooms, pairKey, type RoomChange } from './fold.ts'
import { saveMessages } from './history-messages.ts'
import type { Projection } from './projection.ts'

export const history: Projection = {
  name: 'history',
  version: 1,
  source: 'archive',
  tables: ['rooms', 'members', 'messages', 'message_edits', 'reactions', 'pins', 'deleted_tallies', 'message_mentions'],
  lookups: ['messages_user'],
  async apply (tx, batch) {
    await saveMessages(tx, batch) // before the rooms: it numbers messages from the counts that they have
    const changes = await foldRooms(batch, async pairs => await records(tx, pairs))
    await saveRooms(tx, changes)
    await saveMembers(tx, changes)
  },
  async forget (tx, roomIds) {
    for (const table of ['messages', 'message_edits', 'reactions', 'pins', 'deleted_tallies', 'message_mentions', 'members']) await tx.query(`DELETE FROM ${table} WHERE room_id = ANY ($1::uuid[])`, [roomIds])
    await tx.query('DELETE FROM rooms WHERE id = ANY ($1::uuid[])', [roomIds])
  },
}

async function records (tx: Queryable, pairs: ReadonlyArray<readonly [string, string]>): Promise<Map<string, Member>> {
  const columns = createColumns(2)
  for (const pair of pairs) columns.add(...pair)
  const { rows } = await tx.query<Member & { room_id: string, user_id: string }>(`
    SELECT room_id, user_id, role, muted_until, banned_until, joined_seq
      FROM members
      JOIN unnest($1::uuid[], $2::uuid[]) AS asked (room_id, user_id) USING (room_id, user_id)`, columns.parameters())
  return new Map(rows.map(({ room_id, user_id, ...member }) => [pairKey(room_id, user_id), member]))
}

async function saveRooms (tx: Queryable, changes: readonly RoomChange[]): Promise<void> {
  const columns = createColumns(16)
  for (const { room_id, last, created, meta, count } of changes) {
    columns.add(
      room_id, meta.kind, meta.name, meta.topic, meta.history, created?.user_id, created?.timestamp, last.entry.seq, count.messages, count.members,
      meta.members_max, meta.message_chars_max, meta.slow_mode_s, boolean(meta.archived), boolean(meta.removed), meta.peers === undefined ? undefined : `{${meta.peers.replaceAll(' ', ',')}}`)
  }
  await tx.query({
    name: 'history_rooms',
    text: `
    INSERT INTO rooms (id, kind, name, topic, history, created_by, created_at, last_seq, messages, member_count,
                       members_max, message_chars_max, slow_mode_s, archived, removed, peers)
    SELECT change.id,
           coalesce(change.kind, room.kind, 'private'), coalesce(change.name, room.name, ''),
           coalesce(change.topic, room.topic, ''), coalesce(change.history, room.history, 'all'),
           coalesce(room.created_by, change.created_by), coalesce(room.created_at, change.created_at),
           change.last_seq, coalesce(room.messages, 0) + change.messages, coalesce(room.member_count, 0) + change.came,
           coalesce(change.members_max, room.members_max, 0), coalesce(change.message_chars_max, room.message_chars_max, 0),
           coalesce(change.slow_mode_s, room.slow_mode_s, 0), coalesce(change.archived, room.archived, false),
           coalesce(change.removed, room.removed, false), coalesce(change.peers::uuid[], room.peers, '{}')
      FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::uuid[], $7::timestamptz[], $8::bigint[], $9::bigint[], $10::bigint[],
                  $11::bigint[], $12::bigint[], $13::bigint[], $14::boolean[], $15::boolean[], $16::text[])
           AS change (id, kind, name, topic, history, created_by, created_at, last_seq, messages, came,
                      members_max, message_chars_max, slow_mode_s, archived, removed, peers)
      LEFT JOIN rooms AS room USING (id)
        ON CONFLICT (id) DO UPDATE
       SET kind = excluded.kind, name = excluded.name, topic = excluded.topic, history = excluded.history,
           created_by = excluded.created_by, created_at = excluded.created_at,
           last_seq = excluded.last_seq, messages = excluded.messages, member_count = excluded.member_count,
           members_max = excluded.members_max, message_chars_max = excluded.message_chars_max, slow_mode_s = excluded.slow_mode_s,
           archived = excluded.archived, removed = excluded.removed, peers = excluded.peers`,
    values: columns.parameters(),
  })
}

/** As `meta` has it. */
const boolean = (text: string | undefined): 'true' | 'false' | undefined => text === undefined ? undefined : text === '1' ? 'true' : 'false'

async function saveMembers (tx: Queryable, changes: readonly RoomChange[]): Promise<void> {
  const columns = createColumns(9)
  for (const { room_id, members } of changes) {
    for (const [user_id, { after, joined, left }] of members) {
      columns.add(room_id, user_id, after.role, after.muted_until, after.banned_until, after.joined_seq, joined?.event.timestamp, left?.entry.seq, left?.event.timestamp)
    }
  }
  if (columns.rows === 0) return
  // When they last went out is told of those who are out; what happens to them there, a ban lifted, does not change it.
  await tx.query(`
    INSERT INTO members (room_id, user_id, role, muted_until, banned_until, joined_seq, joined_at, left_seq, left_at)
    SELECT room_id, user_id, role, muted_until, banned_until, joined_seq, joined_at,
           CASE WHEN role IN ('none', 'kicked') THEN left_seq END, CASE WHEN role IN ('none', 'kicked') THEN left_at END
      FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::timestamptz[], $8::bigint[], $9::timestamptz[])
           AS change (room_id, user_id, role, muted_until, banned_until, joined_seq, joined_at, left_seq, left_at)
        ON CONFLICT (room_id, user_id) DO UPDATE
       SET role = excluded.role, muted_until = excluded.muted_until, banned_until = excluded.banned_until,
           joined_seq = excluded.joined_seq, joined_at = coalesce(excluded.joined_at, members.joined_at),
           left_seq = CASE WHEN excluded.role IN ('none', 'kicked') THEN coalesce(excluded.left_seq, members.left_seq) END,
           left_at = CASE WHEN excluded.role IN ('none', 'kicked') THEN coalesce(excluded.left_at, members.left_at) END`, columns.parameters())
}
