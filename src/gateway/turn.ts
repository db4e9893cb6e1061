/**
 * One turn of the event loop: what many callbacks have gathered is fanned out once, then written once.
 */
export interface Turn {
  /** Asks that the phases run at the end of this turn. */
  schedule: () => void
  /** Adds a phase; they run in the order in which they were added. */
  add: (phase: () => void) => void
}

export function createTurn (): Turn {
  const phases: Array<() => void> = []
  let scheduled = false
  const run = (): void => {
    scheduled = false
    for (const phase of phases) phase()
  }
  return {
    schedule () {
      if (scheduled) return
      scheduled = true
      setImmediate(run)
    },
    add (phase) { phases.push(phase) },
  }
}
