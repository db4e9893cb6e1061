/**
 * The projection `history`: rooms, members and messages, for message pages and room lists. Types of events that this version
 * does not know change nothing but how far the room has been applied.
 */
import { STRANGER, type Member } from '../src/domain/room.ts'
import type { Queryable } from '../src/store/pool.ts'
import { createColumns } from './columns.ts'
import { foldRooms, pairKey, type RoomChange } from './fold.ts'
import type { Projection, RoomBatch } from './projection.ts'

export const history: Projection = {
  name: 'history',
  version: 1,
  tables: ['rooms', 'members', 'messages'],
  async apply (tx, batch) {
    await insertMessages(tx, batch) // before the rooms: it numbers messages from the counts that they have
    const changes = await foldRooms(batch, async pairs => await records(tx, pairs))
    await saveRooms(tx, changes)
    await saveMembers(tx, changes)
  },
}

async function insertMessages (tx: Queryable, batch: readonly RoomBatch[]): Promise<void> {
  const columns = createColumns(9)
  for (const { room_id, events } of batch) {
    let nth = 0
    for (const { entry, event } of events) {
      if (event.type !== 'message') continue
      columns.add(room_id, entry.seq, ++nth, entry.event_id, event.user_id, event.content, event.timestamp, event.client_id, event.reply_to)
    }
  }
  if (columns.rows === 0) return
  await tx.query({
    name: 'history_messages',
    text: `
    INSERT INTO messages (room_id, seq, message_no, event_id, user_id, content, timestamp, client_id, reply_to)
    SELECT sent.room_id, sent.seq, coalesce(rooms.messages, 0) + sent.nth, sent.event_id, sent.user_id, sent.content, sent.timestamp, sent.client_id, sent.reply_to
      FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::uuid[], $5::uuid[], $6::text[], $7::timestamptz[], $8::text[], $9::bigint[])
           AS sent (room_id, seq, nth, event_id, user_id, content, timestamp, client_id, reply_to)
      LEFT JOIN rooms ON rooms.id = sent.room_id`,
    values: columns.parameters(),
  })
}

async function records (tx: Queryable, pairs: ReadonlyArray<readonly [string, string]>): Promise<Map<string, Member>> {
  const columns = createColumns(2)
  for (const pair of pairs) columns.add(...pair)
  const { rows } = await tx.query<Pick<Member, 'role' | 'joined_seq'> & { room_id: string, user_id: string }>(`
    SELECT room_id, user_id, role, joined_seq
      FROM members
      JOIN unnest($1::uuid[], $2::uuid[]) AS asked (room_id, user_id) USING (room_id, user_id)`, columns.parameters())
  return new Map(rows.map(({ room_id, user_id, ...member }) => [pairKey(room_id, user_id), { ...STRANGER, ...member }]))
}

async function saveRooms (tx: Queryable, changes: readonly RoomChange[]): Promise<void> {
  const columns = createColumns(10)
  for (const { room_id, last, created, meta, count, members } of changes) {
    let came = 0
    for (const { before, after } of members.values()) came += Number(after.role !== 'none') - Number(before.role !== 'none')
    columns.add(room_id, meta.kind, meta.name, meta.topic, meta.history, created?.user_id, created?.timestamp, last.entry.seq, count.messages, came)
  }
  await tx.query({
    name: 'history_rooms',
    text: `
    INSERT INTO rooms (id, kind, name, topic, history, created_by, created_at, last_seq, messages, member_count)
    SELECT change.id,
           coalesce(change.kind, room.kind, 'private'), coalesce(change.name, room.name, ''),
           coalesce(change.topic, room.topic, ''), coalesce(change.history, room.history, 'all'),
           coalesce(room.created_by, change.created_by), coalesce(room.created_at, change.created_at),
           change.last_seq, coalesce(room.messages, 0) + change.messages, coalesce(room.member_count, 0) + change.came
      FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::uuid[], $7::timestamptz[], $8::bigint[], $9::bigint[], $10::bigint[])
           AS change (id, kind, name, topic, history, created_by, created_at, last_seq, messages, came)
      LEFT JOIN rooms AS room USING (id)
        ON CONFLICT (id) DO UPDATE
       SET kind = excluded.kind, name = excluded.name, topic = excluded.topic, history = excluded.history,
           created_by = excluded.created_by, created_at = excluded.created_at,
           last_seq = excluded.last_seq, messages = excluded.messages, member_count = excluded.member_count`,
    values: columns.parameters(),
  })
}

async function saveMembers (tx: Queryable, changes: readonly RoomChange[]): Promise<void> {
  const columns = createColumns(7)
  for (const { room_id, members } of changes) {
    for (const [user_id, { after, by, joined }] of members) {
      const left = after.role === 'none' ? by : undefined
      columns.add(room_id, user_id, after.role, after.joined_seq, joined?.event.timestamp, left?.entry.seq, left?.event.timestamp)
    }
  }
  if (columns.rows === 0) return
  await tx.query(`
    INSERT INTO members (room_id, user_id, role, joined_seq, joined_at, left_seq, left_at)
    SELECT *
      FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::bigint[], $5::timestamptz[], $6::bigint[], $7::timestamptz[])
        ON CONFLICT (room_id, user_id) DO UPDATE
       SET role = excluded.role, joined_seq = excluded.joined_seq, joined_at = coalesce(excluded.joined_at, members.joined_at),
           left_seq = excluded.left_seq, left_at = excluded.left_at`, columns.parameters())
}
