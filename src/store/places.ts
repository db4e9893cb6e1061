/** Messages at given places of a room, as they are now: the read model joined with the log, as `history.ts` does it for pages. */
import { foldMessages } from '../domain/messages.ts'
import { shownAll } from './history.ts'
import { HISTORY, MESSAGE_COLUMNS, reactionsTouched, storedMessages, type Message } from './messages.ts'
import { beyond, readSuffix, type LogReads } from './suffix.ts'

/** By seq; places without a message, with a deleted one, or before the reader's time are absent. */
export async function messagesAt (deps: LogReads, { room_id, from, seqs }: { readonly room_id: string, readonly from: number, readonly seqs: readonly number[] }): Promise<Map<number, Message>> {
  const suffix = await readSuffix(deps, HISTORY, room_id)
  const { at, rows } = await storedMessages(deps.store, room_id, {
    name: 'messages_at',
    page: `
           SELECT ${MESSAGE_COLUMNS}
              FROM messages
             WHERE room_id = $2
               AND seq = ANY ($7::bigint[])`,
    values: [seqs],
  }, reactionsTouched(suffix.events))
  const { events } = beyond(suffix, at, deps.chainOf)
  const asked = new Set(seqs)
  const shown = shownAll(rows, foldMessages(events), suffix.deleted).map(({ message }) => message)
  return new Map(shown.filter(({ seq, deleted }) => asked.has(seq) && seq > from && deleted !== true).map(message => [message.seq, message]))
}
