/**
 * What a decided command brings to the append script: its events, encoded; what they change; and, as preconditions, what the decision
 * rests on. Tried again, it brings the same events under the same IDs and the same key [G2].
 */
import { EVENT_VERSION, type EventBody, type StoredEvent } from '../domain/events.ts'
import { guards } from '../domain/decide.ts'
import { emptyRoom, evolve, memberOf, type Effect, type Room } from '../domain/room.ts'
import { encodeEvent } from '../log/codec.ts'
import type { Patch, Precondition, Unit } from '../log/log.ts'
import { childOf, traceparentOf } from '../telemetry/tracing.ts'
import type { Pending } from './queue.ts'
import { patchOf, recordOf } from './room-hashes.ts'

const ONCE_CLIENT_MS = 600_000
/** Only this process repeats a command without a `client_id`, for RETRY_MS. */
const ONCE_OWN_MS = 60_000

/** What moderators may look into, with the device that it was done from. */
const AUDITED: ReadonlySet<string> = new Set<EventBody['type']>(['join', 'leave', 'kick', 'ban', 'mute', 'role', 'room', 'delete', 'pin'])

/**
 * Notes on the command what is tried with it.
 * @param room the state it was decided on, which moves on to `after`; undefined if the room is made by it
 */
export function unitOf (pending: Pending, bodies: EventBody[], room: Room | undefined, now: number, newId: () => string): { unit: Unit, effects: Effect[], after: Room } {
  const { request: { user_id, client_id, session, command }, prepared } = pending
  const timestamp = new Date(pending.decidedAt ??= now).toISOString()
  const preconditions = room === undefined ? [] : preconditionsOf(pending, room)
  const after = room ?? emptyRoom(command.room_id)
  const effects: Effect[] = []
  const patches: Patch[] = []
  const by = AUDITED.has(bodies[0]!.type) ? pending.request.by : undefined
  if (pending.span !== undefined) pending.appending ??= childOf(pending.span, 'append')
  const { appending: trace } = pending
  const events = bodies.map((body, i) => {
    const event: StoredEvent = { ...body, user_id, timestamp, ...(client_id === undefined ? {} : { client_id }), ...(pending.request.operator === true ? { operator: true } : {}), ...(trace === undefined ? {} : { traceparent: traceparentOf(trace) }) }
    for (const effect of evolve(after, event, after.seq + 1)) {
      effects.push(effect)
      patches.push(patchOf(effect, i))
    }
    const data = encodeEvent(event)
    // The same again over retries: the first attempt may have been appended, and heard by some, and be lost. If it is another event
    // now, it has another ID: the chain is made of IDs, and where it is equal the events must be.
    const event_id = prepared[i]?.data === data ? prepared[i].event_id : newId()
    return { event_id, v: EVENT_VERSION, data, by }
  })
  pending.prepared = events
  const key = pending.key ??= client_id ?? events[0]!.event_id
  const unit: Unit = { session, author: user_id, key, onceMs: client_id === undefined ? ONCE_OWN_MS : ONCE_CLIENT_MS, create: room === undefined, preconditions, events, patches, trace }
  return { unit, effects, after }
}

/** What must still be so when it is appended: the rules, the records of actor and target, and what else it rests on. */
function preconditionsOf ({ request: { command, user_id }, facts }: Pending, room: Room): Precondition[] {
  const { users, count, undeleted } = guards(command, room, facts)
  const record = (user: string): Precondition => ['members', user, recordOf(memberOf(room, user))]
  const held: Precondition[] = [['meta', 'rules', String(room.rules)], record(user_id)]
  for (const user of users) if (user !== user_id) held.push(record(user))
  if (count) held.push(['meta', 'members', String(room.count)])
  if (undeleted !== undefined) held.push(['deleted', String(undeleted), ''])
  return held
}
