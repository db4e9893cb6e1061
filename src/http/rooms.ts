/**
 * Rooms: making one, going in and out, and the lists of mine and of the public ones.
 *
 * Lists come from the read model, laid over with what the asker has changed since (`recentRooms`): so after a room was made,
 * joined or left, its asker's lists show it, on any gateway, however far behind the projection is. One room is read from
 * the log's own state and never lags.
 */
import { createHash } from 'node:crypto'
import Type, { type Static } from 'typebox'
import type { Access, Reading } from '../commands/access.ts'
import type { Commands, Outcome } from '../commands/request.ts'
import { NAME_CHARS_MAX, ROOM_KINDS, RoomName, Topic } from '../domain/events.ts'
import { LOBBY_ID } from '../domain/lobby.ts'
import type { RecentRoom, RecentRooms } from '../log/recent-rooms.ts'
import { appliedSeqs } from '../store/checkpoints.ts'
import { HISTORY } from '../store/history.ts'
import type { Store } from '../store/pool.ts'
import { publicRooms, roomsOf, type RoomList } from '../store/rooms.ts'
import type { Logger } from '../telemetry/logging.ts'
import { AppendHeaders, commandOf, identityOf, Limit, listOf, roomIdOf, RoomParams, type App } from './app.ts'
import { Refusal, refuse, sendProblem } from './problems.ts'

const Room = Type.Object({
  id: Type.String(),
  name: Type.String(),
  kind: Type.Enum([...ROOM_KINDS]),
  topic: Type.String(),
  history: Type.Enum(['all', 'joined'], { description: 'Whether members see what was before they came in' }),
  head_seq: Type.Integer({ description: 'Its newest event' }),
  messages: Type.Integer({ description: 'Messages so far' }),
  member: Type.Boolean({ description: 'Whether the asker is in it' }),
  role: Type.String({ description: 'The asker’s: owner, admin, moderator, member, none' }),
})
const ListedRoom = Type.Object({
  id: Type.String(),
  name: Type.String(),
  kind: Type.String(),
  topic: Type.Optional(Type.String()),
  role: Type.Optional(Type.String({ description: 'The asker’s, in the list of their rooms' })),
  head_seq: Type.Optional(Type.Integer({ description: 'Its newest event, as far as this list knows' })),
  last_message: Type.Optional(Type.Object({ seq: Type.Integer(), user_id: Type.String(), content: Type.String(), timestamp: Type.String() })),
  members: Type.Optional(Type.Integer({ description: 'How many are in it' })),
})

export interface RoomsDeps {
  access: Access
  commands: Commands
  recentRooms: RecentRooms
  store: Store
  newId: () => string
  logger: Logger
}

const Pages = { after: Type.Optional(Type.String({ pattern: '^[0-9a-fA-F-]{36}$', description: '`next` of the page before' })), limit: Limit }
const Directory = Type.Object({ ...Pages, query: Type.Optional(Type.String({ maxLength: NAME_CHARS_MAX, pattern: '^[^\\u0000\\ud800-\\udfff]*$', description: 'Part of the name' })) })
const Create = Type.Object({
  name: RoomName,
  kind: Type.Enum(['public', 'private', 'protected', 'group']),
  topic: Type.Optional(Topic),
  history: Type.Optional(Type.Enum(['all', 'joined'])),
})
const Done = Type.Object({
  room_id: Type.String(),
  changed: Type.Boolean({ description: 'False if there was nothing to do' }),
  seq: Type.Optional(Type.Integer()),
  chain: Type.Optional(Type.String()),
  event_id: Type.Optional(Type.String()),
  duplicate: Type.Optional(Type.Boolean()),
  durability: Type.Optional(Type.String()),
})

