/**
 * Frames from clients: their schemas, and reading one. The schemas are the contract of PROTOCOL.md; unknown fields are let
 * pass, unknown types and wrong fields are refused with the field's name.
 */
import Type, { type Static, type TSchema } from 'typebox'
import { Compile, type Validator } from 'typebox/compile'
import { Attachments, Content, Emoji, Seq } from '../domain/events.ts'
import { reject, type Rejection } from '../domain/rejections.ts'
import { resolveRoomId } from '../domain/lobby.ts'

const Ref = Type.Optional(Type.Number({ minimum: Number.MIN_SAFE_INTEGER, maximum: Number.MAX_SAFE_INTEGER, description: 'Comes back with the answer' }))
const Uuid = Type.String({ format: 'uuid' })
const RoomId = Type.String({ pattern: '^(lobby|[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12})$', description: 'UUID of a room, or `lobby`' })
const UserId = Type.String({ pattern: '^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$', description: 'UUID of a user' })
const Claim = Type.Object({
  seq: Seq,
  chain: Type.Optional(Type.String({ pattern: '^[0-9a-f]{16}$' })),
})
const Position = Type.Object({
  ...Claim.properties,
  also: Type.Optional(Type.Array(Claim, { maxItems: 64, description: 'A few older positions, to find the newest common one after a loss' })),
})
export type ClaimedPlace = Static<typeof Position>

/** What every frame that appends may carry. */
const appends = {
  ref: Ref,
  client_id: Type.Optional(Uuid),
  resend: Type.Optional(Type.Boolean()),
  traceparent: Type.Optional(Type.String({ maxLength: 256, description: 'W3C Trace Context of the client; one that cannot be read is passed over' })),
}

/** Which message: `message_seq`, or by its other name. */
const onMessage = { room_id: RoomId, message_seq: Type.Optional(Seq), message_id: Type.Optional(Seq) }

export const ClientFrames = {
  hello: Type.Object({
    type: Type.Literal('hello'),
    ref: Ref,
    token: Type.Optional(Type.String({ minLength: 1, maxLength: 8192 })),
    device_id: Type.Optional(Type.String({ minLength: 1, maxLength: 100 })),
    resume: Type.Optional(Type.Object({
      all: Type.Optional(Type.Boolean({ description: 'All rooms that I am in, those that I come into later included' })),
      inbox: Type.Optional(Position),
      rooms: Type.Optional(Type.Record(RoomId, Position, { additionalProperties: false })), // else keys that are no room pass unchecked
    })),
  }),
  subscribe: Type.Object({ type: Type.Literal('subscribe'), ref: Ref, room_id: RoomId, after: Type.Optional(Position) }),
  unsubscribe: Type.Object({ type: Type.Literal('unsubscribe'), ref: Ref, room_id: RoomId }),
  message: Type.Object({
    type: Type.Literal('message'),
    ...appends,
    room_id: Type.Optional(RoomId),
    recipient: Type.Optional(UserId), // instead of room_id: the direct conversation with this user
    content: Content,
    reply_to: Type.Optional(Seq),
    thread: Type.Optional(Seq),
    attachments: Type.Optional(Attachments),
  }),
  edit: Type.Object({ type: Type.Literal('edit'), ...appends, ...onMessage, content: Content }),
  delete: Type.Object({ type: Type.Literal('delete'), ...appends, ...onMessage }),
  react: Type.Object({ type: Type.Literal('react'), ...appends, ...onMessage, emoji: Emoji }),
  unreact: Type.Object({ type: Type.Literal('unreact'), ...appends, ...onMessage, emoji: Emoji }),
  join: Type.Object({ type: Type.Literal('join'), ...appends, room_id: RoomId, password: Type.Optional(Type.String({ maxLength: 1024 })), invite: Type.Optional(Type.String({ maxLength: 200 })) }),
  leave: Type.Object({ type: Type.Literal('leave'), ...appends, room_id: RoomId }),
  typing: Type.Object({ type: Type.Literal('typing'), ref: Ref, room_id: RoomId, active: Type.Boolean() }),
  read: Type.Object({ type: Type.Literal('read'), ref: Ref, room_id: RoomId, seq: Type.Optional(Seq), message_id: Type.Optional(Seq) }),
  delivered: Type.Object({ type: Type.Literal('delivered'), ref: Ref, rooms: Type.Record(RoomId, Seq, { additionalProperties: false, maxProperties: 2000 }) }),
  presence: Type.Object({ type: Type.Literal('presence'), ref: Ref, status: Type.Enum(['online', 'away', 'dnd']) }),
  ping: Type.Object({ type: Type.Literal('ping'), ref: Ref }),
} as const

