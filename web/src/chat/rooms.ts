/**
 * The user's rooms, as the list shows them: name, last message, what is unread. It begins with what the server has counted, up to a seq, and
 * counts on from there by the events themselves; marks that move, on this device or another, take away.
 */
import type { RoomEvent } from 'millrace/client'
import type { LastMessage, ListedRoom, Room, Sync, Unread } from '../api/types.ts'
import { Observable } from './observable.ts'

export interface RoomSummary extends ListedRoom {
  readonly unread: number
  readonly mentions: number
  /** How far the user has read. */
  readonly read_seq: number
  /** What they want to be told of; `none`: counted, without a badge. */
  readonly notifications: 'all' | 'mentions' | 'none'
  /** The user may not write here; without `until`, until it is taken back. Known of what was seen of the log. */
  readonly muted?: { readonly until?: string | undefined, readonly reason?: string | undefined } | undefined
  /** When there was something new, for the order: milliseconds. */
  readonly at: number
}

export type Rooms = Readonly<Record<string, RoomSummary>>

/** Rooms in their order in the list: what was new last comes first. */
export function inOrder (rooms: Rooms): RoomSummary[] {
  return Object.values(rooms).sort((a, b) => b.at - a.at || a.name.localeCompare(b.name))
}

const atOf = (last: LastMessage | undefined): number => last === undefined ? 0 : Date.parse(last.timestamp)

export class RoomList {
  readonly all = new Observable<Rooms>({})
  readonly #userId: string
  /** Up to where the server has counted; what is at or below it is in the numbers already. */
  readonly #counted = new Map<string, number>()

  constructor (userId: string) { this.#userId = userId }

  get (id: string): RoomSummary | undefined { return this.all.get()[id] }

  /** What an earlier page knew: with how far was read, so that what was is not unread again without a server. */
  restore (rooms: readonly RoomSummary[]): void {
    this.all.set(Object.fromEntries(rooms.map(room => [room.id, room])))
  }

  /** The server's own list: it replaces what was there. Returns the rooms of which more was read here than the server knows of yet. */
  synced ({ rooms, unread, positions }: Sync): RoomSummary[] {
    const counts = new Map(unread.map(count => [count.room_id, count]))
    const ahead: RoomSummary[] = []
    this.all.update(before => Object.fromEntries(rooms.items.filter(({ kind }) => kind !== 'inbox').map(room => {
      const head = positions.rooms[room.id]?.seq ?? 0
      this.#counted.set(room.id, head)
      const told = summaryOf(room, counts.get(room.id))
      const known = before[room.id]
      const last_message = (known?.last_message?.seq ?? 0) > (told.last_message?.seq ?? 0) ? known!.last_message : told.last_message // the server's may be of before what came meanwhile
      const summary = { ...told, last_message, at: Math.max(told.at, known?.at ?? 0), muted: known?.muted }
      if (known === undefined || known.read_seq <= told.read_seq || known.read_seq > head) return [room.id, summary]
      ahead.push({ ...summary, read_seq: known.read_seq, ...(known.read_seq === head && { unread: 0, mentions: 0 }) })
      return [room.id, ahead.at(-1)!]
    })))
    return ahead
  }

  /** A room that the user came into, or whose settings are known anew. */
  put ({ member: _, ...room }: Room): void {
    const known = this.get(room.id)
    this.#counted.set(room.id, Math.max(room.head_seq ?? 0, this.#counted.get(room.id) ?? 0))
    this.#set({ unread: 0, mentions: 0, read_seq: room.head_seq ?? 0, notifications: 'all', at: Date.now(), ...known, ...room, ...(room.kind === 'dm' && known?.peer !== undefined && { peer: known.peer }) })
  }

  remove (id: string): void {
    this.all.update(({ [id]: _, ...others }) => others)
  }

  change (id: string, change: Partial<RoomSummary>): void {
    const room = this.get(id)
    if (room !== undefined) this.#set({ ...room, ...change })
  }

  /** An event of a room, once and in order. */
  event (event: RoomEvent): void {
    const room = this.get(event.room_id)
    if (room === undefined) return
    const next = this.#after(room, event)
    if (next !== room) this.#set(next)
  }

  #after (room: RoomSummary, event: RoomEvent): RoomSummary {
    const { seq, user_id, timestamp, content = '', message_seq } = event
    const isCounted = seq <= (this.#counted.get(room.id) ?? 0)
    const mine = user_id === this.#userId
    switch (event.type) {
      case 'message': {
        const isNewer = seq > (room.last_message?.seq ?? 0)
        const counts = !isCounted && !mine && seq > room.read_seq && event.deleted !== true
        const names = counts && (event.mentions_room === true || ((event.mentions as string[] | undefined)?.includes(this.#userId) ?? false))
        if (!isNewer && !counts) return room
        return { ...room, head_seq: seq, unread: room.unread + (counts ? 1 : 0), mentions: room.mentions + (names ? 1 : 0), ...(isNewer && { at: Date.parse(timestamp), last_message: { seq, user_id, content, timestamp, ...(event.deleted === true && { deleted: true }) } }) }
      }
      case 'edit': return room.last_message?.seq === message_seq && event.deleted !== true ? { ...room, last_message: { ...room.last_message!, content } } : room
      case 'delete': {
        const last_message = room.last_message?.seq === message_seq ? { ...room.last_message!, content: '', deleted: true } : room.last_message
        const isUnread = !isCounted && !mine && (message_seq ?? 0) > room.read_seq && room.unread > 0 // others delete their own, mostly
        return { ...room, last_message, unread: room.unread - (isUnread ? 1 : 0) }
      }
      case 'room': {
        const { name, topic, archived } = event as { name?: string, topic?: string, archived?: boolean }
        return { ...room, ...(name !== undefined && { name }), ...(topic !== undefined && { topic }), ...(archived !== undefined && { archived }) }
      }
      case 'role': return event.target === this.#userId ? { ...room, role: event.role as RoomSummary['role'] } : room
      case 'mute': return event.target === this.#userId ? { ...room, muted: event.lifted === true ? undefined : { until: event.until as string | undefined, reason: event.reason as string | undefined } } : room
      case 'join': return isCounted || room.members === undefined ? room : { ...room, members: room.members + 1 }
      case 'leave':
      case 'kick': return isCounted || room.members === undefined ? room : { ...room, members: Math.max(0, room.members - 1) }
      default: return room
    }
  }

  /** What is held of the room after this seq is void. */
  reset (id: string, seq: number): void {
    if ((this.get(id)?.last_message?.seq ?? 0) > seq) this.change(id, { last_message: undefined })
  }

  /** The user has read up to here; `left`: what is unread after it, where that is known. */
  read (id: string, seq: number, left: { unread: number, mentions: number } | undefined): void {
    const room = this.get(id)
    if (room === undefined || (seq <= room.read_seq && left === undefined)) return
    this.#set({ ...room, read_seq: Math.max(seq, room.read_seq), ...left })
  }

  #set (room: RoomSummary): void {
    this.all.update(rooms => ({ ...rooms, [room.id]: room }))
  }
}

function summaryOf (room: ListedRoom, count: Unread | undefined): RoomSummary {
  const { unread = 0, mentions = 0, ...rest } = room
  return {
    ...rest,
    unread: count?.unread ?? unread,
    mentions: count?.mentions ?? mentions,
    read_seq: count?.read_seq ?? 0,
    notifications: count?.notifications ?? 'all',
    at: atOf(room.last_message),
  }
}
