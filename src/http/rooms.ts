/**
 * Reading rooms: one of them, the lists of mine, and the directory of those that anyone may find.
 *
 * Lists come from the read model, with the rooms that the asker came into since (`recentRooms`) laid over; so after a room was
 * made, joined or left, its asker's lists show it, on any gateway, however far behind the projection is. What is told of each
 * room, and whether at all, is asked of the room itself: one round trip for a page [G9]. A room by itself never lags.
 */
import Type, { type Static } from 'typebox'
import type { Access, Reading } from '../commands/access.ts'
import type { Counts } from '../commands/counts.ts'
import { CONTENT_CHARS_MAX, NAME_CHARS_MAX, ROOM_KINDS } from '../domain/events.ts'
import { LOBBY_ID } from '../domain/lobby.ts'
import type { RoomLog } from '../log/log.ts'
import type { RecentRoom, RecentRooms } from '../log/recent-rooms.ts'
import { appliedSeqs } from '../store/checkpoints.ts'
import { deletesAmong } from '../store/archive.ts'
import { HISTORY } from '../store/history.ts'
import type { Store } from '../store/pool.ts'
import { publicRooms, roomsOf, type ListedRoom as ListedRow, type RoomList } from '../store/rooms.ts'
import type { Logger } from '../telemetry/logging.ts'
import { about } from './about.ts'
import { identityOf, Limit, listOf, roomIdOf, RoomParams, UUID_PATTERN, type App } from './app.ts'
import { Refusal } from './problems.ts'

/** To outsiders of a protected room only what is not optional. */
export const Room = Type.Object({
  id: Type.String(),
  name: Type.String({ description: 'Empty for a direct conversation' }),
  kind: Type.Enum([...ROOM_KINDS]),
  member: Type.Boolean({ description: 'Whether the asker is in it' }),
  role: Type.String({ description: 'The asker’s: owner, admin, moderator, member; none, or kicked' }),
  topic: Type.Optional(Type.String()),
  history: Type.Optional(Type.Enum(['all', 'joined'], { description: 'Whether members see what was before they came in' })),
  members_max: Type.Optional(Type.Integer({ description: 'Most members; left out where there is no limit' })),
  message_chars_max: Type.Optional(Type.Integer({ description: 'Longest message, in characters' })),
  slow_mode_s: Type.Optional(Type.Integer({ description: 'Seconds that a member waits between two messages; 0: none' })),
  archived: Type.Optional(Type.Boolean({ description: 'Whether it can only be read' })),
  retention_days: Type.Optional(Type.Integer({ description: 'Days for which messages are kept; left out where it has no rule of its own' })),
  peers: Type.Optional(Type.Array(Type.String(), { description: 'The two of a direct conversation' })),
  members: Type.Optional(Type.Integer({ description: 'How many are in it; not told of the lobby' })),
  head_seq: Type.Optional(Type.Integer({ description: 'Its newest event' })),
  messages: Type.Optional(Type.Integer({ description: 'Messages so far' })),
})
export const ListedRoom = Type.Object({
  id: Type.String(),
  name: Type.String(),
  kind: Type.String(),
  topic: Type.Optional(Type.String()),
  role: Type.Optional(Type.String({ description: 'The asker’s, in the list of their rooms' })),
  archived: Type.Optional(Type.Boolean()),
  peers: Type.Optional(Type.Array(Type.String(), { description: 'The two of a direct conversation' })),
  peer: Type.Optional(Type.Object({ user_id: Type.String(), username: Type.String(), display_name: Type.String(), avatar_url: Type.Union([Type.String(), Type.Null()]) }, { description: 'The other one of a direct conversation, once the read model has it' })),
  members: Type.Optional(Type.Integer({ description: 'How many are in it' })),
  head_seq: Type.Optional(Type.Integer({ description: 'Its newest event' })),
  unread: Type.Optional(Type.Integer({ description: 'In the list of my rooms: messages that wait for me' })),
  mentions: Type.Optional(Type.Integer({ description: 'Those of them that name me' })),
  last_message: Type.Optional(Type.Object({ seq: Type.Integer(), user_id: Type.String(), content: Type.String(), timestamp: Type.String(), edited_at: Type.Optional(Type.String()), deleted: Type.Optional(Type.Boolean()) }, { description: 'The newest that the read model has' })),
})
type Listed = ListedRow & Static<typeof ListedRoom>

