/**
 * `millrace/client`: a chat client that does not lose its place, for browsers and Node. It connects and stays so, resumes every room
 * where it was, keeps what is sent until it is acked, and gives each room's events in order, each once. docs/CLIENT.md says how to
 * use it; this file puts the parts together and routes frames to them.
 */
import { createConnection, type SocketClass } from './connection.ts'
import { createEmitter } from './emitter.ts'
import { MillraceError } from './error.ts'
import { Feed } from './feed.ts'
import { isEvent, type Appended, type Claim, type Frame, type Position, type RoomEvent } from './frames.ts'
import { request, type Fetch, type RequestOptions } from './http.ts'
import type { BackOff } from './machine.ts'
import { createOutbox, type Refused } from './outbox.ts'
import { ALSO_MAX } from './place.ts'
import { createPositions } from './positions.ts'
import type { Reader } from './reader.ts'
import { createRoom, type Room, type RoomHandle, type SendOptions } from './room.ts'
import { memoryStore, type Store } from './store.ts'
import { createTokens } from './tokens.ts'

export type { Ack, Appended, Claim, Position, Reset, RoomEvent } from './frames.ts'
export type { HistoryOptions, HistoryPage, Room, RoomEvents, SendOptions } from './room.ts'
export type { SocketClass, SocketLike } from './connection.ts'
export type { LogInOptions, SignedIn } from './http.ts'
export type { LogOutOptions } from './tokens.ts'
export type { Store, StorageLike } from './store.ts'
export type { Queued, Refused } from './outbox.ts'
export { isReset } from './frames.ts'
export { logIn, signUp } from './http.ts'
export { logOut } from './tokens.ts'
export { indexedDbStore, localStorageStore, memoryStore } from './store.ts'
export { MillraceError } from './error.ts'

/** The lobby, in which everyone is: `room('lobby')` works as well. */
export const LOBBY_ID = '00000000-0000-7000-8000-000000000001'

/** Bytes of one hello: the server takes 65,536. Rooms that do not fit come in further ones. */
const HELLO_BYTES_MAX = 60_000
/** Bytes that a room and its position take in a hello, and each older position. */
const ROOM_BYTES = 130
const OLDER_BYTES = 60
/** Milliseconds over which delivered marks are collected. */
const DELIVERED_MS = 2_000
/** Rooms that one frame of delivered marks may name. */
const DELIVERED_ROOMS_MAX = 1_000

export interface ConnectOptions {
  /** The server's base: `https://chat.example`. */
  url: string
  /** An access token, or what brings one, asked again when the server wants a new one. */
  token?: string | (() => string | Promise<string>)
  /** Of a log-in: access tokens are then fetched as needed, and its successors kept in the store. */
  refreshToken?: string
  /** The refresh token is in an HttpOnly cookie: log in with `cookie: true`. */
  cookie?: boolean
  /** What is to outlive the page; by default nothing does. One for each account. */
  store?: Store
  /** What this device is called: with it, the server keeps per device what was delivered. */
  deviceId?: string
  /** Another WebSocket than the global one. */
  WebSocket?: SocketClass
  /** Another fetch than the global one. */
  fetch?: Fetch
  /** How long to wait between tries; by default up to 1 s at first and up to 30 s later. */
  backOff?: Partial<BackOff>
  /** From 0 up to 1, for the jitter. */
  random?: () => number
}

/** What is true now. */
export type State =
  /** Every room that is listened to is complete up to now. */
  | { readonly name: 'live', readonly queued: number }
  /** Connected; `events` are known to be missing yet. */
  | { readonly name: 'catching up', readonly events: number, readonly queued: number }
  /** Not connected, trying; `queued` commands wait. */
  | { readonly name: 'connecting' | 'offline', readonly queued: number, readonly reason?: MillraceError }
  /** Not connected, and will not be: log in anew. `closed` if you closed it. */
  | { readonly name: 'stopped', readonly queued: number, readonly reason?: MillraceError }

export interface ClientEvents {
  state: State
  /** News for the user: added, removed, mentioned, revoked; each once, in order; from the beginning, or from where the store says that you were. */
  inbox: RoomEvent
  presence: Frame
  unread: Frame
  /** A command was refused that nobody waits for any more: it was sent before the page was loaded anew, or had been acked and lost by the server. */
  refused: Refused
  /** The store failed: positions and commands are kept in memory only. */
  error: unknown
}

