/**
 * The intake of a projector: the next events of rooms that have news (`news.ts`), verified to chain onto the checkpoint and kept in
 * order until they are applied.
 *
 *              open: group set to the checkpoint
 *     closed ─────────────────────────────────────▶ group   XREADGROUP; new entries
 *       ▲  ▲                                          │ a hole, or less than is known to be there
 *       │  └── caught up ──── fetch ◀─────────────────┘ (read from the stream, else the archive; trimmed, stolen, deleted)
 *       └── a fault, another worker, a doubt
 *
 * A projection that follows the archive has no group: its rooms are fetched from there once, and what the archive commits is then offered.
 *
 * A room that does not chain on, or whose next event neither store has, is looked at twice, from a checkpoint read anew, and
 * never while its partition is fenced; then it is parked as `parted` or `hole`.
 */
import { chainOf } from '../src/log/chain.ts'
import type { LogEvent } from '../src/log/codec.ts'
import { GroupMissing } from '../src/log/groups.ts'
import type { RoomLog } from '../src/log/log.ts'
import type { Position } from '../src/domain/position.ts'
import type { Store } from '../src/store/pool.ts'
import { holeAfter } from '../src/store/skipped.ts'
import type { Logger } from '../src/telemetry/logging.ts'
import type { Metrics } from '../src/telemetry/metrics.ts'
import type { Outcome, Work } from './apply.ts'
import { generationsOf, openCheckpoints } from './checkpoint.ts'
import { createLeftOut } from './left-out.ts'
import { createNews } from './news.ts'
import { settleAll, type Source } from './source.ts'
import { isRoomId, type Sweep } from './sweep.ts'

/** Rooms that one turn reads; few with more events each make cheaper transactions than many with one. */
export const ROOMS_PER_READ = 256
const EVENTS_PER_ROOM_MIN = 4
/** Events handed on by the archive that are held until they are applied; more are read from it. All who follow it hold the same ones. */
const OFFERED_EVENTS_MAX = 16_000
/** Text of one batch, in characters, give or take one room's share of it. */
const BATCH_CHARS_MAX = 8_000_000
/** Rooms remembered; beyond that, idle ones are forgotten and opened anew when they have news. */
const ROOMS_KNOWN_MAX = 50_000

interface Room {
  readonly id: string
  readonly partition: number
  /** The checkpoint as last known. */
  applied: Position
  /** Read, chained onto `applied`, not applied yet. */
  queue: LogEvent[]
  source: 'closed' | 'group' | 'fetch'
  /** There may be entries that were not read yet. */
  more: boolean
  /** Redis has a stream of it. */
  stream: boolean
  /** A seq that the log is known to have reached. */
  want: number
  doubts: number
  /** How many times its partition had been reconciled when it was opened. */
  generation: number
}

interface Deps {
  /** Name and version of the projection. */
  readonly group: string
  readonly store: Store
  readonly source: Source
  readonly log: RoomLog
  /** It is the archive itself: what it lacks, nobody has. */
  readonly isArchive: boolean
  readonly metrics: Metrics
  readonly logger: Logger
}

