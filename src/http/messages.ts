/**
 * Messages of a room: pages of them, one of them, and what one said before it was edited. What was acked is in the next answer that
 * anyone gets: reads reach into the log where the projection is behind, and into the archive for what is trimmed from the log
 * already. Of deleted messages there are tombstones.
 */
import Type from 'typebox'
import { Attachment, Seq } from '../domain/events.ts'
import { may } from '../domain/permissions.ts'
import { editsPage } from '../store/edits.ts'
import { messageAt, messagePage } from '../store/history.ts'
import { HAS } from '../store/messages.ts'
import { about } from './about.ts'
import { Limit, listOf, Position, RoomParams, UUID_PATTERN, type App } from './app.ts'
import { RoomSeqParams } from './done.ts'
import { refuse } from './problems.ts'
import { askedOf, type RoomReads, type RoomReadsDeps } from './room-reads.ts'

export type MessagesDeps = RoomReadsDeps

export const Message = Type.Object({
  seq: Type.Integer(),
  event_id: Type.String(),
  user_id: Type.String(),
  content: Type.String({ description: 'As last edited; empty once deleted' }),
  timestamp: Type.String({ description: 'RFC 3339, UTC, milliseconds' }),
  edited_at: Type.Optional(Type.String({ description: 'Last edit' })),
  deleted: Type.Optional(Type.Boolean({ description: 'A tombstone: only its place and author are left' })),
  reply_to: Type.Optional(Type.Integer()),
  thread: Type.Optional(Type.Integer({ description: 'Seq of the first message of the thread that it is in' })),
  reactions: Type.Array(Type.Object({
    emoji: Type.String(),
    count: Type.Integer(),
    user_ids: Type.Array(Type.String(), { description: 'The first 50 of them, in the order in which they reacted' }),
  })),
  mentions: Type.Array(Type.String(), { description: 'Users whom the content names' }),
  mentions_room: Type.Optional(Type.Boolean({ description: 'It names everyone' })),
  attachments: Type.Optional(Type.Array(Attachment)),
  client_id: Type.Optional(Type.String()),
  pinned: Type.Optional(Type.Boolean()),
})

const Page = Type.Object({
  before: Type.Optional(Seq),
  after: Type.Optional(Seq),
  around: Type.Optional(Seq),
  limit: Limit,
  from: Type.Optional(Type.String({ pattern: UUID_PATTERN, description: 'UUID of a user: only their messages' })),
  has: Type.Optional(Type.Enum([...HAS], { description: 'Only messages with this' })),
})
const PageAnswer = Type.Object({ ...listOf(Message, Type.Integer()).properties, as_of: Position })
const EditsQuery = Type.Object({ after: Type.Optional(Seq), limit: Limit })
const Edit = Type.Object({
  seq: Type.Integer({ description: 'Of the edit that replaced it' }),
  content: Type.String(),
  timestamp: Type.String({ description: 'When it was written' }),
  edited_at: Type.String({ description: 'When it was replaced' }),
})

export function messagesRoutes (app: App, deps: RoomReads): void {
  const { gate } = deps

  app.get('/rooms/:id/messages', { schema: { ...about('Messages', 'A page of messages, the newest by default', 'busy'), params: RoomParams, querystring: Page, response: { 200: PageAnswer } } }, async request => {
    const { before, after, around, limit = 50, from: author, has } = request.query
    if ([before, after, around].filter(place => place !== undefined).length > 1) refuse('bad_request', 'before, after and around exclude each other', 'before')
    const { room_id, from, reads } = await askedOf(deps, request)
    return await gate(async () => await messagePage(reads, { room_id, from, before, after, around, limit, user_id: author?.toLowerCase(), has }))
  })

  app.get('/rooms/:id/messages/:seq', { schema: { ...about('Messages', 'One message', 'message_not_found', 'busy'), params: RoomSeqParams, response: { 200: Message } } }, async request => {
    const { room_id, from, reads } = await askedOf(deps, request)
    const { item } = await gate(async () => await messageAt(reads, { room_id, from, seq: request.params.seq }))
    return item ?? refuse('message_not_found')
  })

  app.get('/rooms/:id/messages/:seq/edits', { schema: { ...about('Messages', 'What a message said before it was edited', 'message_not_found', 'forbidden', 'busy'), params: RoomSeqParams, querystring: EditsQuery, response: { 200: Type.Object({ ...listOf(Edit, Type.Integer()).properties, as_of: Position }) } } }, async request => {
    const { room_id, from, reads, user_id, room: { kind }, member: { role } } = await askedOf(deps, request)
    const { params: { seq }, query: { after, limit = 50 } } = request
    return await gate(async () => {
      const { item } = await messageAt(reads, { room_id, from, seq })
      if (item === undefined) refuse('message_not_found')
      if (item.user_id !== user_id && !may(kind, role, 'read edits')) refuse('forbidden', 'What a message said before is shown to its author and to moderators')
      return await editsPage(reads, { room_id, message: seq, after, limit })
    })
  })
}
