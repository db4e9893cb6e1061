/**
 * All that a signed-in page knows and does, without any component: the client, the rooms and what is said in them, people, the cache.
 *
 *     cache ──▶ rooms, people, newest messages     at once, without a network
 *     GET /sync ──▶ positions, then rooms, unread  when there is one
 *     each room's log, from where its messages are complete ──▶ timeline ──▶ list of rooms
 *
 * Rooms beyond FOLLOWED_MAX are followed when they are opened.
 */
import { connect, type Client, type MillraceError, type RoomEvent, type State } from 'millrace/client'
import { createApi, type Api } from '../api/calls.ts'
import type { Me, Position, Presence, Room, Sync } from '../api/types.ts'
import { deviceId, forgetAccount, keepAccount, type Account } from './account.ts'
import { openCache, type Cache } from './cache.ts'
import { createDrafts, type Drafts } from './drafts.ts'
import { clearFailed } from './failed.ts'
import { leaveLater } from './leaving.ts'
import { Observable } from './observable.ts'
import { People } from './people.ts'
import { withdrawPush } from '../notifications/push.ts'
import { createPlug, type Plug } from './plug.ts'
import { inOrder, RoomList } from './rooms.ts'
import { forgetStore, storeOf } from './store.ts'
import { Timeline } from './timeline.ts'

/** Rooms that are followed from the start, those with the latest news. */
const FOLLOWED_MAX = 150
/** Events that a room catches up with; of more, the newest page is loaded instead. */
const CAUGHT_UP_MAX = 2_000
/** Milliseconds over which changes of the list are collected for the cache. */
const KEEP_MS = 2_000
/** Milliseconds after which whoever comes back to the page may lack a room: it is asked for. */
const OLD_MS = 60_000
/** Milliseconds until what could not be asked is asked again. */
const AGAIN_MS = 3_000

/** Something to tell the user in passing. */
export interface Toast { readonly id: number, readonly text: string, readonly severity: 'info' | 'error' }

export class Chat {
  readonly account: Account
  readonly client: Client
  readonly api: Api
  readonly plug: Plug
  readonly cache: Cache
  readonly people: People
  readonly rooms: RoomList
  readonly drafts: Drafts
  readonly state: Observable<State>
  readonly me: Observable<Me | undefined>
  /** Whether the list of rooms is known: from the cache, or from the server. */
  readonly isStarted = new Observable(false)
  /** The last event of any room that is followed, in turn. */
  readonly events = new Observable<RoomEvent | undefined>(undefined)
  readonly toast = new Observable<Toast | undefined>(undefined)
  /** Nobody is signed in any more. */
  readonly ended = new Observable(false)

  readonly #timelines = new Map<string, Timeline>()
  #positions: ReadonlyMap<string, Position> = new Map()
  #heads: Readonly<Record<string, Position>> | undefined
  #syncing: Promise<void> | undefined
  #wasConnected = false
  #syncedAt = 0
  #keeping: ReturnType<typeof setTimeout> | undefined
  #toasts = 0
  /** Rooms that the user is going out of, and those that they were put out of: what they were called. */
  readonly #leaving = new Set<string>()
  readonly #outOf = new Map<string, string>()
  #closed = false

  constructor (account: Account) {
    this.account = account
    this.plug = createPlug({ cookies: account.of === 'browser' })
    this.client = connect({
      url: location.origin,
      ...(account.accessToken !== undefined && account.of === 'browser' && { token: account.accessToken }),
      ...(account.of === 'browser' ? { cookie: true } : account.refreshToken !== undefined && { refreshToken: account.refreshToken }),
      store: storeOf(account),
      deviceId: deviceId(account.of),
      WebSocket: this.plug.Socket,
      fetch: this.plug.fetch,
    })
    this.api = createApi(this.client.request)
    this.cache = openCache(account.id)
    this.people = new People(this.api, this.cache)
    this.rooms = new RoomList(account.id)
    this.drafts = createDrafts(account.id)
    this.state = new Observable(this.client.state)
    this.me = new Observable<Me | undefined>(undefined)
    this.#listen()
    void this.#start()
  }

