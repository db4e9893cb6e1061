/**
 * The shapes that travel, as far as the client reads or shows them: the contract is docs/PROTOCOL.md. Types only; fields that a
 * newer server adds come through.
 */

/** A place in a room's log, with the fingerprint of the history up to it. `chain` may be missing where only a seq was named. */
export interface Position { readonly seq: number, readonly chain?: string }

/** A position as it is claimed of the server: with a few older ones, to find the newest common one after a loss. */
export interface Claim extends Position { readonly also?: readonly Position[] }

/** A durable event of a room: dense in `seq`, each once, in order. Fields depend on `type`; skip a `type` that you do not know. */
export interface RoomEvent {
  /** `message`, `edit`, `delete`, `reaction`, `pin`, `join`, `leave`, `kick`, `ban`, `mute`, `role`, `room`, or one of a newer server. */
  readonly type: string
  readonly room_id: string
  readonly seq: number
  readonly chain: string
  readonly event_id: string
  /** Who did it. */
  readonly user_id: string
  /** RFC 3339, UTC, milliseconds. */
  readonly timestamp: string
  readonly client_id?: string
  readonly content?: string
  readonly reply_to?: number
  readonly thread?: number
  readonly message_seq?: number
  readonly emoji?: string
  readonly added?: boolean
  readonly target?: string
  readonly [field: string]: unknown
}

/** What you hold of the room after `seq` is void (or, when `seq` is ahead of you, what lies between is not yours or gone). */
export interface Reset {
  readonly type: 'reset'
  readonly room_id: string
  readonly reason: 'parted' | 'membership' | 'erased'
  readonly seq: number
  readonly chain: string
}

/** What was appended, and where. */
export interface Ack {
  readonly room_id: string
  /** Missing if nothing had to be appended, as when you join a room that you are in. */
  readonly seq?: number
  readonly chain?: string
  readonly event_id?: string
  /** True if an earlier try had got through. */
  readonly duplicate?: boolean
  readonly durability?: 'memory' | 'fsync' | 'replicated'
}

/** The ack of a command that always appends. */
export interface Appended extends Ack { readonly seq: number, readonly chain: string, readonly event_id: string }

/** Any frame of the server, fields unread. */
export interface Frame { readonly type: string, readonly [field: string]: any }

/** A fact of a room's log; `ack` and `inbox` name one as well, and are not it. */
export function isEvent (frame: Frame): boolean {
  return typeof frame.event_id === 'string' && typeof frame.seq === 'number' && typeof frame.room_id === 'string' && frame.type !== 'ack' && frame.type !== 'inbox'
}

/** Tells a reset among the events of a loop. */
export function isReset (item: RoomEvent | Reset): item is Reset {
  return item.type === 'reset'
}
