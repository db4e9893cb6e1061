// A client of the wire for tests, over the `ws` package: it speaks the frames of PROTOCOL.md, remembers what came, and
// can behave badly on purpose (cut the socket, stop reading, send bytes that are no frame). It tells a recorder of the
// checker everything it subscribes to, sends and receives. It guarantees that nothing waits for ever: every wait has a
// limit and ends when the socket does. It does not reconnect, and does not judge what it receives: the checker does.

import { randomUUID } from 'node:crypto'
import { WebSocket } from 'ws'
import { checkAnswer, checkReceived, checkSent } from './described.ts'

export type Position = { seq: number, chain?: string, also?: { seq: number, chain?: string }[] }
// Fields are `any`: a test reads them by name and asserts them itself.
export type Frame = { type: string, [field: string]: any }

/** What the client tells about itself; `createChecker().subscriber(name)` is one. */
export type ClientRecorder = {
  frame: (frame: Frame) => void
  subscribed?: (room_id: string, from: Position | 'live') => void
  unsubscribed?: (room_id: string) => void
  resumedAll?: () => void
  cut?: () => void
  sent?: (command: { room_id: string, client_id: string, content?: string }) => void
  acked?: (ack: { room_id: string, client_id: string, seq: number, chain: string, event_id: string, duplicate: boolean }) => void
  refused?: (refusal: { room_id: string, client_id: string, code: string }) => void
}

export type ConnectOptions = {
  /** The server's base (`http://127.0.0.1:8080`) or its socket (`ws://127.0.0.1:8080/ws`). */
  url: string
  token?: string
  via?: 'hello' | 'header' | 'query'
  device_id?: string
  resume?: { all?: true, inbox?: Position, rooms?: Record<string, Position> }
  query?: Record<string, string | number>
  recorder?: ClientRecorder
  /** Resolve at `welcome`, or as soon as the socket is open (for tests of what comes before). */
  wait?: 'welcome' | 'open'
  timeoutMs?: number
  /** How many frames are kept; older ones are forgotten. */
  framesMax?: number
  /** False where what comes is not from Millrace, or is made up: else each frame must be as the documents say. */
  described?: boolean
}

type Waiter = { wanted: (frame: Frame) => boolean, takes: boolean, resolve: (frame: Frame) => void, reject: (error: Error) => void }

export type Closed = { code: number, reason: string }
export type Client = Awaited<ReturnType<typeof connect>>

/** The server answered `error`: `code` is the frame's. */
export class Refused extends Error {
  override name = 'Refused'
  code: string
  frame: Frame
  constructor (what: string, frame: Frame) {
    super(`${what} was refused with ${frame.code}: ${frame.message}`)
    this.code = String(frame.code)
    this.frame = frame
  }
}

/** The upgrade was answered with an HTTP status instead. */
export class UpgradeRefused extends Error {
  override name = 'UpgradeRefused'
  status: number
  body: string
  constructor (status: number, body: string) {
    super(`the upgrade was answered with ${status} ${body}`.trim())
    this.status = status
    this.body = body
  }
}

/** A fact of a room's log. An `ack` names one as well, and `inbox` is another log: neither is the event itself. */
export function isEvent (frame: Frame): boolean {
  return typeof frame.event_id === 'string' && typeof frame.seq === 'number' && typeof frame.room_id === 'string' &&
    frame.type !== 'ack' && frame.type !== 'inbox'
}

