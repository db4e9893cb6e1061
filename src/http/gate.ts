/**
 * A gate before reads that move much data: a waiting line; who finds it full is answered with `busy`. Without it, a few hundred
 * clients that ask for large pages at once would hold up every message of this process for seconds (measured: 400 pages of
 * 1.6 MB, 3.4 s).
 */
import { reject } from '../domain/rejections.ts'
import { createWaitingLine } from '../waiting-line.ts'
import { Refusal } from './problems.ts'

const RETRY_MS = 1000

/** Runs a read when it is its turn. Throws Refusal `busy`. */
export type Gate = <T>(read: () => Promise<T>) => Promise<T>

/** @param inside reads at the same time · @param waiting reads that may stand behind them */
export function createGate ({ inside = 4, waiting = 256 }: { inside?: number, waiting?: number } = {}): Gate {
  const line = createWaitingLine({ inside, waiting, breathes: true }) // others have a turn of the loop between two large answers
  return async read => {
    const reading = line.enter(read)
    if (reading === undefined) throw new Refusal(reject('busy', 'The server is reading for others: try again', RETRY_MS))
    return await reading
  }
}
