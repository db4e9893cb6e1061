/** Who did what to whom in a room, when and from where: for its moderators, out of the log. */
import Type from 'typebox'
import { NAME_CHARS_MAX, Seq, Settings } from '../domain/events.ts'
import { may } from '../domain/permissions.ts'
import { AUDITED, auditPage } from '../store/audit.ts'
import { about } from './about.ts'
import { Limit, listOf, Position, RoomParams, type App } from './app.ts'
import { refuse } from './problems.ts'
import { askedOf, type RoomReads } from './room-reads.ts'

const Item = Type.Object({
  seq: Type.Integer(),
  event_id: Type.String(),
  type: Type.Enum([...AUDITED]),
  user_id: Type.String({ description: 'Who did it' }),
  session_id: Type.Optional(Type.String({ description: 'In which sign-in' })),
  operator: Type.Optional(Type.Literal(true, { description: 'It was done by an operator of the deployment' })),
  device_id: Type.Optional(Type.String({ description: 'What its client calls the device, where that is still known' })),
  timestamp: Type.String(),
  target: Type.Optional(Type.String({ description: 'To whom' })),
  reason: Type.Optional(Type.String()),
  until: Type.Optional(Type.String()),
  lifted: Type.Optional(Type.Boolean()),
  role: Type.Optional(Type.String()),
  message_seq: Type.Optional(Type.Integer()),
  author: Type.Optional(Type.String({ description: 'Of a delete: whose message it was' })),
  added: Type.Optional(Type.Boolean()),
  change: Type.Optional(Type.Enum(['created', 'updated', 'deleted'])),
  name: Type.Optional(Type.String({ maxLength: NAME_CHARS_MAX })),
  kind: Type.Optional(Type.String()),
  ...Settings.properties,
})
const Page = Type.Object({ before: Type.Optional(Seq), limit: Limit })

export function auditRoutes (app: App, deps: RoomReads): void {
  app.get('/rooms/:id/audit', { schema: { ...about('Members', 'Who did what to whom in a room', 'forbidden', 'busy'), params: RoomParams, querystring: Page, response: { 200: Type.Object({ ...listOf(Item, Type.Integer()).properties, as_of: Position }) } } }, async request => {
    const { room_id, from, reads, inside, room: { kind }, member: { role } } = await askedOf(deps, request)
    if (!inside) refuse('not_member')
    if (!may(kind, role, 'audit')) refuse('forbidden')
    const { before, limit = 50 } = request.query
    const { items, next, as_of } = await deps.gate(async () => await auditPage(reads, { room_id, from, before, limit }))
    return { items: items.map(({ event, ...place }) => ({ ...event, ...place })), next, as_of } as never
  })
}
