/**
 * A waiting line: lets at most `inside` pieces of work run at the same time, in the order they came; at most `waiting` stand
 * behind them, and who comes then is turned away at once. It stands before whatever many may ask for at the same time and only a
 * few can have: look-ups, large reads, password hashes [G7]. (Catch-ups stand in a line of their own: `gateway/fair-line.ts`.)
 */
export interface WaitingLine {
  /**
   * Runs the work when it is its turn (at once, before this returns, where there is room inside) and gives what it gave or
   * threw. Undefined if there is no room to wait: the work will not run.
   */
  enter: <T>(work: () => Promise<T>) => Promise<T> | undefined
  stats: () => { running: number, waiting: number }
}

/** @param breathes leave the others a turn of the loop between one piece of work and the next: for work that keeps the processor busy */
export function createWaitingLine ({ inside, waiting, breathes = false }: { inside: number, waiting: number, breathes?: boolean }): WaitingLine {
  const queue: Array<() => void> = []
  let running = 0

  /** Whoever ends hands its place on, so that nobody who comes in between takes it. */
  function leave (): void {
    const next = queue.shift()
    if (next === undefined) running -= 1
    else if (breathes) setImmediate(next)
    else next()
  }

  async function run<T> (work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } finally {
      leave()
    }
  }

  return {
    enter<T> (work: () => Promise<T>) {
      if (running < inside) {
        running += 1
        return run(work)
      }
      if (queue.length >= waiting) return undefined
      return new Promise<T>((resolve, reject) => { queue.push(() => { run(work).then(resolve, reject) }) })
    },
    stats: () => ({ running, waiting: queue.length }),
  }
}
