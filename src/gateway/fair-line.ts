/**
 * A fair line: work is done in pieces, at most `inside` at the same time, round-robin between parties (connections). So a party with
 * two thousand things to do is served no sooner than one with a single thing, and one that waits for its client holds no place.
 * Of one party at most `eachUnderWay` things are begun and not done; at most `waiting` stand behind those of all parties [G7].
 */
export type Next =
  /** All is done. */
  | 'done'
  /** There is more to do: as soon as it is this party's turn again. */
  | 'again'
  /** There is more to do, once this has come about. Meanwhile it has no place inside. */
  | { readonly until: Promise<unknown> }

/** Does the next piece. Never throws. */
export type Piece = () => Promise<Next>

export interface FairLine<P extends object> {
  /** Has the pieces done, when it is their turn. False if there is no room to wait: nothing will be done. */
  enter: (party: P, piece: Piece) => boolean
  /** What has not begun will not, and what has begun ends with the piece that is being done. */
  leave: (party: P) => void
  /** `begun`: not done yet, inside or waiting for something. */
  stats: () => { inside: number, begun: number, waiting: number }
}

interface Queues<P> {
  readonly party: P
  waiting: Piece[]
  /** Begun, and ready for their next piece. */
  ready: Piece[]
  underWay: number
  /** Whether it stands in the rotation. */
  listed: boolean
  gone: boolean
}

export function createFairLine<P extends object> ({ inside: insideMax, eachUnderWay, waiting: waitingMax }: { inside: number, eachUnderWay: number, waiting: number }): FairLine<P> {
  const parties = new Map<P, Queues<P>>()
  /** Parties that have something to do now, in the order of their turns. */
  let rotation: Array<Queues<P>> = []
  let inside = 0
  let waiting = 0

  const hasWork = ({ ready, waiting, underWay }: Queues<P>): boolean => ready.length > 0 || (waiting.length > 0 && underWay < eachUnderWay)

  function list (queues: Queues<P>): void {
    if (queues.listed || queues.gone || !hasWork(queues)) return
    queues.listed = true
    rotation.push(queues)
  }

  function begin (queues: Queues<P>): Piece {
    queues.underWay += 1
    waiting -= 1
    return queues.waiting.shift()!
  }

  function serve (): void {
    while (inside < insideMax) {
      const queues = rotation.shift()
      if (queues === undefined) return
      queues.listed = false
      if (queues.gone) continue
      const piece = queues.ready.shift() ?? begin(queues)
      list(queues)
      inside += 1
      void piece().then(next => {
        inside -= 1
        settle(queues, piece, next)
        serve()
      })
    }
  }

  function settle (queues: Queues<P>, piece: Piece, next: Next): void {
    if (next === 'done') queues.underWay -= 1
    else if (next === 'again') queues.ready.push(piece)
    else {
      const goOn = (): void => {
        queues.ready.push(piece)
        list(queues)
        serve()
      }
      next.until.then(goOn, goOn)
    }
    list(queues)
    if (queues.underWay === 0 && queues.waiting.length === 0 && !queues.gone) parties.delete(queues.party)
  }

  return {
    enter (party, piece) {
      let queues = parties.get(party)
      const beginsNow = inside < insideMax && (queues?.underWay ?? 0) < eachUnderWay
      if (waiting >= waitingMax && !beginsNow) return false
      if (queues === undefined) parties.set(party, queues = { party, waiting: [], ready: [], underWay: 0, listed: false, gone: false })
      queues.waiting.push(piece)
      waiting += 1
      list(queues)
      serve()
      return true
    },

    leave (party) {
      const queues = parties.get(party)
      if (queues === undefined) return
      parties.delete(party)
      queues.gone = true
      waiting -= queues.waiting.length
      queues.waiting = []
      queues.ready = []
      if (queues.listed) rotation = rotation.filter(listed => listed !== queues)
    },

    stats: () => ({ inside, begun: [...parties.values()].reduce((sum, { underWay }) => sum + underWay, 0), waiting }),
  }
}
