/**
 * What is news to whom: messages by others, after the furthest mark of theirs, that they may read and want to hear of. Asked twice: when
 * it is decided whom to tell, for many people of a room at once, and again when it is sent, for one, since much may have happened in between.
 *
 * Whether they may read is asked of the room itself [G9]; marks are those in Postgres and the newer ones in Redis; contents are read as a
 * reader of that one room.
 */
import type { Access, Reading } from '../commands/access.ts'
import { chainOf } from '../log/chain.ts'
import { decodeEvent } from '../log/codec.ts'
import { LogFault, type RoomLog } from '../log/log.ts'
import type { Marks } from '../log/marks.ts'
import type { PresenceLeases } from '../log/presence.ts'
import { isDnd } from '../store/notification-settings.ts'
import { messagesBetween, recipientsOf, type NewMessage, type Recipient, type Notification } from '../store/notifications.ts'
import type { Store } from '../store/pool.ts'
import { asReader } from '../store/reader.ts'
import { countsAfter, marksOf } from '../store/unread.ts'
import { userById } from '../store/users.ts'

/** Messages of a room that are looked at, the newest; those before them are counted, if others are told of. */
const MESSAGES_MAX = 500
/** Messages that are older notify nobody: whoever was away for so long comes back by themselves. Milliseconds. */
export const AGE_MAX_MS = 24 * 60 * 60 * 1000
/** Newest messages of which it is asked whether they were deleted a moment ago. */
const ASKED_DELETED_MAX = 20

/** Why nobody is told. The values of a metric's label. */
export type Reason = 'seen' | 'muted' | 'blocked' | 'dnd' | 'access' | 'deleted' | 'told' | 'old' | 'gone'

export interface NewsDeps {
  store: Store
  log: RoomLog
  access: Access
  marks: Pick<Marks, 'of'>
  presence: Pick<PresenceLeases, 'of'>
  /** Partitions that are fenced now: of their rooms Redis cannot be believed. */
  fenced: () => Promise<ReadonlyMap<number, unknown>>
  partitionOf: (roomId: string) => number
  clock: () => number
}

/** Which messages are news to somebody. */
export interface Heard {
  readonly user_id: string
  /** The newest first; at least one. */
  readonly messages: readonly NewMessage[]
  readonly kind: 'message' | 'mention'
  /** Whether there are messages among them that they hear of as such, and not by being named only. */
  readonly plain: boolean
}

/** What is said about a notification. */
export interface Telling {
  readonly room: { readonly id: string, readonly name: string, readonly kind: string }
  /** Messages that wait for them in the room, and those that name them. */
  readonly count: number
  readonly mentions: number
  /** The newest message. */
  readonly message: NewMessage
  readonly author: { readonly id: string, readonly username: string, readonly display_name: string }
}

export interface News {
  /** Messages of a room that may be news to somebody: not deleted, not old; the newest first. */
  messages: (roomId: string, from: number, to: number) => Promise<NewMessage[]>
  /** To whom of these users which of the messages are news; and why not, to the others. */
  heard: (roomId: string, userIds: readonly string[], messages: readonly NewMessage[]) => Promise<{ heard: Heard[], not: Map<Reason, number> }>
  /** What to say now. @param forced whatever they have seen since, or want not to be disturbed by */
  telling: (notification: Notification, forced: boolean) => Promise<Telling | Reason>
}

