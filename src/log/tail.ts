/**
 * The tail: follows the logs of rooms live and hands each on as one contiguous run, whatever happens to the bells.
 *
 * It holds a position per room. A bell that brings the next event, chained onto the position, is delivered as it is. One that
 * is known is dropped. Anything else is settled by reading the log: a hole is filled; a log whose history is another than the
 * one delivered (`parted`) takes the room back to the newest position that both share, which the listener is told [G8]. Heads
 * are compared every `compareMs`, and at once when a subscription begins anew, so delivery is gap-free even if every bell is
 * lost [G4]. While a partition is fenced nothing is concluded.
 */
import { START, type Position } from '../domain/position.ts'
import type { Logger } from '../telemetry/logging.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import { childOf, endSpan, isTracing } from '../telemetry/tracing.ts'
import { chainOf } from './chain.ts'
import { traceparentOf, type LogEvent } from './codec.ts'
import { isEphemeral, parseEphemeral, type Ephemeral } from './ephemeral.ts'
import { eventOf } from './entries.ts'
import type { Keys } from './keys.ts'
import { LogFault, type RoomLog } from './log.ts'
import type { Subscriptions } from './subscriptions.ts'
import { createTrace, type Trace } from './trace.ts'

const CHUNK_EVENTS = 500
/** Rooms that are read at the same time after a comparison. */
const READS_MAX = 64
const RETRY_MS = 250

export interface Follower {
  /** The next events of the room, in order, without a gap to those before (or to the last reset). */
  onEvents: (events: LogEvent[]) => void
  /** The history delivered beyond `position` is void; what follows continues from there. */
  onReset: (position: Position) => void
  /** Ephemeral frames of the room, of which any may be missing. */
  onEphemeral?: (ephemerals: readonly Ephemeral[]) => void
}

export interface Followed {
  /** Everything up to here was delivered. */
  position: () => Position
  /** The chain delivered at this seq, as far as the tail remembers. */
  chainAt: (seq: number) => string | undefined
  release: () => void
}

export interface Tail {
  /** Follows a room from its head as it is now. One follower per room. Throws LogFault. */
  follow: (roomId: string, follower: Follower) => Promise<Followed>
  close: () => Promise<void>
}

interface Room {
  readonly id: string
  readonly follower: Follower
  readonly trace: Trace
  position: Position
  /** True while the log is being read for this room: bells are then only taken as news. */
  reading: boolean
  news: boolean
}

export interface TailOptions {
  log: RoomLog
  /** Events of any age, for what the stream does not have any more. */
  readArchive: (roomId: string, after: number, limit: number) => Promise<LogEvent[]>
  subscriptions: Subscriptions
  keys: Keys
  /** Milliseconds between two comparisons of all heads. */
  compareMs: number
  metrics: Metrics
  logger: Logger
}

