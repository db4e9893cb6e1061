/**
 * Where a client is in one room's log: says of each event whether it is the next one, known, beyond a gap, or of another history,
 * and keeps older positions, the further back the fewer, so that after a loss the server finds the newest one that both share. Pure.
 */
import type { Claim, Position } from './frames.ts'

/** Positions right behind the newest that are all kept; behind them about one per power of two. */
const NEAR = 8
/** Positions held before they are thinned out. */
const HELD_MAX = 64
/** Older positions that a claim may name; the server takes at most 64. */
export const ALSO_MAX = 32

export type Verdict = 'next' | 'known' | 'gap' | 'parted'

export class Place {
  /** Oldest first; the last one is where we are. Empty: we take the log up wherever it comes. */
  #held: Position[]

  constructor ({ seq, chain, also = [] }: Partial<Claim> = {}) {
    this.#held = seq === undefined ? [] : [...also.filter(older => older.seq < seq).sort((a, b) => a.seq - b.seq), { seq, chain }]
  }

  /** Undefined as long as nothing is known of the room. */
  get at (): Position | undefined { return this.#held.at(-1) }

  /** What this event, or the server's word that it has nothing more, is to us. Only `advance` and `reset` move. */
  judge ({ seq, chain }: Position, what: 'event' | 'live' = 'event'): Verdict {
    const { at } = this
    if (at === undefined) return 'next'
    if (seq > at.seq) return seq === at.seq + 1 && what === 'event' ? 'next' : 'gap'
    const held = this.#held.findLast(position => position.seq === seq)
    return held?.chain !== undefined && chain !== undefined && held.chain !== chain ? 'parted' : 'known'
  }

  advance ({ seq, chain }: Position): void {
    this.#held.push({ seq, chain })
    if (this.#held.length > HELD_MAX) this.#held = thinned(this.#held)
  }

  /** Takes this as the position, back or ahead; what is held at or beyond it is forgotten. */
  reset ({ seq, chain }: Position): void {
    this.#held = this.#held.filter(position => position.seq < seq)
    this.#held.push({ seq, chain })
  }

  /** The position with at most `alsoMax` older ones, as far apart as they can be; undefined if there is none. */
  claim (alsoMax = ALSO_MAX): Claim | undefined {
    const { at } = this
    if (at === undefined) return undefined
    const older = thinned(this.#held).slice(0, -1).reverse().filter(({ chain }) => chain !== undefined)
    const every = Math.max(1, Math.ceil(older.length / Math.max(1, alsoMax)))
    const also = older.filter((_, i) => i % every === 0).slice(0, alsoMax)
    return also.length === 0 ? { ...at } : { ...at, also }
  }
}

/**
 * Of each distance 2^k to 2^(k+1) behind the newest, the oldest stays: it is the one that grows into the next distance, so that
 * none runs empty. (Keeping the newest would leave nothing old: each would be replaced before it gets that far.)
 */
function thinned (held: readonly Position[]): Position[] {
  const head = held.at(-1)?.seq ?? 0
  let last = -1
  return held.filter(({ seq }) => {
    if (head - seq < NEAR) return true
    const distance = Math.floor(Math.log2(head - seq))
    const first = distance !== last
    last = distance
    return first
  })
}
