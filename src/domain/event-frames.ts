/**
 * Events as they go over the wire, in frames and in the log's HTTP route: the place, the body, and what every event has.
 *
 * Made of the bodies in `events.ts`, so a field that is added there is documented here. What older versions stored may be longer
 * than today's limits, so `content` has none here.
 */
import Type, { type TObject, type TProperties } from 'typebox'
import {
  BanBody, DeleteBody, EditBody, EventCommon, InboxBody, JoinBody, KickBody, LeaveBody, MessageBody, MuteBody, PinBody, ReactionBody, RoleBody,
  RoomCreatedBody, RoomDeletedBody, RoomUpdatedBody, Seq,
} from './events.ts'

const Place = {
  room_id: Type.String({ description: 'UUID of the room' }),
  seq: Seq,
  chain: Type.String({ pattern: '^[0-9a-f]{16}$', description: 'Fingerprint of the history up to `seq`' }),
  event_id: Type.String({ description: 'UUID of the event' }),
  v: Type.Integer({ minimum: 1, description: 'Version of the schema of the event' }),
}

/** What is left of a message, or of an edit of it, once the message was deleted. */
const Blankable = {
  content: Type.String({ description: 'Empty if the message was deleted' }),
  deleted: Type.Optional(Type.Literal(true, { description: 'The message was deleted: this is what is left of it' })),
}

/** In an inbox the body's `room_id`, of the room that it tells of, takes the place of the inbox's own. */
function event<T extends TProperties> (description: string, { properties }: TObject<T>, more: TProperties = {}): TObject {
  return Type.Object({ ...Place, ...properties, ...more, ...EventCommon.properties }, { description })
}

/** Durable events: in a room's log and on the wire. */
export const EventFrames = {
  message: event('Somebody said something', MessageBody, Blankable),
  edit: event('A message has another content', EditBody, Blankable),
  delete: event('A message was deleted', DeleteBody),
  reaction: event('A reaction was added to a message or taken back', ReactionBody),
  pin: event('A message was pinned, or is not any more', PinBody),
  join: event('Somebody came into the room, or was let in', JoinBody),
  leave: event('Somebody left the room', LeaveBody),
  kick: event('Somebody was put out of the room', KickBody),
  ban: event('Somebody was banned from the room, or the ban was lifted', BanBody),
  mute: event('Somebody was muted in the room, or the mute was lifted', MuteBody),
  role: event('Somebody has another role', RoleBody),
  room_created: event('The room was made', RoomCreatedBody),
  room_updated: event('The room has another name or other settings', RoomUpdatedBody),
  room_deleted: event('The room was deleted', RoomDeletedBody),
  inbox: event('Of a user’s own log: news for them', InboxBody),
} as const

/** Any event of a room. */
export const EventFrame = Type.Union(Object.entries(EventFrames).filter(([name]) => name !== 'inbox').map(([, schema]) => schema), { description: 'An event of the room’s log' })
