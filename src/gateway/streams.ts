/**
 * Streams of server-sent events: each is a subscriber like a socket, of one room or several, over an HTTP response that goes on and on.
 * It ends with its token or its session, when its reader is slow, when the server stops, and when none of its rooms may be read any
 * more; the client comes back with the last ID that it saw. A stream counts as a connection [G7], and its reader as online.
 */
import type { ServerResponse } from 'node:http'
import { REJECTIONS, reject, type Rejection } from '../domain/rejections.ts'
import type { Position } from '../domain/position.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import { CLOSE, type CloseName } from './close-codes.ts'
import type { ClaimedPlace } from './frames.ts'
import type { Outbox, Outboxes } from './outbox.ts'
import { createEncoderForMany, encodeForOne } from './stream-frames.ts'
import type { Subscribing, Subscriptions } from './subscriptions.ts'

/** Between two signs of life, so that no proxy takes the stream for dead. */
const BEAT_MS = 15_000
/** When a client comes back that was cut off. */
const RETRY_MS = 2000
/** What a stream that ends has for its last bytes to be read. */
const CLOSING_MS = 3000
const BEAT = ': \n\n'

const HEADERS = { 'content-type': 'text/event-stream', 'cache-control': 'no-store', 'x-accel-buffering': 'no' } as const

export interface StreamOpening {
  readonly response: ServerResponse
  /** Headers besides those of a stream. */
  readonly headers: Readonly<Record<string, number | string | string[] | undefined>>
  readonly identity: { readonly user_id: string, readonly session_id: string, readonly expires_at: number }
  /** Room → where the client is; undefined: from the head on. */
  readonly rooms: ReadonlyMap<string, ClaimedPlace | undefined>
  /** Whether event IDs are of one room: the only one. */
  readonly single: boolean
}

export interface Streams {
  /** Opens a stream, or says why not; then nothing was written. */
  open: (opening: StreamOpening) => Rejection | undefined
  count: () => number
  /** Who reads here. */
  readers: () => Iterable<string>
  isReader: (userId: string) => boolean
  /** Rooms of all streams of this user. */
  roomsOf: (userId: string) => Iterable<string>
  /** Bytes that wait for slow readers. */
  waitingBytes: () => number
  /** Signs of life, and the end of those whose token has run out. */
  tick: (now: number) => void
  onRevoked: (sessionIds: ReadonlySet<string>) => void
  /** Ends all, each with another time to come back. */
  stop: (retryMs: () => number) => void
  /** Ends those that are left without a word. */
  cut: () => void
}

export interface StreamsOptions {
  subscriptions: Pick<Subscriptions, 'add' | 'removeAll'>
  outboxes: Pick<Outboxes, 'stream'>
  /** What stands against one more connection of this user. It counts from here on. */
  admit: (userId: string) => Rejection | undefined
  release: (userId: string) => void
  /** Told when a stream of somebody came, or went (with the rooms that it had). */
  onReader?: (userId: string, rooms?: Iterable<string>) => void
  isRevoked: (sessionId: string) => boolean
  roomsMax: number
  newId: () => string
  clock: () => number
  metrics: Metrics
}

