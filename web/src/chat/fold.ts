/**
 * What an event changes of a message. Pure. A message knows up to which seq it is complete (`as_of`), so that what a page had in it
 * already is not counted twice. Deletion wins, whatever the order in which an edit and a delete came.
 */
import type { RoomEvent } from 'millrace/client'
import type { Attachment, MessageItem, Reaction } from '../api/types.ts'

/** A message as it is shown: an item of a page, and everything that followed it. */
export interface Message extends MessageItem {
  /** Complete up to this seq. */
  readonly as_of: number
}

export function messageOfItem (item: MessageItem, as_of: number): Message {
  return { ...item, as_of }
}

/** The message that this event is; it must be of type `message`. */
export function messageOfEvent (event: RoomEvent): Message {
  const { seq, event_id, user_id, timestamp, content = '', client_id, reply_to, thread } = event
  return {
    seq,
    event_id,
    user_id,
    content,
    timestamp,
    client_id,
    reply_to,
    thread,
    reactions: [],
    mentions: (event.mentions as string[] | undefined) ?? [],
    mentions_room: event.mentions_room as boolean | undefined,
    attachments: event.attachments as Attachment[] | undefined,
    deleted: event.deleted as boolean | undefined,
    as_of: seq,
  }
}

/** The message after the event; the same object if it changes nothing of it. */
export function fold (message: Message, event: RoomEvent): Message {
  if (event.message_seq !== message.seq || event.seq <= message.as_of) return message
  const as_of = event.seq
  switch (event.type) {
    case 'edit':
      if (message.deleted === true || event.deleted === true) return { ...message, as_of }
      return { ...message, as_of, content: event.content ?? '', edited_at: event.timestamp, mentions: (event.mentions as string[] | undefined) ?? [], mentions_room: event.mentions_room as boolean | undefined }
    case 'delete': return { ...message, as_of, ...DELETED }
    case 'reaction': return { ...message, as_of, reactions: reacted(message.reactions, event.emoji ?? '', event.user_id, event.added === true) }
    case 'pin': return { ...message, as_of, pinned: event.added === true }
    default: return message
  }
}

const DELETED = { deleted: true, content: '', reactions: [], mentions: [], mentions_room: undefined, attachments: undefined } as const

export const withContent = (message: Message, content: string): Message => ({ ...message, content, edited_at: message.edited_at ?? new Date().toISOString() })
export const withoutContent = (message: Message): Message => ({ ...message, ...DELETED })

/** Reactions are sets: the same twice is once. Of those beyond the listed 50 only the number is known. */
export function reacted (reactions: readonly Reaction[], emoji: string, userId: string, added: boolean): readonly Reaction[] {
  const found = reactions.find(reaction => reaction.emoji === emoji)
  if (found === undefined) return added ? [...reactions, { emoji, count: 1, user_ids: [userId] }] : reactions
  const listed = found.user_ids.includes(userId)
  if (added === listed && (added || found.count === found.user_ids.length)) return reactions
  const count = found.count + (added ? 1 : -1)
  const user_ids = added ? [...found.user_ids, userId] : found.user_ids.filter(id => id !== userId)
  return count <= 0 ? reactions.filter(reaction => reaction !== found) : reactions.map(reaction => reaction === found ? { emoji, count, user_ids } : reaction)
}
