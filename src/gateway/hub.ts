/**
 * The hub: for each room with local subscribers, one feed from the tail to all of them. An event is encoded once and framed
 * once; all that a turn of the loop brought to a room is one buffer, shared by every subscriber [G7].
 *
 * A subscriber of a feed is `live` (gets the buffers) or `buffering` (events are kept for it while it reads what came before).
 * A feed outlives its last subscriber by LINGER_S, and keeps what comes meanwhile: most who go come back (`kept.ts`).
 */
import { frameOf, stampOf, traceparentOf, type LogEvent } from '../log/codec.ts'
import type { Ephemeral } from '../log/ephemeral.ts'
import type { Followed, Tail } from '../log/tail.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import { childOf, endSpan, isTracing, type Span } from '../telemetry/tracing.ts'
import { START, type Position } from '../domain/position.ts'
import { Kept, type KeptEvent } from './kept.ts'
import { wireFrame, type Outbox } from './outbox.ts'
import type { Turn } from './turn.ts'

/** Events that are kept for a subscriber that is catching up; beyond it, it reads on from the log. */
export const BUFFER_EVENTS = 1000
/** A socket for which more than this waits to be read gets nothing ephemeral: it has enough to catch up with. */
export const EPHEMERAL_BYTES_MAX = 16_384
/** Feeds without subscribers; beyond it, the oldest ends. */
const LINGERING_MAX = 2000
/** Ephemeral frames of one room that are gathered in a turn of the loop. */
const EPHEMERALS_MAX = 200

export interface Subscriber {
  readonly outbox: Outbox
  readonly userId: string
  /** The connection that it is of: it is not told what it said itself. */
  readonly connection?: { readonly id: string }
  /** Whether the room is read by outsiders too: then leaving it does not end the subscription. True until that was asked, which finds out whoever has left before. */
  open: boolean
  state: 'catching up' | 'buffering' | 'live'
  /** While buffering: what came since, seqs dense. */
  buffer: Array<{ seq: number, frame: Buffer }>
  /** Set when the history was reset while not live: continue from here. */
  reset: Position | undefined
  /** What the last heartbeat said of the head. */
  beat: number
}

export interface Feed {
  readonly roomId: string
  position: () => Position
  chainAt: (seq: number) => string | undefined
  /** Is told from now on if it may not read the room any more (`Hub.onLost`), while it catches up as well. */
  join: (subscriber: Subscriber) => void
  /** Joins as `buffering`; position() is then the cut-off: later events are buffered. */
  buffer: (subscriber: Subscriber) => void
  /** Buffers no more, and keeps nothing: it reads on from the log. */
  unbuffer: (subscriber: Subscriber) => void
  /** Becomes `live`: the next event that it gets is the one after position(). */
  live: (subscriber: Subscriber) => void
  /** At most `limit` events after this place, if everything after it is kept here. A delete since then may not have come yet. */
  keptAfter: (position: Position, limit: number) => readonly KeptEvent[] | undefined
  /** Leaves the feed; it ends a while after the last one has left. Every `Hub.feed` is paired with one `leave`. */
  leave: (subscriber: Subscriber) => void
}

export interface Hub {
  /** The feed of a room, opened for the first subscriber. Throws LogFault. */
  feed: (roomId: string) => Promise<Feed>
  /** Whether the room has a feed, or is about to have one. */
  has: (roomId: string) => boolean
  /** Called for a subscriber whom an event has put out of the room, after that event was sent to it; it gets nothing more. */
  onLost: (listener: Lost) => void
  /** Called for a live subscriber whose history was void beyond `position`, after it was told; it gets nothing more until it resumes from there. */
  onParted: (listener: Parted) => void
  /** What was fanned out in this turn is written now. To be called as a phase behind that of the outboxes. */
  written: () => void
}

type Parted = (subscriber: Subscriber, roomId: string, position: Position) => void

type Lost = (subscriber: Subscriber, roomId: string, code: 'not_member' | 'banned' | 'room_not_found') => void

export function resetFrame (roomId: string, reason: 'parted' | 'membership' | 'erased', { seq, chain }: Position): object {
  return { type: 'reset', room_id: roomId, reason, seq, chain }
}

interface HubOptions {
  tail: Tail
  turn: Turn
  metrics: Metrics
  clock: () => number
  /** How long a feed goes on without subscribers. */
  lingerMs: number
  lingeringMax?: number
}