export interface RoomsDeps {
  access: Access
  counts: Counts
  log: RoomLog
  recentRooms: RecentRooms
  store: Store
  logger: Logger
}

const Pages = { after: Type.Optional(Type.String({ pattern: UUID_PATTERN, description: '`next` of the page before' })), limit: Limit }
const Directory = Type.Object({ ...Pages, query: Type.Optional(Type.String({ maxLength: NAME_CHARS_MAX, pattern: '^[^\\u0000\\ud800-\\udfff]*$', description: 'Part of the name' })) })

export function roomsRoutes (app: App, deps: RoomsDeps): void {
  const { access, counts, log, store } = deps

  app.get('/rooms', { schema: { ...about('Rooms', 'The rooms that I am in'), querystring: Type.Object(Pages), response: { 200: listOf(ListedRoom, Type.String()) } } }, async request => {
    const { user_id } = identityOf(request)
    const { after, limit = 100 } = request.query
    const list = await myRooms(deps, user_id, { after, limit })
    const waiting = new Map((await counts.unread(list.items.map(({ id }) => ({ room_id: id, user_id })))).map(count => [count.room_id, count]))
    return { ...list, items: list.items.map(item => ({ ...item, unread: waiting.get(item.id)?.unread ?? 0, mentions: waiting.get(item.id)?.mentions ?? 0 })) }
  })

  app.get('/rooms/public', { schema: { ...about('Rooms', 'The directory: rooms that anyone may find'), querystring: Directory, response: { 200: listOf(ListedRoom, Type.String()) } } }, async request => {
    const { user_id } = identityOf(request)
    const { query = '', after, limit = 100 } = request.query
    const recent = await unapplied(deps, user_id)
    return await lay(deps, { user_id, recent, after, limit }, await publicRooms(store, query, { after, limit }), open(query.toLowerCase()))
  })

  app.get('/rooms/:id', { schema: { ...about('Rooms', 'One room'), params: RoomParams, response: { 200: Room } } }, async request => {
    const [room_id, { user_id }] = [roomIdOf(request), identityOf(request)]
    const reading = await access.reading(room_id, user_id)
    if (reading.allowed) return roomOf(reading)
    return (reading.rejection.code === 'not_member' ? await outsideOf(room_id) : undefined) ?? refuseAs(reading)
  })

  /** What everyone sees of a protected room. */
  async function outsideOf (id: string): Promise<Static<typeof Room> | undefined> {
    const meta = (await log.room(id, []))?.meta
    return meta?.get('kind') === 'protected' ? { id, name: meta.get('name') ?? '', kind: 'protected', member: false, role: 'none' } : undefined
  }
}

/** A page of the rooms that the user is in. */
export async function myRooms (deps: RoomsDeps, user_id: string, { after, limit }: { after?: string | undefined, limit: number }): Promise<{ items: Listed[], next: string | null }> {
  // Before the list: what the checkpoint had passed by then is in it. The lobby's ID is the least; it is missing only until the
  // read model has it for the first time.
  const recent = [...await unapplied(deps, user_id), LOBBY_ID]
  return await lay(deps, { user_id, recent, after, limit }, await roomsOf(deps.store, user_id, { after, limit }), mine)
}

type Allowed = Extract<Reading, { allowed: true }>

function refuseAs ({ rejection }: Extract<Reading, { allowed: false }>): never {
  throw new Refusal(rejection)
}

/** The room as the reader sees it. */
export function roomOf ({ room, member: { role }, inside }: Allowed): Static<typeof Room> {
  const { id, kind, name, topic, history, members_max, message_chars_max, slow_mode_s, archived, retention_days, peers, seq, messages, count } = room
  return {
    id,
    name,
    kind,
    topic,
    history,
    ...(members_max > 0 ? { members_max } : {}),
    message_chars_max: message_chars_max > 0 ? message_chars_max : CONTENT_CHARS_MAX,
    slow_mode_s,
    archived,
    ...(retention_days > 0 ? { retention_days } : {}),
    ...(kind === 'dm' ? { peers: [...peers] } : {}),
    ...(kind === 'lobby' ? {} : { members: count }),
    head_seq: seq,
    messages,
    member: inside,
    role: roleOf(role, inside),
  }
}

