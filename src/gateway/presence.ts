/**
 * Presence of the people who are here: keeps their leases, notices who has gone, and announces.
 *
 *     a socket came or went ─▶ lease written, with all of the same `WRITE_MS` ─▶ changed? looked at again after `SETTLE_MS`
 *     every third of a lease: all leases here are written again                └▶ still changed? announced
 *     often: leases that ran out, of nodes that died: announced at once
 *
 * So a reconnect is no going and coming, and a killed node's people are offline within one lease and a sweep. Announcements are
 * made many at a time, one round of queries for all; what exceeds the bound is dropped: presence is ephemeral, and whoever asks
 * is told the truth.
 */
import type { PresenceLeases, PresenceWrite, Present, Status } from '../log/presence.ts'
import type { Publisher } from '../log/publisher.ts'
import { LogFault } from '../log/log.ts'
import { ROOMS_TOLD_MAX, type Audience } from '../store/audience.ts'
import type { Logger } from '../telemetry/logging.ts'
import type { Metrics } from '../telemetry/metrics.ts'

const WRITE_MS = 100
export const SETTLE_MS = 1000
/** A going that nobody announced within this is announced by the next sweep of any node. */
export const GRACE_MS = 2 * SETTLE_MS
/** Parts of a lease between two renewals, and between two sweeps. */
const RENEWALS_PER_LEASE = 3
const SWEEPS_PER_LEASE = 12
const RENEWED_AT_ONCE = 500
const ANNOUNCED_AT_ONCE = 200
const ANNOUNCEMENTS_MAX = 5000
/** Frames that are published before others have a turn of the loop. */
const FRAMES_PER_TURN = 2000
/** Users whose `last seen` may wait for Postgres, and how long a stopping node waits for it. */
const SEEN_MAX = 20_000
const SEEN_STOPPING_MS = 1000
const NOTE_RETRY_MS = 5000
/** Those who were here when the node stopped have this long to come back elsewhere. */
const STOPPING_LEASE_MS = 8000
const TICK_MS = 50

export interface Presence {
  /** Sockets of this user came, went, or have another status. @param rooms those of a socket that goes */
  changed: (userId: string, rooms?: Iterable<string>) => void
  /** Leaves short leases behind, so that nobody who comes back on another node was ever gone. */
  stop: () => Promise<void>
}

export interface PresenceOptions {
  leases: PresenceLeases
  publisher: Publisher
  /** The best status of a user's sockets here. */
  statusOf: (userId: string) => Status | undefined
  here: () => Iterable<string>
  /** Rooms that the user's sockets here are subscribed to. */
  roomsOf: (userId: string) => Iterable<string>
  audiencesOf: (userIds: readonly string[]) => Promise<readonly Audience[]>
  noteLastSeen: (entries: ReadonlyArray<readonly [userId: string, at: Date]>) => Promise<void>
  leaseMs: number
  /** Most members of a room whose subscribers are told. */
  roomMax: number
  clock: () => number
  metrics: Metrics
  logger: Logger
}

export function presenceFrame (userId: string, status: Present['status'], lastSeenAt?: Date): object {
  return { type: 'presence', user_id: userId, status, ...(lastSeenAt === undefined ? {} : { last_seen_at: lastSeenAt.toISOString() }) }
}

