/**
 * What waits for whoever asks: unread messages by room, and what they want to be told of in each. Counts are as of the read model and
 * what of the log can be laid over it cheaply; where that is not all, `as_of` says so.
 */
import Type, { type Static } from 'typebox'
import type { Access } from '../commands/access.ts'
import type { Counts, Unread as UnreadCount } from '../commands/counts.ts'
import { LOBBY_ID } from '../domain/lobby.ts'
import type { RecentRooms } from '../log/recent-rooms.ts'
import type { Store } from '../store/pool.ts'
import { roomIdsOf } from '../store/rooms.ts'
import { MENTIONS_MAX, setLevel } from '../store/unread.ts'
import { about } from './about.ts'
import { identityOf, roomIdOf, RoomParams, type App } from './app.ts'
import type { Gate } from './gate.ts'
import { refuse, Refusal } from './problems.ts'

/** Rooms of one person that are counted, those made last first. */
export const ROOMS_COUNTED_MAX = 2000

const Level = Type.Enum(['all', 'mentions', 'none'], { description: 'What to be told of; `none`: muted' })

export const UnreadItem = Type.Object({
  room_id: Type.String(),
  unread: Type.Integer({ description: 'Messages by others, not deleted, after my read mark and after I came in' }),
  mentions: Type.Integer({ description: `Those of them that name me or everyone; ${MENTIONS_MAX} stands for that many or more` }),
  read_seq: Type.Integer({ description: 'My read mark; 0 for none' }),
  head_seq: Type.Integer({ description: 'The newest event' }),
  notifications: Type.Optional(Type.Enum(['mentions', 'none'], { description: 'What I want to be told of; left out: all' })),
  muted: Type.Optional(Type.Boolean({ description: 'Counted, but to be shown without a badge' })),
})
export const AsOf = Type.Optional(Type.Record(Type.String(), Type.Integer(), { description: 'Rooms that are counted up to this seq only: the read model is behind' }))

export interface UnreadDeps {
  access: Access
  counts: Counts
  recentRooms: RecentRooms
  store: Store
}

export function unreadRoutes (app: App, deps: UnreadDeps & { gate: Gate }): void {
  const { access, counts, store, gate } = deps

  app.get('/unread', { schema: { ...about('Log', 'My unread messages, by room', 'busy'), response: { 200: Type.Object({ items: Type.Array(UnreadItem), as_of: AsOf }) } } }, async request => {
    const { user_id } = identityOf(request)
    return await gate(async () => unreadOf(await counts.unread((await roomsNow(deps, user_id)).map(room_id => ({ room_id, user_id })))))
  })

  app.put('/rooms/:id/notifications', { schema: { ...about('Log', 'Say what I want to be told of in a room', 'not_member'), params: RoomParams, body: Type.Object({ level: Level }), response: { 200: Type.Object({ room_id: Type.String(), level: Level }) } } }, async request => {
    const room_id = roomIdOf(request)
    const { user_id } = identityOf(request)
    const reading = await access.reading(room_id, user_id)
    if (!reading.allowed) throw new Refusal(reading.rejection)
    if (!reading.inside) refuse('not_member')
    const { level } = request.body
    await setLevel(store, { room_id, user_id }, level)
    return { room_id, level }
  })
}

/** The rooms that the user may be in: as the read model has it, those they came into since, and the lobby. */
export async function roomsNow ({ recentRooms, store }: Pick<UnreadDeps, 'recentRooms' | 'store'>, userId: string): Promise<string[]> {
  const recent = await recentRooms.of(userId) // first: what is forgotten meanwhile is in the read model
  const ids = new Set([LOBBY_ID, ...recent.map(({ room_id }) => room_id), ...await roomIdsOf(store, userId, ROOMS_COUNTED_MAX)])
  return [...ids].slice(0, ROOMS_COUNTED_MAX)
}

export function unreadOf (counts: readonly UnreadCount[]): { items: Array<Static<typeof UnreadItem>>, as_of?: Record<string, number> } {
  const items = counts.map(({ room_id, unread, mentions, read_seq, head_seq, level }) => ({
    room_id,
    unread,
    mentions,
    read_seq,
    head_seq,
    ...(level === 'all' ? {} : { notifications: level }),
    ...(level === 'none' ? { muted: true } : {}),
  }))
  return { items, ...asOf(counts.map(({ room_id, applied_seq, head_seq: head }) => ({ room_id, applied_seq, head }))) }
}

/** Of the rooms that are not counted up to their heads. */
export function asOf (counts: ReadonlyArray<{ readonly room_id: string, readonly applied_seq: number, readonly head: number }>): { as_of?: Record<string, number> } {
  const behind = counts.filter(({ applied_seq, head }) => applied_seq < head)
  return behind.length === 0 ? {} : { as_of: Object.fromEntries(behind.map(({ room_id, applied_seq }) => [room_id, applied_seq])) }
}
