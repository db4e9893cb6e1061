/**
 * One connection that lasts: drives the state machine with a socket, tokens and timers. It says hello, notices silence, backs off,
 * brings fresh tokens while it is live, and hands every other frame on. What is sent while it is not live is refused, not kept:
 * keeping is the outbox's, resuming the rooms' task.
 */
import { MillraceError } from './error.ts'
import type { Frame } from './frames.ts'
import { backOffMs, inputOfClose, MACHINE, type Action, type BackOff, type Input, type Phase } from './machine.ts'
import { renewInMs, Unobtainable, type Tokens } from './tokens.ts'

/** Milliseconds that a token may take to come, a socket to open, and the server to welcome us. */
const TOKEN_MS = 30_000
const OPEN_MS = 10_000
const WELCOME_MS = 10_000
/** Milliseconds that the server has to answer when the network is said to have changed. */
const PROBE_MS = 5_000
/** A connection that was live for so long was a good one: the next try is a first one again. */
const STEADY_MS = 10_000
/** Until the server says how often it sends a heartbeat. */
const HEARTBEAT_MS = 25_000
/** The longest that timers can wait. */
const TIMER_MS_MAX = 2_147_483_647

/** As much of a browser's WebSocket as is needed. */
export interface SocketLike {
  readonly readyState: number
  onopen: ((event: any) => void) | null
  onmessage: ((event: any) => void) | null
  onclose: ((event: any) => void) | null
  onerror: ((event: any) => void) | null
  send: (data: string) => void
  close: (code?: number) => void
}
export type SocketClass = new (url: string, protocol: string) => SocketLike

export interface ConnectionOptions {
  /** The socket's URL: `wss://…/ws`. */
  url: string
  tokens: Tokens
  Socket: SocketClass
  backOff: BackOff
  random: () => number
  /** What to say after the token: `device_id`, `resume`. */
  hello: () => object
  /** The server has welcomed us; what was said in the hello is under way. */
  onLive: (welcome: Frame) => void
  onFrame: (frame: Frame) => void
  onPhase: (phase: Phase) => void
}

export interface Connection {
  readonly phase: Phase
  /** Why it is not live, if it is not; for good if it is stopped. */
  readonly reason: MillraceError | undefined
  open: () => void
  /** Ends it for good. */
  close: () => void
  /** What the browser says of the network. */
  network: (is: 'online' | 'offline') => void
  /** False if it could not be sent, because the connection is not live. */
  send: (frame: object) => boolean
}

function read (text: string): Frame | undefined {
  try {
    return JSON.parse(text)
  } catch {
    return undefined // whoever speaks there is no Millrace
  }
}

