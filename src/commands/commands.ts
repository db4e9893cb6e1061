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
import { decide } from '../domain/decide.ts'
import { reject, type Rejection } from '../domain/rejections.ts'
import { emptyRoom, type Effect, type Room } from '../domain/room.ts'
import { LogFault, type Appended, type RoomHashes, type RoomLog, type Unit } from '../log/log.ts'
import type { Logger } from '../telemetry/logging.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import { activeSpan, childOf, endSpan, outside, within } from '../telemetry/tracing.ts'
import { createAside } from './aside.ts'
import type { FactGathering } from './facts.ts'
import { keyOf, type FirstResults } from './first-results.ts'
import { factsWithRights, pendingOf, RETRY_MS, sentOf, tracedOf, usersOf, type Pending, type Queue } from './queue.ts'
import type { Commands, Outcome } from './request.ts'
import { roomFrom } from './room-hashes.ts'
import { unitOf } from './unit.ts'

const DECISIONS_MAX = 20
const BATCH_UNITS = 256
const MEMBERS_CACHED_MAX = 5000

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
  const aside = createAside({ gathering, readRoom, faulted, back: takeBack, clock })

  function queueOf (roomId: string): Queue {
    let queue = queues.get(roomId)
    if (queue === undefined) {
      queue = { id: roomId, pending: [], busy: false, aside: new Map(), room: undefined }
      for (const [id, { busy, pending, aside }] of queues) { // the least recently used come first
        if (queues.size < roomsMax) break
        if (!busy && pending.length === 0 && aside.size === 0) queues.delete(id)
        else break
      }
    } else if (queue.pending.length > 0) return queue // it was moved to the end not long ago
    else queues.delete(roomId)
    queues.set(roomId, queue)
    return queue
  }

  function wake (queue: Queue): void {
    // Decided as late as can be: all that has come in until the next call is decided together and travels together.
    if (dirty.size === 0) {
      log.beforeCall(() => {
        const woken = [...dirty]
        dirty.clear()
        outside(() => { for (const queue of woken) if (!queue.busy) void serve(queue) })
      })
    }
    dirty.add(queue)
  }

  function answer (pending: Pending, outcome: Outcome): void {
    waiting -= 1
    const result = !outcome.ok ? outcome.rejection.code : !outcome.changed ? 'unchanged' : outcome.duplicate ? 'duplicate' : 'appended'
    metrics.appends.inc({ outcome: result, durability: result === 'appended' ? log.durability() : 'none' })
    metrics.commandsWaiting.dec()
    if (pending.span !== undefined) {
      pending.span.setAttribute('millrace.outcome', result)
      if (outcome.ok && outcome.changed) pending.appending?.setAttributes({ 'millrace.room_id': outcome.room_id, 'millrace.seq': outcome.seq })
      endSpan(pending.appending, outcome.ok ? undefined : result)
      endSpan(pending.span, outcome.ok ? undefined : result)
    }
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
      batch = aside.put(queue, batch)
      let decided = batch.length === 0 ? [] : decideAll(queue, batch, false)
      if (decided === undefined) {
        await within(tracedOf(batch), async () => { await load(queue, batch) })
        batch = aside.put(queue, batch) // now that it is known what kind of room it is
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
    if (!fresh && batch.some(pending => aside.lacksFacts(pending, room))) return undefined
    // Before anything moves, so that the members known so far stay known.
    const { members } = room ?? {}
    if (members !== undefined && batch.some(pending => !knowsAll(members, pending))) return undefined
    queue.room = undefined // moved with each; known again when all are decided
    const decided: Decided[] = []
    for (const pending of batch) {
      const { command, user_id, at } = pending.request
      const now = at ?? clock()
      const deciding = childOf(pending.span, 'decide')
      const decision = decide(command, room, user_id, now, factsWithRights(pending))
      endSpan(deciding, 'rejection' in decision ? decision.rejection.code : undefined)
      if ('rejection' in decision || decision.events.length === 0) {
        if (!fresh) return undefined
        decided.push({ pending, no: 'rejection' in decision ? decision.rejection : undefined })
      } else {
        const { unit, effects, after } = unitOf(pending, decision.events, room, now, newId)
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
      const key = client_id ?? pending.key // an attempt of this process may have been appended, and its answer lost
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

  /** Notes a fault; what is said to those whom it stops. */
  function faulted (error: unknown, what: string): Rejection {
    const rejection = rejectionOf(error)
    if (rejection.code === 'internal') logger.error({ err: error }, what)
    if (error instanceof LogFault && error.code === 'fenced') onFenced()
    metrics.appendRetries.inc({ reason: error instanceof LogFault ? error.code : 'fault' })
    return rejection
  }

  /** After a fault: waits a little, gives up on what has waited too long; returns what is to be tried again, in order. */
  async function afterFault (queue: Queue, batch: Pending[], error: unknown): Promise<Pending[]> {
    const rejection = faulted(error, 'commands failed')
    const final = rejection.code !== 'unavailable'
    const kept = giveUp(queue, batch, ({ since }) => final || performance.now() - since > RETRY_MS, rejection)
    if (kept.length > 0) {
      const ageMs = performance.now() - kept.at(-1)!.since
      await new Promise(resolve => setTimeout(resolve, Math.min(20 + ageMs / 4, 500) * (0.5 + Math.random())))
    }
    return kept
  }

  /** A session that waited for facts is back in the queue, in its place; or it is refused what it waited with. */
  function takeBack (queue: Queue, waited: Pending[], pending: Pending, no: Rejection | undefined): void {
    const kept = no === undefined ? waited : giveUp(queue, waited, one => one === pending, no)
    queue.pending = [...kept, ...queue.pending].sort((one, other) => one.order - other.order)
    if (!queue.busy && queue.pending.length > 0) wake(queue)
  }

  return {
    async execute (request) {
      const queue = queueOf(request.command.room_id)
      let queued = queue.pending.length
      for (const { length } of queue.aside.values()) queued += length
      if (queued >= queuedMax) {
        metrics.appends.inc({ outcome: 'overloaded', durability: 'none' })
        return { ok: false, rejection: reject('overloaded', undefined, 1000) }
      }
      const parent = activeSpan()
      const span = parent === undefined ? undefined : childOf(parent, `command ${request.command.type}`)
      return await new Promise<Outcome>(resolve => {
        waiting += 1
        metrics.commandsWaiting.inc()
        queue.pending.push(pendingOf(request, { order: arrivals++, answer: resolve, span }))
        if (!queue.busy) wake(queue)
      })
    },
    drained: async () => { if (waiting > 0) await new Promise<void>(resolve => { idle.push(resolve) }) },
  }
}

function rejectionOf (error: unknown): Rejection {
  if (error instanceof LogFault) return error.code === 'overloaded' ? reject('overloaded', undefined, 1000) : reject('unavailable', undefined, 500)
  return error instanceof TypeError || error instanceof RangeError ? reject('internal') : reject('unavailable', undefined, 500)
}
