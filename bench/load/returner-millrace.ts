/**
 * A client of Millrace that comes back: it knows its position and resumes from it, checks that seqs follow each other without a
 * gap, and sends again what was not acked. Of each event it reads what stands at fixed places, as `millrace.ts` does.
 */
import { START, type Position } from '../../src/domain/position.ts'
import { chainOf } from '../../src/log/chain.ts'
import type { Connection } from './connection.ts'
import { clientIdOf, digits, MARK } from './dialect.ts'
import { Returner, type ReturnerOptions } from './returner.ts'

const SEQ_AT = '{"room_id":"'.length + 36 + '","seq":'.length
/** From the end of the seq. */
const CHAIN_AFTER = ',"chain":"'.length
const ID_AFTER = CHAIN_AFTER + 16 + '","event_id":"'.length
const TYPE_AFTER = ID_AFTER + 36 + '","v":1,"type":"'.length
const CONTENT_AFTER = TYPE_AFTER + 'message","content":"'.length
const COMMA = 44
const A = 97; const B = 98; const E = 101; const L = 108; const M = 109; const R = 114; const S = 115; const W = 119
const JOIN_REF = 0
/** When a subscription or a message is asked for again that was refused for now, unless it was said when; and how much that is spread. */
const AGAIN_MS = 500
const FOR_NOW = new Set(['busy', 'unavailable', 'overloaded', 'rate_limited'])

export interface MillraceReturnerOptions extends ReturnerOptions {
  /** Becomes a member before it subscribes for the first time. */
  readonly joins: boolean
  /** Begins here; left out: at the head. */
  readonly from?: Position | undefined
  /** Every event must chain onto the last: 0.6 µs each. */
  readonly verifies: boolean
}

export class MillraceReturner extends Returner {
  protected readonly path = '/ws'
  /** Catch-ups that began in the archive. */
  fromArchive = 0
  /** Events that came before `live`. */
  caughtUp = 0
  #knowsPosition = false
  #joins: boolean
  readonly #verifies: boolean

  constructor (options: MillraceReturnerOptions) {
    super(options)
    this.#joins = options.joins
    this.#verifies = options.verifies
    this.place.chain = START.chain
    if (options.from === undefined) return
    this.from = options.from
    this.startOver(options.from)
  }

  /** Forgets what it has: it is at this position. */
  startOver ({ seq, chain }: Position): void {
    Object.assign(this.place, { seq, chain })
    this.#knowsPosition = true
    if (this.sampled) this.options.keepFrom(this, this.room.id, { seq, chain })
  }

  protected greet (connection: Connection): void {
    const { seq, chain } = this.place
    const resume = this.#knowsPosition ? { resume: { rooms: { [this.room.id]: { seq, chain } } } } : {}
    connection.push(JSON.stringify({ type: 'hello', token: this.options.token, ...resume }))
    connection.flush()
  }

  protected textOf (n: number, { content, wasSent }: { content: string, wasSent: boolean }): string {
    return `{"type":"message","ref":${n},"client_id":"${clientIdOf(this.index, n)}",${wasSent ? '"resend":true,' : ''}"room_id":"${this.room.id}","content":"${content}"}`
  }

  protected forget (): void {} // everything is sent again: `client_id` makes it once