export async function connect (options: ConnectOptions) {
  const { token, via = 'hello', device_id, resume, recorder, wait = 'welcome', timeoutMs = 30_000, framesMax = 100000, described = true } = options
  const ws = new WebSocket(socketUrl(options), 'millrace.v1', {
    perMessageDeflate: false,
    headers: via === 'header' && token !== undefined ? { authorization: `Bearer ${token}` } : {},
  })

  let frames: Frame[] = []
  const positions = new Map<string, Position>()
  const taken = new WeakSet<Frame>()
  const waiters = new Set<Waiter>()
  let ref = 0
  let ended: string | undefined

  const closed = new Promise<Closed>(resolve => {
    ws.on('close', (code, reason) => {
      end(`closed with ${code} ${reason}`.trim())
      resolve({ code, reason: reason.toString() })
    })
  })

  function end (why: string) {
    if (ended !== undefined) return
    ended = why
    recorder?.cut?.()
    for (const waiter of waiters) waiter.reject(new Error(`the socket was ${why}`))
    waiters.clear()
  }

  /** Nobody awaits a frame that comes: what is wrong with it is thrown at the test itself. */
  function hold (check: (frame: Frame) => void, frame: Frame) {
    if (!described) return
    try {
      check(frame)
    } catch (error) {
      process.nextTick(() => { throw error })
    }
  }

  function receive (frame: Frame) {
    hold(checkReceived, frame)
    frames.push(frame)
    // In halves, so that forgetting costs nothing per frame.
    if (frames.length > framesMax * 2) frames = frames.slice(-framesMax)
    if (isEvent(frame) || frame.type === 'live' || frame.type === 'reset') positions.set(frame.room_id, { seq: frame.seq, chain: frame.chain })
    recorder?.frame(frame)
    for (const waiter of waiters) {
      if ((waiter.takes && taken.has(frame)) || !waiter.wanted(frame)) continue
      if (waiter.takes) taken.add(frame)
      waiters.delete(waiter)
      waiter.resolve(frame)
    }
  }

  ws.on('message', (data: Buffer, isBinary) => {
    // After a cut the library still hands over what the kernel had; a client that is gone has not seen it.
    if (ended === undefined) receive(decode(data, isBinary))
  })

  function waitFor (wanted: (frame: Frame) => boolean, ms: number, what: string, { takes = false, at = (_: Frame) => {} } = {}): Promise<Frame> {
    if (ended !== undefined) return Promise.reject(new Error(`the socket was ${ended}`))
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        waiters.delete(waiter)
        reject(new Error(`waited ${ms} ms for ${what}; last came ${JSON.stringify(frames.slice(-3))}`))
      }, ms)
      const waiter = {
        wanted,
        takes,
        resolve: (frame: Frame) => { clearTimeout(timer); at(frame); resolve(frame) },
        reject: (error: Error) => { clearTimeout(timer); reject(error) },
      }
      waiters.add(waiter)
    })
  }

  const raw = (data: string | Buffer) => ws.send(data)
  const send = (frame: Frame) => ws.send(JSON.stringify(frame))

  /**
   * Sends the frame with a `ref` of its own and resolves with the frame that answers it: `ack`, `pong` or `error`.
   * `at` runs before any later frame is looked at.
   */
  function request (frame: Frame, ms = timeoutMs, at?: (answer: Frame) => void): Promise<Frame> {
    const mine = ++ref
    const answer = waitFor(answer => answer.ref === mine && ['ack', 'pong', 'error'].includes(answer.type), ms, `the answer to ${frame.type} (ref ${mine})`, {
      at (answer) {
        at?.(answer)
        if (answer.code !== 'bad_frame') hold(checkSent, JSON.parse(JSON.stringify({ ...frame, ref: mine })))
      },
    })
    if (ended === undefined) send({ ...frame, ref: mine })
    return answer
  }

  /** Resolves with the ack; with `after`, once `live` has come too. An `error` is thrown as `Refused`. */
  async function subscribe (room_id: string, after?: Position): Promise<Frame> {
    // The position is told to the recorder before the first frame can come: with `after` that is now, else with the ack.
    if (after !== undefined) recorder?.subscribed?.(room_id, after)
    const live = after === undefined ? undefined : waitFor(frame => frame.type === 'live' && frame.room_id === room_id, timeoutMs, `live of ${room_id}`)
    live?.catch(() => {})
    const ack = await request({ type: 'subscribe', room_id, ...(after && { after }) }, timeoutMs, answer => {
      if (after !== undefined || answer.type !== 'ack') return
      const from = typeof answer.seq === 'number' ? { seq: answer.seq, chain: answer.chain } : undefined
      if (from) positions.set(room_id, from)
      recorder?.subscribed?.(room_id, from ?? 'live')
    })
    if (ack.type === 'error') throw new Refused(`subscribe to ${room_id}`, ack)
    await live
    return ack
  }

  async function unsubscribe (room_id: string): Promise<Frame> {
    const ack = await request({ type: 'unsubscribe', room_id })
    if (ack.type === 'error') throw new Refused(`unsubscribe from ${room_id}`, ack)
    recorder?.unsubscribed?.(room_id)
    return ack
  }

  /** Resolves with the ack; an `error` is thrown as `Refused`. */
  async function message (room_id: string, content: string, { client_id = randomUUID(), resend }: { client_id?: string, resend?: boolean } = {}): Promise<Frame> {
    recorder?.sent?.({ room_id, client_id, content })
    const ack = await request({ type: 'message', room_id, content, client_id, ...(resend && { resend }) })
    if (ack.type === 'error') {
      recorder?.refused?.({ room_id, client_id, code: ack.code })
      throw new Refused(`message to ${room_id}`, ack)
    }
    recorder?.acked?.({ room_id, client_id, seq: ack.seq, chain: ack.chain, event_id: ack.event_id, duplicate: ack.duplicate === true })
    return ack
  }

  /** The first frame that matches and that no other `next` took: one that has come already, else the next that comes. */
  async function next (wanted: (frame: Frame) => boolean, ms = timeoutMs): Promise<Frame> {
    const found = frames.find(frame => !taken.has(frame) && wanted(frame))
    if (found === undefined) return waitFor(wanted, ms, `a frame such that ${wanted}`, { takes: true })
    taken.add(found)
    return found
  }

  /** Closes with 1000 and waits for the server's half. */
  async function close (): Promise<Closed> {
    ws.resume()
    ws.close(1000)
    const timer = setTimeout(() => ws.terminate(), timeoutMs)
    return closed.finally(() => clearTimeout(timer))
  }

  /** Destroys the TCP socket at once: no close frame, and nothing that was on its way is seen. */
  function cut () {
    end('cut')
    ws.terminate()
  }

  if (resume?.all) recorder?.resumedAll?.()
  for (const [room_id, from] of Object.entries(resume?.rooms ?? {})) recorder?.subscribed?.(room_id, from)
  const { room_id, after } = options.query ?? {}
  if (room_id !== undefined && after !== undefined) recorder?.subscribed?.(String(room_id), { seq: Number(after) })

  const welcome = wait === 'welcome' ? waitFor(frame => frame.type === 'welcome', timeoutMs, 'welcome') : undefined
  welcome?.catch(() => {})
  try {
    await opened(ws, timeoutMs)
    const hello = { type: 'hello', token: via === 'hello' ? token : undefined, device_id, resume }
    if (hello.token !== undefined || device_id !== undefined || resume !== undefined) send(hello)
    await welcome
  } catch (error) {
    // Nobody holds this client: it must not keep the process alive.
    end('given up')
    ws.terminate()
    throw error
  }

  return {
    send,
    raw,
    request,
    subscribe,
    unsubscribe,
    message,
    next,
    close,
    cut,
    closed,
    /** Stops reading from the socket: the server's buffer fills. What was parsed already may still come. */
    pause: () => ws.pause(),
    resume: () => ws.resume(),
    /** All frames received, the newest `framesMax` of them, oldest first. */
    get frames (): readonly Frame[] { return frames.length > framesMax ? frames.slice(-framesMax) : frames },
    events: (room_id: string) => frames.filter(frame => frame.room_id === room_id && isEvent(frame)),
    /** The last position that an event, `live`, `reset` or the ack of a subscription gave for the room. */
    position: (room_id: string): Position | undefined => positions.get(room_id),
    socket: ws,
  }
}

