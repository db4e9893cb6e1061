/**
 * The projection `search`: the words of messages as they are now, for full-text search. An edit moves them, a delete takes them
 * away, in the transaction of the checkpoint. Which words a text has is settled by `domain/search.ts`; Postgres is handed finished
 * `tsvector`s.
 */
import { foldMessages, type MessageChanges } from '../src/domain/messages.ts'
import { facetOf, hasOf, tsvectorOf } from '../src/domain/search.ts'
import { copyInto } from '../src/store/copy.ts'
import type { Queryable } from '../src/store/pool.ts'
import { createColumns, createLines } from './columns.ts'
import type { Projection } from './projection.ts'

interface RoomChanges { readonly room_id: string, readonly changes: MessageChanges }

export const search: Projection = {
  name: 'search',
  version: 1,
  source: 'archive',
  tables: ['search_messages'],
  async apply (tx, batch) {
    const rooms = batch.map(({ room_id, events }) => ({ room_id, changes: foldMessages(events) }))
    await insertWords(tx, rooms)
    await moveWords(tx, rooms)
    await removeWords(tx, rooms)
  },
  async forget (tx, roomIds) {
    await tx.query('DELETE FROM search_messages WHERE room_id = ANY ($1::uuid[])', [roomIds])
  },
}

/** Messages as they are at the end of the batch; those that it deleted again never had words. */
async function insertWords (tx: Queryable, rooms: readonly RoomChanges[]): Promise<void> {
  const lines = createLines()
  for (const { room_id, changes: { sent, edits, deleted } } of rooms) {
    for (const { seq, event } of sent.values()) {
      if (deleted.has(seq)) continue
      const { content, mentions, mentions_room } = edits.get(seq)?.at(-1) ?? event
      const { user_id, timestamp, attachments } = event
      const facets = [facetOf.room(room_id), facetOf.user(user_id), ...hasOf({ content, mentions, mentions_room, attachments }).map(facetOf.has)]
      lines.add(room_id, seq, user_id, timestamp, String(attachments !== undefined), tsvectorOf(content, facets))
    }
  }
  await copyInto(tx, 'search_messages', ['room_id', 'seq', 'user_id', 'timestamp', 'attached', 'words'], lines.chunks())
}

/** Of edited messages from before the batch: what author and attachments add to the words is known to the row alone. */
async function moveWords (tx: Queryable, rooms: readonly RoomChanges[]): Promise<void> {
  const columns = createColumns(3)
  for (const { room_id, changes: { sent, edits } } of rooms) {
    for (const [seq, list] of edits) {
      const edit = list.at(-1)!
      if (!sent.has(seq)) columns.add(room_id, seq, tsvectorOf(edit.content, [facetOf.room(room_id), ...hasOf(edit).map(facetOf.has)]))
    }
  }
  if (columns.rows === 0) return
  await tx.query({
    name: 'search_edited',
    text: `
    UPDATE search_messages AS message
       SET words = edit.words || array_to_tsvector(ARRAY['=u' || right(replace(message.user_id::text, '-', ''), 12)] || CASE WHEN message.attached THEN ARRAY['=attachment'] ELSE '{}' END)
      FROM unnest($1::uuid[], $2::bigint[], $3::tsvector[]) AS edit (room_id, seq, words)
     WHERE message.room_id = edit.room_id
       AND message.seq = edit.seq`,
    values: columns.parameters(),
  })
}

/** Of deleted messages that were not sent in the same run. */
export async function removeWords (tx: Queryable, rooms: readonly RoomChanges[]): Promise<void> {
  const columns = createColumns(2)
  for (const { room_id, changes: { sent, deleted } } of rooms) for (const seq of deleted.keys()) if (!sent.has(seq)) columns.add(room_id, seq)
  if (columns.rows === 0) return
  await tx.query({
    name: 'search_deleted',
    text: `
    DELETE FROM search_messages AS message
     USING unnest($1::uuid[], $2::bigint[]) AS gone (room_id, seq)
     WHERE message.room_id = gone.room_id
       AND message.seq = gone.seq`,
    values: columns.parameters(),
  })
}
