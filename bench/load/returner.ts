/**
 * A client that comes back: in one room, over one connection after another. It loses its connection because it is cut, because a server
 * says so or because it is gone; it waits as it was told and for a random time, and tries again, at the same server or the next.
 * Its messages wait while it is away. What a wire makes of that is the business of `returner-millrace.ts` and `returner-socket-io.ts`.
 *
 *     away ──connect──▶ greeting ──welcome──▶ catching up ──▶ live
 *      ▲                    │                     │            │
 *      └────────────────────┴──── lost ───────────┴────────────┘
 */
import type { Position } from '../../src/domain/position.ts'
import { Connection } from './connection.ts'
import { clientIdOf, contentOf, digits } from './dialect.ts'
import type { JudgedRoom, Witness } from './evidence.ts'

/** Loopback addresses that connections come from: each has its own ports. */
export const ADDRESSES = 8
/** Largest wait before another try after one that failed, ms; the first is `jitterMs`. */
const RETRY_MAX_MS = 5000
const RETRY_MS = 500
/** Numbers of messages fit below it: with the sender's slot above, one number names a message of a room. */
const SLOT = 1_000_000

export interface Server { readonly host: string, readonly port: number }

/** A room of clients that come back. */
export interface SharedRoom extends JudgedRoom {
  readonly members: Witness[]
  readonly returners: Returner[]
  /** Messages of the load that were sent to it, and those that were acked or received by anybody, by their names. */
  sent: number
  readonly taken: Set<number>
}

/** Times of one coming back, ms. */
export interface Return { readonly ms: number, readonly tries: number, readonly cause: 'cut' | 'server' }

export interface ReturnerOptions {
  readonly index: number
  readonly slot: number
  readonly room: SharedRoom
  readonly token: string
  /** Where it may go; the list may change. */
  readonly servers: readonly Server[]
  /** Which of them it prefers. */
  readonly server: number
  /** After a loss it tries within this time, at random. */
  readonly jitterMs: number
  readonly sampled: boolean
  /** It keeps which messages it has received, to count what is missing and what came twice. */
  readonly tallies: boolean
  /** What was seen that must not be: the run is void. */
  readonly problem: (text: string) => void
  readonly keepSent: (who: Witness, roomId: string, clientId: string, content: string) => void
  readonly keep: (who: Witness, kind: 'frame' | 'ack', text: string) => void
  readonly keepRefused: (who: Witness, roomId: string, clientId: string, code: string) => void
  readonly keepCut: (who: Witness) => void
  readonly keepFrom: (who: Witness, roomId: string, position: Position) => void
}

export type State = 'away' | 'greeting' | 'catching up' | 'live'

interface Outgoing { readonly content: string, wasSent: boolean }

export abstract class Returner implements Witness {
  readonly index: number
  readonly slot: number
  readonly sampled: boolean
  readonly room: SharedRoom
  from?: Position
  /** Its one room. */
  readonly place = { seq: 0, received: 0 } as { seq: number, received: number, chain?: string }
  readonly places: ReadonlyMap<string, { seq: number, received: number, chain?: string }>
  readonly returns: Return[] = []
  /** Losses by their reason: the close code, or what the socket said. */
  readonly losses = new Map<string, number>()
  state: State = 'away'
  sent = 0
  twice = 0
  /** Connections that were tried in vain, and subscriptions that were refused for now. */
  refused = 0
  lostMessages = 0
  protected readonly options: ReturnerOptions
  protected connection: Connection | undefined
  /** Sent and not acked, or not sent yet: by their numbers. */
  protected readonly outgoing = new Map<number, Outgoing>()
  protected retryAfterMs = 0
  readonly #seen = new Set<number>()
  #server: number
  #tries = 0
  #lostAt = Number.NaN
  #cause: Return['cause'] = 'server'
  #timer: NodeJS.Timeout | undefined
  #resting = true
  #onLive: (() => void) | undefined
  #onOpen: (() => void) | undefined
  #helloAt = Number.NaN

  constructor (options: ReturnerOptions) {
    this.options = options
    this.index = options.index
    this.slot = options.slot
    this.sampled = options.sampled
    this.room = options.room
    this.places = new Map([[options.room.id, this.place]])
    this.#server = options.server
  }

  protected abstract readonly path: string
  /** The upgrade is done: authenticate, and go on from where it was. */
  protected abstract greet (connection: Connection): void
  protected abstract textOf (n: number, outgoing: Outgoing): string
  protected abstract onText (connection: Connection, bytes: Buffer, from: number, to: number): void
  /** What of the outgoing is not sent again after a loss. */
  protected abstract forget (): void

  /** Connects for the first time, or after `rest`; resolves when live. */
  async arrive (): Promise<void> {
    await new Promise<void>(resolve => {
      this.#onLive = resolve
      this.#connect(true)
    })
  }

  /** Connects and says nothing yet; resolves when the upgrade is done. */
  async approach (): Promise<void> {
    await new Promise<void>(resolve => {
      this.#onOpen = resolve
      this.#connect(false)
    })
  }

  /** Says hello on the connection of `approach`; resolves with the ms that it took to be live. */
  async enter (): Promise<number> {
    return await new Promise(resolve => {
      this.#onLive = () => { resolve(performance.now() - this.#helloAt) }
      this.#helloAt = performance.now()
      this.greet(this.connection!)
    })
  }

