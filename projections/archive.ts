/**
 * The projection `archive`: every event of every room, exactly as the log has it, of known and unknown types and versions;
 * and beside it, in the same transaction, the state that restoring a room into Redis needs. Never rebuilt: it is the
 * log once the stream is trimmed.
 *
 * One thing is not kept: with the delete of a message, the message and its edits are overwritten with their tombstones. The
 * chain is made of event IDs, so it still proves.
 */
import type { StoredEvent } from '../src/domain/events.ts'
import { CorruptEvent, tombstoneOf } from '../src/log/codec.ts'
import type { Member, MetaField } from '../src/domain/room.ts'
import { copyInto } from '../src/store/copy.ts'
import type { Queryable } from '../src/store/pool.ts'
import { createColumns, createLines } from './columns.ts'
import { foldRooms, pairKey, type RoomChange } from './fold.ts'
import { queueTidings } from './inbox.ts'
import type { Projection, RoomBatch } from './projection.ts'

/** As Postgres writes a UUID: the chain is made of this text, so another spelling of the same UUID would break it. */
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/** Events that are overwritten at a time; a message may have been edited any number of times. */
const BLANKED_AT_ONCE = 500
const EVENT_COLUMNS = ['room_id', 'seq', 'chain', 'event_id', 'user_id', 'type', 'v', 'timestamp', 'client_id', 'data', 'session_id', 'message_seq'] as const
/** Fields of `meta` that have columns of their own. */
const COLUMNS: readonly string[] = ['kind', 'name', 'topic', 'history'] satisfies MetaField[]

export const archive: Projection = {
  name: 'archive',
  version: 1,
  tables: ['events', 'room_state', 'member_state'],
  rebuildable: false,
  async apply (tx, batch) {
    await insertEvents(tx, batch)
    await blankDeleted(tx, batch)
    await queueTidings(tx, await foldState(tx, batch))
  },
}

/** Folds a batch into the state that restoring needs; by itself, to fold anew what is archived already. */
export async function foldState (tx: Queryable, batch: readonly RoomBatch[]): Promise<RoomChange[]> {
  const changes = await foldRooms(batch, async pairs => await records(tx, pairs))
  await saveRooms(tx, changes)
  await saveMembers(tx, changes)
  return changes
}

