/**
 * What people do with messages: send, edit, delete, react, pin. Who may is decided with the command; here only the shape of the
 * request is checked.
 */
import Type from 'typebox'
import type { Commands } from '../commands/request.ts'
import { EventFrames } from '../domain/event-frames.ts'
import { Attachments, Content, Emoji, Seq } from '../domain/events.ts'
import { frameOf, type LogEvent } from '../log/codec.ts'
import type { RoomLog } from '../log/log.ts'
import type { Store } from '../store/pool.ts'
import { about } from './about.ts'
import { AppendHeaders, commandOf, roomIdOf, RoomParams, type App } from './app.ts'
import { Done, doneOf, RoomSeqParams } from './done.ts'
import { readRun } from './events.ts'
import { Refusal } from './problems.ts'

export interface MessageCommandsDeps {
  commands: Commands
  log: RoomLog
  store: Store
}

const Post = Type.Object({ content: Content, reply_to: Type.Optional(Seq), thread: Type.Optional(Seq), attachments: Type.Optional(Attachments) })
const Edit = Type.Object({ content: Content })
/** What may be said to anyone who does something with a message. */
const REFUSED = ['forbidden', 'muted', 'room_archived', 'message_not_found'] as const
const ReactionParams = Type.Object({ ...RoomSeqParams.properties, emoji: Emoji })

export function messageCommandsRoutes (app: App, { commands, log, store }: MessageCommandsDeps): void {
  const sending = { ...about('Messages', 'Send a message', 'forbidden', 'muted', 'blocked', 'room_archived', 'content_too_long', 'bad_reply', 'slow_mode'), describes: { response: { 201: EventFrames.message } } }

  app.post('/rooms/:id/messages', { schema: { ...sending, params: RoomParams, headers: AppendHeaders, body: Post } }, async (request, reply) => {
    const room_id = roomIdOf(request)
    const { content, reply_to, thread, attachments } = request.body
    const outcome = await commands.execute({ ...commandOf(request), command: { type: 'message', room_id, content, reply_to, thread, attachments } })
    if (!outcome.ok) throw new Refusal(outcome.rejection)
    if (!outcome.changed) throw new TypeError('a message changed nothing')
    const event = await eventAt(room_id, outcome.seq)
    return reply.code(201).header('content-type', 'application/json; charset=utf-8').send(frameOf(room_id, event))
  })

  const onMessage = { params: RoomSeqParams, headers: AppendHeaders, response: { 200: Done } }

  app.patch('/rooms/:id/messages/:seq', { schema: { ...about('Messages', 'Edit a message of mine', ...REFUSED, 'message_deleted', 'content_too_long', 'blocked'), ...onMessage, body: Edit } }, async request => {
    return doneOf(await commands.execute({ ...commandOf(request), command: { type: 'edit', room_id: roomIdOf(request), message_seq: request.params.seq, content: request.body.content } }))
  })

  app.delete('/rooms/:id/messages/:seq', { schema: { ...about('Messages', 'Delete a message', ...REFUSED), ...onMessage } }, async request => {
    return doneOf(await commands.execute({ ...commandOf(request), command: { type: 'delete', room_id: roomIdOf(request), message_seq: request.params.seq } }))
  })

  for (const [method, type, summary] of [['PUT', 'react', 'React to a message'], ['DELETE', 'unreact', 'Take a reaction back']] as const) {
    app.route({
      method,
      url: '/rooms/:id/messages/:seq/reactions/:emoji',
      schema: { ...about('Messages', summary, ...REFUSED, 'message_deleted', 'bad_emoji', 'too_many_reactions', 'blocked', 'not_found'), ...onMessage, params: ReactionParams },
      handler: async request => {
        const { seq, emoji } = request.params
        return doneOf(await commands.execute({ ...commandOf(request), command: { type, room_id: roomIdOf(request), message_seq: seq, emoji } }), { bad_emoji: 'emoji' })
      },
    })
  }

  for (const [method, type, summary] of [['PUT', 'pin', 'Pin a message'], ['DELETE', 'unpin', 'Unpin a message']] as const) {
    app.route({
      method,
      url: '/rooms/:id/pins/:seq',
      schema: { ...about('Messages', summary, ...REFUSED, 'message_deleted'), ...onMessage },
      handler: async request => doneOf(await commands.execute({ ...commandOf(request), command: { type, room_id: roomIdOf(request), message_seq: request.params.seq } })),
    })
  }

  /** The event that was just appended, or, for a key used before, the old one. It is the asker's own. */
  async function eventAt (roomId: string, seq: number): Promise<LogEvent> {
    const [event] = await readRun({ log, store }, roomId, seq - 1, 1, seq)
    if (event === undefined) throw new TypeError(`seq ${seq} was acked and is not there`)
    return event
  }
}
