/**
 * One WebSocket connection: what comes in goes through the session's state machine to commands, subscriptions and answers;
 * what goes out goes through its outbox. Its limits: bad frames, frames per second, commands under way, subscriptions, bytes
 * that wait [G7].
 */
import type { WebSocket } from 'ws'
import type { Outcome } from '../commands/request.ts'
import type { Config } from '../config.ts'
import { CONTENT_CHARS_MAX } from '../domain/events.ts'
import { reject, type Rejection } from '../domain/rejections.ts'
import type { Status } from '../log/presence.ts'
import { CLOSE, type CloseName } from './close-codes.ts'
import { readFrame, type ClientFrame, type ClaimedPlace } from './frames.ts'
import { Inflow, TOO_FAST_MS } from './inflow.ts'
import type { Memberships } from './memberships.ts'
import type { Outbox, Outboxes } from './outbox.ts'
import { refuse, serve, type Answerable, type ServingOptions } from './serving.ts'
import { SESSION, type Input, type Phase } from './session.ts'

/** Milliseconds that a closing socket has before it is cut. */
const CLOSING_MS = 3000
/** Close codes that are counted by themselves: a client may name any of 2,000 others, each of which would be a series. */
const CODES = new Set<number>([1000, 1001, 1002, 1005, 1006, 1007, 1009, ...Object.values(CLOSE).map(({ code }) => code)])

/** Frames that may wait while a token is checked; they come out of one read, of at most 64 KiB. */
const FRAMES_WAITING_MAX = 1000
/** When to come again with a token that could not be checked. */
const TOKEN_RETRY_MS = 1000

/** What can be stored as the name of a device. */
const DEVICE = /^[^\p{Cc}\p{Cs}]+$/u

/** What a checked token says. Epoch milliseconds. */
export interface Identity { readonly user_id: string, readonly session_id: string, readonly expires_at: number }

export interface SocketOptions extends ServingOptions {
  config: Config
  /** Makes the user's inbox if there is none. */
  ensureInbox: (userId: string) => Promise<Outcome>
  memberships: Memberships
  outboxes: Pick<Outboxes, 'open'>
  /** Whose token this is, if it is good; at once where nobody must be asked. */
  verify: (token: string) => Identity | undefined | Promise<Identity | undefined>
  /** Who holds this ticket, which is used up by it. */
  redeem: (ticket: string) => Promise<Identity | undefined>
  /** True if this user may have one more connection here. */
  admit: (userId: string) => boolean
  release: (userId: string) => void
  newId: () => string
  clock: () => number
}

/** How the client came: what stood in the URL and the headers. */
export interface Arrival {
  readonly token?: string | undefined
  /** Instead of a token. */
  readonly ticket?: string | undefined
  readonly room_id?: string | undefined
  readonly after?: number | undefined
  /** The one of the two that could not be read. */
  readonly wrong?: 'room_id' | 'after' | undefined
}

export class Connection {
  readonly id: string
  readonly #ws: WebSocket
  readonly #deps: SocketOptions
  #phase: Phase = 'greeting'
  #identity: Identity | undefined
  #arrival: Arrival | undefined
  #greeting: NodeJS.Timeout | undefined
  #badFrames = 0
  #alive = true
  /** Frames that came while a token is being checked. */
  #waiting: ClientFrame[] | undefined
  readonly outbox: Outbox
  readonly inflow: Inflow
  /** What the user says of themselves on this device. */
  status: Status = 'online'
  #device: string | undefined