export function createIntake ({ group, store, source, log, isArchive, metrics, logger }: Deps) {
  const rooms = new Map<string, Room>()
  /** Rooms that have, or may have, something to read or to apply; the longest waiting first. */
  const work = new Map<string, Room>()
  const leftOut = createLeftOut({ group, store, metrics, logger })
  const news = createNews(source, note)

  const tailOf = (room: Room): Position => room.queue.at(-1) ?? room.applied

  function drop (roomId: string): void {
    rooms.delete(roomId)
    work.delete(roomId)
  }

  function note (id: string, partition: number, want = 0): void {
    if (leftOut.has(id) || !news.serves(partition)) return
    if (!isRoomId(id)) { logger.warn({ projection: group, partition, room_id: id.slice(0, 100) }, 'what is listed as a room has no room ID'); return }
    let room = rooms.get(id)
    if (room === undefined) {
      room = { id, partition, applied: { seq: 0, chain: '' }, queue: [], source: 'closed', more: true, stream: true, want: 0, doubts: 0, generation: 0 }
      rooms.set(id, room)
    }
    room.more = true
    room.want = Math.max(room.want, want)
    work.set(id, room)
  }

  async function open (closed: readonly Room[]): Promise<void> {
    if (closed.length === 0) return
    const generations = await generationsOf(store, closed.map(({ partition }) => partition)) // before anything is read
    const checkpoints = await openCheckpoints(store, group, closed)
    await settleAll(closed.map(async room => {
      const at = checkpoints.get(room.id)!
      try {
        room.stream = await source.open(room.id, at.seq)
      } catch (error) {
        // No stream at all but something else: no waiting mends that, and one room must not hold up the others.
        if (!/^WRONGTYPE/.test((error as Error).message)) throw error
        await setAside(room, at, 'corrupt')
        return
      }
      room.applied = at
      room.generation = generations.get(room.partition)!
      room.queue = []
      room.source = room.stream ? 'group' : 'fetch'
    }))
  }

  /** Takes events onto the queue as long as they follow on. */
  async function enqueue (room: Room, events: readonly LogEvent[]): Promise<'all' | 'hole' | 'parted'> {
    let tail = tailOf(room)
    for (const event of events) {
      if (event.seq <= tail.seq) {
        if (event.seq === tail.seq && event.chain !== tail.chain) return await doubt(room, 'parted', event)
        continue
      }
      room.want = Math.max(room.want, event.seq)
      if (event.seq !== tail.seq + 1) return 'hole'
      if (!followsOn(tail, event)) return await doubt(room, 'parted', event)
      room.queue.push(event)
      tail = event
    }
    return 'all'
  }

  async function readGroups (chosen: readonly Room[], count: number): Promise<void> {
    const byPartition = Map.groupBy(chosen, room => room.partition)
    await settleAll([...byPartition.values()].map(async part => {
      let events
      try {
        events = await source.read(part.map(({ id }) => id), count)
      } catch (error) {
        // The entries may be on their way to us all the same: opening sets the group back to where we are.
        for (const room of part) room.source = 'closed'
        if (!(error instanceof GroupMissing)) throw error
        logger.warn({ projection: group, reason: error.message }, 'a group or stream is gone; opening its rooms again')
        return
      }
      for (const room of part) {
        const got = events.get(room.id) ?? []
        const result = await enqueue(room, got)
        if (result === 'hole') room.source = 'fetch'
        else if (result === 'all' && got.length < count) {
          // Less than is known to be there: others have taken it, or it was deleted.
          if (tailOf(room).seq < room.want) room.source = 'fetch'
          else room.more = false
        }
      }
    }))
  }

  async function fetch (chosen: readonly Room[], count: number): Promise<void> {
    if (chosen.length === 0) return
    const places = chosen.map(room => ({ room, id: room.id, after: tailOf(room).seq }))
    for (const room of chosen) room.more = !source.follows // what is offered meanwhile says again that there is more
    try {
      const { events, seen } = await source.fetch(places, count)
      await settleAll(places.map(async ({ room, after }) => { await takeFetched(room, after, events.get(room.id) ?? [], { count, seen: seen.has(room.id) }) }))
    } catch (error) {
      for (const room of chosen) room.more = true
      throw error
    }
  }

  async function takeFetched (room: Room, after: number, events: readonly LogEvent[], { count, seen }: { count: number, seen: boolean }): Promise<void> {
    if (events[0]?.seq === after + 1) {
      await enqueue(room, events)
      if (events.length === count) room.more = true
    } else if (!isArchive && events[0] !== undefined && await holeAfter(store, room.id, after) === events[0].seq - 1) {
      // Somebody has skipped this hole in the archive: what is behind it follows on nothing.
      room.queue.push(events[0])
      await enqueue(room, events.slice(1))
      room.more = true
    } else if (seen || events.length > 0 || (!source.follows && room.want > after)) {
      room.more = true
      await doubt(room, 'hole')
    } else if (!source.follows) {
      room.source = 'closed'
      if (!room.stream) room.more = false
    }
  }

  /** Something is wrong with what comes after the queue. What is in the queue is applied first. */
  async function doubt (room: Room, code: 'parted' | 'hole', event?: LogEvent): Promise<'parted'> {
    room.source = 'closed'
    if (room.queue.length > 0) return 'parted'
    room.doubts++
    if (room.doubts < 2) return 'parted'
    const { fenced, heads } = await log.heads([room.id])
    const head = heads.get(room.id)
    // Fenced: conclude nothing, the sweep comes back. A log that ends before the hole has none; whether it parted, the sweep sees. Of a
    // hole that was skipped, what is behind it comes with the archive, which may not be that far yet.
    const waits = code === 'hole' && (head === undefined || head.seq <= room.applied.seq || (!isArchive && await holeAfter(store, room.id, room.applied.seq) !== undefined))
    if (fenced || waits) drop(room.id)
    else if (code === 'hole' && await isThereNow(room)) room.doubts = 0
    else await setAside(room, room.applied, code, event)
    return 'parted'
  }

  /** What was read is older than the head: in between, what was missing may have been appended, or put back. */
  async function isThereNow ({ id, applied }: Room): Promise<boolean> {
    const { events } = await source.fetch([{ id, after: applied.seq }], 1)
    return events.get(id)?.[0]?.seq === applied.seq + 1
  }

  async function setAside (room: Pick<Room, 'id' | 'partition'>, at: Position, code: 'parted' | 'hole' | 'corrupt', event?: LogEvent): Promise<void> {
    await leftOut.setAside(room, at, code, event)
    drop(room.id)
  }

  function forgetIdle (): void {
    if (rooms.size <= ROOMS_KNOWN_MAX) return
    for (const id of rooms.keys()) {
      if (rooms.size <= ROOMS_KNOWN_MAX * 0.9) return
      if (!work.has(id)) rooms.delete(id)
    }
  }

  return {
    ring: news.ring,
    gain: news.gain,

    lose (partition: number): void {
      news.lose(partition)
      leftOut.lose(partition)
      for (const [id, room] of rooms) if (room.partition === partition) drop(id)
    },

    /** Takes in what a sweep of these partitions found. */
    async take (partitions: readonly number[], { behind, off, parked }: Sweep): Promise<void> {
      for (const id of leftOut.take(partitions, parked)) drop(id)
      for (const { id, partition, head } of behind) {
        if ((rooms.get(id)?.applied.seq ?? 0) >= head) drop(id) // its checkpoint was taken back
        note(id, partition, head)
      }
      for (const { id, partition, at, head } of off) {
        if (leftOut.has(id) || !news.serves(partition)) continue
        logger.error({ projection: group, room_id: id, applied: at, head }, 'the log does not have what was applied')
        await setAside({ id, partition }, at, 'parted')
      }
    },

    /** What the archive has just committed of rooms, each following on its last. Held as far as there is room for it, else read later. */
    offer (committed: ReadonlyArray<{ readonly room_id: string, readonly partition: number, readonly entries: readonly LogEvent[] }>): void {
      let held = this.held
      for (const { room_id, partition, entries } of committed) {
        const [first] = entries
        if (first === undefined || leftOut.has(room_id)) continue
        const room = rooms.get(room_id)
        if (room === undefined || room.source === 'closed' || held >= OFFERED_EVENTS_MAX || !followsOn(tailOf(room), first)) {
          note(room_id, partition, entries.at(-1)!.seq)
          continue
        }
        room.queue.push(...entries)
        held += entries.length
        work.set(room_id, room)
      }
    },

    /** The next events, at most `budget`. Reads only as much as is missing. Throws faults; nothing is lost by them. */
    async gather (budget: number): Promise<Work[]> {
      if (news.rang) await news.listen()
      let buffered = 0
      const chosen: Room[] = []
      for (const room of work.values()) {
        buffered += room.queue.length
        if (room.more && room.queue.length < EVENTS_PER_ROOM_MIN && chosen.length < ROOMS_PER_READ) chosen.push(room)
        if (buffered >= budget) break
      }
      if (buffered < budget && chosen.length > 0) {
        const count = Math.max(EVENTS_PER_ROOM_MIN, Math.ceil((budget - buffered) / chosen.length))
        await open(chosen.filter(room => room.source === 'closed' && room.queue.length === 0))
        await readGroups(chosen.filter(room => room.source === 'group'), count)
        await fetch(chosen.filter(room => room.source === 'fetch'), count)
      }
      forgetIdle()

      const batch: Work[] = []
      let left = budget
      let chars = 0
      for (const room of work.values()) {
        if (left === 0 || chars >= BATCH_CHARS_MAX) break
        if (room.queue.length === 0) {
          if (!room.more) work.delete(room.id)
          continue
        }
        const entries = room.queue.slice(0, left)
        left -= entries.length
        for (const { data } of entries) chars += data.length
        batch.push({ room_id: room.id, partition: room.partition, from: room.applied, entries, attempts: leftOut.attempts(room.id), generation: room.generation })
      }
      return batch
    },

    /** What became of a batch. */
    settle (batch: readonly Work[], outcomes: readonly Outcome[]): void {
      const works = new Map(batch.map(item => [item.room_id, item]))
      for (const outcome of outcomes) {
        const room = rooms.get(outcome.room_id)
        const { partition, attempts } = works.get(outcome.room_id)!
        if (outcome.status === 'parked') {
          leftOut.add(outcome.room_id, partition, attempts + 1)
          drop(outcome.room_id)
        }
        if (room === undefined || outcome.status === 'parked') continue
        if (outcome.status === 'elsewhere') {
          room.queue = []
          room.source = 'closed'
          room.more = true
          continue
        }
        room.queue.splice(0, outcome.count)
        room.applied = outcome.to
        room.doubts = 0
        leftOut.goesOn(room.id)
        work.delete(room.id)
        if (room.more || room.queue.length > 0) work.set(room.id, room) // behind those that wait longer
      }
    },

    /** Lets other rooms go first: what failed together with these may work without them. */
    putBack (batch: readonly Work[]): void {
      for (const { room_id } of batch) {
        const room = work.get(room_id)
        if (room === undefined) continue
        work.delete(room_id)
        work.set(room_id, room)
      }
    },

    /** Whether a turn of the loop would find something. */
    get busy (): boolean { return news.rang || work.size > 0 },
    /** Events that were read, or handed on, and wait to be applied. */
    get held (): number {
      let held = 0
      for (const { queue } of work.values()) held += queue.length
      return held
    },
    /** Rooms that wait to be read or applied. */
    get waiting (): number { return work.size },
    get parked (): number { return leftOut.size },
  }
}

const followsOn = (tail: Position, event: LogEvent): boolean => event.seq === tail.seq + 1 && event.chain === chainOf(tail.chain, event.event_id)