function socketUrl ({ url, token, via, query }: ConnectOptions): URL {
  const at = new URL(url)
  at.protocol = at.protocol.replace('http', 'ws')
  if (at.pathname === '/') at.pathname = '/ws'
  if (via === 'query' && token !== undefined) at.searchParams.set('token', token)
  for (const [name, value] of Object.entries(query ?? {})) at.searchParams.set(name, String(value))
  return at
}

function decode (data: Buffer, isBinary: boolean): Frame {
  const text = data.toString()
  if (isBinary) return { type: 'unreadable', text }
  try {
    const frame = JSON.parse(text)
    return typeof frame?.type === 'string' ? frame : { type: 'unreadable', text }
  } catch {
    return { type: 'unreadable', text }
  }
}

function opened (ws: WebSocket, timeoutMs: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`waited ${timeoutMs} ms for the socket to open`)), timeoutMs)
    // Stays after the opening too: an error is always followed by `close`, which is what tests look at.
    ws.on('error', error => { clearTimeout(timer); reject(error) })
    ws.once('open', () => { clearTimeout(timer); resolve() })
    ws.once('unexpected-response', (request, response) => {
      clearTimeout(timer)
      let body = ''
      response.setEncoding('utf8')
      response.on('data', chunk => { body += chunk })
      response.on('close', () => { request.destroy(); reject(new UpgradeRefused(response.statusCode ?? 0, body)) })
    })
  })
}

export type Answer = { status: number, headers: Headers, body: any }
export type Account = { user: { id: string, username: string, [field: string]: any }, access_token: string, [field: string]: any }

const PASSWORD = 'a password of the tests'

/** The HTTP half: `get`, `post` and `call` answer with status and body whatever they are, as long as they are documented (`described`); `signup` and `login` throw unless they succeed. */
export function http (url: string, { described = true }: { described?: boolean } = {}) {
  async function call (method: string, path: string, { token, body, headers }: { token?: string, body?: unknown, headers?: Record<string, string> } = {}): Promise<Answer> {
    const response = await fetch(new URL(path, url), {
      method,
      headers: {
        ...(body !== undefined && { 'content-type': 'application/json' }),
        ...(token !== undefined && { authorization: `Bearer ${token}` }),
        ...headers,
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(30000),
    })
    const text = await response.text()
    const type = response.headers.get('content-type')
    const answer = { status: response.status, headers: response.headers, body: /[/+]json\b/.test(type ?? '') && text !== '' ? JSON.parse(text) : text }
    if (described) await checkAnswer(method, path, { type, ...answer })
    return answer
  }

  async function account (path: string, body: unknown): Promise<Account> {
    const answer = await call('POST', path, { body })
    if (answer.status >= 300) throw new Error(`POST ${path} was answered with ${answer.status} ${JSON.stringify(answer.body)}`)
    return answer.body
  }

  return {
    call,
    get: (path: string, token?: string, headers?: Record<string, string>) => call('GET', path, { token, headers }),
    post: (path: string, body?: unknown, token?: string, headers?: Record<string, string>) => call('POST', path, { token, body, headers }),
    signup: (username: string, password = PASSWORD) => account('/auth/signup', { username, password }),
    login: (username: string, password = PASSWORD) => account('/auth/login', { username, password }),
  }
}