  /** Leaves, until it is told to arrive. */
  rest (): void {
    clearTimeout(this.#timer)
    this.#resting = true
    this.#lose('rest')
  }

  /** Its network fails. It comes back by itself, to the same server. */
  cut (): void {
    if (this.connection === undefined || this.#resting) return
    this.#lose('cut')
    this.#comeBack(false)
  }

  /** Sends a message; while away, it waits. */
  say (dueUs: number): void {
    const n = ++this.sent
    this.room.sent += 1
    const outgoing = { content: contentOf(this.slot, n, dueUs), wasSent: false }
    this.outgoing.set(n, outgoing)
    if (this.state === 'catching up' || this.state === 'live') this.#push(n, outgoing)
    this.connection?.flush()
  }

  unacked (): number { return this.outgoing.size }

  /** Since the last look. */
  takeReturns (): Return[] { return this.returns.splice(0) }

  /** Messages that somebody has sent to the room and that it does not have. */
  missing (): number {
    let missing = 0
    for (const name of this.room.taken) if (!this.#seen.has(name)) missing += 1
    return missing
  }

  #connect (greets: boolean): void {
    this.#resting = false
    this.#tries += 1
    this.state = 'greeting'
    this.retryAfterMs = 0
    const { index, slot, servers, problem } = this.options
    const { host, port } = servers[this.#server % servers.length]!
    const connection: Connection = new Connection({
      host,
      port,
      path: this.path,
      localAddress: `127.0.0.${2 + index % ADDRESSES}`,
      index,
      slot,
      onText: (connection, bytes, from, to) => { if (connection === this.connection) this.onText(connection, bytes, from, to) },
      onFailure: (reason, code) => { if (connection === this.connection) this.#onFailure(reason, code) },
    })
    connection.onSetup = undefined
    this.connection = connection
    connection.opened.then(() => {
      if (connection !== this.connection) return
      if (greets) this.greet(connection)
      this.#onOpen?.()
      this.#onOpen = undefined
    }, (error: Error) => { problem(error.message) })
  }

  #onFailure (reason: string, code: number | undefined): void {
    if (this.#resting) return
    if (code !== undefined && code >= 4200) this.options.problem(`${reason}: it may not come back`)
    this.#lose(code === undefined ? reason.replace(/^socket \d+: /, '').replace(/ \d[\d.:]*.*$/, '') : String(code))
    this.#comeBack(true)
  }

  #lose (reason: string): void {
    const was = this.connection
    this.connection = undefined
    was?.close()
    this.losses.set(reason, (this.losses.get(reason) ?? 0) + 1)
    if (this.state === 'live') {
      this.#lostAt = reason === 'rest' ? Number.NaN : performance.now()
      this.#cause = reason === 'cut' ? 'cut' : 'server'
      this.#tries = 0
    } else if (reason !== 'rest') this.refused += 1
    if (this.state !== 'away') {
      if (this.sampled) this.options.keepCut(this)
      this.forget()
    }
    this.state = 'away'
  }

  #comeBack (elsewhere: boolean): void {
    if (elsewhere) this.#server += 1
    const spread = this.#tries === 0 ? this.options.jitterMs : Math.min(RETRY_MAX_MS, RETRY_MS * 2 ** (this.#tries - 1))
    this.#timer = setTimeout(() => { this.#connect(true) }, this.retryAfterMs + Math.random() * spread)
  }

  /** The wire says that it is where the room is. */
  protected becomeLive (): void {
    if (this.state === 'live') return
    this.state = 'live'
    if (!Number.isNaN(this.#lostAt)) this.returns.push({ ms: performance.now() - this.#lostAt, tries: this.#tries, cause: this.#cause })
    this.#lostAt = Number.NaN
    this.#tries = 0
    this.#onLive?.()
    this.#onLive = undefined
  }

  /** May send: what waits goes out, in order. */
  protected sendWaiting (): void {
    for (const [n, outgoing] of this.outgoing) this.#push(n, outgoing)
    this.connection?.flush()
  }

  /** Sends one again after a while, if it is still to be sent. */
  protected sendLater (n: number, ms: number): void {
    setTimeout(() => {
      const outgoing = this.outgoing.get(n)
      if (outgoing === undefined || (this.state !== 'live' && this.state !== 'catching up')) return
      this.#push(n, outgoing)
      this.connection?.flush()
    }, ms)
  }

  #push (n: number, outgoing: Outgoing): void {
    if (this.room.sampled) this.options.keepSent(this, this.room.id, clientIdOf(this.index, n), outgoing.content)
    this.connection!.push(this.textOf(n, outgoing))
    outgoing.wasSent = true
  }

  protected acked (n: number): void {
    if (this.outgoing.delete(n)) this.room.taken.add(this.slot * SLOT + n)
  }

  /** A message of the load came: its content begins at `at`. */
  protected received (bytes: Buffer, at: number): void {
    this.place.received += 1
    if (!this.options.tallies) return
    const name = digits(bytes, at + 1, at + 6) * SLOT + digits(bytes, at + 6, at + 14)
    if (this.#seen.has(name)) this.twice += 1
    this.#seen.add(name)
    this.room.taken.add(name)
  }
}