export function createTail ({ log, readArchive, subscriptions, keys, compareMs, metrics, logger }: TailOptions): Tail {
  const rooms = new Map<string, Room>()
  const toCompare = new Set<Room>()
  let comparing: Promise<void> | undefined
  let soon: NodeJS.Timeout | undefined
  let closed = false

  function deliver (room: Room, events: LogEvent[], how: 'append' | 'bell' | 'read'): void {
    if (isTracing()) for (const event of events) endSpan(childOf(traceparentOf(event), 'tail', { 'millrace.room_id': room.id, 'millrace.seq': event.seq, 'millrace.how': how }))
    for (const { seq, chain } of events) room.trace.add(seq, chain)
    const { seq, chain } = events.at(-1)!
    room.position = { seq, chain }
    room.follower.onEvents(events)
  }

  /** The part of `events` that continues the room's position; shorter than `events` where they do not chain on. */
  function contiguous (room: Room, events: readonly LogEvent[]): LogEvent[] {
    let { seq, chain } = room.position
    const run: LogEvent[] = []
    for (const event of events) {
      const expected = chainOf(chain, event.event_id)
      if (event.seq !== seq + 1 || event.chain !== expected) break
      seq = event.seq
      chain = expected // not the bell's: a slice of its text would keep all of it in memory
      run.push({ ...event, chain })
    }
    return run
  }

  /**
   * This process has appended these itself: what continues the position is delivered at once, with the acks and not after them. Of
   * all else the bell tells, as it does everywhere.
   */
  log.onAppended((roomId, events) => {
    const room = rooms.get(roomId)
    if (room === undefined || room.reading) return
    const run = contiguous(room, events)
    if (run.length > 0) deliver(room, run, 'append')
  })

  function onBell (room: Room, text: string): void {
    if (isEphemeral(text)) return room.follower.onEphemeral?.(parseEphemeral(text))
    if (room.reading) {
      room.news = true
      return
    }
    const known = knownOf(room, text)
    if (known > 0) return metrics.bells.inc({ result: 'known' }, known)
    const heard = parseBell(text)
    const fresh = heard.filter(({ seq }) => seq > room.position.seq)
    // Known and equal, or older than the trace: dropped. Known and different: look.
    if (heard.some(({ seq, chain }) => (room.trace.chainAt(seq) ?? chain) !== chain)) return look(room, 'different')
    if (fresh.length === 0) return metrics.bells.inc({ result: 'known' }, heard.length)
    const run = contiguous(room, fresh)
    if (run.length > 0) {
      metrics.bells.inc({ result: 'delivered' }, run.length)
      deliver(room, run, 'bell')
    }
    if (run.length < fresh.length) look(room, 'hole')
  }

  /**
   * The number of events in a bell of which the last, and so all, were delivered; 0 if they were not, or that is not sure. The rest
   * is not even taken apart: this is every bell of what was appended here.
   */
  function knownOf (room: Room, text: string): number {
    const [seq, chain] = placeOf(text, text.lastIndexOf('\n') + 1)
    return seq <= room.position.seq && room.trace.chainAt(seq) === chain ? seq - placeOf(text, 0)[0] + 1 : 0
  }

  function look (room: Room, result: string): void {
    metrics.bells.inc({ result })
    void catchUp(room)
  }

  /**
   * Reads the log from the room's position until there is no more; first looks for a common position where that is in doubt.
   * @param expected a seq that the log is known to have: where its stream ends before, the room is cold, and the archive has it
   */
  async function catchUp (room: Room, inDoubt = false, expected = 0): Promise<void> {
    if (room.reading) {
      room.news = true
      return
    }
    room.reading = true
    try {
      if (inDoubt) await part(room)
      for (;;) {
        room.news = false
        const events = await log.read(room.id, room.position.seq, CHUNK_EVENTS)
        if (rooms.get(room.id) !== room) return
        let run = contiguous(room, events)
        if (run.length === 0 && (events.length > 0 || expected > room.position.seq)) {
          const goesOn = events[0]?.seq === room.position.seq + 1
          const next = goesOn ? events : await readArchive(room.id, room.position.seq, CHUNK_EVENTS)
          if (rooms.get(room.id) !== room) return
          run = contiguous(room, next)
          if (run.length === 0 && next[0]?.seq === room.position.seq + 1 && await part(room)) continue
          if (rooms.get(room.id) !== room) return
          if (run.length === 0) return again(room)
        }
        if (run.length > 0) {
          metrics.holesFilled.inc(run.length)
          deliver(room, run, 'read')
        } else if (!room.news) return
      }
    } catch (error) {
      again(room, error)
    } finally {
      room.reading = false
    }
  }

  /**
   * The log may have another history than the one delivered: if so, goes back to the newest position that both share and
   * returns true. Throws LogFault while fenced: nothing may be concluded then.
   */
  async function part (room: Room): Promise<boolean> {
    const { fenced, heads } = await log.heads([room.id])
    if (fenced) throw new LogFault('fenced', 'the partition is fenced')
    const known = room.trace.positions()
    const head = heads.get(room.id) ?? START
    const common = await commonOf(room, known, head)
    if (rooms.get(room.id) !== room || common.seq >= room.position.seq) return false
    logger.error({ room: room.id, delivered: room.position, head, common }, 'histories parted: the log is not the one that was delivered')
    metrics.parted.inc({ where: 'tail' })
    room.trace.cut(common.seq)
    room.position = common
    room.follower.onReset(common)
    return true
  }

  /** The newest of the known positions that the log has, in its stream or, as of a cold room, in the archive. */
  async function commonOf (room: Room, known: readonly Position[], head: Position): Promise<Position> {
    const within = known.filter(({ seq }) => seq <= head.seq)
    const chains = new Map([[head.seq, head.chain]])
    for (const [seq, chain] of await log.chainsAt(room.id, within.map(({ seq }) => seq))) chains.set(seq, chain)
    for (const { seq, chain } of within) { // the newest first
      if (!chains.has(seq)) for (const event of await readArchive(room.id, Math.max(0, seq - CHUNK_EVENTS), CHUNK_EVENTS)) chains.set(event.seq, event.chain)
      if (chains.get(seq) === chain) return { seq, chain }
    }
    return START
  }

  /** Compares heads with positions; what differs is read. */
  async function compare (some: readonly Room[]): Promise<void> {
    const before = some.map(room => room.position)
    try {
      const { fenced, heads } = await log.heads(some.map(({ id }) => id))
      if (fenced) throw new LogFault('fenced', 'a partition is fenced')
      const behind: Array<[room: Room, inDoubt: boolean, head: number]> = []
      some.forEach((room, i) => {
        const head = heads.get(room.id) ?? START
        const position = before[i]!
        const inDoubt = head.seq < position.seq || (head.seq === position.seq && head.chain !== position.chain)
        if (rooms.get(room.id) === room && (inDoubt || head.seq > room.position.seq)) behind.push([room, inDoubt, head.seq])
      })
      for (let i = 0; i < behind.length; i += READS_MAX) {
        await Promise.all(behind.slice(i, i + READS_MAX).map(async ([room, inDoubt, head]) => { await catchUp(room, inDoubt, head) }))
      }
    } catch (error) {
      for (const room of some) again(room, error)
    }
  }

  /** Looks at the room again a little later; at the latest the timed comparison would. */
  function again (room: Room, error?: unknown): void {
    if (rooms.get(room.id) !== room) return
    if (error !== undefined && !(error instanceof LogFault)) logger.error({ err: error, room: room.id }, 'the tail failed')
    toCompare.add(room)
    compareSoon(RETRY_MS * (1 + Math.random()))
  }

  function compareSoon (ms: number): void {
    if (soon !== undefined || closed) return
    soon = setTimeout(() => {
      soon = undefined
      const some = [...toCompare]
      toCompare.clear()
      comparing = (comparing ?? Promise.resolve()).then(async () => { await compare(some) })
    }, ms)
  }

  const comparison = setInterval(() => {
    for (const room of rooms.values()) toCompare.add(room)
    if (toCompare.size > 0) compareSoon(0)
  }, compareMs)

  return {
    async follow (roomId, follower) {
      const { fenced, heads } = await log.heads([roomId])
      if (fenced) throw new LogFault('fenced', 'the partition is fenced')
      if (rooms.has(roomId)) throw new Error('the room is followed already')
      const position = heads.get(roomId) ?? START
      const room: Room = { id: roomId, follower, trace: createTrace(position), position, reading: false, news: false }
      rooms.set(roomId, room)
      metrics.roomsTailed.set(rooms.size)
      subscriptions.add(keys.bell(roomId), {
        onMessage: text => { onBell(room, text) },
        onReady: () => {
          toCompare.add(room)
          compareSoon(0)
        },
      })
      return {
        position: () => room.position,
        chainAt: seq => room.trace.chainAt(seq),
        release: () => {
          if (rooms.get(roomId) !== room) return
          rooms.delete(roomId)
          toCompare.delete(room)
          metrics.roomsTailed.set(rooms.size)
          subscriptions.remove(keys.bell(roomId))
        },
      }
    },
    async close () {
      closed = true
      clearInterval(comparison)
      clearTimeout(soon)
      rooms.clear()
      await comparing
    },
  }
}

/** Seq and chain of the event in the line of a bell that begins here. */
function placeOf (text: string, from: number): [seq: number, chain: string] {
  const at = text.indexOf(' ', from)
  return [Number(text.slice(from, at)), text.slice(at + 1, at + 17)]
}

/** A bell carries the events of one call, a line each: seq, chain, and what their entry has (`entries.ts`: no raw line feeds). */
export function parseBell (text: string): LogEvent[] {
  const events: LogEvent[] = []
  for (let at = 0, end; at < text.length; at = end + 1) {
    end = text.indexOf('\n', at)
    if (end < 0) end = text.length
    const a = text.indexOf(' ', at)
    const b = text.indexOf(' ', a + 1)
    if (a <= at || b < 0) continue
    const event = eventOf(Number(text.slice(at, a)), text.slice(a + 1, b), text, b + 1, end)
    if (event.event_id !== '') events.push(event)
  }
  return events
}
