/** Listeners by name. One that throws does not keep the others, or the client, from going on: its error surfaces on its own. */

export interface Emitter<Events> {
  /** Calls `fn` with everything emitted under `name` from now on; returns what ends that. */
  on: <N extends keyof Events> (name: N, fn: (value: Events[N]) => void) => () => void
  emit: <N extends keyof Events> (name: N, value: Events[N]) => void
  /** How many listeners there are, of one name or of all. */
  count: (name?: keyof Events) => number
}

/** @param onChange told when listeners came or went */
export function createEmitter<Events> (onChange: () => void = () => {}): Emitter<Events> {
  const listeners = new Map<keyof Events, Set<(value: any) => void>>()
  return {
    on (name, fn) {
      const mine = (value: Events[typeof name]): void => { fn(value) } // so that the same function may listen twice
      const named = listeners.get(name) ?? new Set()
      listeners.set(name, named.add(mine))
      onChange()
      return () => {
        if (named.delete(mine)) onChange()
      }
    },
    emit (name, value) {
      for (const fn of [...listeners.get(name) ?? []]) {
        try {
          fn(value)
        } catch (error) {
          setTimeout(() => { throw error })
        }
      }
    },
    count: name => name === undefined ? [...listeners.values()].reduce((sum, { size }) => sum + size, 0) : listeners.get(name)?.size ?? 0,
  }
}
