/**
 * What the tail remembers of a room's history: the chains of the last 256 seqs, and of the last multiple of each larger power
 * of two. Enough to find, after a loss, a common position not much older than the newest one, in bounded memory.
 */
import { START, type Position } from '../domain/position.ts'

const RECENT = 256
const FIRST_POWER = 8 // 2^8 = RECENT

export interface Trace {
  /** Notes the chain at the next seq. */
  add: (seq: number, chain: string) => void
  chainAt: (seq: number) => string | undefined
  /** All that is remembered, newest first. */
  positions: () => Position[]
  /** Forgets what lies beyond `seq`. */
  cut: (seq: number) => void
}

/** Begins a trace at `from`. */
export function createTrace (from: Position): Trace {
  let recent = new Map<number, string>()
  let milestones = new Map<number, Position>() // power → position

  const add = (seq: number, chain: string): void => {
    recent.set(seq, chain)
    recent.delete(seq - RECENT)
    for (let power = FIRST_POWER; seq % 2 ** power === 0; power++) milestones.set(power, { seq, chain })
  }
  if (from.seq > 0) recent.set(from.seq, from.chain)

  return {
    add,
    chainAt: seq => seq === 0 ? START.chain : recent.get(seq) ?? [...milestones.values()].find(position => position.seq === seq)?.chain,
    positions () {
      const all = new Map<number, Position>()
      for (const [seq, chain] of recent) all.set(seq, { seq, chain })
      for (const position of milestones.values()) all.set(position.seq, position)
      return [...all.values()].sort((a, b) => b.seq - a.seq)
    },
    cut (seq) {
      recent = new Map([...recent].filter(([at]) => at <= seq))
      milestones = new Map([...milestones].filter(([, position]) => position.seq <= seq))
    },
  }
}
