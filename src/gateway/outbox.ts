/**
 * Outboxes: what waits to be written to each socket. Frames are built once (`wireFrame`) and shared between sockets; each
 * socket is written once per turn of the loop. Bounded: a socket for which more than `bytesMax` wait is reported slow [G7].
 *
 * Streams of server-sent events have outboxes too: they take the same frames, and write them as `stream-frames.ts` says.
 *
 * This is the one file that reaches into ws: it writes whole frames to the TCP socket below, past `ws.send`, which would
 * build the frame again for each socket (DESIGN.md §8: 8 times the deliveries per second). ws writes its own frames (pong, close)
 * whole as well, so frames never mix. Where the TCP socket cannot be had, or a compression extension is on, `ws.send` is used.
 */
import { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { WebSocket } from 'ws'
import type { Turn } from './turn.ts'

/** So little may wait when more is read for a client that catches up. */
const DRAINED_BYTES = 65536
/** How often it is looked at whether an outbox has drained, besides when it says so: it may close, or go below the mark without emptying. */
const LOOK_MS = 50

export interface Outbox {
  /** Queues whole frames, built by `wireFrame`. */
  push: (frames: Buffer) => void
  /** Queues one frame for this socket alone. */
  send: (frame: object) => void
  /**
   * Writes whole frames at once if little waits to be read by the client. False: they were not taken, ask again after `drained`.
   * So however many rooms catch up at the same time, never more than a little and one run waits for a client that is slow.
   */
  offer: (frames: Buffer) => boolean
  /** Whether so little waits that an offer would be taken. */
  isDrained: () => boolean
  /** Resolves when little waits to be read by the client, or the socket is gone. */
  drained: () => Promise<void>
  /** Bytes that wait in this process for the client. */
  bytes: () => number
  /** Writes now what is queued; used before closing. */
  flush: () => void
}

export interface Outboxes {
  /** @param onSlow called once, when more than `bytesMax` wait */
  open: (ws: WebSocket, onSlow: () => void) => Outbox
  /**
   * The outbox of a response that goes on and on.
   * @param encode frames as the response has them; called once for what is taken, in order
   */
  stream: (response: ServerResponse, encode: (frames: Buffer) => Buffer, onSlow: () => void) => Outbox
}

/** A text frame as a server sends it: FIN, opcode 1, no mask (RFC 6455 §5.2). */
export function wireFrame (text: string): Buffer {
  const length = Buffer.byteLength(text)
  const head = length < 126 ? 2 : length < 65536 ? 4 : 10
  const frame = Buffer.allocUnsafe(head + length)
  frame[0] = 0x81
  if (head === 2) frame[1] = length
  else if (head === 4) {
    frame[1] = 126
    frame.writeUInt16BE(length, 2)
  } else {
    frame[1] = 127
    frame.writeBigUInt64BE(BigInt(length), 2)
  }
  frame.write(text, head)
  return frame
}

/** The texts in a run of frames that `wireFrame` built. */
export function textsOf (frames: Buffer): string[] {
  const texts: string[] = []
  for (let at = 0; at < frames.length;) {
    const short = frames[at + 1]!
    const head = short < 126 ? 2 : short === 126 ? 4 : 10
    const length = head === 2 ? short : head === 4 ? frames.readUInt16BE(at + 2) : Number(frames.readBigUInt64BE(at + 2))
    texts.push(frames.toString('utf8', at + head, at + head + length))
    at += head + length
  }
  return texts
}

/** The TCP socket below ws, if frames may be written to it directly. */
export function rawSocketOf (ws: WebSocket): Socket | undefined {
  const raw = (ws as unknown as { _socket?: Partial<Socket> | null })._socket
  return ws.extensions === '' && typeof raw?.write === 'function' ? raw as Socket : undefined
}

/**
 * Lets go of the upgrade's request and response, which the plugin's error listener and Node's socket would otherwise hold as
 * long as the connection lives: 2.6 KB of heap for each. The caller adds an error listener of its own at once.
 */
export function forgetUpgrade (ws: WebSocket): void {
  ws.removeAllListeners('error')
  const raw = rawSocketOf(ws) as Socket & { _httpMessage?: ServerResponse | null } | undefined
  if (raw?._httpMessage instanceof ServerResponse) raw._httpMessage.detachSocket(raw)
}

/** What has an event `drain`. */
interface Draining { once: (event: 'drain', listener: () => void) => unknown, removeListener: (event: 'drain', listener: () => void) => unknown }

export interface OutboxesOptions {
  bytesMax: number
  turn: Turn
  /** Told of each frame that is for one alone, by its type. */
  onSent?: (type: string) => void
  /** Told of each that is reported slow. */
  onSlow?: (kind: 'socket' | 'stream') => void
}

export function createOutboxes ({ bytesMax, turn, onSent = () => {}, onSlow: noteSlow = () => {} }: OutboxesOptions): Outboxes {
  const drainedBytes = Math.min(DRAINED_BYTES, bytesMax / 4)
  let dirty: QueuedOutbox[] = []
  turn.add(() => {
    const written = dirty
    dirty = []
    for (const outbox of written) outbox.flush()
  })

  // Classes: one small object for each of many thousand sockets, its functions shared.
  abstract class QueuedOutbox implements Outbox {
    readonly #onSlow: () => void
    #queue: Buffer[] = []
    #slow = false
    #draining: Promise<void> | undefined

    constructor (onSlow: () => void) {
      this.#onSlow = onSlow
    }

    abstract bytes (): number
    protected abstract kind (): 'socket' | 'stream'
    protected abstract isOpen (): boolean
    protected abstract write (frames: Buffer): void
    protected abstract draining (): Draining | undefined

    push (frames: Buffer): void {
      if (this.#queue.length === 0) {
        dirty.push(this)
        turn.schedule()
      }
      this.#queue.push(frames)
    }

    send (frame: object & { readonly type?: string }): void {
      onSent(frame.type ?? 'other')
      this.push(wireFrame(JSON.stringify(frame)))
    }

    /** What is queued here counts too, and is not written for it: it goes with what is offered. */
    isDrained (): boolean {
      let queued = 0
      for (const { length } of this.#queue) queued += length
      return this.bytes() + queued <= drainedBytes
    }

    offer (frames: Buffer): boolean {
      if (!this.isDrained()) return false
      this.#queue.push(frames)
      this.flush()
      return true
    }

    flush (): void {
      const queue = this.#queue
      if (queue.length === 0) return
      this.#queue = []
      if (!this.isOpen()) return
      this.write(queue.length === 1 ? queue[0]! : Buffer.concat(queue))
      if (!this.#slow && this.bytes() > bytesMax) {
        this.#slow = true
        noteSlow(this.kind())
        this.#onSlow()
      }
    }

    async drained (): Promise<void> {
      this.flush()
      if (this.isDrained() || !this.isOpen()) return
      // One for all who wait: of one socket, many rooms may.
      await (this.#draining ??= this.#drain().finally(() => { this.#draining = undefined }))
    }

    async #drain (): Promise<void> {
      while (this.bytes() > drainedBytes && this.isOpen()) {
        const draining = this.draining()
        await new Promise<void>(resolve => {
          const timer = setTimeout(done, LOOK_MS)
          function done (): void {
            clearTimeout(timer)
            draining?.removeListener('drain', done)
            resolve()
          }
          draining?.once('drain', done)
        })
      }
    }
  }

  class SocketOutbox extends QueuedOutbox {
    readonly #ws: WebSocket
    readonly #raw: Socket | undefined

    constructor (ws: WebSocket, onSlow: () => void) {
      super(onSlow)
      this.#ws = ws
      this.#raw = rawSocketOf(ws)
    }

    bytes (): number {
      return this.#raw?.writableLength ?? this.#ws.bufferedAmount
    }

    protected kind () { return 'socket' as const }
    protected isOpen (): boolean { return this.#ws.readyState === this.#ws.OPEN }
    protected draining (): Draining | undefined { return this.#raw }

    protected write (frames: Buffer): void {
      if (this.#raw === undefined) for (const text of textsOf(frames)) this.#ws.send(text)
      else this.#raw.write(frames)
    }
  }

  class StreamOutbox extends QueuedOutbox {
    readonly #response: ServerResponse
    readonly #encode: (frames: Buffer) => Buffer

    constructor (response: ServerResponse, encode: (frames: Buffer) => Buffer, onSlow: () => void) {
      super(onSlow)
      this.#response = response
      this.#encode = encode
    }

    /** Encoded as they come, not as they are written: what many streams get is encoded once. */
    override push (frames: Buffer): void {
      super.push(this.#encode(frames))
    }

    override offer (frames: Buffer): boolean {
      return this.isDrained() && super.offer(this.#encode(frames))
    }

    bytes (): number { return this.#response.writableLength }
    protected kind () { return 'stream' as const }
    protected isOpen (): boolean { return !this.#response.writableEnded && !this.#response.destroyed }
    protected draining (): Draining { return this.#response }
    protected write (blocks: Buffer): void { this.#response.write(blocks) }
  }

  return {
    open: (ws, onSlow) => new SocketOutbox(ws, onSlow),
    stream: (response, encode, onSlow) => new StreamOutbox(response, encode, onSlow),
  }
}