/** Nobody needs a record in the lobby, and everyone is in it. */
function roleOf (role: string, inside: boolean): string {
  return inside && (role === 'none' || role === 'kicked') ? 'member' : role
}

/** The rooms into or out of which the asker came, as far as the read model does not know yet. What it knows is forgotten. */
async function unapplied ({ recentRooms, store, logger }: RoomsDeps, userId: string): Promise<string[]> {
  const recent = await recentRooms.of(userId)
  if (recent.length === 0) return []
  const applied = await appliedSeqs(store, HISTORY, recent.map(({ room_id }) => room_id))
  const isApplied = ({ room_id, seq }: RecentRoom): boolean => (applied.get(room_id) ?? 0) >= seq
  recentRooms.forget(userId, recent.filter(isApplied)).catch((error: Error) => { logger.debug({ reason: error.message }, 'recent rooms could not be forgotten: the next list will') })
  return recent.filter(room => !isApplied(room)).map(({ room_id }) => room_id)
}

/** A room as it stands in a list, or undefined where it does not belong. `item`: what the read model has of it. */
type View = (reading: Reading, item: ListedRow | undefined) => Listed | undefined

/** Of the rooms that the asker is in. */
const mine: View = (reading, item) => {
  if (!reading.allowed || !reading.inside) return undefined
  return { ...shown(reading, item), role: roleOf(reading.member.role, true) }
}

/** Of those that anyone may find. Who may not read one, or would need its password, learns its name and kind. */
const open = (wanted: string): View => (reading, item) => {
  if (!reading.allowed) return item === undefined || reading.rejection.code === 'room_not_found' ? undefined : { id: item.id, name: item.name, kind: item.kind }
  const { id, kind, name } = reading.room
  if (item === undefined && !((kind === 'public' || kind === 'protected') && name.toLowerCase().includes(wanted))) return undefined
  return kind === 'protected' ? { id, name, kind } : shown(reading, item)
}

function shown ({ room, from }: Allowed, item: ListedRow | undefined): Listed {
  const { role: _, last_message, ...known } = item ?? { id: room.id } as ListedRow
  const { id, name, kind, topic, archived, peers, seq } = room
  return {
    ...known,
    id,
    name,
    kind,
    topic,
    ...(archived ? { archived } : {}),
    ...(kind === 'dm' ? { peers: [...peers] } : {}),
    head_seq: seq,
    ...(last_message !== undefined && last_message.seq > from ? { last_message } : {}),
  }
}

/**
 * Lays what the rooms themselves say over a page of a list that ascends by ID: rooms that belong into it come to their places, those
 * that do not any more go. The page still has at most `limit` items, and paging still meets each room once.
 */
async function lay ({ access, log, store }: RoomsDeps, { user_id, recent, after, limit }: { user_id: string, recent: readonly string[], after: string | undefined, limit: number }, { items, next }: RoomList, view: View): Promise<{ items: Listed[], next: string | null }> {
  const listed = new Map(items.map(item => [item.id, item]))
  const late = recent.filter(id => (after === undefined || id > after.toLowerCase()) && (next === null || id < next))
  const ids = [...new Set([...listed.keys(), ...late])].sort()
  const readings = await access.readings(ids, user_id)
  const all = ids.flatMap(id => view(readings.get(id)!, listed.get(id)) ?? [])
  const page = all.slice(0, limit)
  return { items: await withoutDeleted({ log, store }, page), next: all.length > limit ? page.at(-1)!.id : next }
}

/** The read model may not have a delete yet, or stand still before it: the log and the archive are asked. */
async function withoutDeleted ({ log, store }: Pick<RoomsDeps, 'log' | 'store'>, items: Listed[]): Promise<Listed[]> {
  const shown = items.flatMap(({ id, last_message: last }) => last === undefined || last.deleted === true ? [] : [{ room_id: id, seq: last.seq }])
  if (shown.length === 0) return items
  const [marked, archived] = await Promise.all([log.areDeleted(shown), deletesAmong(store, shown)])
  const gone = new Set(shown.flatMap(({ room_id, seq }, i) => marked[i] === true || archived.has(`${room_id} ${seq}`) ? [room_id] : []))
  return items.map(item => gone.has(item.id) ? { ...item, last_message: { ...item.last_message!, content: '', deleted: true } } : item)
}