  #subscribe (): void {
    const { seq, chain } = this.place
    this.#ask({ type: 'subscribe', room_id: this.room.id, ...this.#knowsPosition ? { after: { seq, chain } } : {} })
  }

  #ask (frame: object): void {
    this.connection?.push(JSON.stringify(frame))
    this.connection?.flush()
  }

  protected onText (connection: Connection, bytes: Buffer, from: number, to: number): void {
    if (bytes[from + 2] === R) return this.#onEvent(bytes, from, to)
    switch (bytes[from + 9]) {
      case A: return this.#onAck(bytes, from, to)
      case B: case E: case L: case R: case S: case W: return this.#onFrame(connection, bytes.toString('utf8', from, to))
    }
  }

  #onEvent (bytes: Buffer, from: number, to: number): void {
    const { place } = this
    let seq = 0
    let at = from + SEQ_AT
    for (let byte = bytes[at]!; byte !== COMMA; byte = bytes[++at]!) seq = seq * 10 + byte - 48
    const chain = bytes.toString('latin1', at + CHAIN_AFTER, at + CHAIN_AFTER + 16)
    if (seq !== place.seq + 1) this.options.problem(`socket ${this.index} got seq ${seq} after ${place.seq}`)
    else if (this.#verifies && chain !== chainOf(place.chain!, bytes.toString('latin1', at + ID_AFTER, at + ID_AFTER + 36))) this.options.problem(`socket ${this.index} got seq ${seq}, which does not chain onto ${place.seq}`)
    place.seq = seq
    place.chain = chain
    if (this.state === 'catching up') this.caughtUp += 1
    if (this.sampled) this.options.keep(this, 'frame', bytes.toString('utf8', from, to))
    if (bytes[at + TYPE_AFTER] === M && bytes[at + CONTENT_AFTER] === MARK) this.received(bytes, at + CONTENT_AFTER)
  }

  #onAck (bytes: Buffer, from: number, to: number): void {
    const at = from + '{"type":"ack","ref":'.length
    let end = at
    while (bytes[end] !== COMMA) end++
    const n = digits(bytes, at, end)
    if (n === JOIN_REF) {
      this.#joins = false
      return this.#subscribe()
    }
    if (this.room.sampled) this.options.keep(this, 'ack', bytes.toString('utf8', from, to))
    this.acked(n)
  }

  #onFrame (_connection: Connection, text: string): void {
    const frame = JSON.parse(text) as { type: string, ref?: number, room_id?: string, seq: number, chain: string, code: string | number, source?: string, retry_after_ms?: number }
    switch (frame.type) {
      case 'welcome':
        this.state = 'catching up'
        if (this.#joins) this.#ask({ type: 'join', ref: JOIN_REF, room_id: this.room.id })
        else if (!this.#knowsPosition) this.#subscribe()
        return this.sendWaiting()
      case 'sync':
        if (frame.source === 'archive') this.fromArchive += 1
        return
      case 'live':
        if (this.sampled) this.options.keep(this, 'frame', text)
        if (this.#knowsPosition && frame.seq !== this.place.seq) this.options.problem(`socket ${this.index} was told live at seq ${frame.seq} but has ${this.place.seq}`)
        this.place.seq = frame.seq
        this.place.chain = frame.chain
        this.#knowsPosition = true
        return this.becomeLive()
      case 'reset': // nothing was lost here, so there is nothing to go back to
        if (this.sampled) this.options.keep(this, 'frame', text)
        this.place.seq = frame.seq
        this.place.chain = frame.chain
        return this.options.problem(`socket ${this.index} got ${text}`)
      case 'bye':
        this.retryAfterMs = frame.retry_after_ms ?? 0
        return
      case 'error': return this.#onError(frame, text)
    }
  }

  #onError ({ ref, room_id, code, retry_after_ms }: { ref?: number, room_id?: string, code: string | number, retry_after_ms?: number }, text: string): void {
    if (!FOR_NOW.has(String(code))) return this.options.problem(`socket ${this.index} got ${text}`)
    const ms = (retry_after_ms ?? AGAIN_MS) + Math.random() * AGAIN_MS
    if (ref !== undefined && ref !== JOIN_REF) {
      if (this.room.sampled) this.options.keepRefused(this, this.room.id, clientIdOf(this.index, ref), String(code))
      return this.sendLater(ref, ms)
    }
    this.refused += 1
    const { connection } = this
    setTimeout(() => {
      if (connection !== this.connection || this.state === 'live') return
      if (ref === JOIN_REF) this.#ask({ type: 'join', ref: JOIN_REF, room_id: this.room.id })
      else if (room_id !== undefined) this.#subscribe()
    }, ms)
  }
}
