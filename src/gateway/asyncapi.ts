/**
 * The AsyncAPI 3.0 document of the WebSocket, made of the schemas of both directions. Pure.
 *
 * In AsyncAPI's words the application is the server: it *receives* what clients send and *sends* what they hear. Where a
 * frame is answered, its operation has a `reply`. Close codes have no place in AsyncAPI: they are in `x-close-codes`.
 */
import Type from 'typebox'
import { REJECTIONS } from '../domain/rejections.ts'
import { CLOSE } from './close-codes.ts'
import { ClientFrames, type ClientFrameType } from './frames.ts'
import { ServerFrames } from './server-frames.ts'

export const SUBPROTOCOL = 'millrace.v1'

/** What may stand in the URL of the socket. */
export const SocketQuery = Type.Object({
  token: Type.Optional(Type.String({ description: 'An access token; never logged' })),
  ticket: Type.Optional(Type.String({ description: 'A ticket of `POST /auth/ws-ticket`, good once' })),
  room_id: Type.Optional(Type.String({ description: 'Subscribes at once; UUID of a room, or `lobby`' })),
  after: Type.Optional(Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER, description: 'With `room_id`: resumes after this seq; without it, live only' })),
})

/** What the reference of the HTTP API says of the two routes of the gateway. Nothing of it is checked: what is wrong in the URL is said in a frame. */
export const ABOUT_SOCKET = {
  tags: ['Service'],
  summary: 'The WebSocket: see `/docs/asyncapi.json`',
  rejections: ['upgrade_required', 'rate_limited', 'overloaded'],
  security: [{ bearer: [] }, {}],
  describes: { querystring: SocketQuery, response: { 101: { type: 'null', description: 'Frames follow' } } },
} as const
export const ABOUT_DOCUMENT = {
  tags: ['Service'],
  summary: 'The reference of the WebSocket, as AsyncAPI 3.0',
  security: [],
  describes: { response: { 200: { description: 'The document', type: 'object', additionalProperties: true } } },
} as const

const SAYS: Readonly<Record<ClientFrameType, string>> = {
  hello: 'Who is there: a token, the device, and what is to be resumed. Again at any time with a fresh token',
  subscribe: 'Hear a room, from a position on or from its head; again with another position to begin anew',
  unsubscribe: 'Hear a room no more',
  message: 'Say something in a room, or (`recipient`) to somebody',
  edit: 'Give a message of one’s own another content',
  delete: 'Delete a message; a tombstone stays',
  react: 'Add a reaction to a message',
  unreact: 'Take a reaction back',
  join: 'Come into a room',
  leave: 'Leave a room',
  typing: 'Say that one types, or has stopped',
  read: 'Move one’s read mark forward',
  delivered: 'Say how far this device has received',
  presence: 'Say how one is to be shown on this device',
  ping: 'Answered by `pong`',
}

type Json = Record<string, unknown>

const ref = (...path: string[]): { $ref: string } => ({ $ref: `#/${path.join('/')}` })
/** Both directions have frames of the same type. */
const fromClient = (type: string): string => `client.${type}`
const fromServer = (name: string): string => `server.${name}`
const inChannel = (name: string): { $ref: string } => ref('channels', 'socket', 'messages', name)

export function asyncapiOf ({ version }: { version: string }): Json {
  const frames = [
    ...Object.entries(ClientFrames).map(([type, schema]) => ({ key: fromClient(type), type, schema, summary: SAYS[type as ClientFrameType] })),
    ...Object.entries(ServerFrames).map(([name, schema]) => ({ key: fromServer(name), type: name.startsWith('room_') ? 'room' : name, schema, summary: (schema as { description?: string }).description ?? '' })),
  ]
  const channel = ref('channels', 'socket')
  const document = {
    asyncapi: '3.0.0',
    info: {
      title: 'Millrace: the WebSocket',
      version,
      description: 'Text frames, JSON. Any frame from a client may carry `ref`, a number: it is then answered by `ack`, `pong` or `error` with the same `ref`. Unknown fields and types are to be skipped; an unknown durable event still advances `seq`.',
      license: { name: 'MIT' },
    },
    defaultContentType: 'application/json',
    channels: {
      socket: {
        address: '/ws',
        title: 'The WebSocket',
        description: `Subprotocol \`${SUBPROTOCOL}\`, which may be left out. The token comes in the first frame, in the Authorization header, or in the URL.`,
        messages: Object.fromEntries(frames.map(({ key }) => [key, ref('components', 'messages', key)])),
        bindings: { ws: { method: 'GET', query: SocketQuery } },
        'x-close-codes': Object.values(CLOSE).map(close => ({ ...close })),
      },
    },
    operations: {
      ...Object.fromEntries(Object.keys(ClientFrames).map(type => [fromClient(type), {
        action: 'receive',
        channel,
        summary: SAYS[type as ClientFrameType],
        messages: [inChannel(fromClient(type))],
        reply: { channel, messages: (type === 'ping' ? ['pong', 'error'] : ['ack', 'error']).map(name => inChannel(fromServer(name))) },
      }])),
      frames: { action: 'send', channel, summary: 'What clients hear', messages: Object.keys(ServerFrames).map(name => inChannel(fromServer(name))) },
    },
    components: {
      messages: Object.fromEntries(frames.map(({ key, type, summary }) => [key, { name: type, title: key, summary, contentType: 'application/json', payload: ref('components', 'schemas', key) }])),
      schemas: Object.fromEntries(frames.map(({ key, schema }) => [key, schema])),
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT', description: 'In the Authorization header of the upgrade' },
        token: { type: 'httpApiKey', in: 'query', name: 'token' },
        ticket: { type: 'httpApiKey', in: 'query', name: 'ticket' },
      },
    },
    'x-error-codes': Object.entries(REJECTIONS).map(([code, { message, retry }]) => ({ code, message, retry })),
  }
  return JSON.parse(JSON.stringify(document)) as Json // as it is served: without what schemas have besides JSON
}