/** The direct conversation with somebody. */
export interface Direct {
  readonly userId: string
  /** Says something to them; makes the conversation if it is the first. The ack names its room. */
  send: (content: string, options?: SendOptions) => Promise<Appended>
  /** The room of the conversation; makes it if there is none. Throws MillraceError. */
  room: () => Promise<Room>
}

export interface Client {
  readonly state: State
  /** The user, once the server has said so. */
  readonly userId: string | undefined
  /** The room of this ID, or `lobby`; the same object each time. Nothing is subscribed until somebody listens or loops. Throws TypeError if it is no ID. */
  room: (id: string) => Room
  direct: (userId: string) => Direct
  /** Listens; the returned function ends it. */
  on: <N extends keyof ClientEvents> (name: N, fn: (value: ClientEvents[N]) => void) => () => void
  /** What the user says of themselves on this device; said again at each new connection. */
  presence: (status: 'online' | 'away' | 'dnd') => void
  /** Any route of the server, with the user's token. Throws MillraceError with the problem's code. */
  request: <T>(path: string, options?: Pick<RequestOptions, 'method' | 'body' | 'headers'>) => Promise<T>
  /** Ends the connection and all loops. Commands without an ack are rejected with `closed`; what the store keeps is sent the next time. */
  close: () => Promise<void>
}

