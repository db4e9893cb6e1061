/**
 * The events of one room as they come in: keeps its subscription alive, in order and without doubles, and gives each event to the
 * readers that have not had it.
 *
 *     off ─a reader comes─▶ asked ─sync─▶ catching up ─live─▶ live      a gap, another history, a head we are behind: asked again
 *      ▲                      ▲                                  │      from our position; `busy` and the like: after a while
 *      └─ the last one leaves │ room again ─── paused ◀─ a reader is full
 *                                              denied: refused for good, until the next connection or a join
 *
 * Frames of a subscription that was given up may still be on their way: nothing counts until the new one is acked. (In a hello nothing
 * needs an ack: the connection is new.) From there on an event is judged by its seq and chain alone.
 */
import { isRetried, MillraceError } from './error.ts'
import type { Claim, Frame, Position, Reset, RoomEvent } from './frames.ts'
import { backOffMs, type BackOff } from './machine.ts'
import { Place } from './place.ts'
import type { Reader } from './reader.ts'

/** Milliseconds without a sign of a subscription that was asked for, after which it is asked for again. */
const ASKED_MS = 5_000
/** Milliseconds that events have to arrive after a heartbeat or an ack that named their seq: they may be right behind it. */
const HEAD_GRACE_MS = 2_000

export type FeedStatus = 'off' | 'asked' | 'catching up' | 'live' | 'paused' | 'denied'

export interface FeedOptions {
  roomId: string
  /** Where an earlier page was. */
  stored: Claim | undefined
  send: (frame: Frame) => boolean
  nextRef: () => number
  backOff: BackOff
  random: () => number
  /** The status, or what is missing, changed. */
  onChange: () => void
  /** What follows `seq` is void. */
  onReset: (reset: Reset) => void
  onDenied: (error: MillraceError) => void
}

export class Feed {
  readonly #deps: FeedOptions
  readonly #readers = new Set<Reader>()
  /** Who begins somewhere while the others still wait to hear where "from now on" is. */
  readonly #late = new Set<Reader>()
  #place: Place
  /** Where we were when the subscription was taken back for a reader; until it has come there again. */
  #ahead: Place | undefined
  #status: FeedStatus = 'off'
  #target = 0
  #tries = 0
  /** Of the subscription that is asked for, until its ack; what comes before is of the one before. */
  #ref: number | undefined
  #timer: ReturnType<typeof setTimeout> | undefined
  #position: Position | undefined

  constructor (deps: FeedOptions) {
    this.#deps = deps
    this.#place = new Place(deps.stored)
    this.#position = this.#place.at
  }

