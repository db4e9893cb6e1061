/**
 * A room as it is shown: a window of its messages, which grows both ways by pages of history and stays bounded, with every event of the room's log
 * folded in, once, in order. At the newest end it is *attached*: what comes is appended; after a jump into the past it is
 * not, until it has been loaded up to the newest again.
 *
 * A page says up to which seq it is complete (`as_of`). What was received of the log beyond that is folded into it; what it had in it
 * already is not folded twice. So it does not matter which of the two is quicker.
 */
import { isReset, MillraceError, type Client, type Reset, type Room, type RoomEvent } from 'millrace/client'
import type { Api } from '../api/calls.ts'
import type { MessagePage, Position } from '../api/types.ts'
import { MESSAGES_KEPT_MAX, type Cache } from './cache.ts'
import { fold, messageOfEvent, messageOfItem, type Message } from './fold.ts'
import { beforeTold, Observable, ObservableMap } from './observable.ts'
import { Outgoing } from './outgoing.ts'
import { RoomLog } from './room-log.ts'
import { createRows, type Row } from './rows.ts'
import { Threads, type ThreadSummary } from './threads.ts'
import { Typing } from './typing.ts'

/** Messages of one page. */
const PAGE = 60
/** Messages of a window while it grows; of more, those at the other end are let go. */
const WINDOW_MAX = 900
/** Messages that stay when a window is cut. */
const WINDOW_KEPT = 600
/** Index of the first message that is loaded; there is room for any number before it. */
const FIRST_INDEX = 1_000_000_000
/** Milliseconds that older messages wait for the scrolling to stop, at most; and between two looks. */
const REST_MS_MAX = 600
const REST_MS = 30
/** Milliseconds after a change until the cache is written. */
const KEEP_MS = 1_500

export interface TimelineView {
  /** `new`: nothing was asked for yet. `failed`: there is nothing to show, and `error` says why. */
  readonly status: 'new' | 'loading' | 'ready' | 'failed'
  readonly error?: MillraceError | undefined
  readonly rows: readonly Row[]
  /** Index of the first row; falls as older ones come before it. */
  readonly firstIndex: number
  /** Another number: another window; where it was scrolled to means nothing any more. */
  readonly window: number
  /** The message that the window was made for. */
  readonly target?: number | undefined
  readonly hasOlder: boolean
  readonly hasNewer: boolean
}

export interface TimelineDeps {
  roomId: string
  client: Client
  api: Api
  cache: Cache
  userId: string
  /** Each event once, in order, for the list of rooms. */
  onEvent: (event: RoomEvent) => void
  onReset: (reset: Reset) => void
  onRefused: (error: MillraceError) => void
  onDenied: (error: MillraceError) => void
}

export class Timeline {
  readonly view = new Observable<TimelineView>({ status: 'new', rows: [], firstIndex: FIRST_INDEX, window: 0, hasOlder: false, hasNewer: false })
  readonly log = new RoomLog()
  readonly typing: Typing
  /** Of each message that a thread begins at, by its seq. */
  readonly threadSummaries = new ObservableMap<ThreadSummary | undefined>()
  readonly threads = new Threads((root, summary) => { this.threadSummaries.set(String(root), summary) })
  /** How far others have read, by user; empty in large rooms. */
  readonly reads = new Observable<Readonly<Record<string, number>>>({})
  readonly outgoing: Outgoing
  readonly room: Room
  /** Whether the newest message is in sight: then the oldest ones may be let go. */
  isAtEnd = true
  /** Whether it is being scrolled: older messages wait a moment then, so that nothing moves under the finger. */
  isScrolling = false

  readonly #deps: TimelineDeps
  readonly #rows: ReturnType<typeof createRows>
  readonly #stop = new AbortController()
  #messages: Message[] | undefined
  #firstIndex = FIRST_INDEX
  #window = 0
  #target: number | undefined
  #hasOlder = false
  #hasNewer = false
  #error: MillraceError | undefined
  #failed: (() => Promise<void>) | undefined
  /** What waits to be loaded already: the list asks again and again while it is at its end. */
  #olderThan: number | undefined
  #newerThan: number | undefined
  #loading: Promise<void> | undefined
  #loads = 0
  #isOpen = false
  #isFollowing = false
  #keeping: ReturnType<typeof setTimeout> | undefined

