/**
 * What a client needs to start, in one call. Positions come first, then state: what happens in between is in the state already, and
 * comes again to whoever resumes from the positions, who knows events by their seq. The other way round it would be missed.
 */
import Type from 'typebox'
import type { Accounts } from '../auth/accounts.ts'
import { START } from '../domain/position.ts'
import { LogFault } from '../log/log.ts'
import { about } from './about.ts'
import { identityOf, listOf, Position, type App } from './app.ts'
import type { Gate } from './gate.ts'
import { Me, meOf } from './me.ts'
import { ListedRoom, myRooms, type RoomsDeps } from './rooms.ts'
import { AsOf, roomsNow, ROOMS_COUNTED_MAX, UnreadItem, unreadOf, type UnreadDeps } from './unread.ts'

export type SyncDeps = UnreadDeps & RoomsDeps & { accounts: Accounts }

const Sync = Type.Object({
  positions: Type.Object({
    inbox: Position,
    rooms: Type.Record(Type.String(), Position),
  }, { description: 'Where to resume from. A room at seq 0 is one that you came into a moment ago' }),
  me: Me,
  rooms: Type.Object({ ...listOf(ListedRoom, Type.String()).properties }, { description: `As \`GET /rooms\`, of which \`next\` gives the rest; up to ${ROOMS_COUNTED_MAX}` }),
  unread: Type.Array(UnreadItem, { description: 'As `GET /unread`' }),
  as_of: AsOf,
})

export function syncRoutes (app: App, deps: SyncDeps & { gate: Gate }): void {
  const { log, counts, accounts, gate } = deps

  /** Heads of the logs. Nothing is concluded while some of them are being reconciled. */
  async function headsOf (roomIds: readonly string[]) {
    const { fenced, heads } = await log.heads(roomIds)
    if (fenced) throw new LogFault('fenced', 'heads are asked for while a partition is fenced')
    return heads
  }

  app.get('/sync', { schema: { ...about('Log', 'What a client needs to start: positions, then state', 'busy'), response: { 200: Sync } } }, async request => {
    const { user_id } = identityOf(request)
    return await gate(async () => {
      const heads = await headsOf([user_id, ...await roomsNow(deps, user_id)])
      const [rooms, me] = await Promise.all([myRooms(deps, user_id, { limit: ROOMS_COUNTED_MAX }), accounts.user(user_id)])
      const { items: unread, ...rest } = unreadOf(await counts.unread(rooms.items.map(({ id: room_id }) => ({ room_id, user_id }))))
      return {
        positions: {
          inbox: heads.get(user_id) ?? START,
          rooms: Object.fromEntries(rooms.items.map(({ id }) => [id, heads.get(id) ?? START])), // of no others: they may not know where those are
        },
        me: meOf(me),
        rooms,
        unread,
        ...rest,
      }
    })
  })
}
