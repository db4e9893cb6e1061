/**
 * One WebSocket of the load client, on a bare TCP socket. Frames are cut out of what was read without copying; the dialect
 * looks at a few bytes of each. Frames out are masked with zeros, which RFC 6455 allows and which costs nothing to apply.
 * It answers pings, takes a close for a failure, and does not reconnect: whoever comes back opens another (`returner.ts`).
 */
import { connect, type NetConnectOpts, type Socket } from 'node:net'
import { randomBytes } from 'node:crypto'

/** A room as one connection sees it. */
export interface Place {
  readonly roomId: string
  /** Newest seq received; 0 where the peer has none. */
  seq: number
  /** Newest message number received from each of the room's senders. */
  readonly lastOf: Uint32Array
  received: number
}

const READ_BYTES = 262_144
const SENT_AT = 1024
/** One buffer for all sockets: what is in it is used up before the next read. */
const shared = Buffer.allocUnsafeSlow(READ_BYTES)

export type OnText = (connection: Connection, bytes: Buffer, from: number, to: number) => void

export interface ConnectionOptions {
  host: string
  port: number
  path: string
  localAddress: string
  index: number
  /** Number of its user, and its place among the senders of its room. */
  slot: number
  onText: OnText
  /** Told once, when the connection ends other than by `close`; the code, where the server gave one. */
  onFailure: (reason: string, code?: number) => void
}

export class Connection {
  readonly index: number
  readonly slot: number
  /** The one room, where there is one; else they are in `places`. */
  place: Place | undefined
  readonly places = new Map<string, Place>()
  sent = 0
  acked = 0
  /** Own messages received back. */
  own = 0
  /** Until it is set up, frames go here as texts. */
  onSetup: ((text: string) => void) | undefined = () => {}
  /** Every frame and send is kept for the checker. */
  sampled = false
  keepsAcks = false
  #sentAt: Float64Array | undefined
  readonly #onText: OnText
  readonly #onFailure: (reason: string, code?: number) => void
  readonly #socket: Socket
  #rest: Buffer | undefined
  #out: Buffer[] = []
  #open = false
  #closing = false
  #opened!: () => void
  readonly opened: Promise<void>

  constructor ({ host, port, path, localAddress, index, slot, onText, onFailure }: ConnectionOptions) {
    this.index = index
    this.slot = slot
    this.#onText = onText
    this.#onFailure = (reason, code) => {
      if (this.#closing) return
      this.close()
      onFailure(`socket ${index}: ${reason}`, code)
    }
    this.opened = new Promise(resolve => { this.#opened = resolve })
    this.#socket = connect({
      host,
      port,
      localAddress,
      noDelay: true,
      onread: {
        buffer: shared,
        callback: (bytes: number) => {
          this.#onBytes(bytes)
          return true
        },
      },
    } as unknown as NetConnectOpts)
    this.#socket.on('error', error => { this.#onFailure(error.message) })
    this.#socket.on('close', () => { this.#onFailure('the server closed it') })
    this.#socket.write(`GET ${path} HTTP/1.1\r\nHost: ${host}:${port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\n\r\n`)
  }

  #onBytes (count: number): void {
    if (this.#closing) return
    let bytes = shared.subarray(0, count)
    if (this.#rest !== undefined) {
      bytes = Buffer.concat([this.#rest, bytes])
      this.#rest = undefined
    }
    let at = 0
    if (!this.#open) {
      const end = bytes.indexOf('\r\n\r\n')
      if (end < 0) { this.#rest = Buffer.from(bytes); return }
      const status = bytes.toString('latin1', 0, bytes.indexOf('\r\n'))
      if (!status.includes(' 101 ')) return this.#onFailure(`the upgrade was answered ${status}`)
      this.#open = true
      at = end + 4
      this.#opened()
    }
    at = this.#frames(bytes, at)
    if (at < bytes.length) this.#rest = Buffer.from(bytes.subarray(at)) // the shared buffer will be overwritten
    if (this.#out.length > 0) this.flush()
  }

  /** Handles whole frames from `at` on; returns where the first incomplete one begins. */
  #frames (bytes: Buffer, at: number): number {
    const end = bytes.length
    while (end - at >= 2) {
      const short = bytes[at + 1]!
      let from = at + 2
      let length = short
      if (short === 126) {
        if (end - at < 4) break
        length = bytes[at + 2]! << 8 | bytes[at + 3]!
        from = at + 4
      } else if (short === 127) {
        if (end - at < 10) break
        length = bytes.readUInt32BE(at + 6)
        from = at + 10
      }
      const to = from + length
      if (to > end) break
      const kind = bytes[at]!
      if (kind === 0x81) {
        if (this.onSetup === undefined) this.#onText(this, bytes, from, to)
        else this.onSetup(bytes.toString('utf8', from, to))
      } else if (kind === 0x89) this.#push(0x8a, bytes.toString('latin1', from, to))
      else if (kind === 0x88) this.#onClose(bytes, from, to)
      else if (kind !== 0x8a) this.#onFailure(`a frame of kind ${kind} came`)
      at = to
    }
    return at
  }

  #onClose (bytes: Buffer, from: number, to: number): void {
    const code = to - from >= 2 ? bytes.readUInt16BE(from) : undefined
    this.#onFailure(`closed with ${code ?? 'no code'} ${bytes.toString('utf8', from + 2, to)}`, code)
  }

  #push (kind: number, text: string): void {
    const { length } = text
    const head = length < 126 ? 6 : 8
    const frame = Buffer.allocUnsafe(head + length)
    frame[0] = kind
    if (head === 6) frame[1] = 0x80 | length
    else {
      frame[1] = 0x80 | 126
      frame.writeUInt16BE(length, 2)
    }
    frame.fill(0, head - 4, head)
    frame.write(text, head, 'latin1')
    this.#out.push(frame)
  }

  /** Queues a text frame (ASCII, less than 64 KiB); `flush` sends. */
  push (text: string): void {
    this.#push(0x81, text)
  }

  flush (): void {
    const out = this.#out
    if (out.length === 0) return
    this.#out = []
    this.#socket.write(out.length === 1 ? out[0]! : Buffer.concat(out))
  }

  /** Notes when message `n` went out; the ack comes back with `n`. */
  noteSent (n: number, at: number): void {
    if (this.sent - this.acked > SENT_AT) this.#onFailure(`more than ${SENT_AT} messages are not acked`)
    this.#sentAt ??= new Float64Array(SENT_AT)
    this.#sentAt[n % SENT_AT] = at
  }

  sentAtOf (n: number): number { return this.#sentAt?.[n % SENT_AT] ?? Number.NaN }

  close (): void {
    this.#closing = true
    this.#socket.destroy()
  }
}
