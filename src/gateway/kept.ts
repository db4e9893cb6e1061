/**
 * What came into a room after its last subscriber here had left: whoever comes back within a moment, as after a lost connection, is
 * served from it, without a read of the log. Bounded in events and bytes, for each room and for all of them: where there is more,
 * the log is read, as it would be otherwise.
 */
import type { Position } from '../domain/position.ts'

/** Of one room. A client that missed more takes longer anyway. */
const EVENTS_MAX = 256
const BYTES_MAX = 131_072
/** Of all rooms of this process. */
const ALL_BYTES_MAX = 16_777_216

export interface KeptEvent extends Position { readonly frame: Buffer }

let allBytes = 0

export class Kept {
  #from: Position
  #events: KeptEvent[] = []
  #bytes = 0

  /** @param from the place after which everything is kept */
  constructor (from: Position) {
    this.#from = from
  }

  /** The next event. False: it does not fit. */
  add (event: KeptEvent): boolean {
    const { length } = event.frame
    if (this.#events.length >= EVENTS_MAX || this.#bytes + length > BYTES_MAX || allBytes + length > ALL_BYTES_MAX) return false
    this.#events.push(event)
    this.#bytes += length
    allBytes += length
    return true
  }

  /** Forgets everything, and keeps what comes after `from`. */
  restart (from: Position): void {
    allBytes -= this.#bytes
    this.#bytes = 0
    this.#events = []
    this.#from = from
  }

  /** At most `limit` events after `position`; undefined if that is not a place from which on everything is kept. */
  after (position: Position, limit: number): KeptEvent[] | undefined {
    const begin = position.seq - this.#from.seq
    const at = begin === 0 ? this.#from : this.#events[begin - 1]
    return at?.chain === position.chain ? this.#events.slice(begin, begin + limit) : undefined
  }
}
