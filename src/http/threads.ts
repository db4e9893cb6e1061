/** Threads: the message that one begins at, and those in it. */
import Type from 'typebox'
import { Seq } from '../domain/events.ts'
import { messageAt, messagePage } from '../store/history.ts'
import { about } from './about.ts'
import { Limit, listOf, Position, type App } from './app.ts'
import { RoomSeqParams } from './done.ts'
import { Message } from './messages.ts'
import { refuse } from './problems.ts'
import { askedOf, type RoomReads } from './room-reads.ts'

const Page = Type.Object({ after: Type.Optional(Seq), limit: Limit })
const Thread = Type.Object({
  root: Type.Union([Message, Type.Null()], { description: 'Null where it was before the asker came in, in a room that hides that' }),
  ...listOf(Message, Type.Integer()).properties,
  as_of: Position,
})

export function threadsRoutes (app: App, deps: RoomReads): void {
  app.get('/rooms/:id/threads/:seq', { schema: { ...about('Messages', 'A thread: the message that it begins at, and those in it', 'message_not_found', 'busy'), params: RoomSeqParams, querystring: Page, response: { 200: Thread } } }, async request => {
    const { room_id, from, reads } = await askedOf(deps, request)
    const { params: { seq }, query: { after = 0, limit = 50 } } = request
    return await deps.gate(async () => {
      const { item: root = null } = await messageAt(reads, { room_id, from, seq })
      // What is hidden is not told from what never was.
      if (root === null && seq > from) refuse('message_not_found')
      return { root, ...await messagePage(reads, { room_id, from, after, limit, thread: seq }) }
    })
  })
}