export function createHub ({ tail, turn, metrics, clock, lingerMs, lingeringMax = LINGERING_MAX }: HubOptions): Hub {
  const feeds = new Map<string, Promise<RoomFeed>>()
  /** Those without subscribers, the longest without first. */
  const lingering = new Set<RoomFeed>()
  let onLost: Lost = () => {}
  let onParted: Parted = () => {}
  let dirty: RoomFeed[] = []
  /** Of what was fanned out and is not written yet: times stamped on events, and spans that end then. */
  let stamps: number[] = []
  let spans: Span[] = []
  turn.add(() => {
    const fed = dirty
    dirty = []
    for (const feed of fed) feed.flush()
  })

  class RoomFeed implements Feed {
    readonly roomId: string
    readonly #live = new Set<Subscriber>()
    readonly #buffering = new Set<Subscriber>()
    /** All that are not live yet. */
    readonly #coming = new Set<Subscriber>()
    #frames: Buffer[] = []
    #ephemerals: Ephemeral[] | undefined
    #oldest: LogEvent | undefined
    #kept: Kept | undefined
    #lingers: NodeJS.Timeout | undefined
    followed!: Followed
    users = 0

    constructor (roomId: string) {
      this.roomId = roomId
    }

    position (): Position { return this.followed.position() }
    chainAt (seq: number): string | undefined { return this.followed.chainAt(seq) }

    /** Asks for a flush at the end of this turn. Called before anything is put where the flush takes it. */
    #toFlush (): void {
      if (this.#frames.length > 0 || this.#ephemerals !== undefined) return
      dirty.push(this)
      turn.schedule()
    }

    onEvents (events: readonly LogEvent[]): void {
      this.#toFlush()
      if (isTracing()) this.#trace(events)
      for (const event of events) {
        const frame = wireFrame(frameOf(this.roomId, event))
        this.#frames.push(frame)
        this.#oldest ??= event
        for (const subscriber of this.#buffering) {
          if (subscriber.buffer.length < BUFFER_EVENTS) subscriber.buffer.push({ seq: event.seq, frame })
          else { // it reads on from the log instead
            this.#buffering.delete(subscriber)
            subscriber.buffer = []
            subscriber.state = 'catching up'
          }
        }
        if (this.#kept !== undefined) this.#keep(this.#kept, event, frame)
        if (mayPutOut(event.data)) this.#dismiss(event)
      }
    }

    keptAfter (position: Position, limit: number): readonly KeptEvent[] | undefined {
      return this.#kept?.after(position, limit)
    }

    #keep (kept: Kept, { seq, chain, data }: LogEvent, frame: Buffer): void {
      if (data.startsWith(DELETE)) kept.restart({ seq, chain }) // what was said before it may be among what was deleted
      else if (!kept.add({ seq, chain, frame })) this.#keepNothing()
    }

    #keepNothing (): void {
      this.#kept?.restart(START)
      this.#kept = undefined
    }

    /** A delivery lasts from here until the sockets are written. */
    #trace (events: readonly LogEvent[]): void {
      for (const event of events) {
        const trace = traceparentOf(event)
        const span = trace === undefined ? undefined : childOf(trace, 'deliver', { 'millrace.room_id': this.roomId, 'millrace.seq': event.seq, 'millrace.subscribers': this.#live.size })
        if (span !== undefined) spans.push(span)
      }
    }

    #dismiss (event: LogEvent): void {
      const out = JSON.parse(event.data) as PutsOut
      const lost = [...this.#live, ...this.#coming].filter(subscriber => losesBy(subscriber, out))
      if (lost.length === 0) return
      this.flush() // they hear of it, and of nothing after it
      for (const subscriber of lost) {
        this.#forget(subscriber)
        onLost(subscriber, this.roomId, out.type === 'ban' ? 'banned' : out.type === 'room' || !subscriber.open ? 'room_not_found' : 'not_member')
      }
    }

    #forget (subscriber: Subscriber): void {
      this.#live.delete(subscriber)
      this.#buffering.delete(subscriber)
      this.#coming.delete(subscriber)
    }

    join (subscriber: Subscriber): void {
      this.#coming.add(subscriber)
    }

    onReset (position: Position): void {
      this.flush()
      this.#keepNothing()
      const frame = wireFrame(JSON.stringify(resetFrame(this.roomId, 'parted', position)))
      const live = [...this.#live]
      for (const subscriber of live) {
        subscriber.outbox.push(frame)
        // With the history, what let them in may be void: they come again like anybody.
        this.#forget(subscriber)
        subscriber.state = 'catching up'
        this.#coming.add(subscriber)
      }
      if (live.length > 0) setImmediate(() => { for (const subscriber of live) onParted(subscriber, this.roomId, position) })
      for (const subscriber of this.#buffering) {
        subscriber.state = 'catching up'
        subscriber.buffer = [] // of the history that is void
        subscriber.reset = position
      }
      this.#buffering.clear()
    }

    onEphemeral (ephemerals: readonly Ephemeral[]): void {
      if (this.#live.size === 0) return
      this.#toFlush()
      const gathered = this.#ephemerals ??= []
      const some = ephemerals.slice(0, EPHEMERALS_MAX - gathered.length)
      gathered.push(...some)
      if (some.length < ephemerals.length) metrics.ephemeralDropped.inc({ reason: 'too many' }, ephemerals.length - some.length)
    }

    /** After the events of the turn: who has just written has stopped typing. */
    #pushEphemerals (ephemerals: readonly Ephemeral[]): void {
      let pushed = 0
      for (const { frame, except } of ephemerals) {
        const bytes = wireFrame(frame)
        for (const { outbox, userId, connection } of this.#live) {
          if (except.length > 0 && (except.includes(userId) || except.includes(connection?.id ?? ''))) continue
          if (outbox.bytes() > EPHEMERAL_BYTES_MAX) metrics.ephemeralDropped.inc({ reason: 'slow socket' })
          else {
            outbox.push(bytes)
            pushed += 1
          }
        }
      }
      metrics.framesOut.inc({ type: 'ephemeral' }, pushed)
    }

    flush (): void {
      this.#flushEvents()
      const ephemerals = this.#ephemerals
      this.#ephemerals = undefined
      if (ephemerals !== undefined) this.#pushEphemerals(ephemerals)
    }

    #flushEvents (): void {
      const frames = this.#frames
      if (frames.length === 0) return
      const oldest = this.#oldest
      this.#frames = []
      this.#oldest = undefined
      if (this.#live.size === 0) return
      const all = frames.length === 1 ? frames[0]! : Buffer.concat(frames)
      for (const { outbox } of this.#live) outbox.push(all)
      metrics.eventsOut.inc(frames.length * this.#live.size)
      metrics.framesOut.inc({ type: 'event' }, frames.length * this.#live.size)
      const stamp = oldest === undefined ? undefined : stampOf(oldest)
      if (stamp !== undefined) stamps.push(stamp)
    }

    buffer (subscriber: Subscriber): void {
      subscriber.state = 'buffering'
      subscriber.buffer = []
      this.#buffering.add(subscriber)
    }

    unbuffer (subscriber: Subscriber): void {
      this.#buffering.delete(subscriber)
      subscriber.buffer = []
      subscriber.state = 'catching up'
    }

    live (subscriber: Subscriber): void {
      this.flush() // what is gathered here is at or below position(): the subscriber has it already
      this.#buffering.delete(subscriber)
      this.#coming.delete(subscriber)
      subscriber.buffer = []
      subscriber.state = 'live'
      subscriber.beat = this.position().seq
      this.#live.add(subscriber)
    }

    leave (subscriber: Subscriber): void {
      this.#forget(subscriber)
      this.users -= 1
      if (this.users > 0) return
      lingering.add(this)
      if (lingerMs === 0) return this.#lingered()
      this.#keepNothing()
      this.#kept = new Kept(this.position())
      clearTimeout(this.#lingers)
      this.#lingers = setTimeout(() => { this.#lingered() }, lingerMs).unref()
      const [oldest] = lingering
      if (lingering.size > lingeringMax) oldest!.#lingered()
    }

    /** Somebody is (about to be) a subscriber. */
    enter (): void {
      this.users += 1
      lingering.delete(this)
    }

    #lingered (): void {
      clearTimeout(this.#lingers)
      this.#lingers = undefined
      this.#keepNothing()
      if (!lingering.delete(this)) return // somebody has come back
      feeds.delete(this.roomId)
      this.followed.release()
    }
  }

  async function open (roomId: string): Promise<RoomFeed> {
    const feed = new RoomFeed(roomId)
    feed.followed = await tail.follow(roomId, {
      onEvents: events => { feed.onEvents(events) },
      onReset: position => { feed.onReset(position) },
      onEphemeral: ephemerals => { feed.onEphemeral(ephemerals) },
    })
    return feed
  }

  return {
    onLost (listener) { onLost = listener },
    onParted (listener) { onParted = listener },
    written () {
      const now = clock()
      for (const stamp of stamps) metrics.deliverySeconds.observe(Math.max(0, now - stamp) / 1000)
      for (const span of spans) endSpan(span)
      if (stamps.length > 0) stamps = []
      if (spans.length > 0) spans = []
    },
    async feed (roomId) {
      for (;;) {
        let opening = feeds.get(roomId)
        if (opening === undefined) {
          opening = open(roomId)
          feeds.set(roomId, opening)
          const failed = opening
          opening.catch(() => { if (feeds.get(roomId) === failed) feeds.delete(roomId) })
        }
        const feed = await opening
        // While this was awaited, the last subscriber may have left and ended the feed.
        if (feeds.get(roomId) !== opening) continue
        feed.enter()
        return feed
      }
    },
    has: roomId => feeds.has(roomId),
  }
}

/** Events that may end somebody's reading of the room. */
type PutsOut = { type: 'kick' | 'ban', target: string, lifted?: true } | { type: 'leave', user_id: string } | { type: 'room', change: string }

const DELETE = '{"type":"delete"'
const PUTS_OUT = ['{"type":"kick"', '{"type":"ban"', '{"type":"leave"', '{"type":"room","change":"deleted"']
const FIRST_LETTERS = new Set(PUTS_OUT.map(start => start.charCodeAt('{"type":"'.length)))

/** Messages, nearly all of what comes, are told by one letter. */
function mayPutOut (data: string): boolean {
  return FIRST_LETTERS.has(data.charCodeAt('{"type":"'.length)) && PUTS_OUT.some(start => data.startsWith(start))
}

function losesBy ({ userId, open }: Subscriber, event: PutsOut): boolean {
  switch (event.type) {
    case 'kick': return event.target === userId
    case 'ban': return event.target === userId && event.lifted !== true
    case 'leave': return event.user_id === userId && !open
    case 'room': return true
  }
}
