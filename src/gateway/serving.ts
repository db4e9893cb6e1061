/**
 * What the frames of an open connection do, once its session says that they are to be served: commands, subscriptions, typing, marks,
 * presence; and how each is answered. What takes time counts as a command under way of its connection.
 */
import type { Direct } from '../commands/direct.ts'
import type { Commands, Outcome, Request } from '../commands/request.ts'
import { reject, type Rejection } from '../domain/rejections.ts'
import { LogFault } from '../log/log.ts'
import type { Logger } from '../telemetry/logging.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import { beginTrace, endSpan, within } from '../telemetry/tracing.ts'
import { commandOf, isCommandFrame, type CommandFrame } from './frame-commands.ts'
import type { ClientFrame } from './frames.ts'
import { TOO_FAST_MS, type Inflow } from './inflow.ts'
import type { Marking, MarkFrames } from './marks.ts'
import type { People, PersonSocket } from './people.ts'
import type { Subscriptions } from './subscriptions.ts'
import type { Typing } from './typing.ts'

export interface ServingOptions {
  commands: Commands
  direct: Direct
  subscriptions: Subscriptions
  people: People
  typing: Typing
  marks: MarkFrames
  metrics: Metrics
  logger: Logger
}

/** A connection that is served. */
export interface Served extends Marking, PersonSocket {
  /** Of the token that was shown last. */
  readonly sessionId: string | undefined
  readonly inflow: Inflow
}

/** Any frame, as far as its answer needs it. */
export interface Answerable { readonly ref?: number | undefined }

/** The connection's user is known. */
export function serve (frame: ClientFrame, connection: Served, options: ServingOptions): void {
  const { outbox } = connection
  const { subscriptions, people, typing, marks } = options
  if (isCommandFrame(frame)) {
    if (frame.type === 'message' && frame.room_id !== undefined) typing.wrote(connection, frame.room_id)
    return execute(frame, connection, options)
  }
  switch (frame.type) {
    case 'ping':
      outbox.send({ type: 'pong', ...refOf(frame) })
      break
    case 'subscribe':
      subscriptions.add(connection, frame.room_id, frame.after, frame.ref)
      break
    case 'unsubscribe':
      subscriptions.remove(connection, frame.room_id)
      outbox.send({ type: 'ack', ...refOf(frame), room_id: frame.room_id })
      break
    case 'typing':
      answerTaken(frame, typing.heard(connection, frame.room_id, frame.active), connection, options, frame.room_id)
      break
    case 'read':
      answerTaken(frame, marks.read(connection, frame.room_id, frame.seq!), connection, options, frame.room_id)
      break
    case 'delivered':
      answerTaken(frame, marks.delivered(connection, frame.rooms), connection, options)
      break
    case 'presence':
      connection.status = frame.status
      people.changed(connection)
      if (frame.ref !== undefined) outbox.send({ type: 'ack', ref: frame.ref })
      break
  }
}

/**
 * Answers a frame that appends nothing: `ack` once it was taken, or what stands against it.
 * @param roomId the room that the frame is about; of any other frame `room_id` is a field that nobody has checked
 */
function answerTaken (frame: Answerable, taken: Promise<Rejection | number | undefined>, connection: Served, { logger }: ServingOptions, roomId?: string): void {
  const { inflow, outbox } = connection
  inflow.begin()
  taken.catch((error: unknown) => {
    if (!(error instanceof LogFault)) logger.error({ err: error }, 'a frame could not be served')
    return reject(error instanceof LogFault && error.code === 'overloaded' ? 'overloaded' : 'unavailable', undefined, TOO_FAST_MS)
  }).then(answer => {
    inflow.end()
    if (typeof answer === 'object') return refuse(frame, answer, connection)
    if (frame.ref !== undefined) outbox.send({ type: 'ack', ref: frame.ref, room_id: roomId, seq: answer }) // what is undefined is left out
  })
}

function execute (frame: CommandFrame, connection: Served, options: ServingOptions): void {
  const { id, userId, sessionId, inflow } = connection
  const began = performance.now()
  const span = beginTrace(`frame ${frame.type}`, frame.traceparent)
  inflow.begin()
  const request = { command: commandOf(frame), user_id: userId!, session: id, by: sessionId!, client_id: frame.client_id, resend: frame.resend }
  const recipient = frame.type === 'message' && frame.room_id === undefined ? frame.recipient : undefined
  void (span === undefined ? send(request, recipient, options) : within(span, async () => await send(request, recipient, options))).then(outcome => {
    inflow.end()
    answer(frame, outcome, connection)
    options.metrics.ackSeconds.observe((performance.now() - began) / 1000)
    endSpan(span, outcome.ok ? undefined : outcome.rejection.code)
  })
}

async function send (request: Request, recipient: string | undefined, { commands, direct }: ServingOptions): Promise<Outcome> {
  return await (recipient === undefined ? commands.execute(request) : direct.send(request, recipient))
}

function answer (frame: Answerable, outcome: Outcome, connection: Served): void {
  if (!outcome.ok) return refuse(frame, outcome.rejection, connection)
  if (frame.ref === undefined) return
  const { room_id } = outcome
  if (!outcome.changed) return connection.outbox.send({ type: 'ack', ref: frame.ref, room_id })
  const { seq, chain, event_id, duplicate, durability } = outcome
  connection.outbox.send({ type: 'ack', ref: frame.ref, room_id, seq, chain, event_id, duplicate, durability })
}

/** Answers any frame with what stands against it. */
export function refuse (frame: Answerable, rejection: Rejection, { outbox }: Pick<Served, 'outbox'>): void {
  outbox.send({ type: 'error', ...refOf(frame), ...rejection })
}

function refOf ({ ref }: Answerable): { ref?: number } {
  return ref === undefined ? {} : { ref }
}
