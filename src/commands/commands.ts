/**
 * The imperative shell around `decide`: load → decide → append, for frames, HTTP and the import alike.
 *
 * Each room has a queue; one append call is in flight per room, carrying all that came in meanwhile. Commands are decided in
 * the order they came, each on the state that those before it will leave. What a decision rests on (rules version, the
 * actor's member record) is guarded by preconditions, so a decision on old state is never appended: the room is loaded again
 * and what failed, with what its session sent after it, is decided again [G1]. A "no" is given only on state that was loaded
 * after the command came, and only after its first result was looked for [G2]. Faults are retried with the same key until
 * `RETRY_MS`; then the answer is `unavailable`, to everything that the session has in this queue.
 */
import { EVENT_VERSION, type EventBody, type StoredEvent } from '../domain/events.ts'
import type { Facts } from '../domain/commands.ts'
import { decide, guards } from '../domain/decide.ts'
import { reject, type Rejection, type RejectionCode } from '../domain/rejections.ts'
import { emptyRoom, evolve, memberOf, type Effect, type Room } from '../domain/room.ts'
import { encodeEvent } from '../log/codec.ts'
import { LogFault, type Appended, type Patch, type Precondition, type RoomHashes, type RoomLog, type Unit } from '../log/log.ts'
import type { Logger } from '../telemetry/logging.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import { traceCommand } from '../telemetry/tracing.ts'
import { isSlowed, usersIn, wantsFacts, type FactGathering } from './facts.ts'
import { keyOf, type FirstResults } from './first-results.ts'
import type { Commands, Outcome, Request } from './request.ts'
import { patchOf, recordOf, roomFrom } from './room-hashes.ts'

const RETRY_MS = 5000
const DECISIONS_MAX = 20
const BATCH_UNITS = 256
const MEMBERS_CACHED_MAX = 5000
const ONCE_CLIENT_MS = 600_000
/** Only this process repeats a command without a `client_id`, for RETRY_MS. */
const ONCE_OWN_MS = 60_000

export interface CommandsOptions {
  log: RoomLog
  firstResults: FirstResults
  /** Left out where nobody is named, let in or slowed down: for what Millrace and its imports write. */
  facts?: FactGathering
  /** Told of every membership that changed, before the caller is answered, so that their room list shows it at once. */
  noteMembership: (userId: string, roomId: string, seq: number) => Promise<void>
  /** Told of every message in a direct conversation: its people may not be subscribed to it yet. A hint. */
  onDirect?: (peers: readonly string[], roomId: string, seq: number) => void
  /** Called when an append was refused because the partition is fenced. */
  onFenced: () => void
  /** Puts a room back that was let go of. Throws faults. */
  restore?: (roomId: string) => Promise<void>
  clock: () => number
  newId: () => string
  queuedMax: number
  roomsMax: number
  metrics: Metrics
  logger: Logger
}

interface Pending {
  readonly request: Request
  readonly eventIds: string[]
  readonly since: number
  readonly answer: (outcome: Outcome) => void
  readonly endSpan: (outcome: string, failed: boolean) => void
  /** Place in the order of arrival. */
  readonly order: number
  decisions: number
  looked: boolean
  /** Gathered anew for each decision. */
  facts: Facts | undefined
  /** It has its slot of slow mode, whatever becomes of its first decision. */
  slotted: boolean
}

interface Queue {
  readonly id: string
  pending: Pending[]
  busy: boolean
  /** Sessions that wait for facts: the command that needs them, and what was sent after it. */
  readonly aside: Map<string, Pending[]>
  /** The state after the last append, undefined if it must be loaded, null if the room did not exist. */
  room: Room | null | undefined
}

/** A decided command: what to append and what it changes, or a "no" (undefined: nothing to do). */
type Decided =
  | { readonly pending: Pending, readonly unit: Unit, readonly effects: Effect[], readonly peers: readonly string[] }
  | { readonly pending: Pending, readonly unit?: undefined, readonly no: Rejection | undefined }