  get userId (): string { return this.account.id }

  /** The room as it is shown; the same object each time. */
  timeline (roomId: string): Timeline {
    let timeline = this.#timelines.get(roomId)
    if (timeline === undefined) {
      timeline = new Timeline({
        roomId,
        client: this.client,
        api: this.api,
        cache: this.cache,
        userId: this.userId,
        onEvent: event => {
          this.rooms.event(event)
          this.events.set(event)
          if (this.#isOut(event)) event.user_id === this.userId ? this.#left(roomId) : this.#putOut(roomId, event.type, event.reason as string | undefined)
        },
        onReset: ({ seq }) => {
          this.rooms.reset(roomId, seq)
          void this.sync()
        },
        onRefused: error => { this.say(error.message, 'error') },
        onDenied: error => { if (DENIED.has(error.code)) this.#putOut(roomId, error.code) },
      })
      this.#timelines.set(roomId, timeline)
      timeline.outgoing.adopt(timeline.room.queued)
    }
    return timeline
  }

  /** Opens a room: follows it if it is not followed yet, and loads what it shows. */
  async open (roomId: string): Promise<Timeline> {
    const timeline = this.timeline(roomId)
    timeline.open()
    if (!timeline.isFollowing && this.#heads !== undefined) await this.#follow(roomId)
    timeline.open()
    return timeline
  }

  /** The user came into a room by this page: it is in the list and followed when this resolves. */
  async entered (roomId: string): Promise<Room> {
    const isNew = this.rooms.get(roomId) === undefined
    const room = await this.api.room(roomId)
    await this.#take(room)
    if (isNew && room.head_seq !== undefined) this.timeline(roomId).read(room.head_seq) // of marks the user's other pages are told: so they learn of the room
    return room
  }

  async #take (room: Room): Promise<void> {
    this.#outOf.delete(room.id)
    this.rooms.put(room)
    const peer = room.peers?.find(id => id !== this.userId) ?? (room.kind === 'dm' ? this.userId : undefined)
    if (peer !== undefined) this.people.want(peer)
    await this.#follow(room.id)
    this.#keepSoon()
  }

  /** News of a room that is not in the list: the user came into it elsewhere, or was put into it. */
  async #learn (roomId: string): Promise<void> {
    if (this.rooms.get(roomId) !== undefined || this.#heads === undefined) return
    this.#outOf.delete(roomId)
    await this.#syncing // it may have been asked before the news
    await this.sync()
    if (this.rooms.get(roomId) !== undefined) return
    const room = await this.api.room(roomId)
    if (room.member) await this.#take(room)
  }

  /** The user left a room: it leaves the list. */
  async leave (roomId: string): Promise<void> {
    this.#leaving.add(roomId)
    await this.api.leave(roomId).finally(() => { this.#leaving.delete(roomId) })
    this.#left(roomId)
  }

  /** What was seen of a room: its mark moves, here at once. */
  read (roomId: string, seq: number, left?: { unread: number, mentions: number }): void {
    const room = this.rooms.get(roomId)
    if (room === undefined) return
    if (seq > room.read_seq) this.timeline(roomId).read(seq)
    this.rooms.read(roomId, seq, left)
  }

  say (text: string, severity: Toast['severity'] = 'info'): void {
    this.toast.set({ id: ++this.#toasts, text, severity })
  }

  /** Asks for the rooms and what is unread once more. */
  async sync (): Promise<void> {
    await (this.#syncing ??= this.#sync().finally(() => { this.#syncing = undefined }))
  }

  /** Forgets all that this browser keeps of the account, and ends the session on the server: at once, or once there is a connection. */
  async logOut (): Promise<void> {
    if (this.account.of === 'browser') await withdrawPush().catch(() => {}) // it ends with the session as well
    await this.close() // first: a connection that the server ends with the session would ask for another token
    const hasEnded = await this.api.post('/auth/logout', {}).then(() => true, () => false)
    await this.#forget(hasEnded)
    if (!hasEnded) leaveLater(this.account)
    this.ended.set(true)
  }

  async close (): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    clearTimeout(this.#keeping)
    this.#keepAll()
    window.removeEventListener('pagehide', this.#keepAll)
    document.removeEventListener('visibilitychange', this.#cameBack)
    for (const timeline of this.#timelines.values()) timeline.close()
    await this.client.close()
  }

  async #start (): Promise<void> {
    const [start, positions] = await Promise.all([this.cache.start(), this.cache.positions(), this.people.restore()])
    this.#positions = positions
    if (start !== undefined && this.#heads === undefined) {
      this.me.set(start.me)
      this.rooms.restore(start.rooms)
      this.isStarted.set(true)
      for (const id of positions.keys()) if (this.rooms.get(id) !== undefined) void this.timeline(id).restore()
    }
    await this.sync()
  }

  #listen (): void {
    this.client.on('state', state => {
      this.state.set(state)
      const isConnected = state.name === 'live' || state.name === 'catching up'
      if (isConnected && !this.#wasConnected) this.#connected()
      this.#wasConnected = isConnected
      if (state.name === 'stopped') this.#stopped(state)
      for (const [, timeline] of this.#timelines) timeline.outgoing.adopt(timeline.room.queued)
    })
    this.client.on('presence', presence => { this.people.told(presence as unknown as Presence) })
    this.client.on('unread', ({ room_id, unread, mentions }) => {
      this.rooms.change(room_id as string, { unread, mentions })
      this.#learn(room_id as string).catch(() => {}) // it may be over again
    })
    this.client.on('refused', ({ client_id, frame, error }) => {
      if (frame.type === 'message' && typeof frame.room_id === 'string') this.timeline(frame.room_id).outgoing.failed(client_id, error)
      else this.say(error.message, 'error')
    })
    this.client.on('inbox', ({ event, room_id, reason }) => {
      if (typeof room_id !== 'string') return
      if (event === 'removed' || event === 'revoked') this.#putOut(room_id, event, reason as string | undefined)
      else this.#learn(room_id).catch(() => {})
    })
    this.rooms.all.subscribe(() => { this.#keepSoon() })
    window.addEventListener('pagehide', this.#keepAll)
    document.addEventListener('visibilitychange', this.#cameBack)
  }

  #connected (): void {
    const { userId } = this.client
    if (userId !== undefined && userId !== this.userId) { // the browser's cookie is another's by now
      keepAccount({ id: userId, username: '', of: this.account.of })
      location.reload()
      return
    }
    this.people.forgetPresence()
    if (this.#heads !== undefined) void this.sync()
  }

  #stopped ({ reason }: State & { name: 'stopped' }): void {
    if (reason?.code === 'closed' || this.#closed) return
    void this.close().then(async () => {
      if (this.account.of === 'browser') await withdrawPush().catch(() => {})
      forgetAccount(this.account)
      await this.cache.clear() // what was not sent yet stays, for when they are back
      this.ended.set(true)
    })
  }

  async #sync (): Promise<void> {
    let sync: Sync
    try {
      sync = await this.api.sync()
    } catch {
      if (!this.#closed) setTimeout(() => { if (this.#heads === undefined && !this.#closed) void this.sync() }, AGAIN_MS)
      return
    }
    this.me.set(sync.me)
    keepAccount({ id: sync.me.id, username: sync.me.username, of: this.account.of })
    this.people.met(sync.me)
    for (const { peer } of sync.rooms.items) if (peer !== undefined) this.people.seen(peer)
    for (const { id, read_seq } of this.rooms.synced(sync)) this.timeline(id).read(read_seq)
    this.#heads = sync.positions.rooms
    this.#syncedAt = Date.now()
    this.isStarted.set(true)
    for (const { id } of inOrder(this.rooms.all.get()).slice(0, FOLLOWED_MAX)) void this.#follow(id)
    for (const [id, timeline] of this.#timelines) if (timeline.view.get().status !== 'new') void this.#follow(id)
  }

  /** From where its messages are complete, if that is not too far back; else from the head, as the server has just said. */
  async #follow (roomId: string): Promise<void> {
    const timeline = this.timeline(roomId)
    if (timeline.isFollowing || this.#closed) return
    const head = this.#heads?.[roomId]
    const cached = this.#positions.get(roomId)
    if (cached !== undefined && head !== undefined && cached.seq <= head.seq && head.seq - cached.seq <= CAUGHT_UP_MAX && await timeline.restore()) return timeline.follow(cached, head.seq)
    if (cached !== undefined) timeline.forget()
    if (head !== undefined) return timeline.follow(head, head.seq)
    const { as_of } = await this.api.messages(roomId, { limit: 1 }) // a room that came after `sync`
    timeline.follow(as_of, as_of.seq)
  }

  #isOut ({ type, user_id, target, change, lifted }: { type: string, user_id: string, target?: string, change?: unknown, lifted?: unknown, [field: string]: unknown }): boolean {
    if (type === 'room') return change === 'deleted'
    if (type === 'leave') return user_id === this.userId
    return target === this.userId && (type === 'kick' || (type === 'ban' && lifted !== true))
  }

  /** The room is not the user's any more, and not by themselves: they are told. The inbox knows best why, and comes last. */
  #putOut (roomId: string, how: string, reason?: string): void {
    const room = this.rooms.get(roomId)
    if (room !== undefined && room.kind !== 'dm') this.#outOf.set(roomId, room.kind === 'lobby' ? 'the lobby' : room.name)
    const name = this.#outOf.get(roomId)
    if (room !== undefined) this.#left(roomId)
    if (name === undefined || this.#leaving.has(roomId)) return
    this.say(`${OUT[how]?.(name) ?? `You are not in ${name} any more`}${reason === undefined ? '' : `: ${reason}`}`)
  }

  #left (roomId: string): void {
    this.rooms.remove(roomId)
    this.#timelines.get(roomId)?.close()
    this.#timelines.delete(roomId)
    void this.cache.forgetRoom(roomId)
  }

  #keepSoon (): void {
    this.#keeping ??= setTimeout(() => {
      this.#keeping = undefined
      this.#keepStart()
    }, KEEP_MS)
  }

  #keepStart (): void {
    const me = this.me.get()
    if (me !== undefined) void this.cache.keepStart({ me, rooms: inOrder(this.rooms.all.get()) })
  }

  readonly #cameBack = (): void => { if (document.visibilityState === 'visible' && this.#syncedAt > 0 && Date.now() - this.#syncedAt > OLD_MS) void this.sync() }

  readonly #keepAll = (): void => {
    this.#keepStart()
    this.people.keep()
    for (const timeline of this.#timelines.values()) timeline.keep()
  }

  async #forget (hasEnded: boolean): Promise<void> {
    forgetAccount(this.account)
    this.drafts.clear()
    clearFailed(this.userId)
    await this.cache.clear()
    await forgetStore(this.account, !hasEnded)
  }
}

/** How the user came out of a room, in words. */
const OUT: Readonly<Record<string, (name: string) => string>> = {
  kick: name => `You were removed from ${name}`,
  removed: name => `You were removed from ${name}`,
  ban: name => `You were banned from ${name}`,
  banned: name => `You were banned from ${name}`,
  revoked: name => `You were banned from ${name}`,
  room: name => `${name} was deleted`,
}

/** The room is not the user's to read any more. */
const DENIED = new Set<MillraceError['code']>(['not_member', 'room_not_found', 'banned'])
