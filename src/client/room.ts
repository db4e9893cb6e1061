/**
 * A room, as the application sees it: commands into the outbox, events out of the feed to listeners and loops, and what is ephemeral
 * passed through. It is subscribed for as long as somebody listens or loops.
 */
import { createEmitter } from './emitter.ts'
import type { MillraceError } from './error.ts'
import { Feed, type FeedOptions } from './feed.ts'
import type { Ack, Appended, Frame, Position, Reset, RoomEvent } from './frames.ts'
import type { Outbox, Queued } from './outbox.ts'
import { createLoop, type Reader } from './reader.ts'

/** Milliseconds between two frames that say "is typing". */
const TYPING_MS = 3_000

/** What one may listen to in a room. */
export interface RoomEvents {
  /** A durable event: each once, in order. */
  event: RoomEvent
  /** A catch-up begins: events after `from`, up to `to` at least. */
  sync: { room_id: string, from: number, to: number, source: 'log' | 'archive' }
  /** Everything up to here was given; what follows is live. */
  live: { room_id: string, seq: number, chain: string }
  /** What you hold after this position is void. */
  reset: Reset
  typing: { room_id: string, user_id: string, active: boolean }
  marks: { room_id: string, read?: Record<string, number>, delivered?: Record<string, number> }
  /** The room cannot be read: `not_member`, `room_not_found`, `too_many_subscriptions`, … Tried again after a join, and when the connection is new. */
  error: MillraceError
}

/** Of what is sent as a message besides its text. */
export interface SendOptions {
  /** Seq of the message that is answered. */
  reply_to?: number
  /** Seq of the message whose thread this belongs to. */
  thread?: number
  attachments?: unknown[]
  /** A UUID of your own, by which you know the message again when it comes back as an event, or is sent after a reload. */
  client_id?: string
}

export interface HistoryOptions { before?: number, after?: number, around?: number, limit?: number }
/** A page of messages, ascending by seq. `as_of`: the position up to which it is complete: go on from there. */
export interface HistoryPage { items: Array<Record<string, unknown> & { seq: number, user_id: string, content: string }>, next: number | null, as_of: Position }

/** Commands resolve with the ack once the event is in the log, however long that takes, and throw MillraceError when it is refused. */
export interface Room {
  readonly id: string
  /** Up to where events were given to those who listen and loop; kept in the store. Undefined until something is known. */
  readonly position: Position | undefined
  /** Commands that are not acked yet, those of an earlier page among them, in the order in which they are sent. */
  readonly queued: readonly Queued[]
  /** Says something. */
  send: (content: string, options?: SendOptions) => Promise<Appended>
  /** Replaces the text of a message. */
  edit: (messageSeq: number, content: string) => Promise<Ack>
  /** Takes a message back: a tombstone stays. */
  delete: (messageSeq: number) => Promise<Ack>
  /** Adds a reaction; once per person and emoji. */
  react: (messageSeq: number, emoji: string) => Promise<Ack>
  unreact: (messageSeq: number, emoji: string) => Promise<Ack>
  /** Becomes a member. */
  join: (with_?: { password?: string, invite?: string }) => Promise<Ack>
  leave: () => Promise<Ack>
  /** Says that the user is typing, or no longer. Call it at every key: it is sent every 3 s at most, and only when live. */
  typing: (active?: boolean) => void
  /** Moves the read mark there, by default to the position. Marks only go forward; the last one is sent when the connection is back. */
  read: (seq?: number) => void
  /** A page of messages over HTTP. Throws MillraceError. */
  history: (options?: HistoryOptions) => Promise<HistoryPage>
  /**
   * All events after `after`, by default after `position`, then those to come, for ever: each once, in order. A `reset` comes in its
   * place among them. Ends by `break`, `signal` or the client's end; throws MillraceError if the room cannot be read.
   * A number for `after` is a seq: `0` is the whole log.
   */
  events: (options?: { after?: Position | number, signal?: AbortSignal }) => AsyncIterableIterator<RoomEvent | Reset, undefined>
  /** Listens, beginning after `position`; the returned function ends it. Events that come while nobody listens are not lost: they come then. */
  on: <N extends keyof RoomEvents> (name: N, fn: (value: RoomEvents[N]) => void) => () => void
}

export interface RoomDeps extends Omit<FeedOptions, 'onDenied'> {
  outbox: Outbox
  /** Calls back when the store has been read: positions are known from then on. */
  whenLoaded: (fn: () => void) => void
  get: (path: string) => Promise<unknown>
}