  get status (): FeedStatus { return this.#status }
  /** How far the application has got: what everyone who follows has had. */
  get position (): Position | undefined { return this.#position }
  /** Whether it wants to be subscribed. */
  get isWanted (): boolean { return this.#readers.size > 0 && this.#status !== 'paused' && this.#status !== 'denied' }
  /** Events that are known to be missing. */
  get missing (): number { return this.#status === 'catching up' ? Math.max(0, this.#target - (this.#place.at?.seq ?? 0)) : 0 }

  /** The store was read: this is where an earlier page was. Before any reader comes. */
  restore (stored: Claim | undefined): void {
    if (stored === undefined || this.#place.at !== undefined) return
    this.#place = new Place(stored)
    this.#position = this.#place.at
  }

  /** What to keep of the position, for a later page. */
  kept (): Claim | undefined {
    const claim = (this.#ahead ?? this.#place).claim()
    return this.#position === undefined ? undefined : { ...this.#position, also: claim === undefined ? [] : [claim, ...claim.also ?? []].filter(({ seq }) => seq < this.#position!.seq).map(({ seq, chain }) => ({ seq, chain })) }
  }

  /** What to claim in a hello; undefined: there is no position yet, it must be subscribed. It counts as asked for then. */
  claim (alsoMax?: number): Claim | undefined {
    const claim = this.#place.claim(alsoMax)
    if (claim !== undefined) this.#asked()
    return claim
  }

  /** A reader comes. If it is behind, the subscription is taken back to it. */
  add (reader: Reader): void {
    const { at } = this.#place
    if (reader.at !== undefined && at === undefined && this.#readers.size > 0) return void this.#late.add(reader)
    this.#readers.add(reader)
    if (reader.at === undefined) reader.done = reader.at = at
    else if (at === undefined || this.#readers.size === 1 || reader.at.seq < at.seq) {
      if (this.#readers.size === 1) this.#ahead = undefined // nobody was further
      else if (at !== undefined) this.#ahead ??= this.#place
      this.#place = this.#placeAt(reader.at)
      this.#status = this.#status === 'paused' ? 'paused' : 'off'
    }
    if (this.#status === 'off' || this.#status === 'denied') this.subscribe()
    this.progress()
  }

  #addLate (): void {
    const late = [...this.#late]
    this.#late.clear()
    for (const reader of late) this.add(reader)
  }

  /** A place there, which remembers of the present one what lies before it. */
  #placeAt (position: Position): Place {
    const { at } = this.#place
    const known = at?.seq === position.seq && (position.chain === undefined || position.chain === at.chain)
    if (known) return this.#place
    const held = this.#place.claim()
    return new Place({ ...position, also: held === undefined ? [] : [held, ...held.also ?? []].map(({ seq, chain }) => ({ seq, chain })) })
  }

  remove (reader: Reader): void {
    if (this.#late.delete(reader)) return
    this.#readers.delete(reader)
    if (this.#readers.size > 0) return this.progress()
    if (this.#late.size > 0) return this.#addLate()
    clearTimeout(this.#timer)
    if (this.#status !== 'off' && this.#status !== 'denied') this.#deps.send({ type: 'unsubscribe', room_id: this.#deps.roomId })
    this.#ahead = undefined
    this.#become('off')
  }

  /** Asks for what follows the position, or for what comes from now on if there is none. */
  subscribe (): void {
    if (this.#status === 'paused' || this.#readers.size === 0) return
    const after = this.#place.claim()
    const ref = this.#deps.nextRef()
    if (!this.#deps.send({ type: 'subscribe', room_id: this.#deps.roomId, after, ref })) return this.#become('off')
    this.#asked(ref)
  }

  /** The connection is gone: nothing is subscribed. */
  lost (): void {
    clearTimeout(this.#timer)
    this.#tries = 0
    if (this.#status !== 'paused') this.#become('off')
  }

  /** A reader has got on, or has room again. */
  progress (): void {
    this.#note()
    if (this.#status === 'paused' && [...this.#readers].every(({ hasRoom }) => hasRoom)) {
      this.#status = 'off'
      this.subscribe()
    }
  }

  /** A heartbeat names the head, or an ack a place. */
  head (seq: number): void {
    if (this.#status !== 'live' || seq <= (this.#place.at?.seq ?? seq)) return
    this.#again(HEAD_GRACE_MS, () => this.#status === 'live' && seq > (this.#place.at?.seq ?? seq))
  }

  /** Takes a frame about the room's subscription, or an event. */
  onFrame (frame: Frame): void {
    if (this.#readers.size === 0 || this.#status === 'paused' || this.#status === 'off') return
    if (frame.type === 'ack' ? frame.ref !== this.#ref : frame.type !== 'error' && this.#ref !== undefined) return
    switch (frame.type) {
      case 'sync':
        this.#target = frame.to
        this.#wait()
        return this.#become('catching up')
      case 'live': return this.#live(frame as unknown as RoomEvent)
      case 'reset': return this.#reset(frame as unknown as Reset)
      case 'ack': return this.#begin(frame)
      case 'error': return this.#refused(frame)
      default: return this.#event(frame as unknown as RoomEvent)
    }
  }

  #event (event: RoomEvent): void {
    const verdict = this.#place.judge(event)
    if (verdict === 'gap' || verdict === 'parted') return this.#renew()
    if (verdict === 'known') return
    this.#place.advance(event)
    this.#join(event)
    for (const reader of this.#readers) {
      if (reader.at === undefined || event.seq > reader.at.seq) reader.take(event)
    }
    this.#note()
    if (this.#status === 'catching up') {
      this.#wait()
      this.#deps.onChange()
    }
    if ([...this.#readers].some(({ isFull }) => isFull)) this.#pause()
  }

  /** We have come to where we were before, or to the head: is that of the same history? */
  #join (at: Position, isHead = false): void {
    const ahead = this.#ahead
    if (ahead?.at === undefined || (at.seq < ahead.at.seq && !isHead)) return
    this.#ahead = undefined
    if (at.seq > ahead.at.seq) return // it was skipped
    this.#place = ahead
    if (at.seq < ahead.at.seq || ahead.judge(at) === 'parted') this.subscribe() // the server finds out where they part
  }

  #live (at: RoomEvent): void {
    if (this.#place.judge(at, 'live') !== 'known') return this.#renew()
    clearTimeout(this.#timer)
    this.#tries = 0
    this.#become('live')
    this.#join(at, true)
  }

  /** The subscription stands; one without a position begins where the ack says. */
  #begin ({ seq, chain }: Frame): void {
    this.#ref = undefined
    if (this.#place.at !== undefined) return
    this.#place.reset({ seq, chain })
    for (const reader of this.#readers) reader.at = reader.done ??= { seq, chain }
    this.#addLate()
    this.#note()
  }

  #reset (reset: Reset): void {
    const back = reset.seq < (this.#place.at?.seq ?? 0)
    if (!back && reset.reason === 'parted' && reset.seq > (this.#place.at?.seq ?? reset.seq)) return this.#renew() // what lies between is ours, and was lost on the way
    if (back) this.#ahead = undefined
    this.#place.reset(reset)
    for (const reader of this.#readers) {
      if (reader.at === undefined || (back ? reader.at.seq > reset.seq : reader.at.seq < reset.seq)) reader.reset(reset)
    }
    if (back || this.#ahead === undefined) this.#deps.onReset(reset)
    if (!back && this.#ahead !== undefined) this.#join(reset)
    if (back && this.#position !== undefined && this.#position.seq > reset.seq) this.#position = reset
    this.#note()
    this.#deps.onChange()
  }

  #refused ({ code, message, retry_after_ms, ref }: Frame): void {
    if (ref !== this.#ref) return // of a subscription that was asked for anew meanwhile
    this.#ref = undefined
    if (isRetried(code)) {
      this.#again(backOffMs(this.#tries++, this.#deps.random, this.#deps.backOff, retry_after_ms))
      return this.#become('asked')
    }
    clearTimeout(this.#timer)
    this.#become('denied')
    const error = new MillraceError(code, message)
    this.#deps.onDenied(error)
    for (const reader of [...this.#readers, ...this.#late]) reader.fail(error)
  }

  #pause (): void {
    clearTimeout(this.#timer)
    this.#deps.send({ type: 'unsubscribe', room_id: this.#deps.roomId })
    this.#become('paused')
  }

  /** Something is missing: from the position on once more. At once the first time, then not in a hurry. */
  #renew (): void {
    if (this.#status === 'asked') return // what comes until then is of the one given up
    if (this.#tries++ === 0) return this.subscribe()
    this.#become('asked')
    this.#again(backOffMs(Math.min(this.#tries, 6), this.#deps.random, { ...this.#deps.backOff, baseMs: 10 }))
  }

  #asked (ref?: number): void {
    this.#ref = ref
    this.#wait()
    this.#become('asked')
  }

  /** If no sign of it comes, it is asked for again: the frame, or the answer, was lost. */
  #wait (): void {
    this.#again(ASKED_MS, () => this.#status === 'asked' || this.#status === 'catching up')
  }

  #again (ms: number, wanted: () => boolean = () => true): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => { if (wanted()) this.subscribe() }, ms)
  }

  #become (status: FeedStatus): void {
    if (this.#status === status) return
    this.#status = status
    this.#deps.onChange()
  }

  /** Settles how far the application has got. */
  #note (): void {
    const readers = [...this.#readers].filter(({ done }) => done !== undefined)
    const following = readers.filter(({ follows }) => follows)
    const lowest = (following.length > 0 ? following : readers).reduce<Position | undefined>((low, { done }) => low === undefined || done!.seq < low.seq ? done : low, undefined)
    if (lowest === undefined || (following.length === 0 && lowest.seq <= (this.#position?.seq ?? -1)) || lowest.seq === this.#position?.seq) return
    this.#position = { seq: lowest.seq, chain: lowest.chain }
    this.#deps.onChange()
  }
}
