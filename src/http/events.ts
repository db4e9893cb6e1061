/**
 * The log of a room itself, of any age: from the stream, and from the archive below what the stream still has.
 *
 * What is answered has no holes: either the run of events after `after`, or `unavailable`. Only for those who may read the
 * room, from where they may read [G5, G9].
 */
import Type from 'typebox'
import type { Access } from '../commands/access.ts'
import { Seq } from '../domain/events.ts'
import { START } from '../domain/position.ts'
import { frameOf, type LogEvent } from '../log/codec.ts'
import { LogFault, type RoomLog } from '../log/log.ts'
import { readArchive } from '../store/archive.ts'
import type { Store } from '../store/pool.ts'
import { identityOf, Limit, roomIdOf, RoomParams, type App } from './app.ts'
import type { Gate } from './gate.ts'
import { Refusal, refuse } from './problems.ts'

export interface EventsDeps {
  access: Access
  log: RoomLog
  store: Store
}

const Range = Type.Object({ after: Type.Optional(Seq), limit: Limit })

export function eventsRoutes (app: App, { access, log, store, gate }: EventsDeps & { gate: Gate }): void {
  app.get('/rooms/:id/events', { schema: { params: RoomParams, querystring: Range } }, async (request, reply) => {
    if (request.headers.accept?.includes('text/event-stream')) refuse('not_acceptable', 'Live events are not served here yet: use the WebSocket')
    const roomId = roomIdOf(request)
    const reading = await access.reading(roomId, identityOf(request).user_id)
    if (!reading.allowed) throw new Refusal(reading.rejection)
    const { after = 0, limit = 100 } = request.query
    // The head first: what is read after it is at least as new, so `next` cannot end the list too early.
    const { heads } = await log.heads([roomId])
    const head = heads.get(roomId) ?? START
    const events = await gate(async () => await readRun({ log, store }, roomId, Math.max(after, reading.from), limit, head.seq))
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
export async function readRun (deps: Pick<EventsDeps, 'log' | 'store'>, roomId: string, after: number, limit: number, headSeq: number): Promise<LogEvent[]> {
  const run = await readOn(deps, roomId, after, limit, headSeq)
  if (run.length === 0 && after < headSeq) throw new LogFault('unavailable', `neither log nor archive has seq ${after + 1} of a room whose head is ${headSeq}`)
  return run
}

/** The same, as far as log and archive have it. `headSeq` is the head as it was before: up to there events must be somewhere. */
export async function readOn ({ log, store }: Pick<EventsDeps, 'log' | 'store'>, roomId: string, after: number, limit: number, headSeq: number): Promise<LogEvent[]> {
  const hot = await log.read(roomId, after, limit)
  if (hot[0]?.seq === after + 1 || (hot.length === 0 && after >= headSeq)) return hot
  // The stream begins later: it is trimmed only behind the archive's checkpoint, so the archive has all that is below.
  const run: LogEvent[] = []
  for (const event of [...await readArchive(store, roomId, after, limit), ...hot]) {
    const expected = after + run.length + 1
    if (event.seq === expected && run.length < limit) run.push(event)
    else if (event.seq > expected) break
  }
  return run
}
