/**
 * Messages of a room: pages of them, and sending one. What was acked is on the next page that anyone loads: the page reaches
 * into the log where the projection is behind, and into the archive for what is trimmed from the log already. Whether the
 * asker may read is asked before, of the room itself [G9].
 */
import Type from 'typebox'
import type { Access } from '../commands/access.ts'
import type { Commands } from '../commands/request.ts'
import { Content, Seq } from '../domain/events.ts'
import { chainOf } from '../log/chain.ts'
import { decodeEvent, frameOf, type LogEvent } from '../log/codec.ts'
import type { RoomLog } from '../log/log.ts'
import { messagePage } from '../store/history.ts'
import type { Store } from '../store/pool.ts'
import { AppendHeaders, commandOf, identityOf, Limit, listOf, Position, roomIdOf, RoomParams, type App } from './app.ts'
import { readOn, readRun } from './events.ts'
import type { Gate } from './gate.ts'
import { Refusal, refuse, sendProblem } from './problems.ts'

const Message = Type.Object({
  seq: Type.Integer(),
  event_id: Type.String(),
  user_id: Type.String(),
  content: Type.String(),
  timestamp: Type.String({ description: 'RFC 3339, UTC, milliseconds' }),
  reply_to: Type.Optional(Type.Integer()),
  client_id: Type.Optional(Type.String()),
  reactions: Type.Array(Type.Unknown()), // none yet; clients can rely on the field
  mentions: Type.Array(Type.String()),
})

export interface MessagesDeps {
  access: Access
  commands: Commands
  log: RoomLog
  store: Store
}

const Page = Type.Object({ before: Type.Optional(Seq), after: Type.Optional(Seq), around: Type.Optional(Seq), limit: Limit })
const PageAnswer = Type.Object({ ...listOf(Message, Type.Integer()).properties, as_of: Position })
const Post = Type.Object({ content: Content, reply_to: Type.Optional(Seq) })

export function messagesRoutes (app: App, { access, commands, log, store, gate }: MessagesDeps & { gate: Gate }): void {
  app.get('/rooms/:id/messages', { schema: { params: RoomParams, querystring: Page, response: { 200: PageAnswer } } }, async request => {
    const { before, after, around, limit = 50 } = request.query
    if ([before, after, around].filter(place => place !== undefined).length > 1) refuse('bad_request', 'before, after and around exclude each other', 'before')
    const room_id = roomIdOf(request)
    const reading = await access.reading(room_id, identityOf(request).user_id)
    if (!reading.allowed) throw new Refusal(reading.rejection)
    // Where history is behind the archive, the stream may be trimmed up to there: the page is given both as one log.
    const whole = { read: async (roomId: string, after: number, limit: number) => await readOn({ log, store }, roomId, after, limit, reading.room.seq) }
    const { items, next, as_of } = await gate(async () => await messagePage({ store, log: whole, decode: decodeEvent, chainOf }, { room_id, from: reading.from, before, after, around, limit }))
    return { items: items.map(item => ({ ...item, reactions: [], mentions: [] })), next, as_of }
  })

  app.post('/rooms/:id/messages', { schema: { params: RoomParams, headers: AppendHeaders, body: Post } }, async (request, reply) => {
    const room_id = roomIdOf(request)
    const { content, reply_to } = request.body
    const outcome = await commands.execute({ ...commandOf(request), command: { type: 'message', room_id, content, reply_to } })
    if (!outcome.ok) return sendProblem(reply, outcome.rejection)
    if (!outcome.changed) throw new TypeError('a message changed nothing')
    const event = await eventAt(room_id, outcome.seq)
    return reply.code(201).header('content-type', 'application/json; charset=utf-8').send(frameOf(room_id, event))
  })

  /** The event that was just appended, or, for a key used before, the old one. It is the asker's own. */
  async function eventAt (roomId: string, seq: number): Promise<LogEvent> {
    const [event] = await readRun({ log, store }, roomId, seq - 1, 1, seq)
    if (event === undefined) throw new TypeError(`seq ${seq} was acked and is not there`)
    return event
  }
}
