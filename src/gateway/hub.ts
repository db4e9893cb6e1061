/**
 * The hub: for each room with local subscribers, one feed from the tail to all of them. An event is encoded once and framed
 * once; all that a turn of the loop brought to a room is one buffer, shared by every subscriber [G7].
 *
 * A subscriber of a feed is `live` (gets the buffers) or `buffering` (events are kept for it while it reads what came before).
 */
import { frameOf, type LogEvent } from '../log/codec.ts'
import type { Followed, Tail } from '../log/tail.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import type { Position } from '../domain/position.ts'
import { wireFrame, type Outbox } from './outbox.ts'
import type { Turn } from './turn.ts'

/** Events that are kept for a subscriber that is catching up; beyond it, it reads on from the log. */
export const BUFFER_EVENTS = 1000

export interface Subscriber {
  readonly outbox: Outbox
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
  /** Joins as `buffering`; position() is then the cut-off: later events are buffered. */
  buffer: (subscriber: Subscriber) => void
  /** Becomes `live`: the next event that it gets is the one after position(). */
  live: (subscriber: Subscriber) => void
  /** Leaves the feed; the last one that leaves ends it. Every `Hub.feed` is paired with one `leave`. */
  leave: (subscriber: Subscriber) => void
}

export interface Hub {
  /** The feed of a room, opened for the first subscriber. Throws LogFault. */
  feed: (roomId: string) => Promise<Feed>
}

export function resetFrame (roomId: string, reason: 'parted' | 'membership' | 'erased', { seq, chain }: Position): object {
  return { type: 'reset', room_id: roomId, reason, seq, chain }
}

export function createHub ({ tail, turn, metrics, clock }: { tail: Tail, turn: Turn, metrics: Metrics, clock: () => number }): Hub {
  const feeds = new Map<string, Promise<RoomFeed>>()
  let dirty: RoomFeed[] = []
  turn.add(() => {
    const fed = dirty
    dirty = []
    for (const feed of fed) feed.flush()
  })

  class RoomFeed implements Feed {
    readonly roomId: string
    readonly #live = new Set<Subscriber>()
    readonly #buffering = new Set<Subscriber>()
    #frames: Buffer[] = []
    #newest: LogEvent | undefined
    followed!: Followed
    users = 0

    constructor (roomId: string) {
      this.roomId = roomId
    }

    position (): Position { return this.followed.position() }
    chainAt (seq: number): string | undefined { return this.followed.chainAt(seq) }

    onEvents (events: readonly LogEvent[]): void {
      if (this.#frames.length === 0) {
        dirty.push(this)
        turn.schedule()
      }
      for (const event of events) {
        const frame = wireFrame(frameOf(this.roomId, event))
        this.#frames.push(frame)
        for (const subscriber of this.#buffering) {
          if (subscriber.buffer.length < BUFFER_EVENTS) subscriber.buffer.push({ seq: event.seq, frame })
          else { // it reads on from the log instead
            this.#buffering.delete(subscriber)
            subscriber.state = 'catching up'
          }
        }
      }
      this.#newest = events.at(-1)
    }

    onReset (position: Position): void {
      this.flush()
      const frame = wireFrame(JSON.stringify(resetFrame(this.roomId, 'parted', position)))
      for (const { outbox } of this.#live) outbox.push(frame)
      for (const subscriber of this.#buffering) {
        subscriber.state = 'catching up'
        subscriber.reset = position
      }
      this.#buffering.clear()
    }

    flush (): void {
      const frames = this.#frames
      if (frames.length === 0) return
      this.#frames = []
      if (this.#live.size === 0) return
      const all = frames.length === 1 ? frames[0]! : Buffer.concat(frames)
      for (const { outbox } of this.#live) outbox.push(all)
      metrics.eventsOut.inc(frames.length * this.#live.size)
      const at = /"timestamp":"([^"]+)"/.exec(this.#newest?.data ?? '')?.[1]
      if (at !== undefined) metrics.deliverySeconds.observe(Math.max(0, clock() - Date.parse(at)) / 1000)
    }

    buffer (subscriber: Subscriber): void {
      subscriber.state = 'buffering'
      subscriber.buffer = []
      this.#buffering.add(subscriber)
    }

    live (subscriber: Subscriber): void {
      this.flush() // what is gathered here is at or below position(): the subscriber has it already
      this.#buffering.delete(subscriber)
      subscriber.buffer = []
      subscriber.state = 'live'
      subscriber.beat = this.position().seq
      this.#live.add(subscriber)
    }

    leave (subscriber: Subscriber): void {
      this.#live.delete(subscriber)
      this.#buffering.delete(subscriber)
      this.users -= 1
      if (this.users > 0) return
      feeds.delete(this.roomId)
      this.followed.release()
    }
  }

  async function open (roomId: string): Promise<RoomFeed> {
    const feed = new RoomFeed(roomId)
    feed.followed = await tail.follow(roomId, {
      onEvents: events => { feed.onEvents(events) },
      onReset: position => { feed.onReset(position) },
    })
    return feed
  }

  return {
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
        feed.users += 1
        return feed
      }
    },
  }
}