export function createCommands (options: CommandsOptions): Commands & { drained: () => Promise<void> } {
  const { log, firstResults, facts: gathering, noteMembership, onDirect, onFenced, restore, clock, newId, queuedMax, roomsMax, metrics, logger } = options
  const queues = new Map<string, Queue>()
  const dirty = new Set<Queue>()
  let waiting = 0
  let arrivals = 0
  let idle: Array<() => void> = []

  function queueOf (roomId: string): Queue {
    let queue = queues.get(roomId)
    if (queue === undefined) {
      queue = { id: roomId, pending: [], busy: false, aside: new Map(), room: undefined }
      for (const [id, { busy, pending, aside }] of queues) { // the least recently used come first
        if (queues.size < roomsMax) break
        if (!busy && pending.length === 0 && aside.size === 0) queues.delete(id)
        else break
      }
    } else queues.delete(roomId)
    queues.set(roomId, queue)
    return queue
  }

  function wake (queue: Queue): void {
    // Once per turn of the loop: all that came in with this turn is decided together and travels together.
    if (dirty.size === 0) {
      setImmediate(() => {
        const woken = [...dirty]
        dirty.clear()
        for (const queue of woken) if (!queue.busy) void serve(queue)
      })
    }
    dirty.add(queue)
  }

  function answer (pending: Pending, outcome: Outcome): void {
    waiting -= 1
    const result = !outcome.ok ? outcome.rejection.code : !outcome.changed ? 'unchanged' : outcome.duplicate ? 'duplicate' : 'appended'
    metrics.appends.inc({ outcome: result })
    pending.endSpan(result, !outcome.ok)
    metrics.appendSeconds.observe((performance.now() - pending.since) / 1000)
    pending.answer(outcome)
    if (waiting === 0) {
      for (const resolve of idle) resolve()
      idle = []
    }
  }

  const refuse = (pending: Pending, rejection: Rejection): void => { answer(pending, { ok: false, rejection }) }

  async function serve (queue: Queue): Promise<void> {
    queue.busy = true
    let batch = queue.pending.splice(0, BATCH_UNITS)
    try {
      // Nothing here waits unless it must, so that rooms woken together append in one call.
      if (batch.some(isUnlooked)) batch = await lookUp(queue, batch)
      batch = putAside(queue, batch)
      let decided = batch.length === 0 ? [] : decideAll(queue, batch, false)
      if (decided === undefined) {
        await load(queue, batch)
        batch = putAside(queue, batch) // now that it is known what kind of room it is
        decided = decideAll(queue, batch, true)
      }
      if (decided === undefined) throw new TypeError('a freshly loaded room lacks a member that was asked for')
      const units = decided.flatMap(({ unit }) => unit ?? [])
      const results = units.length > 0 ? await log.append(queue.id, units) : []
      batch = await settle(queue, decided, results)
    } catch (error) {
      queue.room = undefined
      batch = await afterFault(queue, batch, error)
    }
    queue.pending = [...batch, ...queue.pending]
    queue.busy = false
    if (queue.pending.length > 0) wake(queue)
  }

  const isUnlooked = ({ request, looked }: Pending): boolean => request.resend === true && request.client_id !== undefined && !looked

  /** Answers those re-sent commands that are in the archive or the log already; returns the others. */
  async function lookUp (queue: Queue, batch: Pending[]): Promise<Pending[]> {
    const unlooked = batch.filter(isUnlooked)
    const found = await firstResults(queue.id, unlooked.map(sentOf))
    return batch.filter(pending => {
      const first = isUnlooked(pending) ? found.get(keyOf(sentOf(pending))) : undefined
      pending.looked = true
      if (first !== undefined) answer(pending, { ok: true, changed: true, room_id: queue.id, ...first, duplicate: true, durability: log.durability() })
      return first === undefined
    })
  }

  /**
   * Decides all on the state at hand, which moves on with each. Returns undefined where that state is not enough: there is
   * none, it lacks a member or facts, or it is not `fresh` and gives a "no".
   */
  function decideAll (queue: Queue, batch: Pending[], fresh: boolean): Decided[] | undefined {
    if (queue.room === undefined) return undefined
    let room = queue.room ?? undefined
    if (!fresh && batch.some(pending => lacksFacts(pending, room))) return undefined
    // Before anything moves, so that the members known so far stay known.
    const { members } = room ?? {}
    if (members !== undefined && batch.some(pending => !knowsAll(members, pending))) return undefined
    queue.room = undefined // moved with each; known again when all are decided
    const decided: Decided[] = []
    for (const pending of batch) {
      const { command, user_id, at } = pending.request
      const now = at ?? clock()
      const decision = decide(command, room, user_id, now, pending.facts)
      if ('rejection' in decision || decision.events.length === 0) {
        if (!fresh) return undefined
        decided.push({ pending, no: 'rejection' in decision ? decision.rejection : undefined })
      } else {
        const { unit, effects, after } = prepare(pending, decision.events, room, now)
        room = after
        decided.push({ pending, unit, effects, peers: after.kind === 'dm' && command.type === 'message' ? after.peers : [] })
      }
    }
    queue.room = room ?? null
    return decided
  }

  const knowsAll = (members: Room['members'], pending: Pending): boolean =>
    members.has(pending.request.user_id) && ('target' in pending.request.command || pending.facts !== undefined ? usersOf(pending).every(user => members.has(user)) : true)

  async function load (queue: Queue, batch: Pending[]): Promise<void> {
    const hashes = await readRoom(queue.id, [...new Set(batch.flatMap(usersOf))])
    const known = queue.room?.members
    queue.room = hashes === undefined ? null : roomFrom(emptyRoom(queue.id), hashes)
    // Those loaded earlier are kept: preconditions guard what is decided on them, and a "no" is given on fresh ones only.
    if (queue.room !== null && known !== undefined) for (const [user, member] of known) if (!queue.room.members.has(user)) queue.room.members.set(user, member)
  }

  /** The room's state; one that Redis has let go of is put back first. */
  async function readRoom (roomId: string, users: readonly string[]): Promise<RoomHashes | undefined> {
    let hashes = await log.room(roomId, users)
    if (hashes?.meta.has('cold') === true && restore !== undefined) {
      await restore(roomId)
      hashes = await log.room(roomId, users)
    }
    // Another process may be at it, or the archive may lack its end: what is known of a cold room answers nothing.
    if (hashes?.meta.has('cold') === true) throw new LogFault('unavailable', `the room ${roomId} is not restored yet`)
    return hashes
  }

  const lacksFacts = ({ request, facts }: Pending, room: Room | null | undefined): boolean =>
    gathering !== undefined && facts === undefined && wantsFacts(request.command, room)

  /**
   * Facts are gathered aside: a session waits for what its command needs from elsewhere (a password, Postgres), a room never waits
   * for a session. What the session sends meanwhile waits behind it [G1]. Returns those that can be decided now.
   */
  function putAside (queue: Queue, batch: Pending[]): Pending[] {
    return batch.filter(pending => {
      const { session } = pending.request
      const before = queue.aside.get(session)
      if (before !== undefined) before.push(pending)
      else if (!lacksFacts(pending, queue.room)) return true
      else {
        queue.aside.set(session, [pending])
        void gatherAside(queue, pending)
      }
      return false
    })
  }

  /** Never throws. Afterwards the session is back in the queue, in its place; or it is refused what it waited with. */
  async function gatherAside (queue: Queue, pending: Pending): Promise<void> {
    const { session } = pending.request
    let no: Rejection | undefined
    for (let pauseMs = 20; ; pauseMs = Math.min(2 * pauseMs, 500)) {
      try {
        pending.facts = await factsOf(queue.id, pending)
        break
      } catch (error) {
        no = rejectionOf(error)
        if (no.code === 'internal') logger.error({ err: error }, 'the facts of a command could not be gathered')
        if (error instanceof LogFault && error.code === 'fenced') onFenced()
        metrics.appendRetries.inc({ reason: error instanceof LogFault ? error.code : 'fault' })
        if (no.code !== 'unavailable' || performance.now() - pending.since > RETRY_MS) break
        await new Promise(resolve => setTimeout(resolve, pauseMs * (0.5 + Math.random())))
      }
    }
    const back = queue.aside.get(session) ?? []
    queue.aside.delete(session)
    const kept = pending.facts === undefined && no !== undefined ? giveUp(queue, back, one => one === pending, no) : back
    queue.pending = [...kept, ...queue.pending].sort((one, other) => one.order - other.order)
    if (!queue.busy && queue.pending.length > 0) wake(queue)
  }

  async function factsOf (roomId: string, pending: Pending): Promise<Facts> {
    const { command, user_id, at } = pending.request
    const now = at ?? clock()
    const hashes = await readRoom(roomId, usersOf(pending))
    const room = hashes === undefined ? null : roomFrom(emptyRoom(roomId), hashes)
    // Whoever may not anyway costs nobody a query.
    const early = decide(command, room ?? undefined, user_id, now)
    if ('rejection' in early && !FACTUAL.has(early.rejection.code) && command.type !== 'join') return {}
    const facts = await gathering!.of(command, room, user_id, now)
    if (pending.slotted || !isSlowed(command, room, user_id)) return facts
    if ('rejection' in decide(command, room ?? undefined, user_id, now, facts)) return facts // it takes no slot
    const no = await gathering!.slow(room!, user_id)
    if (no !== undefined) return { ...facts, no }
    pending.slotted = true
    return facts
  }

  function prepare (pending: Pending, bodies: EventBody[], room: Room | undefined, now: number): { unit: Unit, effects: Effect[], after: Room } {
    const { request: { user_id, client_id, session, command }, eventIds } = pending
    const timestamp = new Date(now).toISOString()
    const preconditions = room === undefined ? [] : preconditionsOf(pending, room)
    const after = room ?? emptyRoom(command.room_id)
    const effects: Effect[] = []
    const patches: Patch[] = []
    const by = AUDITED.has(bodies[0]!.type) ? pending.request.by : undefined
    const events = bodies.map((body, i) => {
      const event: StoredEvent = { ...body, user_id, timestamp, ...(client_id === undefined ? {} : { client_id }) }
      for (const effect of evolve(after, event, after.seq + 1)) {
        effects.push(effect)
        patches.push(patchOf(effect, i))
      }
      eventIds[i] ??= newId() // kept over retries: the first attempt may have been appended
      return { event_id: eventIds[i], v: EVENT_VERSION, data: encodeEvent(event), by }
    })
    const key = client_id ?? eventIds[0]!
    const unit: Unit = { session, author: user_id, key, onceMs: client_id === undefined ? ONCE_OWN_MS : ONCE_CLIENT_MS, create: room === undefined, preconditions, events, patches }
    return { unit, effects, after }
  }

  /** Answers what was appended, and every "no" whose reasons stood; returns what must be decided again, in order. */
  async function settle (queue: Queue, decided: Decided[], results: Appended[]): Promise<Pending[]> {
    const again: Pending[] = []
    const notes: Array<Promise<void>> = []
    const answers: Array<() => void> = []
    let n = 0
    for (const item of decided) {
      const { pending } = item
      if (item.unit === undefined) {
        // It was decided on a state that those before it were to leave: if one of them failed, that state never was.
        if (again.length > 0 || queue.room === undefined) again.push(pending)
        else answers.push(() => { void sayNo(queue, pending, item.no) })
        continue
      }
      const result = results[n++]!
      if (result.status === 'appended' || result.status === 'duplicate') {
        const { status, seq, chain, event_id } = result
        if (status === 'duplicate') queue.room = undefined // the state moved for an event that is older
        else if (queue.room != null) queue.room.seq = Math.max(queue.room.seq, seq)
        for (const effect of item.effects) {
          if (effect.on === 'member') notes.push(noteMembership(effect.user_id, queue.id, seq).catch((error: Error) => { logger.warn({ reason: error.message }, 'a change of membership could not be noted') }))
        }
        answers.push(() => { answer(pending, { ok: true, changed: true, room_id: queue.id, seq, chain, event_id, duplicate: status === 'duplicate', durability: log.durability() }) })
        if (item.peers.length > 0) onDirect?.(item.peers, queue.id, seq)
        continue
      }
      queue.room = undefined
      pending.facts = undefined
      pending.decisions += 1
      metrics.appendRetries.inc({ reason: result.status })
      again.push(pending) // a room that is cold is put back when it is loaded again
    }
    if (queue.room != null && queue.room.members.size > MEMBERS_CACHED_MAX) queue.room = undefined
    if (notes.length > 0) await Promise.all(notes)
    for (const say of answers) say()
    return giveUp(queue, again, ({ decisions }) => decisions >= DECISIONS_MAX, reject('conflict', undefined, 100))
  }

  /** A "no", or "nothing to do", unless the command was appended before: then its first result. */
  async function sayNo (queue: Queue, pending: Pending, rejection: Rejection | undefined): Promise<void> {
    const { client_id, user_id } = pending.request
    try {
      const key = client_id ?? pending.eventIds[0] // an attempt of this process may have been appended, and its answer lost
      const first = key === undefined ? undefined : await log.once(queue.id, user_id, key)
      if (first !== undefined) answer(pending, { ok: true, changed: true, room_id: queue.id, ...first, duplicate: true, durability: log.durability() })
      else if (rejection !== undefined) refuse(pending, rejection)
      else answer(pending, { ok: true, changed: false, room_id: queue.id })
    } catch (error) {
      refuse(pending, rejectionOf(error))
    }
  }

  /**
   * Refuses those of the batch that are `lost`, and what their sessions sent after them, here and in the queue, which must not
   * overtake them; returns the others.
   */
  function giveUp (queue: Queue, batch: Pending[], lost: (pending: Pending) => boolean, rejection: Rejection): Pending[] {
    const sessions = new Set<string>()
    const keeps = (pending: Pending): boolean => {
      if (!sessions.has(pending.request.session) && !lost(pending)) return true
      sessions.add(pending.request.session)
      refuse(pending, rejection)
      return false
    }
    const kept = batch.filter(keeps)
    for (const session of sessions) {
      queue.pending = queue.pending.filter(pending => pending.request.session !== session || keeps(pending))
      for (const pending of queue.aside.get(session)?.splice(0) ?? []) refuse(pending, rejection)
    }
    return kept
  }

  /** After a fault: waits a little, gives up on what has waited too long; returns what is to be tried again, in order. */
  async function afterFault (queue: Queue, batch: Pending[], error: unknown): Promise<Pending[]> {
    const rejection = rejectionOf(error)
    if (rejection.code === 'internal') logger.error({ err: error }, 'commands failed')
    if (error instanceof LogFault && error.code === 'fenced') onFenced()
    metrics.appendRetries.inc({ reason: error instanceof LogFault ? error.code : 'fault' })
    const final = rejection.code !== 'unavailable'
    const kept = giveUp(queue, batch, ({ since }) => final || performance.now() - since > RETRY_MS, rejection)
    if (kept.length > 0) {
      const ageMs = performance.now() - kept.at(-1)!.since
      await new Promise(resolve => setTimeout(resolve, Math.min(20 + ageMs / 4, 500) * (0.5 + Math.random())))
    }
    return kept
  }

  return {
    async execute (request) {
      const queue = queueOf(request.command.room_id)
      let queued = queue.pending.length
      for (const { length } of queue.aside.values()) queued += length
      if (queued >= queuedMax) return { ok: false, rejection: reject('overloaded', undefined, 1000) }
      return await new Promise<Outcome>(resolve => {
        waiting += 1
        queue.pending.push({ request, eventIds: [], since: performance.now(), order: arrivals++, decisions: 0, looked: false, facts: undefined, slotted: false, answer: resolve, endSpan: traceCommand(request.command.type) })
        if (!queue.busy) wake(queue)
      })
    },
    drained: async () => { if (waiting > 0) await new Promise<void>(resolve => { idle.push(resolve) }) },
  }
}

/** A "no" that facts may turn; every other is given without them. */
const FACTUAL: ReadonlySet<string> = new Set<RejectionCode>(['message_not_found', 'bad_reply'])

/** What moderators may look into, with the device that it was done from. */
const AUDITED: ReadonlySet<string> = new Set<EventBody['type']>(['join', 'leave', 'kick', 'ban', 'mute', 'role', 'room', 'delete', 'pin'])

/** Users whose records the decision looks at. */
function usersOf ({ request: { command, user_id }, facts }: Pending): string[] {
  return [user_id, ...('target' in command ? [command.target] : []), ...(facts === undefined ? [] : usersIn(facts, command))]
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

function sentOf ({ request }: Pending): { author: string, client_id: string } {
  return { author: request.user_id, client_id: request.client_id ?? '' }
}

function rejectionOf (error: unknown): Rejection {
  if (error instanceof LogFault) return error.code === 'overloaded' ? reject('overloaded', undefined, 1000) : reject('unavailable', undefined, 500)
  return error instanceof TypeError || error instanceof RangeError ? reject('internal') : reject('unavailable', undefined, 500)
}
