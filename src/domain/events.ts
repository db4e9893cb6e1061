/**
 * Events: what has happened in a room, one TypeBox schema each. Stored as JSON in the log, sent as frames, folded by
 * `room.ts`, applied by the projections.
 *
 * A stored event is its body and what every event has: who did it, when, and the `client_id` of its command. Its place
 * (room, seq, chain) and its ID are kept beside the JSON by the log. Unknown fields and types are kept, never dropped:
 * a newer version may have written them.
 */
import Type, { type Static } from 'typebox'

/** Version of the event schemas that this code writes. Older ones are lifted by `log/codec.ts`. */
export const EVENT_VERSION = 1

export const CONTENT_CHARS_MAX = 8000
export const NAME_CHARS_MAX = 100
export const TOPIC_CHARS_MAX = 1000

export const ROOM_KINDS = ['public', 'private', 'protected', 'group', 'dm', 'inbox', 'lobby'] as const
export type RoomKind = typeof ROOM_KINDS[number]

/** No U+0000 and no half of a surrogate pair: Postgres can store neither. TypeBox compiles patterns with the `u` flag. */
const TEXT = '[^\\u0000\\ud800-\\udfff]'
export const Content = Type.String({ minLength: 1, maxLength: CONTENT_CHARS_MAX, pattern: `^${TEXT}+$`, description: 'Text of 1–8,000 characters (code points), none of them U+0000' })
export const Seq = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER, description: 'Place in the log of a room' })
export const RoomName = Type.String({ minLength: 1, maxLength: NAME_CHARS_MAX, pattern: '^[^\\u0000-\\u001f\\u007f\\ud800-\\udfff]+$' })
export const Topic = Type.String({ maxLength: TOPIC_CHARS_MAX, pattern: `^${TEXT}*$` })

export const MessageBody = Type.Object({
  type: Type.Literal('message'),
  content: Content,
  reply_to: Type.Optional(Seq),
})
export const JoinBody = Type.Object({ type: Type.Literal('join') })
export const LeaveBody = Type.Object({ type: Type.Literal('leave') })
export const RoomBody = Type.Object({
  type: Type.Literal('room'),
  change: Type.Literal('created'),
  name: RoomName,
  kind: Type.Enum([...ROOM_KINDS]),
  topic: Type.Optional(Topic),
  history: Type.Enum(['all', 'joined']),
})
export const EventBody = Type.Union([MessageBody, JoinBody, LeaveBody, RoomBody])
export type EventBody = Static<typeof EventBody>

/** What every stored event has besides its body. */
export const EventCommon = Type.Object({
  user_id: Type.String({ description: 'Who did it' }),
  timestamp: Type.String({ description: 'RFC 3339, UTC, milliseconds' }),
  client_id: Type.Optional(Type.String({ description: 'The idempotency key that its command came with' })),
})

export type StoredEvent = EventBody & Static<typeof EventCommon>
