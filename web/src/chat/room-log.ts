/**
 * The newest part of a room's log as this page received it: each event with where it came from, and what the server said of the
 * subscription (catch-ups, resets). For the inspector, and to lay over a page of history what came while it was fetched.
 */
import type { Reset, RoomEvent } from 'millrace/client'
import type { Position } from '../api/types.ts'
import { beforeTold, Observable } from './observable.ts'

/** Events that are kept of a room. */
export const EVENTS_KEPT_MAX = 500
/** Catch-ups and resets that are kept. */
const NOTES_KEPT_MAX = 50

/** Where an event came from: a catch-up from the log or the archive, live, or read over HTTP. */
export type Source = 'log' | 'archive' | 'live' | 'http'
export interface Entry { readonly event: RoomEvent, readonly source: Source }
export interface CatchUp { readonly from: number, readonly to: number, readonly source: 'log' | 'archive', readonly live?: number, readonly at: number }

export interface RoomLogView {
  readonly entries: readonly Entry[]
  readonly position: Position | undefined
  /** The newest seq that the server has named. */
  readonly head: number
  readonly catchUps: readonly CatchUp[]
  readonly resets: ReadonlyArray<Reset & { readonly at: number }>
}

export class RoomLog {
  readonly view = new Observable<RoomLogView>({ entries: [], position: undefined, head: 0, catchUps: [], resets: [] })
  #entries: Entry[] = []
  #position: Position | undefined
  #head = 0
  #catchUps: readonly CatchUp[] = []
  #resets: ReadonlyArray<Reset & { readonly at: number }> = []

  get position (): Position | undefined { return this.#position }

  /** It begins here. */
  begin (position: Position, head: number): void {
    this.#position = position
    this.named(Math.max(head, position.seq))
  }

  /** The server has named this seq. */
  named (head: number): void {
    this.#head = Math.max(head, this.#head)
    this.#tell()
  }

  add (event: RoomEvent): void {
    this.#entries.push({ event, source: this.#sourceOf(event.seq) })
    if (this.#entries.length > EVENTS_KEPT_MAX * 2) this.#entries = this.#entries.slice(-EVENTS_KEPT_MAX)
    this.#position = { seq: event.seq, chain: event.chain }
    this.named(event.seq)
  }

  sync ({ from, to, source }: { from: number, to: number, source: 'log' | 'archive' }): void {
    if (to > from) this.#catchUps = [...this.#catchUps.slice(1 - NOTES_KEPT_MAX), { from, to, source, at: Date.now() }] // else there is nothing to catch up
    this.named(to)
  }

  live ({ seq }: { seq: number }): void {
    const last = this.#catchUps.at(-1)
    if (last !== undefined && last.live === undefined) this.#catchUps = [...this.#catchUps.slice(0, -1), { ...last, live: seq }]
    this.named(seq)
  }

  reset (reset: Reset): void {
    this.#entries = this.#entries.filter(({ event }) => event.seq <= reset.seq)
    this.#position = { seq: reset.seq, chain: reset.chain }
    this.#head = reset.seq
    this.#resets = [...this.#resets.slice(1 - NOTES_KEPT_MAX), { ...reset, at: Date.now() }]
    this.#tell()
  }

  /** What came after `seq`; undefined if not all of it is held any more. */
  after (seq: number): readonly RoomEvent[] | undefined {
    if (this.#position === undefined || this.#position.seq <= seq) return []
    const events = this.#entries.map(({ event }) => event).filter(event => event.seq > seq)
    return events[0]?.seq === seq + 1 ? events : undefined
  }

  #sourceOf (seq: number): Source {
    const catchUp = this.#catchUps.findLast(({ from, live }) => seq > from && (live === undefined || seq <= live))
    return catchUp?.source ?? 'live'
  }

  /** Many events in a row are one change of the view. */
  #tell (): void { beforeTold(this.#show) }

  readonly #show = (): void => { this.view.set({ entries: this.#entries.slice(-EVENTS_KEPT_MAX), position: this.#position, head: this.#head, catchUps: this.#catchUps, resets: this.#resets }) }
}
