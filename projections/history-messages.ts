/**
 * What `history` keeps of messages: their rows, what they said before their edits, reactions and pins. A batch is folded in memory
 * first (`foldMessages`), so the order of its events is settled there; then each table is written by one statement, and one
 * that has nothing to write is left out: a batch of messages costs one.
 */
import { foldMessages, type Edit, type MessageChanges } from '../src/domain/messages.ts'
import { copyInto } from '../src/store/copy.ts'
import type { Queryable } from '../src/store/pool.ts'
import { createColumns, createLines } from './columns.ts'
import { saveTallies } from './history-tallies.ts'
import type { RoomBatch } from './projection.ts'

interface RoomMessages { readonly room_id: string, readonly changes: MessageChanges }

/** To be called before the rooms are written: messages are numbered from the counts that these have. */
export async function saveMessages (tx: Queryable, batch: readonly RoomBatch[]): Promise<void> {
  const rooms = batch.map(({ room_id, events }) => ({ room_id, changes: foldMessages(events) }))
  await insertMessages(tx, rooms)
  await saveTallies(tx, rooms)
  await keepContents(tx, rooms)
  await editMessages(tx, rooms)
  await savePins(tx, rooms)
  await saveReactions(tx, rooms)
  await deleteMessages(tx, rooms)
}

/** Deleted messages that were not sent in the same run: they are tallied, and their place and author are left. */
export async function dropMessages (tx: Queryable, rooms: readonly RoomMessages[]): Promise<void> {
  await saveTallies(tx, rooms)
  await deleteMessages(tx, rooms)
}

const listed = (ids: readonly string[] | undefined): string | undefined => ids === undefined || ids.length === 0 ? undefined : `{${ids.join(',')}}`

const MESSAGE_COLUMNS = ['room_id', 'seq', 'message_no', 'author_no', 'event_id', 'user_id', 'timestamp', 'client_id', 'reply_to', 'thread', 'content', 'edited_at', 'mentions', 'mentions_room', 'attachments', 'deleted', 'deleted_by'] as const

/** Messages as they are at the end of the batch. */
async function insertMessages (tx: Queryable, rooms: readonly RoomMessages[]): Promise<void> {
  const numbers = await numbersOf(tx, rooms)
  const lines = createLines()
  let author = 0
  for (const { room_id, changes: { sent, edits, deleted } } of rooms) {
    const authors = new Map<string, Numbers>()
    let messageNo = 0
    for (const { seq, event_id, event } of sent.values()) {
      const { user_id, timestamp, client_id, reply_to, thread } = event
      let own = authors.get(user_id)
      if (own === undefined) authors.set(user_id, own = numbers[author++]!)
      const place = [room_id, seq, own.messages + ++messageNo, ++own.author_no, event_id, user_id, timestamp, client_id, reply_to, thread] as const
      if (deleted.has(seq)) {
        lines.add(...place, '', undefined, undefined, 'false', undefined, 'true', deleted.get(seq))
        continue
      }
      const edit = edits.get(seq)?.at(-1)
      const { content, mentions, mentions_room = false } = edit ?? event
      lines.add(...place, content, edit?.timestamp, listed(mentions), String(mentions_room), event.attachments === undefined ? undefined : JSON.stringify(event.attachments), 'false', undefined)
    }
  }
  await copyInto(tx, 'messages', MESSAGE_COLUMNS, lines.chunks())
}

/** How many messages a room, and an author in it, had before the batch. */
interface Numbers { readonly messages: number, author_no: number }

/**
 * Of each room and each author in it, in the order in which they come. What an author wrote last is looked up by a range, not by equality:
 * then no plan goes back through all messages of a large room.
 */
