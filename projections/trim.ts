/**
 * Trimming and evicting: what the archive has need not stay in Redis. Each stream keeps a hot window, by count and by age; a room
 * that has been idle for long is let go of whole, but for its head. Only the archive holds this back: another projection that
 * is further behind reads the archive. Every step is conditional on the log being where the archive's checkpoint is [G5, G8].
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Position } from '../src/domain/position.ts'
import type { Cold } from '../src/log/cold.ts'
import type { Groups } from '../src/log/groups.ts'
import { ARCHIVE } from '../src/store/archive.ts'
import { whileAlone } from '../src/store/lock.ts'
import type { Store } from '../src/store/pool.ts'
import type { Logger } from '../src/telemetry/logging.ts'
import type { Metrics } from '../src/telemetry/metrics.ts'

const TURN_MS = 500
const TRIMS_AT_A_TIME = 64
/** A stream may grow beyond its window by a tenth, and by this, before it is trimmed again. */
const SLACK_EVENTS = 100
/** Places in time that are remembered of a room, to know which of its events are young. */
const SAMPLES_MAX = 9
const ROOMS_MAX = 100_000
/** Rooms of a partition that one turn of evicting looks at, the longest idle first. */
const EVICTIONS_AT_A_TIME = 200
/** Rooms of a partition that are in the way of others, being parked or not archived, at most. */
const STAYING_MAX = 5000
/** Rooms that are idle are looked for this often, or as often as rooms may be idle if that is less. */
const EVICT_EVERY_MS = 10_000
/** Advisory lock of the one who evicts: the letters `evic`. */
const LOCK = 0x65766963

/** The hot window. `events` stay in any case; older ones while they are younger than `ms`, up to `eventsMax`. */
export interface HotWindow { readonly events: number, readonly eventsMax: number, readonly ms: number }

interface Room {
  archived: Position
  /** Before this seq another look is not worth it. */
  due: number
  /** Head at some times past, oldest first. */
  samples: Array<{ at: number, seq: number }>
}

export interface TrimOptions {
  store: Store
  cold: Cold
  groups: Groups
  partitions: number
  window: HotWindow
  /** A room without an event for so long is let go of. Milliseconds. */
  evictMs: number
  evictEveryMs?: number
  /** Whether the archive cannot be written now: then nothing is trimmed. */
  archiveFault: () => string | null
  clock: () => number
  metrics: Metrics
  logger: Logger
}

export interface Trimming {
  /** The archive has these rooms up to there: told after each of its transactions. */
  archived: (rooms: ReadonlyArray<{ readonly room_id: string, readonly to: Position }>) => void
  done: Promise<void>
  stop: () => Promise<void>
}

/** First seq that stays. Pure. */
export function keepFrom (head: number, { events, eventsMax }: HotWindow, oldSeq: number): number {
  const byCount = head - events
  const byAge = Math.min(byCount, oldSeq)
  return Math.max(byAge, head - Math.max(events, eventsMax), 0) + 1
}

