/**
 * Frames from clients: their schemas, and reading one. The schemas are the contract of PROTOCOL.md; unknown fields are let
 * pass, unknown types and wrong fields are refused with the field's name.
 */
import Type, { type Static, type TSchema } from 'typebox'
import { Compile, type Validator } from 'typebox/compile'
import { Content, Seq } from '../domain/events.ts'
import { reject, type Rejection } from '../domain/rejections.ts'
import { resolveRoomId } from '../domain/lobby.ts'

const Ref = Type.Optional(Type.Number({ minimum: Number.MIN_SAFE_INTEGER, maximum: Number.MAX_SAFE_INTEGER, description: 'Comes back with the answer' }))
const Uuid = Type.String({ format: 'uuid' })
const RoomId = Type.String({ pattern: '^(lobby|[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12})$', description: 'UUID of a room, or `lobby`' })
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
}

export const ClientFrames = {
  hello: Type.Object({
    type: Type.Literal('hello'),
    ref: Ref,
    token: Type.Optional(Type.String({ minLength: 1, maxLength: 8192 })),
    device_id: Type.Optional(Type.String({ minLength: 1, maxLength: 100 })),
    resume: Type.Optional(Type.Object({
      rooms: Type.Optional(Type.Record(RoomId, Position, { additionalProperties: false })), // else keys that are no room pass unchecked
    })),
  }),
  subscribe: Type.Object({ type: Type.Literal('subscribe'), ref: Ref, room_id: RoomId, after: Type.Optional(Position) }),
  unsubscribe: Type.Object({ type: Type.Literal('unsubscribe'), ref: Ref, room_id: RoomId }),
  message: Type.Object({ type: Type.Literal('message'), ...appends, room_id: RoomId, content: Content, reply_to: Type.Optional(Seq) }),
  join: Type.Object({ type: Type.Literal('join'), ...appends, room_id: RoomId }),
  leave: Type.Object({ type: Type.Literal('leave'), ...appends, room_id: RoomId }),
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
  if (read.type === 'hello') {
    const { resume } = read
    if (resume?.rooms !== undefined) resume.rooms = Object.fromEntries(Object.entries(resume.rooms).map(([id, place]) => [resolveRoomId(id), place]))
  } else if (read.type !== 'ping') read.room_id = resolveRoomId(read.room_id)!
  return { frame: read }
}
