/**
 * The log of a room itself, of any age: from the stream, and from the archive below what the stream still has.
 *
 * What is answered has no holes: either the run of events after `after`, or `unavailable`. Only for those who may read the
 * room, from where they may read [G5, G9]. Of deleted messages and their edits there are tombstones.
 */
import Type from 'typebox'
import type { Access } from '../commands/access.ts'
import { EventFrame } from '../domain/event-frames.ts'
import { EVENT_ID_PATTERN, readEventId } from '../domain/event-ids.ts'
import { START } from '../domain/position.ts'
import { frameOf, withoutDeleted, type LogEvent } from '../log/codec.ts'
import { LogFault, type RoomLog } from '../log/log.ts'
import { readArchive } from '../store/archive.ts'
import type { Queryable, Store } from '../store/pool.ts'
import { asReader } from '../store/reader.ts'
import { about } from './about.ts'
import { identityOf, Limit, listOf, Position, roomIdOf, RoomParams, type App } from './app.ts'
import type { Gate } from './gate.ts'
import { Refusal, refuse } from './problems.ts'
import { LastEventId, STREAM_MEDIA_TYPE, streamRoom, Ticket, wantsStream, type SseDeps } from './sse.ts'

export interface EventsDeps {
  access: Access
  log: RoomLog
  store: Store
}

const Range = Type.Object({
  after: Type.Optional(Type.String({ pattern: EVENT_ID_PATTERN, description: 'Events after this seq. Of a stream, also an event ID: `<seq>:<chain>`; without it, it begins at the head' })),
  limit: Limit,
  ticket: Ticket,
})
const Events = Type.Object({ ...listOf(EventFrame, Type.Integer()).properties, as_of: Position })

/** As JSON a page; as a stream of server-sent events, what follows as well, for as long as the client listens. */
const EITHER = {
  description: 'Events after `after`, or a stream of frames as of the WebSocket: `event` is the type, `data` the frame, `id` is `<seq>:<chain>`',
  content: { 'application/json': { schema: Events }, [STREAM_MEDIA_TYPE]: { schema: Type.String() } },
}

export function eventsRoutes (app: App, { access, log, store, openStream, ensureInbox, gate }: EventsDeps & SseDeps & { gate: Gate }): void {
  app.get('/rooms/:id/events', {
    config: { ticket: true },
    schema: { ...about('Log', 'The log of a room, of any age', 'busy', 'too_many', 'too_many_subscriptions'), params: RoomParams, querystring: Range, headers: LastEventId, describes: { response: { 200: EITHER } } },
  }, async (request, reply) => {
    const roomId = roomIdOf(request)
    if (wantsStream(request) && roomId === identityOf(request).user_id) await ensureInbox(roomId) // whoever wants to hear it finds one
    const reading = await access.reading(roomId, identityOf(request).user_id)
    if (!reading.allowed) throw new Refusal(reading.rejection)
    if (wantsStream(request)) return streamRoom({ access, openStream, ensureInbox }, request, reply, roomId, request.query.after)
    const { limit = 100 } = request.query
    const { seq: after, chain } = readEventId(request.query.after ?? '0') ?? refuse('bad_request', 'after is too large', 'after')
    if (chain !== undefined) refuse('bad_request', 'after must be a seq', 'after')
    // The head first: what is read after it is at least as new, so `next` cannot end the list too early.
    const { heads } = await log.heads([roomId])
    const head = heads.get(roomId) ?? START
    const events = await gate(async () => await readRun({ log, store: asReader(store, [roomId]) }, roomId, Math.max(after, reading.from), limit, head.seq))
    const last = events.at(-1)
    const next = last !== undefined && last.seq < head.seq ? last.seq : null
    const asOf = last !== undefined && last.seq > head.seq ? { seq: last.seq, chain: last.chain } : head
    // Each event is the text that sockets get; it is not parsed to be written again.
    const items = events.map(event => frameOf(roomId, event)).join(',')
    return reply
      .header('content-type', 'application/json; charset=utf-8')
      .send(`{"items":[${items}],"next":${String(next)},"as_of":{"seq":${asOf.seq},"chain":"${asOf.chain}"}}`)
  })
}

/** The events after `after`, without holes, at most `limit`. Throws LogFault where neither log nor archive has what should be there. */
export async function readRun (deps: { log: RoomLog, store: Queryable }, roomId: string, after: number, limit: number, headSeq: number): Promise<LogEvent[]> {
  const run = await readOn(deps, roomId, after, limit, headSeq)
  if (run.length === 0 && after < headSeq) throw new LogFault('unavailable', `neither log nor archive has seq ${after + 1} of a room whose head is ${headSeq}`)
  return run
}

/** The same, as far as log and archive have it. `headSeq` is the head as it was before: up to there events must be somewhere. */
export async function readOn ({ log, store }: { log: RoomLog, store: Queryable }, roomId: string, after: number, limit: number, headSeq: number): Promise<LogEvent[]> {
  const hot = await log.read(roomId, after, limit)
  if (hot[0]?.seq === after + 1 || (hot.length === 0 && after >= headSeq)) return hot
  // The stream begins later: it is trimmed only behind the archive's checkpoint, so the archive has all that is below.
  const run: LogEvent[] = []
  // Deletes first: one is forgotten only when the archive has applied it, so what is read after that has the tombstone.
  const deleted = await log.deletedAfter(roomId, after)
  const cold = await readArchive(store, roomId, after, limit)
  for (const event of [...cold, ...hot]) {
    const expected = after + run.length + 1
    if (event.seq === expected && run.length < limit) run.push(withoutDeleted(event, deleted))
    else if (event.seq > expected) break
  }
  return run
}