export function createStreams ({ subscriptions, outboxes, admit, release, onReader = () => {}, isRevoked, roomsMax, newId, clock, metrics }: StreamsOptions): Streams {
  const streams = new Set<EventStream>()
  const readers = new Map<string, Set<EventStream>>()

  class EventStream implements Subscribing {
    readonly id = newId()
    readonly outbox: Outbox
    readonly #opening: StreamOpening
    readonly #rooms: Set<string>
    #beatAt: number
    #ended = false

    constructor (opening: StreamOpening) {
      this.#opening = opening
      const { response, headers, rooms, single } = opening
      this.#rooms = new Set(rooms.keys())
      this.#beatAt = clock() + BEAT_MS
      this.outbox = outboxes.stream(response, single ? encodeForOne : createEncoderForMany(placesOf(rooms), this.userId), () => { this.end('slow_consumer', 0) })
      response.once('close', () => { this.#clean() })
      response.on('error', () => {}) // `close` follows
      for (const [name, value] of Object.entries({ ...headers, ...HEADERS })) if (value !== undefined) response.setHeader(name, value)
      response.write(`retry: ${RETRY_MS}\n\n`)
      for (const [roomId, after] of rooms) if (!this.#ended) subscriptions.add(this, roomId, after)
    }

    get rooms (): Iterable<string> { return this.#rooms }
    get userId (): string { return this.#opening.identity.user_id }
    get sessionId (): string { return this.#opening.identity.session_id }

    /** Nobody can ask again over a stream: where that would help, the client has to come back. */
    onDropped (roomId: string, { code, retry_after_ms: retryMs }: Rejection): void {
      this.#rooms.delete(roomId)
      if (REJECTIONS[code].retry || this.#rooms.size === 0) this.#finish(retryMs ?? RETRY_MS)
    }

    end (name: CloseName, retryMs: number): void {
      const { code, reason, resume } = CLOSE[name]
      if (this.#ended) return
      this.outbox.send({ type: 'bye', code, reason, retry_after_ms: retryMs, resume })
      this.#finish(retryMs)
    }

    #finish (retryMs: number): void {
      if (this.#ended) return
      this.#ended = true
      const { response } = this.#opening
      subscriptions.removeAll(this)
      this.outbox.flush()
      response.end(`retry: ${Math.max(1, retryMs)}\n\n`)
      setTimeout(() => { response.destroy() }, CLOSING_MS).unref() // whoever does not read would keep it for as long as they like
    }

    #clean (): void {
      this.#ended = true
      subscriptions.removeAll(this)
      if (!streams.delete(this)) return
      release(this.userId)
      const own = readers.get(this.userId)
      own?.delete(this)
      if (own?.size === 0) readers.delete(this.userId)
      onReader(this.userId, this.#opening.rooms.keys())
      metrics.streams.set(streams.size)
    }

    tick (now: number): void {
      if (this.#opening.identity.expires_at <= now) return this.end('token_expired', 0)
      if (now < this.#beatAt || this.#ended) return
      this.#beatAt = now + BEAT_MS
      if (this.outbox.isDrained()) this.#opening.response.write(BEAT)
    }

    cut (): void {
      this.#opening.response.destroy()
    }
  }

  return {
    open (opening) {
      if (opening.rooms.size > roomsMax) return reject('too_many_subscriptions', `A stream has at most ${roomsMax} rooms here`)
      if (isRevoked(opening.identity.session_id)) return reject('unauthenticated', 'This session was revoked') // while it was asked who may read what
      if (opening.response.destroyed) return undefined // it went while it was asked who may read what
      const refused = admit(opening.identity.user_id)
      if (refused !== undefined) return refused
      const stream = new EventStream(opening)
      streams.add(stream)
      const own = readers.get(stream.userId)
      if (own === undefined) readers.set(stream.userId, new Set([stream]))
      else own.add(stream)
      onReader(stream.userId)
      metrics.streams.set(streams.size)
      return undefined
    },

    count: () => streams.size,
    readers: () => readers.keys(),
    isReader: userId => readers.has(userId),
    roomsOf: userId => [...readers.get(userId) ?? []].flatMap(({ rooms }) => [...rooms]),

    waitingBytes () {
      let bytes = 0
      for (const { outbox } of streams) bytes += outbox.bytes()
      return bytes
    },

    tick (now) { for (const stream of streams) stream.tick(now) },
    onRevoked (sessionIds) { for (const stream of streams) if (sessionIds.has(stream.sessionId)) stream.end('session_revoked', 0) },
    stop (retryMs) { for (const stream of streams) stream.end('going_away', retryMs()) },
    cut () { for (const stream of streams) stream.cut() },
  }
}

/** Where a client is that says so with a chain; the others will be told. */
function placesOf (rooms: StreamOpening['rooms']): Map<string, Position> {
  return new Map([...rooms].flatMap(([roomId, after]) => after?.chain === undefined ? [] : [[roomId, { seq: after.seq, chain: after.chain }] as const]))
}