/** Makes the state that restoring needs what Redis holds: after a hole, folding cannot. */
export async function replaceState (tx: Queryable, roomId: string, meta: ReadonlyMap<string, string>, members: ReadonlyMap<string, Member>): Promise<void> {
  const fields = ['seq', 'chain', ...COLUMNS, 'messages', 'rules', 'members', 'owners']
  const settings = Object.fromEntries([...meta].filter(([field]) => !fields.includes(field)))
  await tx.query('DELETE FROM room_state WHERE room_id = $1', [roomId])
  await tx.query('DELETE FROM member_state WHERE room_id = $1', [roomId])
  const text = (field: string): string => meta.get(field) ?? ''
  const number = (field: string): number => Number(meta.get(field) ?? 0)
  await tx.query(`
    INSERT INTO room_state (room_id, seq, chain, kind, name, topic, history, settings, messages, rules, members, owners)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
  [roomId, number('seq'), text('chain'), text('kind'), text('name'), text('topic'), meta.get('history') ?? 'all', JSON.stringify(settings), number('messages'), number('rules'), number('members'), number('owners')])
  const columns = createColumns(5)
  for (const [user, { role, muted_until, banned_until, joined_seq }] of members) columns.add(user, role, muted_until, banned_until, joined_seq)
  await tx.query(`
    INSERT INTO member_state (room_id, user_id, role, muted_until, banned_until, joined_seq)
    SELECT $1, *
      FROM unnest($2::uuid[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[])`, [roomId, ...columns.parameters()])
}

async function insertEvents (tx: Queryable, batch: readonly RoomBatch[]): Promise<void> {
  const lines = createLines()
  for (const { room_id, events } of batch) {
    for (const { entry, event } of events) {
      if (!UUID.test(entry.event_id)) throw new CorruptEvent(`the event at seq ${entry.seq} has the ID ${JSON.stringify(entry.event_id)}, which is no lower-case UUID`)
      lines.add(room_id, entry.seq, entry.chain, entry.event_id, event.user_id, event.type, entry.v, event.timestamp, event.client_id, entry.data, entry.by, aboutOf(event))
    }
  }
  await copyInto(tx, 'events', EVENT_COLUMNS, lines.chunks())
}

/** The message that an edit or a delete is about; the archive keeps odd ones too. */
function aboutOf (event: StoredEvent): number | undefined {
  return (event.type === 'edit' || event.type === 'delete') && Number.isSafeInteger(event.message_seq) ? event.message_seq : undefined
}

interface Archived { room_id: string, seq: number, data: string }

/**
 * Leaves of deleted messages and their edits only the tombstones: those that were archived before, those of this batch, and
 * edits that come after the delete.
 */
async function blankDeleted (tx: Queryable, batch: readonly RoomBatch[]): Promise<void> {
  const touched = new Set<string>()
  for (const { room_id, events } of batch) {
    for (const { event } of events) {
      const about = aboutOf(event)
      if (about !== undefined) touched.add(`${room_id} ${about}`)
    }
  }
  if (touched.size === 0) return
  const columns = createColumns(2)
  for (const pair of touched) columns.add(...pair.split(' '))
  let last: Pick<Archived, 'room_id' | 'seq'> = { room_id: '00000000-0000-0000-0000-000000000000', seq: 0 }
  for (;;) {
    const { rows } = await tx.query<Archived>({
      name: 'archive_deleted',
      text: `
    SELECT found.room_id, found.seq, found.data
      FROM unnest($1::uuid[], $2::bigint[]) AS touched (room_id, message_seq)
     CROSS JOIN LATERAL (
           SELECT room_id, seq, data
             FROM events
            WHERE room_id = touched.room_id
              AND seq = touched.message_seq
            UNION ALL
           SELECT room_id, seq, data
             FROM events
            WHERE room_id = touched.room_id
              AND message_seq = touched.message_seq
              AND type = 'edit') AS found
     WHERE (found.room_id, found.seq) > ($3, $4)
       AND EXISTS (
           SELECT
             FROM events
            WHERE room_id = touched.room_id
              AND message_seq = touched.message_seq
              AND type = 'delete')
     ORDER BY found.room_id, found.seq
     LIMIT ${BLANKED_AT_ONCE}`,
      values: [...columns.parameters(), last.room_id, last.seq],
    })
    await blank(tx, rows)
    if (rows.length < BLANKED_AT_ONCE) return
    last = rows.at(-1)!
  }
}

/** Leaves only tombstones of these; returns of how many. Only this code knows how one is written, so that the text is the one that is read from the stream. */
export async function blank (tx: Queryable, rows: readonly Archived[]): Promise<number> {
  const columns = createColumns(3)
  for (const { room_id, seq, data } of rows) {
    const event = JSON.parse(data) as Record<string, unknown>
    if ('content' in event && event.deleted !== true) columns.add(room_id, seq, JSON.stringify(tombstoneOf(event)))
  }
  if (columns.rows === 0) return 0
  await tx.query({
    name: 'archive_blank',
    text: `
    UPDATE events
       SET data = tombstone.data
      FROM unnest($1::uuid[], $2::bigint[], $3::json[]) AS tombstone (room_id, seq, data)
     WHERE events.room_id = tombstone.room_id
       AND events.seq = tombstone.seq`,
    values: columns.parameters(),
  })
  return columns.rows
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
  const columns = createColumns(12)
  for (const { room_id, last, meta, count } of changes) {
    const settings = Object.fromEntries(Object.entries(meta).filter(([field]) => !COLUMNS.includes(field)))
    columns.add(room_id, last.entry.seq, last.entry.chain, meta.kind, meta.name, meta.topic, meta.history, JSON.stringify(settings), count.messages, count.rules, count.members, count.owners)
  }
  await tx.query({
    name: 'archive_rooms',
    text: `
    INSERT INTO room_state (room_id, seq, chain, kind, name, topic, history, settings, messages, rules, members, owners)
    SELECT change.room_id, change.seq, change.chain,
           coalesce(change.kind, state.kind, 'private'), coalesce(change.name, state.name, ''),
           coalesce(change.topic, state.topic, ''), coalesce(change.history, state.history, 'all'),
           coalesce(state.settings, '{}') || change.settings,
           coalesce(state.messages, 0) + change.messages, coalesce(state.rules, 0) + change.rules,
           coalesce(state.members, 0) + change.members, coalesce(state.owners, 0) + change.owners
      FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::jsonb[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[])
           AS change (room_id, seq, chain, kind, name, topic, history, settings, messages, rules, members, owners)
      LEFT JOIN room_state AS state USING (room_id)
        ON CONFLICT (room_id) DO UPDATE
       SET seq = excluded.seq, chain = excluded.chain, kind = excluded.kind, name = excluded.name, topic = excluded.topic,
           history = excluded.history, settings = excluded.settings, messages = excluded.messages, rules = excluded.rules,
           members = excluded.members, owners = excluded.owners`,
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
