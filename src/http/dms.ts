/** The direct conversation of two people: there is one for each pair, made on first use. With oneself it keeps notes. */
import Type from 'typebox'
import type { Access } from '../commands/access.ts'
import type { Direct } from '../commands/direct.ts'
import { about } from './about.ts'
import { AppendHeaders, commandOf, type App } from './app.ts'
import { doneOf, UserId } from './done.ts'
import { Refusal } from './problems.ts'
import { Room, roomOf } from './rooms.ts'

export interface DmsDeps {
  access: Access
  direct: Direct
}

const With = Type.Object({ user_id: UserId })

export function dmsRoutes (app: App, { access, direct }: DmsDeps): void {
  app.post('/dms', { schema: { ...about('Rooms', 'The direct conversation with somebody, made on first use', 'user_not_found', 'blocked'), headers: AppendHeaders, body: With, response: { 200: Room, 201: Room } } }, async (request, reply) => {
    const by = commandOf(request)
    const { room_id, changed } = doneOf(await direct.open(by, request.body.user_id.toLowerCase()), { user_not_found: 'user_id' })
    const reading = await access.reading(room_id, by.user_id)
    if (!reading.allowed) throw new Refusal(reading.rejection)
    return reply.code(changed ? 201 : 200).header('location', `/rooms/${room_id}`).send(roomOf(reading))
  })
}