  constructor (ws: WebSocket, deps: SocketOptions, arrival: Arrival) {
    const { config } = deps
    this.id = deps.newId()
    this.#ws = ws
    this.#deps = deps
    this.#arrival = arrival
    this.inflow = new Inflow(ws, deps)
    this.outbox = deps.outboxes.open(ws, () => { this.end('slow_consumer') })
    ws.on('message', (data, isBinary) => { this.#onMessage(data as Buffer, isBinary) })
    ws.on('pong', () => { this.#alive = true })
    ws.on('close', code => { this.#onClose(code) })
    ws.on('error', error => { // ws closes it with 1002, 1007 or 1009
      deps.logger.debug({ reason: error.message }, 'a socket failed')
      this.#cutSoon()
    })
    this.#greeting = setTimeout(() => { this.end('token_expired') }, config.HELLO_MS)
    if (arrival.token !== undefined) this.#authenticate(deps.verify(arrival.token))
    else if (arrival.ticket !== undefined) this.#authenticate(deps.redeem(arrival.ticket))
  }

  get userId (): string | undefined { return this.#identity?.user_id }
  /** Of the token that was shown last. */
  get sessionId (): string | undefined { return this.#identity?.session_id }

  /** What the client calls its device, else the session. */
  get device (): string { return this.#device ?? this.sessionId ?? this.id }

  /** Ends the connection from the server's side: `bye`, then the close code. */
  end (name: CloseName, retryAfterMs?: number): void {
    this.#step('end', () => { this.#sayBye(name, retryAfterMs) })
  }

  /** Ends the connection without a word. */
  cut (): void {
    this.#ws.terminate()
  }

  /** Ends the connection when its token has run out. */
  expire (now: number): void {
    if (this.#identity !== undefined && this.#identity.expires_at <= now) this.end('token_expired')
  }

  /** One heartbeat: heads that moved, a ping, and whether the client still lives. */
  beat (): void {
    if (this.#phase !== 'open' && this.#phase !== 'greeting') return
    if (!this.#alive) return this.end('silent')
    this.#alive = false
    this.#ws.ping()
    if (this.#phase !== 'open') return
    this.outbox.send({ type: 'heartbeat', heads: this.#deps.subscriptions.movedHeads(this) })
    void this.#deps.memberships.look(this)
  }

  #step (input: Input, act: (action: string) => void): void {
    const { to, action } = SESSION[this.#phase][input]
    this.#phase = to
    if (action !== 'ignore') act(action)
  }

  #onMessage (data: Buffer, isBinary: boolean): void {
    this.#alive = true
    if (this.#phase === 'ending' || this.#phase === 'ended') return // what was read with the last straw is not even parsed
    const waitMs = this.inflow.take(data.length)
    const read = isBinary ? { rejection: reject('bad_frame', 'Frames are text, not binary') } : readFrame(data.toString('utf8'))
    this.#deps.metrics.framesIn.inc({ type: 'frame' in read ? read.frame.type : 'bad' })
    if ('rejection' in read) {
      this.#step('bad frame', () => { this.#onBadFrame(read) })
    } else if (waitMs > 0) {
      refuse(read.frame, reject('rate_limited', undefined, waitMs), this)
    } else {
      this.#onFrame(read.frame)
    }
  }

  #onFrame (frame: ClientFrame): void {
    if (this.#waiting !== undefined) {
      if (this.#waiting.length < FRAMES_WAITING_MAX) this.#waiting.push(frame)
      else refuse(frame, reject('rate_limited', undefined, TOO_FAST_MS), this)
      return
    }
    this.#step(frame.type === 'hello' ? 'hello' : 'frame', action => {
      if (frame.type === 'hello') this.#onHello(frame)
      else if (action === 'refuse') refuse(frame, reject('unauthenticated', 'Say hello with a token first'), this)
      else serve(frame, this, this.#deps)
    })
  }

  #onBadFrame ({ rejection, ref, field }: { rejection: Rejection, ref?: number, field?: string }): void {
    this.outbox.send({ type: 'error', ...(ref === undefined ? {} : { ref }), ...rejection, ...(field === undefined ? {} : { field }) })
    this.#badFrames += 1
    if (this.#badFrames >= this.#deps.config.BAD_FRAMES_MAX) this.end('abuse')
  }

  #onHello (frame: ClientFrame & { type: 'hello' }): void {
    if (frame.token !== undefined) return this.#authenticate(this.#deps.verify(frame.token), frame, () => { this.#serveHello(frame) })
    if (this.#identity === undefined) return refuse(frame, reject('unauthenticated', 'The hello needs a token'), this)
    this.#welcome()
    this.#serveHello(frame)
  }

  #serveHello (frame: ClientFrame & { type: 'hello' }): void {
    if (frame.ref !== undefined) this.outbox.send({ type: 'ack', ref: frame.ref })
    if (frame.device_id !== undefined && DEVICE.test(frame.device_id)) this.#device = frame.device_id
    const { all, inbox, rooms = {} } = frame.resume ?? {}
    for (const [roomId, after] of Object.entries(rooms)) this.#subscribe(roomId, after)
    if (inbox !== undefined) void this.#subscribeInbox(inbox)
    if (all === true) void this.#followAll(new Set([...Object.keys(rooms), ...inbox === undefined ? [] : [this.userId!]]))
  }

  /** All rooms that the user is in, the inbox among them. @param named those that were asked for by themselves */
  async #followAll (named: ReadonlySet<string>): Promise<void> {
    if (!named.has(this.userId!)) await this.#deps.ensureInbox(this.userId!) // where it cannot be made now, its news will come as a signal
    if (this.#phase === 'open') await this.#deps.memberships.follow(this, named)
  }

  /** It is made when somebody first wants to follow it, so that nothing can come into it unheard. */
  async #subscribeInbox (after: ClaimedPlace): Promise<void> {
    const roomId = this.userId!
    const made = await this.#deps.ensureInbox(roomId)
    if (this.#phase !== 'open') return
    if (made.ok) this.#subscribe(roomId, after)
    else this.outbox.send({ type: 'error', room_id: roomId, ...made.rejection })
  }

  /** Goes on with `then` if the token is good. While somebody must be asked about it, nothing is read or served; the hello's deadline holds. */
  #authenticate (checked: Identity | undefined | Promise<Identity | undefined>, frame: Answerable = {}, then = () => {}): void {
    if (!(checked instanceof Promise)) {
      if (this.#isAdmitted(checked, frame)) then()
      return
    }
    this.#waiting = []
    this.inflow.hold()
    void checked.then(identity => {
      if (this.#isAdmitted(identity, frame)) then()
    }, error => {
      this.#deps.logger.debug({ reason: (error as Error).message }, 'a token could not be checked')
      refuse(frame, reject('unavailable', undefined, TOKEN_RETRY_MS), this)
      this.end('token_expired', TOKEN_RETRY_MS)
    }).finally(() => {
      const frames = this.#waiting ?? []
      this.#waiting = undefined
      this.inflow.release()
      for (const frame of frames) this.#onFrame(frame)
    })
  }

  /** Takes the token's identity as that of the connection; false if it may not be, which is answered then. */
  #isAdmitted (identity: Identity | undefined, frame: Answerable): boolean {
    if (this.#phase === 'ending' || this.#phase === 'ended') return false // meanwhile
    const known = this.#identity
    if (identity === undefined || (known !== undefined && known.user_id !== identity.user_id)) {
      this.#deps.metrics.authFailures.inc({ reason: 'socket_token' })
      refuse(frame, reject('unauthenticated'), this)
      this.#step('token bad', () => { this.#sayBye('token_expired') })
      return false
    }
    if (known === undefined && !this.#deps.admit(identity.user_id)) {
      this.end('too_many_connections')
      return false
    }
    clearTimeout(this.#greeting)
    this.#identity = identity
    this.#step('token good', () => { this.#welcome() })
    if (known === undefined) this.#deps.people.enter(this)
    const { room_id, after, wrong } = this.#arrival ?? {}
    this.#arrival = undefined
    if (wrong !== undefined) this.outbox.send({ type: 'error', ...reject('bad_frame', `The query's ${wrong} is wrong`), field: wrong })
    else if (room_id !== undefined) this.#subscribe(room_id, after === undefined ? undefined : { seq: after })
    return true
  }

  #welcome (): void {
    const { config, clock } = this.#deps
    this.outbox.send({
      type: 'welcome',
      session_id: this.#identity!.session_id,
      user_id: this.userId,
      heartbeat_ms: config.HEARTBEAT_MS,
      server_time: new Date(clock()).toISOString(),
      limits: { frame_bytes: config.FRAME_BYTES_MAX, content_chars: CONTENT_CHARS_MAX, subscriptions: config.SUBSCRIPTIONS_MAX, frames_per_second: config.FRAMES_PER_SECOND },
    })
  }

  #subscribe (roomId: string, after: ClaimedPlace | undefined, ref?: number): void {
    this.#deps.subscriptions.add(this, roomId, after, ref)
  }

  #sayBye (name: CloseName, retryAfterMs?: number): void {
    const { code, reason, resume } = CLOSE[name]
    clearTimeout(this.#greeting)
    this.#deps.typing.left(this)
    this.#deps.people.leave(this) // before its subscriptions: they say who is told
    this.#deps.memberships.leave(this)
    this.#deps.subscriptions.removeAll(this)
    this.outbox.send({ type: 'bye', code, reason, retry_after_ms: retryAfterMs ?? 0, resume })
    this.outbox.flush()
    this.#ws.resume() // a paused socket would never see the client's close
    this.#ws.close(code, reason)
    this.#cutSoon()
  }

  /** A client that does not read would keep the closing socket, and what waits for it, for as long as it likes. */
  #cutSoon (): void {
    setTimeout(() => { this.#ws.terminate() }, CLOSING_MS).unref()
  }

  #onClose (code: number): void {
    this.#step('closed', () => {
      clearTimeout(this.#greeting)
      this.#deps.typing.left(this)
      this.#deps.people.leave(this)
      this.#deps.memberships.leave(this)
      this.#deps.subscriptions.removeAll(this)
      if (this.userId !== undefined) this.#deps.release(this.userId)
      this.#deps.metrics.closes.inc({ code: CODES.has(code) ? String(code) : 'other' })
    })
  }
}
