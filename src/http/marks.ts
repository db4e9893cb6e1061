/** The read mark of whoever asks, in one room. It moves forward only, and not beyond the head; answered once it is written. */
import Type from 'typebox'
import type { Access } from '../commands/access.ts'
import { Seq } from '../domain/events.ts'
import type { Marks } from '../log/marks.ts'
import { about } from './about.ts'
import { identityOf, roomIdOf, RoomParams, type App } from './app.ts'
import { Refusal } from './problems.ts'

const Body = Type.Object({ seq: Seq })
const Moved = Type.Object({ room_id: Type.String(), seq: Type.Integer({ description: 'Where the mark is now' }) })

export interface MarksDeps {
  access: Access
  marks: Marks
}

export function marksRoutes (app: App, { access, marks }: MarksDeps): void {
  app.put('/rooms/:id/read', { schema: { ...about('Log', 'Move my read mark forward'), params: RoomParams, body: Body, response: { 200: Moved } } }, async request => {
    const room_id = roomIdOf(request)
    const { user_id } = identityOf(request)
    const reading = await access.reading(room_id, user_id)
    if (!reading.allowed) throw new Refusal(reading.rejection)
    const seq = await marks.move({ room_id, user_id, kind: 'read', device: '', seq: request.body.seq, member: reading.inside })
    return { room_id, seq }
  })
}