/** Connects, and stays connected until `close`. Returns at once: everything works before the connection stands. Throws TypeError if `url` is none. */
export function connect ({ url, token, refreshToken, cookie, store = memoryStore(), deviceId, WebSocket: Socket = (globalThis as unknown as { WebSocket: SocketClass }).WebSocket, fetch, backOff: times, random = Math.random }: ConnectOptions): Client {
  const socketUrl = new URL(url) // throws TypeError
  socketUrl.protocol = socketUrl.protocol.replace('http', 'ws')
  socketUrl.pathname = `${socketUrl.pathname.replace(/\/$/, '')}/ws`
  const backOff = { baseMs: 1_000, capMs: 30_000, ...times }
  const rooms = new Map<string, RoomHandle>()
  const emitter = createEmitter<ClientEvents>(followInbox)
  const onFault = (error: unknown): void => { emitter.emit('error', error) }
  const tokens = createTokens({ url, token, refreshToken, cookie, store, fetch })
  const positions = createPositions({ store, onFault })
  const delivered = new Map<string, number>()
  let stored: ReadonlyMap<string, Claim> = new Map()
  let waiting: Array<() => void> | undefined = [] // for the store to be read
  let pages: Array<Record<string, Claim>> = []
  let isInboxFollowed = false
  let deliveredTimer: ReturnType<typeof setTimeout> | undefined
  let userId: string | undefined
  let status: string | undefined
  let refs = 0
  let told = ''
  let isTelling = false
  let closing: Promise<void> | undefined

  const nextRef = (): number => ++refs
  const send = (frame: object): boolean => connection.send(frame)
  const whenLoaded = (fn: () => void): void => { waiting === undefined ? fn() : waiting.push(fn) }

  const outbox = createOutbox({
    store,
    send,
    nextRef,
    backOff,
    random,
    onChange: tell,
    onRefused: refused => { emitter.emit('refused', refused) },
    onAck (lane, frame, ack) { rooms.get(lane)?.acked(frame, ack) },
    onFault,
  })

  const connection = createConnection({
    url: socketUrl.href,
    tokens,
    Socket,
    backOff,
    random,
    hello () {
      pages = claimPages([...rooms].filter(([, { feed }]) => feed.isWanted))
      return { device_id: deviceId, resume: { rooms: pages.shift() } }
    },
    onLive,
    onFrame: route,
    onPhase (phase) {
      if (phase === 'backing off' || phase === 'offline' || phase === 'stopped') {
        outbox.lost()
        for (const feed of feeds()) feed.lost()
      }
      tell()
    },
  })

  /** The user's inbox is a room to itself, but for the frame that asks for it. */
  const inbox: Feed = new Feed({
    roomId: 'inbox',
    stored: undefined,
    send: ({ type, after, ref }) => send(type === 'subscribe' ? { type: 'hello', ref, resume: { inbox: after } } : { type, room_id: userId }),
    nextRef,
    backOff,
    random,
    onChange: onMove('inbox', () => inbox),
    onReset () {},
    onDenied: onFault,
  })
  const inboxReader: Reader = {
    at: undefined,
    done: undefined,
    follows: true,
    isFull: false,
    hasRoom: true,
    take (news) {
      inboxReader.at = inboxReader.done = news
      if (news.type === 'inbox') emitter.emit('inbox', news) // else the inbox's own beginning
    },
    reset (reset) { inboxReader.at = inboxReader.done = reset },
    fail () {},
  }

  const feeds = (): Feed[] => [inbox, ...[...rooms.values()].map(({ feed }) => feed)]

  function onLive (welcome: Frame): void {
    userId = welcome.user_id as string
    store.set('user', userId).catch(onFault)
    for (const page of pages) send({ type: 'hello', resume: { rooms: page } })
    for (const feed of feeds()) if (feed.isWanted && feed.status === 'off') feed.subscribe()
    for (const room of rooms.values()) room.live()
    if (status !== undefined) send({ type: 'presence', status })
    outbox.live(userId)
    tell()
  }

  function route (frame: Frame): void {
    switch (frame.type) {
      case 'heartbeat':
        for (const [id, seq] of Object.entries(frame.heads ?? {})) (id === userId ? inbox : rooms.get(id)?.feed)?.head(seq as number)
        return
      case 'presence':
      case 'unread':
        return emitter.emit(frame.type, frame)
      case 'inbox': return inbox.onFrame(frame)
      case 'ack':
      case 'error':
        if (outbox.answer(frame)) return
        for (const room of rooms.values()) if (typeof frame.ref === 'number' && room.answered(frame.ref)) return
    }
    if (isEvent(frame)) outbox.heard(frame as never)
    if (frame.room_id === undefined || frame.room_id === userId) inbox.onFrame(frame) // the ack of a hello names none
    else rooms.get(frame.room_id)?.onFrame(frame)
  }

  /** For as long as somebody listens. */
  function followInbox (): void {
    const isWanted = emitter.count('inbox') > 0
    if (isWanted === isInboxFollowed) return
    isInboxFollowed = isWanted
    whenLoaded(() => {
      inbox.remove(inboxReader)
      if (!isInboxFollowed) return
      inboxReader.at = inboxReader.done = inbox.position ?? { seq: 0 }
      inbox.add(inboxReader)
    })
  }

  /** Rooms and positions, dealt to hellos that are not too large; the more rooms, the fewer older positions. */
  function claimPages (wanted: ReadonlyArray<[string, RoomHandle]>): Array<Record<string, Claim>> {
    const alsoMax = Math.max(2, Math.floor((HELLO_BYTES_MAX / Math.max(1, wanted.length) - ROOM_BYTES) / OLDER_BYTES))
    const dealt: Array<Record<string, Claim>> = []
    let bytes = HELLO_BYTES_MAX
    for (const [id, { feed }] of wanted) {
      const claim = feed.claim(Math.min(ALSO_MAX, alsoMax))
      if (claim === undefined) continue // subscribed when we are live
      const size = ROOM_BYTES + OLDER_BYTES * (claim.also?.length ?? 0)
      if (bytes + size > HELLO_BYTES_MAX) {
        dealt.push({})
        bytes = 0
      }
      bytes += size
      dealt.at(-1)![id] = claim
    }
    return dealt
  }

  /** What is to be done when something of a feed changed: its position is kept when it is another one. */
  function onMove (key: string, feedOf: () => Feed, then: (seq: number) => void = () => {}): () => void {
    let at: Position | undefined
    return () => {
      tell()
      const { position } = feedOf()
      if (position === undefined || (position.seq === at?.seq && position.chain === at.chain)) return
      positions.moved(key, () => feedOf().kept(), position.seq <= (at?.seq ?? 0))
      at = position
      then(position.seq)
    }
  }

  function onDelivered (roomId: string, seq: number): void {
    if (deviceId === undefined) return
    delivered.set(roomId, seq)
    deliveredTimer ??= setTimeout(() => {
      deliveredTimer = undefined
      const some = [...delivered].slice(0, DELIVERED_ROOMS_MAX)
      if (send({ type: 'delivered', rooms: Object.fromEntries(some) })) for (const [id] of some) delivered.delete(id)
    }, DELIVERED_MS)
  }

  function roomOf (id: string): RoomHandle {
    const roomId = id === 'lobby' ? LOBBY_ID : id.toLowerCase()
    if (!/^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/.test(roomId)) throw new TypeError(`${id} is no ID of a room`) // it would spoil the hello for all others
    let room = rooms.get(roomId)
    if (room === undefined) {
      const handle: RoomHandle = room = createRoom({
        roomId,
        stored: stored.get(roomId),
        send,
        nextRef,
        backOff,
        random,
        outbox,
        whenLoaded,
        get: async path => await ask(path),
        onChange: onMove(roomId, () => handle.feed, seq => { onDelivered(roomId, seq) }),
        onReset ({ reason, seq }) { if (reason === 'parted') outbox.vanished(roomId, seq) },
      })
      rooms.set(roomId, room)
    }
    return room
  }

  async function ask<T> (path: string, options?: RequestOptions): Promise<T> {
    const send = async (): Promise<T> => await request<T>(url, path, { ...options, token: await tokens.get() }, fetch)
    try {
      return await send()
    } catch (error) {
      if ((error as MillraceError).code !== 'unauthenticated') throw error
      tokens.drop()
      return await send()
    }
  }

  function stateNow (): State {
    const queued = outbox.size
    const { phase, reason } = connection
    if (phase === 'stopped') return { name: 'stopped', queued, reason }
    if (phase === 'offline' || phase === 'backing off') return { name: 'offline', queued, reason }
    if (phase !== 'live') return { name: 'connecting', queued, reason }
    const isBehind = feeds().some(({ status }) => status === 'asked' || status === 'catching up' || status === 'paused')
    return isBehind ? { name: 'catching up', events: feeds().reduce((sum, { missing }) => sum + missing, 0), queued } : { name: 'live', queued }
  }

  /** Tells of the state once all that happens now has happened, if it is another one. */
  function tell (): void {
    if (isTelling) return
    isTelling = true
    queueMicrotask(() => {
      isTelling = false
      const state = stateNow()
      const text = JSON.stringify(state)
      if (text === told) return
      told = text
      emitter.emit('state', state)
    })
  }

  const page = globalThis as unknown as { addEventListener?: (name: string, fn: () => void) => void, removeEventListener?: (name: string, fn: () => void) => void, navigator?: { onLine?: boolean } }
  const onPage: Record<string, () => void> = {
    online () { connection.network('online') },
    offline () { connection.network('offline') },
    pagehide () { void positions.flush() },
  }
  for (const [name, fn] of Object.entries(onPage)) page.addEventListener?.(name, fn)

  async function load (): Promise<void> {
    try {
      stored = await positions.load()
      await outbox.load(await store.get('user'))
    } catch (error) {
      onFault(error)
    }
    for (const [id, { feed }] of rooms) feed.restore(stored.get(id))
    inbox.restore(stored.get('inbox'))
    const begun = waiting ?? []
    waiting = undefined
    for (const fn of begun) fn()
    if (closing !== undefined) return
    connection.open()
    if (page.navigator?.onLine === false) connection.network('offline')
  }
  const loaded = load()

  async function close (): Promise<void> {
    for (const [name, fn] of Object.entries(onPage)) page.removeEventListener?.(name, fn)
    for (const room of rooms.values()) room.close()
    connection.close()
    clearTimeout(deliveredTimer)
    await loaded
    await Promise.all([outbox.close(), positions.flush()])
  }

  return {
    get state () { return stateNow() },
    get userId () { return userId },
    room: id => roomOf(id).api,
    direct: to => ({
      userId: to,
      send: async (content, options) => await outbox.add(`@${to}`, { type: 'message', recipient: to, content, ...options }) as Appended,
      room: async () => roomOf((await ask<{ id: string }>('/dms', { method: 'POST', body: { user_id: to } })).id).api,
    }),
    on: emitter.on,
    presence (is) {
      status = is
      send({ type: 'presence', status })
    },
    request: ask,
    close: async () => { await (closing ??= close()) },
  }
}