export function startTrimming ({ store, cold, groups, partitions, window, evictMs, evictEveryMs = Math.min(EVICT_EVERY_MS, evictMs), archiveFault, clock, metrics, logger }: TrimOptions): Trimming {
  const rooms = new Map<string, Room>()
  const due = new Set<string>()
  const stopping = new AbortController()
  const { signal } = stopping

  function note (roomId: string, to: Position): void {
    const room = rooms.get(roomId)
    if (room !== undefined) {
      room.archived = to
      if (to.seq >= room.due) due.add(roomId)
      return
    }
    if (rooms.size >= ROOMS_MAX) rooms.clear() // they are noted again when they have news
    rooms.set(roomId, { archived: to, due: 0, samples: [] })
    if (to.seq > window.events) due.add(roomId)
  }

  /** The newest event known to be older than the window; everything up to it is old. */
  function oldSeqOf (room: Room, now: number): number {
    if (window.ms === 0) return Number.MAX_SAFE_INTEGER
    let old = 0
    while (room.samples.length > 0 && room.samples[0]!.at <= now - window.ms) old = room.samples.shift()!.seq
    if (old > 0) room.samples.unshift({ at: now - window.ms, seq: old })
    const newest = room.samples.at(-1)
    if (room.samples.length < SAMPLES_MAX && (newest === undefined || now - newest.at >= window.ms / (SAMPLES_MAX - 1))) room.samples.push({ at: now, seq: room.archived.seq })
    return old
  }

  async function trim (roomId: string): Promise<void> {
    const room = rooms.get(roomId)
    if (room === undefined) return
    const { archived } = room
    const keep = keepFrom(archived.seq, window, oldSeqOf(room, clock()))
    room.due = archived.seq + 1 + (window.events === 0 ? 0 : SLACK_EVENTS + Math.floor(window.events / 10))
    if (keep <= 1) return
    const gone = await cold.trim(roomId, archived, keep)
    if (gone === undefined) metrics.trimRefused.inc()
    else metrics.trimmed.inc(gone)
  }

  async function trimDue (): Promise<void> {
    const chosen = [...due].slice(0, TRIMS_AT_A_TIME)
    for (const roomId of chosen) due.delete(roomId)
    const results = await Promise.allSettled(chosen.map(trim))
    results.forEach((result, i) => { if (result.status === 'rejected') due.add(chosen[i]!) })
    const failed = results.find(result => result.status === 'rejected')
    if (failed !== undefined) throw failed.reason
  }

  /** Of a partition's rooms with the oldest news, those that the archive has whole and that have been idle long enough. */
  async function evictIdle (partition: number, stayed = 0): Promise<void> {
    const ids = await groups.longestIdle(partition, stayed, EVICTIONS_AT_A_TIME)
    if (ids.length === 0) return
    const { rows } = await store.query<Position & { room_id: string, idle: boolean, free: boolean }>({
      name: 'rooms_to_evict',
      text: `
      SELECT room_id, seq, chain,
             updated_at < now() - $3 * interval '1 millisecond' AS idle,
             NOT EXISTS (SELECT FROM parked_rooms WHERE parked_rooms.room_id = checkpoints.room_id) AS free
        FROM checkpoints
       WHERE projection = $1
         AND room_id::text = ANY ($2::text[])
         AND seq > 0`,
      values: [ARCHIVE, ids, evictMs],
    })
    const gone = await Promise.all(rows.filter(({ idle, free }) => idle && free).map(async ({ room_id, seq, chain }) => await cold.evict(room_id, { seq, chain })))
    const evicted = gone.filter(Boolean).length
    if (evicted > 0) metrics.evicted.inc(evicted)
    // They come by their last append: behind one that is not idle none is. Those that may not go are passed by.
    const staying = stayed + ids.length - evicted
    if (rows.every(({ idle }) => idle) && staying < STAYING_MAX && !signal.aborted) await evictIdle(partition, staying)
  }

  /** One process of all does it at a time; it is safe if two do. */
  async function evict (): Promise<void> {
    await whileAlone(store, LOCK, async () => { for (let partition = 0; partition < partitions && !signal.aborted; partition++) await evictIdle(partition) })
  }

  async function run (): Promise<void> {
    let evictAt = clock() + evictEveryMs
    let failing = false
    while (!signal.aborted) {
      const fault = archiveFault()
      metrics.trimStopped.set(fault === null && !failing ? 0 : 1)
      try {
        if (fault === null) {
          while (due.size > 0 && !signal.aborted) await trimDue()
          if (clock() >= evictAt) {
            evictAt = clock() + evictEveryMs
            await evict()
          }
        }
        failing = false
      } catch (error) {
        if (!failing) logger.warn({ reason: (error as Error).message }, 'trimming waits: Redis or the archive cannot be asked')
        failing = true
      }
      await sleep(TURN_MS, undefined, { signal }).catch(() => {})
    }
  }

  const done = run()
  return {
    archived (applied) { for (const { room_id, to } of applied) note(room_id, to) },
    done,
    async stop () {
      stopping.abort()
      await done
    },
  }
}