/** What the client does with a room. */
export interface RoomHandle {
  readonly api: Room
  readonly feed: Feed
  onFrame: (frame: Frame) => void
  /** The connection is live: says what is still to be said. */
  live: () => void
  /** An ack to a command of this room. */
  acked: (frame: Frame, ack: Ack) => void
  /** A read mark was answered; false if it was none. */
  answered: (ref: number) => boolean
  close: () => void
}

export function createRoom (deps: RoomDeps): RoomHandle {
  const { roomId: room_id, outbox, send, nextRef, whenLoaded } = deps
  const loops = new Set<AsyncIterableIterator<unknown, undefined> & Reader>()
  const emitter = createEmitter<RoomEvents>(() => {
    if (emitter.count() > 0 && !listening) begin()
    else if (emitter.count() === 0 && listening) end()
  })
  const feed = new Feed({ ...deps, onDenied: error => { emitter.emit('error', error) } })
  let listening = false
  let typedAt = 0
  let readSeq = 0
  let readRef: number | undefined
  let isReadDue = false

  /** All listeners are one reader. */
  const listeners: Reader = {
    at: undefined,
    done: undefined,
    follows: true,
    isFull: false,
    hasRoom: true,
    take (event) {
      listeners.at = listeners.done = event
      emitter.emit('event', event)
    },
    reset (reset) {
      listeners.at = listeners.done = reset
      emitter.emit('reset', reset)
    },
    fail () {},
  }

  function begin (): void {
    listening = true
    whenLoaded(() => {
      if (!listening) return
      listeners.at = listeners.done = feed.position
      feed.add(listeners)
    })
  }

  function end (): void {
    listening = false
    feed.remove(listeners)
  }

  async function command (frame: Frame): Promise<Ack> {
    return await outbox.add(room_id, { ...frame, room_id })
  }

  function sendRead (): void {
    readRef = nextRef()
    isReadDue = !send({ type: 'read', room_id, seq: readSeq, ref: readRef })
  }

  const api: Room = {
    id: room_id,
    get position () { return feed.position },
    get queued () { return outbox.queued(room_id) },
    send: async (content, options) => await command({ type: 'message', content, ...options }) as Appended,
    edit: async (message_seq, content) => await command({ type: 'edit', message_seq, content }),
    delete: async message_seq => await command({ type: 'delete', message_seq }),
    react: async (message_seq, emoji) => await command({ type: 'react', message_seq, emoji }),
    unreact: async (message_seq, emoji) => await command({ type: 'unreact', message_seq, emoji }),
    join: async (by = {}) => await command({ type: 'join', ...by }),
    leave: async () => await command({ type: 'leave' }),
    typing (active = true) {
      const now = Date.now()
      if (active ? now - typedAt < TYPING_MS : typedAt === 0) return
      if (send({ type: 'typing', room_id, active })) typedAt = active ? now : 0
    },
    read (seq = feed.position?.seq ?? 0) {
      if (seq <= readSeq) return
      readSeq = seq
      sendRead()
    },
    async history (options = {}) {
      const query = new URLSearchParams(Object.entries(options).filter(([, value]) => value !== undefined).map(([name, value]): [string, string] => [name, String(value)]))
      return await deps.get(`/rooms/${room_id}/messages?${query}`) as HistoryPage
    },
    events ({ after, signal } = {}) {
      const at = typeof after === 'number' ? { seq: after } : after
      const loop = createLoop({
        at,
        follows: after === undefined,
        onBegin () {
          loops.add(loop)
          whenLoaded(() => {
            if (!loops.has(loop)) return
            if (after === undefined) loop.at = loop.done = feed.position
            feed.add(loop)
          })
        },
        onProgress () { feed.progress() },
        onEnd () {
          loops.delete(loop)
          feed.remove(loop)
        },
      })
      const stop = (): void => { void loop.return!() }
      if (signal?.aborted === true) stop()
      else signal?.addEventListener('abort', stop, { once: true })
      return loop
    },
    on: emitter.on,
  }

  return {
    api,
    feed,
    onFrame (frame) {
      if (frame.type === 'typing' || frame.type === 'marks') emitter.emit(frame.type, frame as never)
      else feed.onFrame(frame)
      if (frame.type === 'live') outbox.vanished(room_id, frame.seq) // acked and not there: lost before anybody could tell, or just not there yet
      if (frame.type === 'sync' || (frame.type === 'live' && feed.status === 'live')) emitter.emit(frame.type, frame as never)
    },
    live () { if (isReadDue || readRef !== undefined) sendRead() },
    acked ({ type }, { seq }) {
      if (type === 'join' && feed.status === 'denied') feed.subscribe()
      if (seq !== undefined) feed.head(seq)
    },
    answered (ref) {
      if (ref !== readRef) return false
      readRef = undefined
      return true
    },
    close () { for (const loop of [...loops]) void loop.return!() },
  }
}
