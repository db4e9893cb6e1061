/**
 * What events change about messages. Pure.
 *
 * Folded by the projection `history` over its batches, and by reads over the part of the log that the read model does not
 * have yet; so a page from memory and a page from Postgres cannot disagree. Deletion wins whatever the order: nothing of a
 * deleted message is kept, and what comes after its delete changes nothing. Reactions and pins are sets: adding what is there
 * and taking away what is not change nothing.
 */
import type { StoredEvent } from './events.ts'

/** An event with its place. */
export interface Placed {
  readonly entry: { readonly seq: number, readonly event_id: string }
  readonly event: StoredEvent
}

type MessageEvent = Extract<StoredEvent, { type: 'message' }>

export interface Sent {
  readonly seq: number
  readonly event_id: string
  /** As it was sent: later edits are in `edits`. */
  readonly event: MessageEvent
}

export interface Edit {
  readonly seq: number
  readonly content: string
  readonly timestamp: string
  readonly mentions: string[]
  readonly mentions_room: boolean
}

/** By which event something came into a set. */
export interface Added {
  readonly seq: number
  readonly user_id: string
  readonly timestamp: string
}

/** What became of something that a set may have had before: if `removed`, it went; if `added`, it came (again). */
export interface SetChange {
  removed: boolean
  added: Added | undefined
}

export interface ReactionChange extends SetChange {
  readonly emoji: string
  readonly user_id: string
}

/** What a run of events changed, by the seq of the message. Whether messages from before the run exist is not known here. */
export interface MessageChanges {
  readonly sent: Map<number, Sent>
  /** Oldest first. */
  readonly edits: Map<number, Edit[]>
  /** By whom first; undefined where only a tombstone has told so yet. */
  readonly deleted: Map<number, string | undefined>
  /** Those of a message by `reactionKey`. */
  readonly reactions: Map<number, Map<string, ReactionChange>>
  readonly pins: Map<number, SetChange>
}

/** One person and emoji: a message has each of these at most once. */
export const reactionKey = (emoji: string, userId: string): string => `${userId} ${emoji}`

export function foldMessages (events: Iterable<Placed>): MessageChanges {
  const changes: MessageChanges = { sent: new Map(), edits: new Map(), deleted: new Map(), reactions: new Map(), pins: new Map() }
  for (const { entry, event } of events) fold(changes, entry, event)
  return changes
}

function fold ({ sent, edits, deleted, reactions, pins }: MessageChanges, { seq, event_id }: Placed['entry'], event: StoredEvent): void {
  const { user_id, timestamp } = event
  const skipped = (message: number): boolean => message >= seq || deleted.has(message)
  switch (event.type) {
    case 'message':
      sent.set(seq, { seq, event_id, event })
      if (event.deleted === true) deleted.set(seq, undefined)
      break
    case 'edit': {
      const { message_seq, content, mentions = [], mentions_room = false } = event
      if (event.deleted === true || skipped(message_seq)) break // of a tombstone, the delete is still to come
      gathered(edits, message_seq, () => []).push({ seq, content, timestamp, mentions, mentions_room })
      break
    }
    case 'delete':
      if (event.message_seq >= seq) break
      if (deleted.get(event.message_seq) === undefined) deleted.set(event.message_seq, user_id)
      for (const kept of [edits, reactions, pins]) kept.delete(event.message_seq)
      break
    case 'reaction': {
      const { message_seq, emoji, added } = event
      if (skipped(message_seq)) break
      const change = gathered(gathered(reactions, message_seq, () => new Map()), reactionKey(emoji, user_id), () => ({ emoji, user_id, removed: false, added: undefined }))
      turn(change, added, { seq, user_id, timestamp })
      break
    }
    case 'pin':
      if (!skipped(event.message_seq)) turn(gathered(pins, event.message_seq, () => ({ removed: false, added: undefined })), event.added, { seq, user_id, timestamp })
      break
  }
}

/** Who reacts twice has reacted when they did first; who takes it back and reacts again, when they did last. */
function turn (change: SetChange, added: boolean, by: Added): void {
  if (added) change.added ??= by
  else {
    change.removed = true
    change.added = undefined
  }
}

function gathered<K, V> (map: Map<K, V>, key: K, make: () => V): V {
  let value = map.get(key)
  if (value === undefined) map.set(key, value = make())
  return value
}

const LINK = /[hH][tT][tT][pP][sS]?:\/\/[^ \t\r\n]/

/** Whether a text has a link in it. The index `messages_links` says the same in SQL. */
export function hasLink (content: string): boolean {
  return LINK.test(content)
}