export function startPresence (options: PresenceOptions): Presence {
  const { leases, publisher, statusOf, here, roomsOf, audiencesOf, noteLastSeen, leaseMs, roomMax, clock, metrics, logger } = options
  /** Whose lease is to be written. */
  const dirty = new Set<string>()
  /** User → when it is looked at again whether they have changed. In the order of the times. */
  const settling = new Map<string, number>()
  const announcing = new Map<string, Present>()
  const seen = new Map<string, Date>()
  /** Rooms in which those who have just gone were heard. */
  const lastRooms = new Map<string, readonly string[]>()
  let stopping = false
  let writeAt = Infinity
  let noteAt = 0
  let renewAt = clock() + leaseMs / RENEWALS_PER_LEASE
  let sweepAt = clock() + Math.random() * leaseMs / SWEEPS_PER_LEASE

  /** Whoever has changed is looked at again a little later; whoever waits for that already, waits from the first change on. */
  function settleLater (present: readonly Present[]): void {
    for (const { user_id, changed } of present) {
      if (!changed) lastRooms.delete(user_id)
      else if (!settling.has(user_id)) settling.set(user_id, clock() + SETTLE_MS)
    }
  }

  function writeOf (user_id: string): PresenceWrite {
    return { user_id, what: statusOf(user_id) ?? 'gone' }
  }

  async function writeDirty (): Promise<void> {
    const users = [...dirty]
    dirty.clear()
    try {
      settleLater(await leases.write(users.map(writeOf)))
    } catch (error) {
      for (const user of users) dirty.add(user)
      writeAt = clock() + SETTLE_MS
      throw error
    }
  }

  async function renew (): Promise<void> {
    const users = [...here()]
    for (let i = 0; i < users.length; i += RENEWED_AT_ONCE) {
      if (stopping) return
      settleLater(await leases.write(users.slice(i, i + RENEWED_AT_ONCE).map(writeOf)))
    }
  }

  /** Takes what has changed of these users upon itself to announce. */
  async function claim (users: readonly string[]): Promise<void> {
    for (const present of await leases.write(users.map(user_id => ({ user_id, what: 'same' })), { say: true })) {
      if (present.changed && announcing.size < ANNOUNCEMENTS_MAX) announcing.set(present.user_id, present)
      else lastRooms.delete(present.user_id)
      if (present.changed && !announcing.has(present.user_id)) metrics.ephemeralDropped.inc({ reason: 'too many' })
    }
  }

  function takeSettled (now: number): string[] {
    const settled: string[] = []
    for (const [user, at] of settling) {
      if (at > now || settled.length === RENEWED_AT_ONCE) break
      settling.delete(user)
      settled.push(user)
    }
    return settled
  }

  async function announce (): Promise<void> {
    const some = [...announcing.values()].slice(0, ANNOUNCED_AT_ONCE)
    for (const { user_id } of some) announcing.delete(user_id)
    for (const { user_id, seen: at } of some) if (seen.size < SEEN_MAX || seen.has(user_id)) seen.set(user_id, new Date(at))
    let audiences = new Map<string, Audience>()
    try {
      audiences = new Map((await audiencesOf(some.map(({ user_id }) => user_id))).map(audience => [audience.user_id, audience]))
    } catch (error) { // rooms are told all the same; but not somebody who may be blocked
      logger.debug({ reason: (error as Error).message }, 'who lists whom cannot be asked: presence is not announced')
    }
    const told = some.flatMap(({ user_id }) => {
      const audience = audiences.get(user_id)
      const rooms = new Set([...roomsOf(user_id), ...lastRooms.get(user_id) ?? [], ...audience?.rooms ?? []])
      lastRooms.delete(user_id)
      return audience === undefined ? [] : [{ user_id, rooms: [...rooms], others: audience.blocked }]
    })
    const hearing = await leases.hearing(told, roomMax)
    let frames = 0
    for (const { user_id, status, seen: at } of some) {
      const frame = presenceFrame(user_id, status, status === 'offline' && at > 0 ? new Date(at) : undefined)
      const contacts = audiences.get(user_id)?.contacts ?? []
      const rooms = hearing.get(user_id) ?? []
      for (const contact of contacts) publisher.toUser(contact, { type: 'frame', frame })
      for (const { room_id, others } of rooms) publisher.toRoom(room_id, frame, others)
      frames += contacts.length + rooms.length
      if (frames >= FRAMES_PER_TURN) {
        frames = 0
        await new Promise(resolve => setImmediate(resolve))
      }
    }
    metrics.presenceAnnounced.inc(some.length)
  }

  async function noteSeen (): Promise<void> {
    const entries = [...seen].filter(([, at]) => at.getTime() > 0)
    seen.clear()
    try {
      if (entries.length > 0) await noteLastSeen(entries)
    } catch (error) {
      for (const [user, at] of entries) if (!seen.has(user)) seen.set(user, at)
      noteAt = clock() + NOTE_RETRY_MS
      logger.debug({ reason: (error as Error).message }, 'when people were last seen could not be noted yet')
    }
  }

  /** One thing after the other: what is renewed late has not run out when leases are swept after it. */
  async function keep (): Promise<void> {
    const now = clock()
    if (dirty.size > 0 && now >= writeAt) {
      writeAt = Infinity
      await writeDirty()
    }
    if (now >= renewAt) {
      await renew()
      renewAt = now + leaseMs / RENEWALS_PER_LEASE
    }
    const settled = takeSettled(now)
    if (settled.length > 0) await claim(settled)
    if (now >= sweepAt) {
      const due = await leases.due()
      if (due.length > 0) await claim(due)
      sweepAt = now + leaseMs / SWEEPS_PER_LEASE * (0.75 + Math.random() / 2)
    }
  }

  async function tell (): Promise<void> {
    if (announcing.size > 0) await announce()
    if (seen.size > 0 && clock() >= noteAt) await noteSeen()
  }

  // Two, so that a Postgres that does not answer keeps no lease from being renewed.
  const keeping = repeat(keep)
  const telling = repeat(tell)

  function repeat (work: () => Promise<void>) {
    let underWay: Promise<void> | undefined
    const timer = setInterval(() => {
      underWay ??= work().catch((error: unknown) => {
        if (!(error instanceof LogFault)) logger.error({ err: error }, 'keeping presence failed')
      }).finally(() => { underWay = undefined })
    }, TICK_MS)
    return {
      end: async () => {
        clearInterval(timer)
        await underWay
      },
    }
  }

  return {
    changed (userId, rooms) {
      if (stopping) return
      dirty.add(userId)
      if (writeAt === Infinity) writeAt = clock() + WRITE_MS
      if (rooms !== undefined && statusOf(userId) === undefined) lastRooms.set(userId, [...rooms].slice(0, ROOMS_TOLD_MAX))
    },
    async stop () {
      if (stopping) return
      stopping = true
      await keeping.end()
      const told = telling.end()
      const users = new Set([...here(), ...dirty])
      await leases.write([...users].map(writeOf), { leaseMs: Math.min(leaseMs, STOPPING_LEASE_MS) }).catch((error: Error) => { logger.debug({ reason: error.message }, 'leases of presence run out by themselves') })
      await Promise.race([told.then(noteSeen), new Promise(resolve => setTimeout(resolve, SEEN_STOPPING_MS).unref())])
    },
  }
}