export function createConnection ({ url, tokens, Socket, backOff, random, hello, onLive, onFrame, onPhase }: ConnectionOptions): Connection {
  let phase: Phase = 'idle'
  let reason: MillraceError | undefined
  let socket: SocketLike | undefined
  let token = ''
  let attempts = 0
  let liveSince = 0
  let heardAt = 0
  let heartbeatMs = HEARTBEAT_MS
  let bye: Frame | undefined
  let timer: ReturnType<typeof setTimeout> | undefined
  let renewal: ReturnType<typeof setTimeout> | undefined
  let asked = 0

  function step (input: Input): void {
    const { to, action } = MACHINE[phase][input]
    const before = phase
    phase = to
    ACTIONS[action]()
    if (phase !== before && phase === to) onPhase(phase)
  }

  function after (ms: number, input: Input): void {
    clearTimeout(timer)
    timer = setTimeout(step, Math.min(ms, TIMER_MS_MAX), input)
  }

  const ACTIONS: Record<Action, () => void> = {
    ignore () {},
    'get token' () {
      after(TOKEN_MS, 'silence')
      void getToken(++asked)
    },
    'open socket' () {
      after(OPEN_MS, 'silence')
      openSocket()
    },
    'say hello' () {
      after(WELCOME_MS, 'silence')
      put({ type: 'hello', token, ...hello() })
    },
    'go live' () {
      liveSince = Date.now()
      reason = undefined
      listen()
    },
    probe () {
      put({ type: 'ping' })
      const at = Date.now()
      clearTimeout(timer)
      timer = setTimeout(() => { heardAt < at ? step('silence') : listen() }, PROBE_MS)
    },
    'back off' () {
      leave()
      if (liveSince > 0 && Date.now() - liveSince >= STEADY_MS) attempts = 0
      liveSince = 0
      after(backOffMs(attempts++, random, backOff, bye?.retry_after_ms ?? reason?.retryAfterMs), 'timer')
      bye = undefined
    },
    'drop token and back off' () {
      // With a time to come again, the token could not be checked: it may be good.
      if (!(bye?.retry_after_ms > 0)) tokens.drop()
      ACTIONS['back off']()
    },
    'wait for the network' () {
      leave()
      after(backOff.capMs, 'timer')
    },
    stop () {
      leave()
      clearTimeout(timer)
      reason ??= new MillraceError('closed', 'The client was closed')
    },
  }

  async function getToken (mine: number): Promise<void> {
    try {
      token = await tokens.get()
      if (mine === asked) step('token')
    } catch (error) {
      if (mine !== asked) return
      reason = error instanceof MillraceError ? error : new MillraceError('unreachable', (error as Error).message)
      step(error instanceof Unobtainable ? 'refused' : 'no token')
    }
  }

  function openSocket (): void {
    const mine = socket = new Socket(url, 'millrace.v1')
    mine.onopen = () => { step('opened') }
    mine.onmessage = ({ data }) => { if (typeof data === 'string') receive(data) }
    mine.onerror = () => {} // `close` follows
    mine.onclose = ({ code }) => {
      const said: number = bye?.code ?? code // a `bye` may be heard where the close is lost
      const input = inputOfClose(said)
      reason = new MillraceError(input === 'refused' ? String(bye?.reason ?? 'refused') : 'unreachable', `closed with ${said}`, bye?.retry_after_ms)
      step(input)
    }
  }

  /** Lets go of the socket: whatever it still says is not heard. */
  function leave (): void {
    asked++
    clearTimeout(renewal)
    if (socket === undefined) return
    const { readyState } = socket
    socket.onopen = socket.onmessage = socket.onclose = null
    if (readyState < 2) socket.close()
    socket = undefined
  }

  function receive (text: string): void {
    heardAt = Date.now()
    const frame = read(text)
    if (frame === undefined) return step('lost')
    if (frame.type === 'bye') bye = frame
    else if (frame.type === 'welcome') welcomed(frame)
    else if (phase === 'live') onFrame(frame)
    else if (frame.type === 'error') reason = new MillraceError(frame.code, frame.message, frame.retry_after_ms)
  }

  function welcomed (frame: Frame): void {
    heartbeatMs = frame.heartbeat_ms ?? HEARTBEAT_MS
    const renewMs = renewInMs(token, frame.server_time)
    clearTimeout(renewal)
    if (renewMs !== undefined) renewal = setTimeout(renew, Math.min(renewMs, TIMER_MS_MAX))
    if (phase !== 'greeting') return
    step('welcome')
    onLive(frame)
  }

  /** Shows a fresh token before the old one runs out, so that nothing is interrupted. If none comes, 4100 will. */
  function renew (): void {
    const mine = socket
    tokens.renew().then(fresh => {
      if (fresh === undefined || fresh === token || mine !== socket || phase !== 'live') return
      token = fresh
      put({ type: 'hello', token })
    }, () => {})
  }

  /** Two heartbeats without any frame: nobody is there. */
  function listen (): void {
    const silentMs = Date.now() - heardAt
    if (silentMs >= 2 * heartbeatMs) return step('silence')
    clearTimeout(timer)
    timer = setTimeout(listen, 2 * heartbeatMs - silentMs)
  }

  function put (frame: object): boolean {
    if (socket?.readyState !== 1) return false
    socket.send(JSON.stringify(frame))
    return true
  }

  return {
    get phase () { return phase },
    get reason () { return reason },
    open () { step('open') },
    close () {
      reason = undefined
      step('close')
    },
    network (is) { step(is) },
    send: frame => phase === 'live' && put(frame),
  }
}
