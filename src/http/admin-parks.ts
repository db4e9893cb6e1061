/** Rooms that a projection has set aside, for operators: the same as `millrace park`. */
import Type, { type Static } from 'typebox'
import type { Operators } from '../auth/operators.ts'
import { Reason } from '../domain/events.ts'
import type { RoomLog } from '../log/log.ts'
import { lookIntoPark } from '../operations/park.ts'
import { listParked, type ParkedPlace } from '../store/parked.ts'
import type { Store } from '../store/pool.ts'
import { about, Nothing } from './about.ts'
import { Limit, listOf, UUID_PATTERN, type App } from './app.ts'
import { MAY_BE_EMPTY } from './done.ts'
import { Cursor, cursorFrom, cursorText } from './found.ts'
import { operatorOf } from './operator.ts'
import { refuse } from './problems.ts'

/** What is done about a parked room, by those who park it. */
export interface Parks {
  /** Has it replayed in order from there; false if it is not parked. */
  retry: (projection: string, roomId: string) => Promise<boolean>
  /** Goes on behind what cannot be applied; a text says why not. */
  skip: (projection: string, roomId: string, skipper: { readonly by: string, readonly reason?: string | undefined }) => Promise<{ readonly from: number, readonly to: number } | string>
}

export interface AdminParksDeps {
  operators: Operators
  parks: Parks
  log: RoomLog
  store: Store
}

const MaybeText = Type.Union([Type.String(), Type.Null()])
const Parked = {
  projection: Type.String({ description: 'Name and version' }),
  room_id: Type.String(),
  partition: Type.Integer(),
  seq: Type.Integer({ description: 'First event that is not applied' }),
  event_id: MaybeText,
  error_code: Type.String({ description: 'SQLSTATE; corrupt, bug, parted or hole' }),
  error: Type.String(),
  parked_at: Type.String({ description: 'RFC 3339, UTC' }),
  attempts: Type.Integer(),
}
const Details = Type.Object({
  ...Parked,
  event: Type.Optional(Type.Object({ type: Type.String(), user_id: Type.String(), timestamp: Type.String() }, { description: 'Left out where it cannot be read' })),
  content: Type.Optional(Type.String({ description: 'Text of the event as the log has it; only where asked for, which is written down' })),
  head_seq: Type.Optional(Type.Integer({ description: 'End of the room’s log' })),
  waiting: Type.Optional(Type.Integer({ description: 'Events from the parked one on' })),
})
const Params = Type.Object({
  projection: Type.String({ pattern: '^\\w{1,60}$', description: 'Name and version, such as `history_v1`' }),
  room: Type.String({ pattern: UUID_PATTERN, description: 'UUID of the room' }),
})
const Page = Type.Object({ after: Cursor, limit: Limit })
const Place = Type.Object({ at: Type.Integer({ minimum: 0, maximum: 8.64e15 }), projection: Params.properties.projection, room_id: Params.properties.room })
const Show = Type.Object({ content: Type.Optional(Type.Enum(['true', 'false'], { description: '`true`: show the event itself as well' })) })

export function adminParksRoutes (app: App, { operators, parks, log, store }: AdminParksDeps): void {
  const placeOf = ({ params: { projection, room } }: { params: Static<typeof Params> }) => ({ projection, room_id: room.toLowerCase() })
  const placeFrom = (text: string): ParkedPlace => {
    const { at, ...place } = cursorFrom(Place, text, 'after')
    return { parked_at: new Date(at), ...place }
  }
  const notParked = (): never => refuse('not_found', 'The room is not parked there')

  app.get('/admin/parks', { schema: { ...about('Operators', 'Parked rooms, the oldest first', 'not_found'), querystring: Page, response: { 200: listOf(Type.Object(Parked), Type.String()) } } }, async ({ query: { after, limit = 200 } }) => {
    const found = await listParked(store, { after: after === undefined ? undefined : placeFrom(after), limit: limit + 1 })
    const items = found.slice(0, limit)
    const last = found.length > limit ? items.at(-1) : undefined
    return {
      items: items.map(({ parked_at, ...parked }) => ({ ...parked, parked_at: parked_at.toISOString() })),
      next: last === undefined ? null : cursorText({ at: last.parked_at.getTime(), projection: last.projection, room_id: last.room_id }),
    }
  })

  app.get('/admin/parks/:projection/:room', { schema: { ...about('Operators', 'One parked room: the event, and what waits behind it'), params: Params, querystring: Show, response: { 200: Details } } }, async request => {
    const { projection, room_id } = placeOf(request)
    const content = request.query.content === 'true'
    const details = await lookIntoPark({ db: store, log }, projection, room_id, { content }) ?? notParked()
    if (content) await operators.note(operatorOf(request), { action: 'park show content', room_id, detail: { projection, seq: details.seq } })
    return details
  })

  app.post('/admin/parks/:projection/:room/retry', { schema: { ...about('Operators', 'Have a parked room replayed, in order from there'), params: Params, response: { 204: Nothing } } }, async (request, reply) => {
    const { projection, room_id } = placeOf(request)
    if (!await parks.retry(projection, room_id)) notParked()
    await operators.note(operatorOf(request), { action: 'park retry', room_id, detail: { projection } })
    return reply.code(204).send()
  })

  app.post('/admin/parks/:projection/:room/skip', { ...MAY_BE_EMPTY, schema: { ...about('Operators', 'Go on behind what cannot be applied: one event, or a hole of the archive', 'forbidden'), params: Params, body: Type.Object({ reason: Type.Optional(Reason) }), response: { 200: Type.Object({ from: Type.Integer({ description: 'First event that is left out' }), to: Type.Integer({ description: 'Last one' }) }) } } }, async request => {
    const { projection, room_id } = placeOf(request)
    const by = operatorOf(request)
    const { reason } = request.body
    const skipped = await parks.skip(projection, room_id, { by: by.name, reason })
    if (typeof skipped === 'string') return refuse('forbidden', skipped)
    await operators.note(by, { action: 'park skip', room_id, detail: { projection, ...skipped, ...(reason === undefined ? {} : { reason }) } })
    return skipped
  })
}