async function numbersOf (tx: Queryable, rooms: readonly RoomMessages[]): Promise<Numbers[]> {
  const columns = createColumns(2)
  for (const { room_id, changes: { sent } } of rooms) {
    for (const user of new Set([...sent.values()].map(({ event }) => event.user_id))) columns.add(room_id, user)
  }
  if (columns.rows === 0) return []
  const { rows } = await tx.query<Numbers>({
    name: 'history_numbers',
    text: `
    SELECT coalesce(rooms.messages, 0) AS messages,
           coalesce((SELECT author_no FROM messages WHERE messages.room_id = author.room_id AND messages.user_id BETWEEN author.user_id AND author.user_id ORDER BY messages.user_id DESC, messages.seq DESC LIMIT 1), 0) AS author_no
      FROM unnest($1::uuid[], $2::uuid[]) WITH ORDINALITY AS author (room_id, user_id, nth)
      LEFT JOIN rooms ON rooms.id = author.room_id
     ORDER BY author.nth`,
    values: columns.parameters(),
  })
  return rows
}

/** What messages said before each edit. Before the first edit of an older message, that is in its row: this comes before `editMessages`. */
async function keepContents (tx: Queryable, rooms: readonly RoomMessages[]): Promise<void> {
  const columns = createColumns(6)
  for (const { room_id, changes: { sent, edits } } of rooms) {
    for (const [message_seq, list] of edits) {
      let before: Pick<Edit, 'content' | 'timestamp'> | undefined = sent.get(message_seq)?.event
      for (const edit of list) {
        columns.add(room_id, message_seq, edit.seq, edit.timestamp, before?.content, before?.timestamp)
        before = edit
      }
    }
  }
  if (columns.rows === 0) return
  await tx.query({
    name: 'history_edits',
    text: `
    INSERT INTO message_edits (room_id, message_seq, seq, content, timestamp, edited_at)
    SELECT edit.room_id, edit.message_seq, edit.seq, coalesce(edit.content, messages.content),
           coalesce(edit.timestamp, messages.edited_at, messages.timestamp), edit.edited_at
      FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::timestamptz[], $5::text[], $6::timestamptz[])
           AS edit (room_id, message_seq, seq, edited_at, content, timestamp)
      JOIN messages ON messages.room_id = edit.room_id AND messages.seq = edit.message_seq
     WHERE NOT messages.deleted`,
    values: columns.parameters(),
  })
}

async function editMessages (tx: Queryable, rooms: readonly RoomMessages[]): Promise<void> {
  const columns = createColumns(6)
  for (const { room_id, changes: { sent, edits } } of rooms) {
    for (const [seq, list] of edits) {
      const { content, timestamp, mentions, mentions_room } = list.at(-1)!
      if (!sent.has(seq)) columns.add(room_id, seq, content, timestamp, listed(mentions), String(mentions_room))
    }
  }
  if (columns.rows === 0) return
  await tx.query({
    name: 'history_edited',
    text: `
    UPDATE messages
       SET content = edit.content, edited_at = edit.edited_at, mentions = edit.mentions::uuid[], mentions_room = edit.mentions_room
      FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::timestamptz[], $5::text[], $6::boolean[])
           AS edit (room_id, seq, content, edited_at, mentions, mentions_room)
     WHERE messages.room_id = edit.room_id
       AND messages.seq = edit.seq
       AND NOT messages.deleted`,
    values: columns.parameters(),
  })
}

async function savePins (tx: Queryable, rooms: readonly RoomMessages[]): Promise<void> {
  const removed = createColumns(2)
  const added = createColumns(5)
  for (const { room_id, changes: { pins } } of rooms) {
    for (const [message_seq, change] of pins) {
      if (change.removed) removed.add(room_id, message_seq)
      if (change.added !== undefined) added.add(room_id, message_seq, change.added.seq, change.added.user_id, change.added.timestamp)
    }
  }
  if (removed.rows > 0) await removeFrom(tx, 'pins', removed.parameters())
  if (added.rows === 0) return
  await tx.query({
    name: 'history_pins',
    text: `
    INSERT INTO pins (room_id, message_seq, seq, pinned_by, pinned_at)
    SELECT pin.*
      FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::uuid[], $5::timestamptz[]) AS pin (room_id, message_seq, seq, pinned_by, pinned_at)
      JOIN messages ON messages.room_id = pin.room_id AND messages.seq = pin.message_seq
     WHERE NOT messages.deleted
        ON CONFLICT DO NOTHING`,
    values: added.parameters(),
  })
}

