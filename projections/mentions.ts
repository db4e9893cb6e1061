/**
 * The projection `mentions`: whom messages name as they are now, and since when, for `GET /mentions`. An edit may name others, a delete
 * nobody. What names everyone (`@room`) is one row, under an ID that no user has: it costs the same in a room of two and of 10,000.
 *
 * It keeps which messages were deleted: an edit that was decided before the delete may come after it, and names nobody then.
 */
import { foldMessages, type MessageChanges } from '../src/domain/messages.ts'
import { EVERYONE } from '../src/store/mentions.ts'
import type { Queryable } from '../src/store/pool.ts'
import { createColumns } from './columns.ts'
import type { Projection } from './projection.ts'

interface RoomChanges { readonly room_id: string, readonly changes: MessageChanges }

export const mentions: Projection = {
  name: 'mentions',
  version: 1,
  source: 'archive',
  tables: ['mentions', 'mentions_deleted'],
  async apply (tx, batch) {
    const rooms = batch.map(({ room_id, events }) => ({ room_id, changes: foldMessages(events) }))
    await noteDeleted(tx, rooms)
    await removeNamed(tx, rooms)
    await insertNamed(tx, rooms)
  },
  async forget (tx, roomIds) {
    for (const table of ['mentions', 'mentions_deleted']) await tx.query(`DELETE FROM ${table} WHERE room_id = ANY ($1::uuid[])`, [roomIds])
  },
}

/** Deleted messages that were not sent in the same run name nobody any more. */
export async function dropMentions (tx: Queryable, rooms: readonly RoomChanges[]): Promise<void> {
  await noteDeleted(tx, rooms)
  await removeNamed(tx, rooms)
}

interface Naming { readonly timestamp: string, readonly mentions?: readonly string[] | undefined, readonly mentions_room?: boolean | undefined }

/**
 * Who is named by the last of these versions of a message, and by which without a break: `at` is its time, `since` its number.
 * Each once, whatever the events say.
 */
function namedBy (versions: readonly Naming[]): Array<{ readonly user_id: string, readonly at: string, readonly since: number }> {
  let named = new Map<string, { at: string, since: number }>()
  for (const [since, { timestamp: at, mentions = [], mentions_room = false }] of versions.entries()) {
    const users = mentions_room ? [...mentions, EVERYONE] : mentions
    named = new Map(users.map(user => [user, named.get(user) ?? { at, since }]))
  }
  return [...named].map(([user_id, by]) => ({ user_id, ...by }))
}

async function noteDeleted (tx: Queryable, rooms: readonly RoomChanges[]): Promise<void> {
  const columns = createColumns(2)
  for (const { room_id, changes: { deleted } } of rooms) for (const seq of deleted.keys()) columns.add(room_id, seq)
  if (columns.rows === 0) return
  await tx.query({
    name: 'mentions_deleted',
    text: `
    INSERT INTO mentions_deleted (room_id, seq)
    SELECT gone.*
      FROM unnest($1::uuid[], $2::bigint[]) AS gone (room_id, seq)
        ON CONFLICT DO NOTHING`,
    values: columns.parameters(),
  })
}

/** Of older messages: those whom an edit does not name any more, even if a later one names them again; of deleted ones all. */
async function removeNamed (tx: Queryable, rooms: readonly RoomChanges[]): Promise<void> {
  const columns = createColumns(3)
  for (const { room_id, changes: { sent, edits, deleted } } of rooms) {
    for (const [seq, list] of edits) {
      if (!sent.has(seq)) columns.add(room_id, seq, `{${namedBy(list).filter(({ since }) => since === 0).map(({ user_id }) => user_id).join()}}`)
    }
    for (const seq of deleted.keys()) if (!sent.has(seq)) columns.add(room_id, seq, '{}')
  }
  if (columns.rows === 0) return
  await tx.query({
    name: 'mentions_removed',
    text: `
    DELETE FROM mentions
     USING unnest($1::uuid[], $2::bigint[], $3::text[]) AS version (room_id, seq, stay)
     WHERE mentions.room_id = version.room_id
       AND mentions.seq = version.seq
       AND mentions.user_id <> ALL (version.stay::uuid[])`,
    values: columns.parameters(),
  })
}

/** Those who are named at the end of the batch. Who was before, and without a break, has been since then. */
async function insertNamed (tx: Queryable, rooms: readonly RoomChanges[]): Promise<void> {
  const columns = createColumns(4)
  for (const { room_id, changes: { sent, edits, deleted } } of rooms) {
    for (const seq of new Set([...sent.keys(), ...edits.keys()])) {
      if (deleted.has(seq)) continue
      const message = sent.get(seq)
      const versions = [...message === undefined ? [] : [message.event], ...edits.get(seq) ?? []]
      for (const { user_id, at } of namedBy(versions)) columns.add(room_id, seq, user_id, at)
    }
  }
  if (columns.rows === 0) return
  await tx.query({
    name: 'mentions_named',
    text: `
    INSERT INTO mentions (room_id, seq, user_id, named_at)
    SELECT named.*
      FROM unnest($1::uuid[], $2::bigint[], $3::uuid[], $4::timestamptz[]) AS named (room_id, seq, user_id, named_at)
     WHERE NOT EXISTS (SELECT FROM mentions_deleted AS gone WHERE gone.room_id = named.room_id AND gone.seq = named.seq)
        ON CONFLICT DO NOTHING`,
    values: columns.parameters(),
  })
}
