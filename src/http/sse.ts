/**
 * Server-sent events: the log of a room, or of several in one stream, live and from any age, for clients that have nothing but HTTP.
 * What goes over the stream is the gateway's; here is what a request for one says: which rooms, and where the client is in each.
 *
 * `Last-Event-ID` says it, which browsers send when they come back by themselves; else `after`. Browsers cannot send an access token
 * along: `ticket` stands for one. What is wrong is answered with a problem, before the stream begins.
 */
import type { ServerResponse } from 'node:http'
import type { FastifyReply, FastifyRequest } from 'fastify'
import Type from 'typebox'
import type { VerifiedToken } from '../auth/tokens.ts'
import type { Access } from '../commands/access.ts'
import { readEventId, readPlacesId } from '../domain/event-ids.ts'
import { resolveRoomId } from '../domain/lobby.ts'
import type { ClaimedPosition } from '../domain/position.ts'
import type { Rejection } from '../domain/rejections.ts'
import { about } from './about.ts'
import { identityOf, type App } from './app.ts'
import { Refusal, refuse } from './problems.ts'

/** Rooms in one stream. */
const ROOMS_MAX = 100
const UUID_CHARS = 36
/** The position in a room, in an ID of several. */
const PLACE_CHARS = 43
export const STREAM_MEDIA_TYPE = 'text/event-stream'

export interface StreamOpening {
  readonly response: ServerResponse
  readonly headers: Readonly<Record<string, number | string | string[] | undefined>>
  readonly identity: VerifiedToken
  /** Room → where the client is; undefined: from the head on. */
  readonly rooms: ReadonlyMap<string, ClaimedPosition | undefined>
  /** Whether event IDs are of one room: the only one. */
  readonly single: boolean
}

export interface SseDeps {
  access: Access
  /** Opens a stream, or says why not; then nothing was written. */
  openStream: (opening: StreamOpening) => Rejection | undefined
  /** Makes the user's inbox if there is none. */
  ensureInbox: (userId: string) => Promise<unknown>
}

/** Of requests for a stream. */
export const LastEventId = Type.Object({ 'last-event-id': Type.Optional(Type.String({ description: 'ID of the last event that was received: the stream goes on after it' })) })
export const Ticket = Type.Optional(Type.String({ maxLength: 200, description: 'A ticket of `POST /auth/ws-ticket`, instead of an access token' }))

const Several = Type.Object({
  rooms: Type.String({ minLength: 1, maxLength: ROOMS_MAX * (UUID_CHARS + 1), description: `IDs of rooms (or \`lobby\`), separated by commas; at most ${ROOMS_MAX}` }),
  after: Type.Optional(Type.String({ maxLength: ROOMS_MAX * PLACE_CHARS, description: 'An event ID of such a stream: goes on after it, unless there is a `Last-Event-ID`. Rooms that it does not name begin at their head' })),
  ticket: Ticket,
})

const FRAMES = {
  description: 'Frames as of the WebSocket: `event` is the type, `data` the frame, `id` the positions in all rooms',
  content: { [STREAM_MEDIA_TYPE]: { schema: Type.String() } },
}

export function wantsStream ({ method, headers: { accept = '' } }: FastifyRequest): boolean {
  return method === 'GET' && accept.includes(STREAM_MEDIA_TYPE)
}

/** Answers with the stream of one room, which its reader may read. */
export function streamRoom (deps: SseDeps, request: FastifyRequest, reply: FastifyReply, roomId: string, after: string | undefined): FastifyReply {
  const place = claimedIn(request, after, readEventId)
  return begin(deps, request, reply, new Map([[roomId, place]]), true)
}

export function sseRoutes (app: App, deps: SseDeps): void {
  app.get('/events', {
    exposeHeadRoute: false,
    config: { ticket: true },
    schema: {
      ...about('Log', 'The logs of several rooms, live and from any age, as server-sent events', 'not_acceptable', 'too_many', 'too_many_subscriptions', 'room_not_found', 'not_member', 'banned'),
      querystring: Several,
      headers: LastEventId,
      describes: { response: { 200: FRAMES } },
    },
  }, async (request, reply) => {
    const { accept = '*/*' } = request.headers
    if (!/text\/(event-stream|\*)|\*\/\*/.test(accept)) refuse('not_acceptable', `This is answered as ${STREAM_MEDIA_TYPE} only`)
    const names = request.query.rooms.split(',')
    const ids = new Set(names.map(name => resolveRoomId(name.trim()) ?? refuse('bad_request', 'rooms must be UUIDs of rooms, or `lobby`, separated by commas', 'rooms')))
    if (ids.size > ROOMS_MAX) refuse('bad_request', `rooms must be at most ${ROOMS_MAX}`, 'rooms')
    const places = claimedIn(request, request.query.after, id => readPlacesId(id, ROOMS_MAX))
    // Of each room that may not be read the stream says so; of a stream without any it can be said before.
    if (ids.has(identityOf(request).user_id)) await deps.ensureInbox(identityOf(request).user_id) // whoever wants to hear it finds one
    const readings = [...(await deps.access.readings([...ids], identityOf(request).user_id)).values()]
    const [first] = readings
    if (first?.allowed === false && readings.every(({ allowed }) => !allowed)) throw new Refusal(first.rejection)
    return begin(deps, request, reply, new Map([...ids].map(id => [id, places?.get(id)])), false)
  })
}

/** Where the client says it is. Throws Refusal for what cannot be read. */
function claimedIn<T> ({ headers }: FastifyRequest, after: string | undefined, read: (id: string) => T | undefined): T | undefined {
  const last = headers['last-event-id']
  if (typeof last === 'string' && last !== '') return read(last) ?? refuse('bad_request', 'last-event-id is not the ID of an event of this stream', 'last-event-id')
  return after === undefined ? undefined : read(after) ?? refuse('bad_request', 'after is not the ID of an event of this stream', 'after')
}

function begin ({ openStream }: SseDeps, request: FastifyRequest & { identity: VerifiedToken | null }, reply: FastifyReply, rooms: StreamOpening['rooms'], single: boolean): FastifyReply {
  const refused = openStream({ response: reply.raw, headers: reply.getHeaders(), identity: identityOf(request), rooms, single })
  if (refused !== undefined) throw new Refusal(refused)
  return reply.hijack()
}
