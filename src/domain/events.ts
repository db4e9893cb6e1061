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

const UserId = Type.String({ description: 'UUID of a user' })
/** One emoji as a person sees it, however many code points it has; what is one is decided by `emoji.ts`. */
export const Emoji = Type.String({ minLength: 1, maxLength: 64, description: 'One emoji' })
export const Attachment = Type.Object({
  url: Type.String({ maxLength: 2000, pattern: '^https?://[^\\s\\u0000-\\u001f\\ud800-\\udfff]+$', description: 'Where it is kept; Millrace stores the reference only' }),
  name: Type.Optional(Type.String({ minLength: 1, maxLength: 255, pattern: '^[^\\u0000-\\u001f\\u007f\\ud800-\\udfff]+$' })),
  media_type: Type.Optional(Type.String({ maxLength: 255, pattern: '^[\\w.+-]+/[\\w.+-]+$' })),
  bytes: Type.Optional(Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })),
})
export type Attachment = Static<typeof Attachment>
export const ATTACHMENTS_MAX = 10
export const Attachments = Type.Array(Attachment, { maxItems: ATTACHMENTS_MAX })
export const Reason = Type.String({ minLength: 1, maxLength: 500, pattern: `^${TEXT}+$`, description: 'Shown to everyone in the room' })
export const ROLES = ['owner', 'admin', 'moderator', 'member'] as const
export const GivenRole = Type.Enum([...ROLES])

/** What may be set about a room besides its name and kind. Absent in an event: not changed. */
export const Settings = Type.Object({
  topic: Type.Optional(Topic),
  history: Type.Optional(Type.Enum(['all', 'joined'], { description: 'Whether members see what was before they came in' })),
  members_max: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000_000, description: 'Most members' })),
  message_chars_max: Type.Optional(Type.Integer({ minimum: 1, maximum: CONTENT_CHARS_MAX, description: 'Longest message, in characters' })),
  slow_mode_s: Type.Optional(Type.Integer({ minimum: 0, maximum: 86_400, description: 'Seconds that a member waits between two messages; 0: none' })),
  archived: Type.Optional(Type.Boolean({ description: 'Whether the room can only be read' })),
  retention_days: Type.Optional(Type.Integer({ minimum: 0, maximum: 36_500, description: 'Days for which messages are kept; then their content is erased for good. 0: as long as in all rooms' })),
})
export type Settings = Static<typeof Settings>
export const SETTING_NAMES = Object.keys(Settings.properties) as Array<keyof Settings>

const Target = { target: UserId }
const Lifted = Type.Optional(Type.Literal(true, { description: 'It was taken back' }))
/** Epoch milliseconds would be shorter, but every time on the wire is RFC 3339. */
export const Until = Type.String({ pattern: '^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d(\\.\\d{1,9})?Z$', description: 'RFC 3339, UTC; left out: for good' })

export const MessageBody = Type.Object({
  type: Type.Literal('message'),
  content: Content,
  reply_to: Type.Optional(Seq),
  thread: Type.Optional(Seq),
  mentions: Type.Optional(Type.Array(UserId, { description: 'Users whom the content names, as resolved when it was appended' })),
  mentions_room: Type.Optional(Type.Literal(true, { description: 'It names everyone, by `@room`' })),
  attachments: Type.Optional(Attachments),
})
export const EditBody = Type.Object({
  type: Type.Literal('edit'),
  message_seq: Seq,
  content: Content,
  mentions: Type.Optional(Type.Array(UserId)),
  mentions_room: Type.Optional(Type.Literal(true)),
})
export const DeleteBody = Type.Object({ type: Type.Literal('delete'), message_seq: Seq })
export const ReactionBody = Type.Object({ type: Type.Literal('reaction'), message_seq: Seq, emoji: Emoji, added: Type.Boolean() })
export const PinBody = Type.Object({ type: Type.Literal('pin'), message_seq: Seq, added: Type.Boolean() })
/** `target`: whom the author let in; left out: the author came in. */
export const JoinBody = Type.Object({ type: Type.Literal('join'), target: Type.Optional(UserId) })
export const LeaveBody = Type.Object({ type: Type.Literal('leave') })
export const KickBody = Type.Object({ type: Type.Literal('kick'), ...Target, reason: Type.Optional(Reason) })
export const BanBody = Type.Object({ type: Type.Literal('ban'), ...Target, until: Type.Optional(Until), reason: Type.Optional(Reason), lifted: Lifted })
export const MuteBody = Type.Object({ type: Type.Literal('mute'), ...Target, until: Type.Optional(Until), reason: Type.Optional(Reason), lifted: Lifted })
export const RoleBody = Type.Object({ type: Type.Literal('role'), ...Target, role: GivenRole })
export const RoomCreatedBody = Type.Object({
  type: Type.Literal('room'),
  change: Type.Literal('created'),
  name: Type.Union([RoomName, Type.Literal('')], { description: 'Empty for a DM' }),
  kind: Type.Enum([...ROOM_KINDS]),
  ...Settings.properties,
  members: Type.Optional(Type.Array(UserId, { description: 'The two of a DM; one, for notes to oneself' })),
})
export const RoomUpdatedBody = Type.Object({ type: Type.Literal('room'), change: Type.Literal('updated'), name: Type.Optional(RoomName), ...Settings.properties })
export const RoomDeletedBody = Type.Object({ type: Type.Literal('room'), change: Type.Literal('deleted') })
/** In an inbox only. `room_id` and `seq` of the event that it tells of are `room_id` and `source_seq`. */
export const InboxBody = Type.Object({
  type: Type.Literal('inbox'),
  event: Type.Enum(['added', 'removed', 'mentioned', 'revoked']),
  room_id: Type.Optional(Type.String()),
  source_seq: Type.Optional(Seq),
  by: Type.Optional(UserId),
  reason: Type.Optional(Reason),
})
export const EventBody = Type.Union([
  MessageBody, EditBody, DeleteBody, ReactionBody, PinBody, JoinBody, LeaveBody, KickBody, BanBody, MuteBody, RoleBody,
  RoomCreatedBody, RoomUpdatedBody, RoomDeletedBody, InboxBody,
])
export type EventBody = Static<typeof EventBody>

/** What is left of a message, or of an edit of it, once the message was deleted. */
export interface Tombstone { readonly deleted?: true }

/** What every stored event has besides its body. */
export const EventCommon = Type.Object({
  user_id: Type.String({ description: 'Who did it' }),
  timestamp: Type.String({ description: 'RFC 3339, UTC, milliseconds' }),
  client_id: Type.Optional(Type.String({ description: 'The idempotency key that its command came with' })),
  operator: Type.Optional(Type.Literal(true, { description: 'It was done by an operator of the deployment, not by a role in the room' })),
  traceparent: Type.Optional(Type.String({ description: 'W3C Trace Context, where its command was traced' })),
})

export type StoredEvent = EventBody & Static<typeof EventCommon> & Tombstone