async function saveReactions (tx: Queryable, rooms: readonly RoomMessages[]): Promise<void> {
  const removed = createColumns(4)
  const added = createColumns(5)
  const touched = createColumns(2)
  for (const { room_id, changes: { reactions } } of rooms) {
    for (const [message_seq, changes] of reactions) {
      touched.add(room_id, message_seq)
      for (const change of changes.values()) {
        if (change.removed) removed.add(room_id, message_seq, change.emoji, change.user_id)
        if (change.added !== undefined) added.add(room_id, message_seq, change.emoji, change.user_id, change.added.seq)
      }
    }
  }
  if (touched.rows === 0) return
  if (removed.rows > 0) {
    await tx.query({
      name: 'history_unreact',
      text: `
    DELETE FROM reactions
     USING unnest($1::uuid[], $2::bigint[], $3::text[], $4::uuid[]) AS gone (room_id, message_seq, emoji, user_id)
     WHERE reactions.room_id = gone.room_id
       AND reactions.message_seq = gone.message_seq
       AND reactions.emoji = gone.emoji
       AND reactions.user_id = gone.user_id`,
      values: removed.parameters(),
    })
  }
  if (added.rows > 0) {
    await tx.query({
      name: 'history_react',
      text: `
    INSERT INTO reactions (room_id, message_seq, emoji, user_id, seq)
    SELECT reaction.*
      FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::uuid[], $5::bigint[]) AS reaction (room_id, message_seq, emoji, user_id, seq)
      JOIN messages ON messages.room_id = reaction.room_id AND messages.seq = reaction.message_seq
     WHERE NOT messages.deleted
        ON CONFLICT DO NOTHING`,
      values: added.parameters(),
    })
  }
  // Of thousands of reactions to a message, the first and the last change its row.
  await tx.query({
    name: 'history_reacted',
    text: `
    UPDATE messages
       SET reacted = now.reacted
      FROM (SELECT room_id, seq, EXISTS (SELECT FROM reactions WHERE reactions.room_id = touched.room_id AND message_seq = touched.seq) AS reacted
              FROM unnest($1::uuid[], $2::bigint[]) AS touched (room_id, seq)) AS now
     WHERE messages.room_id = now.room_id
       AND messages.seq = now.seq
       AND messages.reacted <> now.reacted`,
    values: touched.parameters(),
  })
}

/** Leaves of deleted messages their place and author. Those of the batch have been inserted like that, and nothing hangs on them. */
async function deleteMessages (tx: Queryable, rooms: readonly RoomMessages[]): Promise<void> {
  const columns = createColumns(3)
  for (const { room_id, changes: { sent, deleted } } of rooms) {
    for (const [seq, by] of deleted) if (!sent.has(seq)) columns.add(room_id, seq, by)
  }
  if (columns.rows === 0) return
  const [roomIds = '', seqs = '', by = ''] = columns.parameters()
  for (const table of ['message_edits', 'reactions', 'pins'] as const) await removeFrom(tx, table, [roomIds, seqs])
  await tx.query({
    name: 'history_deleted',
    text: `
    UPDATE messages
       SET content = '', edited_at = NULL, mentions = NULL, mentions_room = false, attachments = NULL, reacted = false,
           deleted = true, deleted_by = coalesce(messages.deleted_by, gone.by)
      FROM unnest($1::uuid[], $2::bigint[], $3::uuid[]) AS gone (room_id, seq, by)
     WHERE messages.room_id = gone.room_id
       AND messages.seq = gone.seq`,
    values: [roomIds, seqs, by],
  })
}

/** Takes all that hangs on these messages out of a table. */
async function removeFrom (tx: Queryable, table: 'message_edits' | 'reactions' | 'pins', [roomIds, seqs]: string[]): Promise<void> {
  await tx.query({
    name: `history_remove_${table}`,
    text: `
    DELETE FROM ${table}
     USING unnest($1::uuid[], $2::bigint[]) AS gone (room_id, message_seq)
     WHERE ${table}.room_id = gone.room_id
       AND ${table}.message_seq = gone.message_seq`,
    values: [roomIds, seqs],
  })
}