export function roomsRoutes (app: App, deps: RoomsDeps): void {
  const { access, commands, store, newId } = deps

  app.get('/rooms', { schema: { querystring: Type.Object(Pages), response: { 200: listOf(ListedRoom, Type.String()) } } }, async request => {
    const { user_id } = identityOf(request)
    const { after, limit = 100 } = request.query
    const news = await newsOf(deps, user_id) // before the list: what the checkpoint had passed by then is in it
    const list = await roomsOf(store, user_id, { after, limit })
    // Its ID is the least. It is missing only until the read model has it for the first time.
    if (after === undefined && list.items[0]?.id !== LOBBY_ID) news.push(await newsOfRoom(access, LOBBY_ID, user_id))
    return lay(news, list, after, limit, ({ inside }) => inside)
  })

  app.get('/rooms/public', { schema: { querystring: Directory, response: { 200: listOf(ListedRoom, Type.String()) } } }, async request => {
    const { query = '', after, limit = 100 } = request.query
    const wanted = query.toLowerCase()
    const news = await newsOf(deps, identityOf(request).user_id)
    const list = lay(news, await publicRooms(store, query, { after, limit }), after, limit, ({ room: { kind, name } }) => kind === 'public' && name.toLowerCase().includes(wanted))
    return { ...list, items: list.items.map(({ role: _, ...item }) => item) }
  })

  app.post('/rooms', { schema: { headers: AppendHeaders, body: Create, response: { 201: Room } } }, async (request, reply) => {
    const { name, kind, topic, history } = request.body
    if (kind !== 'public') refuse('bad_request', `kind: rooms of the kind ${kind} are not available yet`, 'kind')
    const by = commandOf(request)
    const room_id = by.client_id === undefined ? newId() : roomIdOfKey(by.user_id, by.client_id)
    const outcome = await commands.execute({ ...by, command: { type: 'create', room_id, name, kind, topic, history } })
    // The ID is made of the key: where it exists, this request was done before, however long ago.
    if (!outcome.ok && !(outcome.rejection.code === 'room_exists' && by.client_id !== undefined)) return sendProblem(reply, outcome.rejection)
    const reading = await access.reading(room_id, by.user_id)
    if (!reading.allowed) return sendProblem(reply, reading.rejection)
    return reply.code(201).header('location', `/rooms/${room_id}`).send(roomOf(reading))
  })

  app.get('/rooms/:id', { schema: { params: RoomParams, response: { 200: Room } } }, async request => {
    const reading = await access.reading(roomIdOf(request), identityOf(request).user_id)
    if (!reading.allowed) throw new Refusal(reading.rejection)
    return roomOf(reading)
  })

  app.post('/rooms/:id/join', { schema: { params: RoomParams, headers: AppendHeaders, response: { 200: Done } } }, async (request, reply) => {
    const outcome = await commands.execute({ ...commandOf(request), command: { type: 'join', room_id: roomIdOf(request) } })
    return outcome.ok ? doneOf(outcome) : sendProblem(reply, outcome.rejection) as never
  })

  app.post('/rooms/:id/leave', { schema: { params: RoomParams, headers: AppendHeaders, response: { 200: Done } } }, async (request, reply) => {
    const outcome = await commands.execute({ ...commandOf(request), command: { type: 'leave', room_id: roomIdOf(request) } })
    return outcome.ok ? doneOf(outcome) : sendProblem(reply, outcome.rejection) as never
  })
}

function doneOf ({ ok: _, ...done }: Extract<Outcome, { ok: true }>): Static<typeof Done> {
  return done
}

type Allowed = Extract<Reading, { allowed: true }>

function roomOf ({ room: { id, kind, name, topic, history, seq, messages }, member: { role }, inside }: Allowed): Static<typeof Room> {
  // Nobody has a record in the lobby, and everyone is in it.
  return { id, name, kind, topic, history, head_seq: seq, messages, member: inside, role: inside && role === 'none' ? 'member' : role }
}

/** The same key of the same user is the same room: an ID of version 8 (RFC 9562), made of both. */
export function roomIdOfKey (userId: string, key: string): string {
  const bytes = createHash('sha256').update(`room of ${userId} under ${key}`).digest().subarray(0, 16)
  bytes[6] = (bytes[6]! & 0x0f) | 0x80
  bytes[8] = (bytes[8]! & 0x3f) | 0x80
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}

/** A room in which the asker's membership changed lately, as it is now; `reading` is undefined if they may not read it any more. */
interface News { readonly id: string, readonly reading: Allowed | undefined }

/** The changes that the read model does not have yet. Those that it has are forgotten. */
async function newsOf ({ access, recentRooms, store, logger }: RoomsDeps, userId: string): Promise<News[]> {
  const recent = await recentRooms.of(userId)
  if (recent.length === 0) return []
  const applied = await appliedSeqs(store, HISTORY, recent.map(({ room_id }) => room_id))
  const isApplied = ({ room_id, seq }: RecentRoom): boolean => (applied.get(room_id) ?? 0) >= seq
  recentRooms.forget(userId, recent.filter(isApplied)).catch((error: Error) => { logger.debug({ reason: error.message }, 'recent rooms could not be forgotten: the next list will') })
  return await Promise.all(recent.filter(room => !isApplied(room)).map(async ({ room_id }) => await newsOfRoom(access, room_id, userId)))
}

async function newsOfRoom (access: Access, id: string, userId: string): Promise<News> {
  const reading = await access.reading(id, userId)
  return { id, reading: reading.allowed ? reading : undefined }
}

/**
 * Lays the news over a page of a list that ascends by ID: rooms that belong into it come to their places with what is known now,
 * those that do not any more go. The page still has at most `limit` items, and paging still meets each room once.
 */
function lay (news: readonly News[], { items, next }: RoomList, after: string | undefined, limit: number, belongs: (reading: Allowed) => boolean): RoomList {
  const rooms = new Map(items.map(item => [item.id, item]))
  for (const { id, reading } of news) {
    if (reading === undefined || !belongs(reading)) rooms.delete(id)
    else if ((after === undefined || id > after.toLowerCase()) && (next === null || id < next)) {
      const { name, kind, topic, head_seq, role } = roomOf(reading)
      rooms.set(id, { ...rooms.get(id), id, name, kind, topic, head_seq, role })
    }
  }
  const all = [...rooms.values()].sort((a, b) => a.id < b.id ? -1 : 1)
  const page = all.slice(0, limit)
  return { items: page, next: all.length > limit ? page.at(-1)!.id : next }
}
