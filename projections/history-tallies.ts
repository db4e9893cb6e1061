/**
 * What `history` keeps so that messages after any place can be counted at once, without going through them: deleted messages tallied in
 * blocks, and who is named where (`messages_after` of migration 0009 counts with them). Nothing here is written for a message that
 * is not deleted and names nobody; and for no member of a room because of being one.
 */
import type { MessageChanges } from '../src/domain/messages.ts'
import type { Queryable } from '../src/store/pool.ts'
import { createColumns } from './columns.ts'

interface RoomMessages { readonly room_id: string, readonly changes: MessageChanges }

/** Stands for anyone: as the author of tallied messages, and as who is named by `@room`. */
export const ANYONE = '00000000-0000-0000-0000-000000000000'
/** Sizes of blocks, as powers of two: with 256 blocks of each size in one of the next, any suffix is at most four runs of 255. */
const SHIFTS = [0, 8, 16, 24] as const

/** To be called before older messages are written as edited or deleted: their rows tell here whether they were deleted already, and whom they named. */
export async function saveTallies (tx: Queryable, rooms: readonly RoomMessages[]): Promise<void> {
  await tallyDeleted(tx, rooms)
  await saveMentions(tx, rooms)
}

async function tallyDeleted (tx: Queryable, rooms: readonly RoomMessages[]): Promise<void> {
  const gone: Array<{ room_id: string, seq: number, user_id: string }> = []
  const older = createColumns(2)
  for (const { room_id, changes: { sent, deleted } } of rooms) {
    for (const seq of deleted.keys()) {
      const user_id = sent.get(seq)?.event.user_id
      if (user_id === undefined) older.add(room_id, seq)
      else gone.push({ room_id, seq, user_id })
    }
  }
  if (older.rows > 0) {
    const { rows } = await tx.query<{ room_id: string, seq: number, user_id: string }>({
      name: 'history_to_delete',
      text: `
    SELECT messages.room_id, messages.seq, messages.user_id
      FROM unnest($1::uuid[], $2::bigint[]) AS gone (room_id, seq)
      JOIN messages ON messages.room_id = gone.room_id AND messages.seq = gone.seq
     WHERE NOT messages.deleted`,
      values: older.parameters(),
    })
    gone.push(...rows)
  }
  if (gone.length === 0) return
  const columns = createColumns(4)
  for (const { room_id, seq, user_id } of gone) {
    for (const shift of SHIFTS) for (const author of [user_id, ANYONE]) columns.add(room_id, author, shift, Math.floor(seq / 2 ** shift))
  }
  await tx.query({
    name: 'history_tallies',
    text: `
    INSERT INTO deleted_tallies (room_id, author_id, shift, block, deleted)
    SELECT room_id, author_id, shift, block, count(*)
      FROM unnest($1::uuid[], $2::uuid[], $3::smallint[], $4::bigint[]) AS gone (room_id, author_id, shift, block)
     GROUP BY room_id, author_id, shift, block
        ON CONFLICT (room_id, author_id, shift, block) DO UPDATE
       SET deleted = deleted_tallies.deleted + excluded.deleted`,
    values: columns.parameters(),
  })
}

/** Of messages whose text is new, and of those that are deleted: nobody is named any more, and then whom the newest text names. */
async function saveMentions (tx: Queryable, rooms: readonly RoomMessages[]): Promise<void> {
  const before = createColumns(2)
  const named = createColumns(3)
  for (const { room_id, changes: { sent, edits, deleted } } of rooms) {
    for (const seq of new Set([...edits.keys(), ...deleted.keys()])) if (!sent.has(seq)) before.add(room_id, seq)
    for (const seq of new Set([...sent.keys(), ...edits.keys()])) {
      const text = edits.get(seq)?.at(-1) ?? sent.get(seq)?.event
      if (text === undefined || deleted.has(seq)) continue
      for (const user of text.mentions_room === true ? [ANYONE] : new Set(text.mentions)) named.add(room_id, user, seq)
    }
  }
  if (before.rows > 0) {
    await tx.query({
      name: 'history_unmention',
      text: `
    DELETE FROM message_mentions
     USING unnest($1::uuid[], $2::bigint[]) AS changed (room_id, seq)
      JOIN messages ON messages.room_id = changed.room_id AND messages.seq = changed.seq
     WHERE message_mentions.room_id = changed.room_id
       AND message_mentions.seq = changed.seq
       AND message_mentions.user_id = ANY (messages.mentions || $3::uuid)`,
      values: [...before.parameters(), ANYONE],
    })
  }
  if (named.rows === 0) return
  await tx.query({
    name: 'history_mention',
    text: `
    INSERT INTO message_mentions (room_id, user_id, seq, author_id)
    SELECT named.room_id, named.user_id, named.seq, messages.user_id
      FROM unnest($1::uuid[], $2::uuid[], $3::bigint[]) AS named (room_id, user_id, seq)
      JOIN messages ON messages.room_id = named.room_id AND messages.seq = named.seq
     WHERE NOT messages.deleted
        ON CONFLICT DO NOTHING`,
    values: named.parameters(),
  })
}
