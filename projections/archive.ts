/**
 * The projection `archive`: every event of every room, exactly as the log has it, of known and unknown types and versions;
 * and beside it, in the same transaction, the state that restoring a room into Redis needs. Never rebuilt: it is the
 * log once the stream is trimmed.
 */
import { CorruptEvent } from '../src/log/codec.ts'
import type { Member } from '../src/domain/room.ts'
import type { Queryable } from '../src/store/pool.ts'
import { createColumns } from './columns.ts'
import { foldRooms, pairKey, type RoomChange } from './fold.ts'
import type { Projection, RoomBatch } from './projection.ts'

/** As Postgres writes a UUID: the chain is made of this text, so another spelling of the same UUID would break it. */
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

export const archive: Projection = {
  name: 'archive',
  version: 1,
  tables: ['events', 'room_state', 'member_state'],
  async apply (tx, batch) {
    await insertEvents(tx, batch)
    const changes = await foldRooms(batch, async pairs => await records(tx, pairs))
    await saveRooms(tx, changes)
    await saveMembers(tx, changes)
  },
}

async function insertEvents (tx: Queryable, batch: readonly RoomBatch[]): Promise<void> {
  const columns = createColumns(10)
  for (const { room_id, events } of batch) {
    for (const { entry, event } of events) {
      if (!UUID.test(entry.event_id)) throw new CorruptEvent(`the event at seq ${entry.seq} has the ID ${JSON.stringify(entry.event_id)}, which is no lower-case UUID`)
      columns.add(room_id, entry.seq, entry.chain, entry.event_id, event.user_id, event.type, entry.v, event.timestamp, event.client_id, entry.data)
    }
  }
  await tx.query({
    name: 'archive_events',
    text: `
    INSERT INTO events (room_id, seq, chain, event_id, user_id, type, v, timestamp, client_id, data)
    SELECT *
      FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::uuid[], $5::uuid[], $6::text[], $7::int[], $8::timestamptz[], $9::text[], $10::json[])`,
    values: columns.parameters(),
  })
}

async function records (tx: Queryable, pairs: ReadonlyArray<readonly [string, string]>): Promise<Map<string, Member>> {
  const columns = createColumns(2)
  for (const pair of pairs) columns.add(...pair)
  const { rows } = await tx.query<Member & { room_id: string, user_id: string }>(`
    SELECT room_id, user_id, role, muted_until, banned_until, joined_seq
      FROM member_state
      JOIN unnest($1::uuid[], $2::uuid[]) AS asked (room_id, user_id) USING (room_id, user_id)`, columns.parameters())
  return new Map(rows.map(({ room_id, user_id, ...member }) => [pairKey(room_id, user_id), member]))
}

async function saveRooms (tx: Queryable, changes: readonly RoomChange[]): Promise<void> {
  const columns = createColumns(9)
  for (const { room_id, last, meta, count } of changes) {
    columns.add(room_id, last.entry.seq, last.entry.chain, meta.kind, meta.name, meta.topic, meta.history, count.messages, count.rules)
  }
  await tx.query({
    name: 'archive_rooms',
    text: `
    INSERT INTO room_state (room_id, seq, chain, kind, name, topic, history, messages, rules)
    SELECT change.room_id, change.seq, change.chain,
           coalesce(change.kind, state.kind, 'private'), coalesce(change.name, state.name, ''),
           coalesce(change.topic, state.topic, ''), coalesce(change.history, state.history, 'all'),
           coalesce(state.messages, 0) + change.messages, coalesce(state.rules, 0) + change.rules
      FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bigint[], $9::bigint[])
           AS change (room_id, seq, chain, kind, name, topic, history, messages, rules)
      LEFT JOIN room_state AS state USING (room_id)
        ON CONFLICT (room_id) DO UPDATE
       SET seq = excluded.seq, chain = excluded.chain, kind = excluded.kind, name = excluded.name, topic = excluded.topic,
           history = excluded.history, messages = excluded.messages, rules = excluded.rules`,
    values: columns.parameters(),
  })
}

async function saveMembers (tx: Queryable, changes: readonly RoomChange[]): Promise<void> {
  const columns = createColumns(6)
  for (const { room_id, members } of changes) {
    for (const [user_id, { after }] of members) columns.add(room_id, user_id, after.role, after.muted_until, after.banned_until, after.joined_seq)
  }
  if (columns.rows === 0) return
  await tx.query(`
    INSERT INTO member_state (room_id, user_id, role, muted_until, banned_until, joined_seq)
    SELECT *
      FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[])
        ON CONFLICT (room_id, user_id) DO UPDATE
       SET role = excluded.role, muted_until = excluded.muted_until, banned_until = excluded.banned_until, joined_seq = excluded.joined_seq`, columns.parameters())
}