export type ClientFrameType = keyof typeof ClientFrames
export type ClientFrame = { [T in ClientFrameType]: Static<typeof ClientFrames[T]> }[ClientFrameType]

const validators = new Map<string, Validator>(Object.entries(ClientFrames).map(([type, schema]) => [type, Compile(schema as TSchema)]))

export type Read =
  | { readonly frame: ClientFrame }
  /** `ref` where one could be read, so that the client knows what the error answers. */
  | { readonly rejection: Rejection, readonly ref?: number, readonly field?: string }

/** Reads the text of a frame. Room ids come out as UUIDs in lower case. */
export function readFrame (text: string): Read {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return { rejection: reject('bad_frame', 'The frame is no JSON') }
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return { rejection: reject('bad_frame', 'The frame is no JSON object') }
  const frame = value as Record<string, unknown>
  const ref = typeof frame.ref === 'number' && Number.isFinite(frame.ref) ? { ref: frame.ref } : {}
  const validator = typeof frame.type === 'string' ? validators.get(frame.type) : undefined
  if (validator === undefined) return { rejection: reject('bad_frame', 'The frame has no known type'), ...ref, field: 'type' }
  if (!validator.Check(frame)) {
    const [error] = validator.Errors(frame)
    const missing = (error?.params as { requiredProperties?: string[] } | undefined)?.requiredProperties?.[0]
    const path = `${error?.instancePath ?? ''}${missing === undefined ? '' : `/${missing}`}`.slice(1, 200).replaceAll('/', '.')
    const wrong = missing !== undefined ? 'is missing' : error?.keyword === 'boolean' ? 'must not be there' : error?.message ?? 'is wrong'
    return { rejection: reject('bad_frame', `The field ${path === '' ? '(frame)' : path} ${wrong}`), ...ref, field: path }
  }
  const read = frame as unknown as ClientFrame
  const lacking = settle(read)
  return lacking === undefined ? { frame: read } : { rejection: reject('bad_frame', `The field ${lacking} is missing`), ...ref, field: lacking }
}

type RoomFrame = Extract<ClientFrame, { room_id?: string | undefined }>

/** Whether `room_id` is a field of the frame's schema: in any other it is an unknown one, which nobody has checked. */
function namesRoom (frame: ClientFrame): frame is RoomFrame {
  return 'room_id' in ClientFrames[frame.type].properties
}

/** Names as they are used within: lower-case IDs, one name for each field. Returns the field that is missing. */
function settle (frame: ClientFrame): string | undefined {
  const byId = <T>(rooms: Record<string, T>): Record<string, T> => Object.fromEntries(Object.entries(rooms).map(([id, value]) => [resolveRoomId(id), value]))
  if (frame.type === 'hello') {
    if (frame.resume?.rooms !== undefined) frame.resume.rooms = byId(frame.resume.rooms)
  } else if (frame.type === 'delivered') frame.rooms = byId(frame.rooms)
  else if (namesRoom(frame) && frame.room_id !== undefined) frame.room_id = resolveRoomId(frame.room_id)!
  switch (frame.type) {
    case 'message':
      frame.recipient = frame.recipient?.toLowerCase()
      return frame.room_id === undefined && frame.recipient === undefined ? 'room_id' : undefined
    case 'edit':
    case 'delete':
    case 'react':
    case 'unreact':
      frame.message_seq ??= frame.message_id
      return frame.message_seq === undefined ? 'message_seq' : undefined
    case 'read':
      frame.seq ??= frame.message_id
      return frame.seq === undefined ? 'seq' : undefined
  }
}