  constructor (deps: TimelineDeps) {
    this.#deps = deps
    this.room = deps.client.room(deps.roomId)
    this.typing = new Typing(deps.userId)
    this.#rows = createRows(deps.userId)
    this.outgoing = new Outgoing({ room: this.room, userId: deps.userId, onChange: () => { this.#flush() }, onRefused: deps.onRefused, seq: () => this.log.position?.seq ?? 0 })
  }

  /** Takes what the cache has; true if there was something. Before `follow`. */
  async restore (): Promise<boolean> {
    if (this.#messages !== undefined) return true
    const kept = await this.#deps.cache.room(this.#deps.roomId)
    if (kept === undefined || this.#messages !== undefined) return false
    this.#messages = [...kept.messages]
    this.#hasOlder = kept.has_older
    this.log.begin(kept.position, kept.position.seq)
    this.#flush()
    return true
  }

  /** Follows the log from here on; at once, and as long as the page lives. */
  follow (position: Position, head: number): void {
    if (this.#isFollowing) return
    this.#isFollowing = true
    this.log.begin(position, head)
    const { room } = this
    const events = room.events({ after: position, signal: this.#stop.signal })
    const first = events.next() // it begins now, at its position, and the listeners after it
    const ends = [
      room.on('sync', sync => { this.log.sync(sync) }),
      room.on('live', live => { this.log.live(live) }),
      room.on('typing', typing => { this.typing.told(typing) }),
      room.on('marks', ({ read }) => { if (read !== undefined) this.reads.update(reads => ({ ...reads, ...read })) }),
    ]
    this.#stop.signal.addEventListener('abort', () => { for (const end of ends) end() })
    const run = async (): Promise<void> => {
      for (let next = await first; next.done !== true; next = await events.next()) isReset(next.value) ? this.#reset(next.value) : this.#event(next.value)
    }
    run().catch((error: unknown) => {
      this.#isFollowing = false
      for (const end of ends) end()
      if (!(error instanceof MillraceError)) throw error // a bug of ours: it must not pass for a room that stands still
      this.#deps.onDenied(error)
    })
  }

  /** What the cache had is too old to go on from. */
  forget (): void {
    if (this.#messages === undefined) return
    this.#messages = undefined
    if (this.#isOpen) this.newest()
  }

  get isFollowing (): boolean { return this.#isFollowing }

  close (): void {
    this.#stop.abort()
    clearTimeout(this.#keeping)
    this.typing.close()
  }

  /** It is to be shown: loads the newest messages, unless they are there. */
  open (): void {
    this.#isOpen = true
    if (this.#messages === undefined && this.#loading === undefined) this.#failed === undefined ? this.newest() : this.retry()
    else this.#flush()
  }

  /** Shows the newest messages. */
  newest (): void {
    if (this.#messages !== undefined && !this.#hasNewer) return this.#flush()
    this.#load(async () => { this.#replace(await this.#page({}), undefined) })
  }

  /** Shows this message among its neighbours. */
  jump (seq: number): void {
    if (this.#messages?.some(message => message.seq === seq) === true) {
      this.#target = seq
      this.#window++
      return this.#flush()
    }
    this.#load(async () => { this.#replace(await this.#page({ around: seq }), seq) })
  }

  /** There is a connection again: what could not be loaded without one is, a message that was to be shown as well. */
  retry (): void { if (this.#failed !== undefined) this.#load(this.#failed) }

  loadOlder (): void {
    const first = this.#messages?.[0]
    if (first === undefined || !this.#hasOlder || first.seq === this.#olderThan) return
    this.#olderThan = first.seq
    this.#load(async () => {
      const page = await this.#page({ before: first.seq })
      await this.#atRest()
      if (this.#messages?.[0]?.seq !== first.seq) return // another window meanwhile
      const older = this.#fresh(page).filter(({ seq }) => seq < first.seq)
      this.#messages.unshift(...older)
      this.#firstIndex -= older.length
      this.#hasOlder = page.next !== null && older.length > 0
      if (this.#messages.length > WINDOW_MAX) {
        this.#messages.length = WINDOW_KEPT
        this.#hasNewer = true
      }
    }, () => { this.#olderThan = undefined })
  }

  loadNewer (): void {
    const last = this.#messages?.at(-1)
    if (last === undefined || !this.#hasNewer || last.seq === this.#newerThan) return
    this.#newerThan = last.seq
    this.#load(async () => {
      const page = await this.#page({ after: last.seq })
      if (this.#messages?.at(-1)?.seq !== last.seq) return
      this.#messages.push(...this.#fresh(page).filter(({ seq }) => seq > last.seq))
      if (page.next === null) this.#attach(page.as_of.seq)
      if (page.next === null && this.#hasNewer) setTimeout(() => { this.loadNewer() }, REST_MS_MAX) // the read model is behind
      this.#cutOldest(WINDOW_MAX)
    }, () => { this.#newerThan = undefined })
  }

  /** Says that everything up to here was seen. */
  read (seq: number): void { this.room.read(seq) }

  /** The message, if it is in the window. */
  messageAt (seq: number): Message | undefined {
    return this.#messages?.find(message => message.seq === seq)
  }

  #event (event: RoomEvent): void {
    this.log.add(event)
    if (event.type === 'message') this.typing.stopped(event.user_id)
    this.outgoing.heard(event)
    this.#apply(event)
    this.threads.event(event)
    this.#deps.onEvent(event)
    this.#flush()
    this.#keepSoon()
  }

  #apply (event: RoomEvent): void {
    const messages = this.#messages
    if (messages === undefined) return
    if (event.type === 'message') {
      if (this.#hasNewer || event.seq <= (messages.at(-1)?.seq ?? 0)) return
      if (!this.isAtEnd && messages.length >= WINDOW_MAX) this.#hasNewer = true // what is being read stays, and what comes is loaded when it is come to
      else messages.push(messageOfEvent(event))
      return
    }
    if (typeof event.message_seq !== 'number') return
    const i = messages.findLastIndex(({ seq }) => seq === event.message_seq)
    if (i >= 0) messages[i] = fold(messages[i]!, event)
  }

  /** What is held after it is void: the window is loaded anew. */
  #reset (reset: Reset): void {
    this.log.reset(reset)
    this.threads.reset(reset.seq)
    this.#deps.onReset(reset)
    void this.#deps.cache.forgetRoom(this.#deps.roomId)
    if (this.#messages === undefined) return
    this.#messages = this.#messages.filter(({ seq }) => seq <= reset.seq)
    this.#hasNewer = true
    this.newest()
  }

  async #page (at: { before?: number, after?: number, around?: number }): Promise<MessagePage> {
    return await this.#deps.api.messages(this.#deps.roomId, { ...at, limit: PAGE })
  }

  async #atRest (): Promise<void> {
    for (let ms = 0; this.isScrolling && ms < REST_MS_MAX; ms += REST_MS) await new Promise(resolve => { setTimeout(resolve, REST_MS) })
  }

  /** The messages of a page, with what was received of the log beyond it. */
  #fresh ({ items, as_of }: MessagePage): Message[] {
    const later = this.log.after(as_of.seq) ?? []
    return items.map(item => later.reduce(fold, messageOfItem(item, as_of.seq)))
  }

  #replace (page: MessagePage, target: number | undefined): void {
    this.#messages = this.#fresh(page)
    this.#firstIndex = FIRST_INDEX
    this.#window++
    this.#target = target
    this.#hasOlder = target === undefined ? page.next !== null : page.items.length > 0
    this.#hasNewer = true
    if (target === undefined) this.#attach(page.as_of.seq)
  }

  /** The window is complete up to this seq: from there on what comes is appended. */
  #attach (asOf: number): void {
    const later = this.log.after(asOf)
    if (later === undefined) return // not all of it is held: the next page has it
    this.#hasNewer = false
    for (const event of later) if (event.type === 'message') this.#apply(event)
    for (const event of later) if (event.type !== 'message') this.#apply(event)
  }

  #cutOldest (beyond: number): void {
    const messages = this.#messages
    if (messages === undefined || messages.length <= beyond) return
    const cut = messages.length - WINDOW_KEPT
    messages.splice(0, cut)
    this.#firstIndex += cut
    this.#hasOlder = true
  }

  /** One load at a time; what fails is tried again when it is asked for again. */
  #load (load: () => Promise<void>, done?: () => void): void {
    const before = this.#loading
    const n = ++this.#loads
    this.#loading = (async () => {
      await before
      this.#failed = undefined
      try {
        await load()
        this.#error = undefined
        this.#keepSoon()
      } catch (error) {
        this.#error = error as MillraceError
        this.#failed = load
      } finally {
        done?.()
        if (this.#loads === n) this.#loading = undefined
        this.#flush()
      }
    })()
    this.#flush()
  }

  get isLoading (): boolean { return this.#loading !== undefined }

  /** The view is to be made anew: once for all that happens before it is shown. */
  #flush (): void { if (this.#isOpen) beforeTold(this.#show) }

  readonly #show = (): void => {
    if (this.isAtEnd && !this.#hasNewer) this.#cutOldest(WINDOW_MAX)
    const messages = this.#messages
    if (messages !== undefined) this.threads.met(messages, !this.#hasNewer)
    const context = this.#hasOlder && messages !== undefined && messages.length > 1
    const rows = messages === undefined ? [] : this.#rows.make(messages.map(message => this.outgoing.shown(message)), this.#hasNewer ? [] : this.outgoing.pending, context)
    const status = messages !== undefined ? 'ready' : this.#loading !== undefined ? 'loading' : this.#error !== undefined ? 'failed' : 'new'
    this.view.set({ status, error: this.#error, rows, firstIndex: this.#firstIndex + (context ? 1 : 0), window: this.#window, target: this.#target, hasOlder: this.#hasOlder, hasNewer: this.#hasNewer })
  }

  /** Keeps the newest messages for when there is no network. */
  #keepSoon (): void {
    if (this.#messages === undefined || this.#hasNewer) return
    this.#keeping ??= setTimeout(() => {
      this.#keeping = undefined
      this.keep()
    }, KEEP_MS)
  }

  keep (): void {
    const { position } = this.log
    if (this.#messages === undefined || this.#hasNewer || position === undefined) return
    const messages = this.#messages.slice(-MESSAGES_KEPT_MAX)
    void this.#deps.cache.keepRoom({ room_id: this.#deps.roomId, position, messages, has_older: this.#hasOlder || messages.length < this.#messages.length, at: Date.now() })
  }
}