export function createNews ({ store, log, access, marks, presence, fenced, partitionOf, clock }: NewsDeps): News {
  /** The furthest marks of users in Redis, which keeps those of small rooms. */
  async function freshMarks (roomId: string, head: number): Promise<(user: string) => number> {
    const kept = await marks.of(roomId)
    const valid = (seq: number | undefined): number => seq !== undefined && seq <= head ? seq : 0 // beyond the head: of a history that does not stand
    return user => kept === undefined ? 0 : Math.max(valid(kept.read[user]), valid(kept.delivered[user]))
  }

  async function askable (roomId: string): Promise<void> {
    if ((await fenced()).has(partitionOf(roomId))) throw new LogFault('fenced', `the partition of the room ${roomId} is fenced`)
  }

  /** Who of these has said of themselves, on a device that is there, not to be disturbed. */
  async function busy (users: readonly string[]): Promise<Set<string>> {
    if (users.length === 0) return new Set()
    return new Set([...await presence.of(users)].filter(([, { status }]) => status === 'dnd').map(([user]) => user))
  }

  async function messages (roomId: string, from: number, to: number): Promise<NewMessage[]> {
    const found = await messagesBetween(asReader(store, [roomId]), roomId, { from, to, limit: MESSAGES_MAX })
    return found.filter(({ timestamp }) => timestamp.getTime() > clock() - AGE_MAX_MS)
  }

  /** A recipient with what the room itself says of them. */
  function chosen (recipient: Recipient, messages: readonly NewMessage[], reading: Reading, fresh: number): Heard | Reason {
    if (recipient.shut) return 'gone'
    if (!reading.allowed || !reading.inside) return 'access'
    const { user_id, parted, notified_seq, notified_newest, mark, since, level } = recipient
    const after = Math.max(mark, fresh, since, reading.member.joined_seq, reading.from)
    const unseen = messages.filter(({ seq, user_id: author }) => seq > after && author !== user_id)
    if (unseen.length === 0) return 'seen'
    const untold = unseen.filter(({ seq, timestamp }) => notified_seq === null || (parted ? timestamp > notified_newest! : seq > notified_seq))
    if (untold.length === 0) return 'told'
    const welcome = untold.filter(({ user_id: author }) => !recipient.blocked.includes(author))
    if (welcome.length === 0) return 'blocked'
    const wanted = welcome.filter(message => wants(recipient, message))
    if (wanted.length === 0) return 'muted'
    return { user_id, messages: wanted, kind: wanted.some(message => names(message, user_id)) ? 'mention' : 'message', plain: level === 'all' }
  }

  async function heard (roomId: string, userIds: readonly string[], messages: readonly NewMessage[]): Promise<{ heard: Heard[], not: Map<Reason, number> }> {
    await askable(roomId)
    const readings = await Promise.all(userIds.map(async user => await access.reading(roomId, user))) // of one turn of the loop: they travel together
    const head = Math.max(0, ...readings.map(reading => reading.allowed ? reading.room.seq : 0))
    const [recipients, fresh] = await Promise.all([recipientsOf(store, roomId, userIds, { head, authors: [...new Set(messages.map(({ user_id }) => user_id))] }), freshMarks(roomId, head)])
    const readingOf = new Map(userIds.map((user, i) => [user, readings[i]!]))
    const not = new Map<Reason, number>()
    const refuse = (reason: Reason): void => { not.set(reason, (not.get(reason) ?? 0) + 1) }
    const found: Heard[] = []
    for (const recipient of recipients) {
      const outcome = chosen(recipient, messages, readingOf.get(recipient.user_id)!, fresh(recipient.user_id))
      if (typeof outcome === 'string') refuse(outcome)
      else if (isDnd(recipient, clock())) refuse('dnd')
      else found.push(outcome)
    }
    const dnd = await busy(found.map(({ user_id }) => user_id))
    for (const { user_id } of found) if (dnd.has(user_id)) refuse('dnd')
    return { heard: found.filter(({ user_id }) => !dnd.has(user_id)), not }
  }

  /** The newest of the messages that is not deleted, as far as the log knows. */
  async function standing (roomId: string, messages: readonly NewMessage[]): Promise<NewMessage | undefined> {
    const newest = messages.slice(0, ASKED_DELETED_MAX)
    const gone = await log.areDeleted(newest.map(({ seq }) => ({ room_id: roomId, seq })))
    return newest.find((_, i) => !gone[i])
  }

  return {
    messages,
    heard,
    async telling ({ user_id, room_id, kind, from_seq, to_seq }, forced) {
      await askable(room_id)
      const [user, reading] = [await userById(store, user_id), await access.reading(room_id, user_id)]
      if (user === undefined) return 'gone'
      if (!reading.allowed || !reading.inside) return 'access'
      const { room, member: { joined_seq }, from } = reading
      const found = await messagesBetween(asReader(store, [room_id]), room_id, { from: Math.max(from_seq, joined_seq + 1, from + 1), to: to_seq, limit: MESSAGES_MAX })
      const theirs = found.filter(message => message.user_id !== user_id && (kind === 'message' || names(message, user_id)))
      const recipients = await recipientsOf(store, room_id, [user_id], { head: room.seq, authors: [...new Set(theirs.map(message => message.user_id))] })
      const recipient = recipients[0]!
      if (recipient.shut) return 'gone' // nobody logs in with that account: nor does it read on elsewhere
      const seen = Math.max(recipient.mark, (await freshMarks(room_id, room.seq))(user_id))
      const unseen = forced ? theirs : theirs.filter(({ seq }) => seq > seen)
      if (unseen.length === 0) return seen >= to_seq ? 'seen' : theirs.length === 0 ? 'deleted' : 'seen'
      if (!forced && (isDnd(recipient, clock()) || (await busy([user_id])).has(user_id))) return 'dnd'
      const wanted = forced ? unseen : unseen.filter(message => wants(recipient, message))
      if (wanted.length === 0) return 'muted'
      const message = await standing(room_id, wanted.filter(({ user_id: author }) => !recipient.blocked.includes(author)))
      if (message === undefined) return 'deleted'
      if (!forced && message.timestamp.getTime() <= clock() - AGE_MAX_MS) return 'old'
      const [marked] = await marksOf(store, { kind: 'read' }, [{ room_id, user_id }])
      const [counted] = await countsAfter({ store, log, decode: decodeEvent, chainOf }, [{ room_id, user_id, place: Math.max(forced ? from_seq - 1 : seen, joined_seq), head: room.seq, at: marked!.at }])
      const author = await userById(store, message.user_id)
      return {
        room: { id: room_id, name: room.name, kind: room.kind },
        count: counted!.unread,
        mentions: counted!.mentions,
        message,
        author: { id: message.user_id, username: author?.username ?? '', display_name: author?.display_name ?? '' },
      }
    },
  }
}

/** Whether they want to hear of it, as they have said for the room. */
const wants = ({ level, user_id }: Recipient, message: NewMessage): boolean => level === 'all' || (level === 'mentions' && names(message, user_id))
const names = ({ mentions, mentions_room }: NewMessage, user: string): boolean => mentions_room || mentions.includes(user)
