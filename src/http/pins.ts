/** Pinned messages of a room, the newest pin first. */
import Type from 'typebox'
import { Seq } from '../domain/events.ts'
import { pinsPage } from '../store/pins.ts'
import { about } from './about.ts'
import { Limit, listOf, Position, RoomParams, type App } from './app.ts'
import { Message } from './messages.ts'
import { askedOf, type RoomReads } from './room-reads.ts'

const Pinned = Type.Object({ ...Message.properties, pinned_by: Type.String(), pinned_at: Type.String() })
const Page = Type.Object({ before: Type.Optional(Type.Integer({ ...Seq, description: '`next` of the page before' })), limit: Limit })

export function pinsRoutes (app: App, deps: RoomReads): void {
  app.get('/rooms/:id/pins', { schema: { ...about('Messages', 'Pinned messages, the newest pin first', 'busy'), params: RoomParams, querystring: Page, response: { 200: Type.Object({ ...listOf(Pinned, Type.Integer()).properties, as_of: Position }) } } }, async request => {
    const { room_id, from, reads } = await askedOf(deps, request)
    const { before, limit = 50 } = request.query
    return await deps.gate(async () => await pinsPage(reads, { room_id, from, before, limit }))
  })
}
