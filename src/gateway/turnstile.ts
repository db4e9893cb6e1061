/** Lets at most `inside` tasks run at the same time, in the order they came; at most `waiting` stand behind them. */
export interface Turnstile {
  /** False if there is no room to wait: the task will not run. Tasks must not throw. */
  enter: (task: () => Promise<void>) => boolean
}

export function createTurnstile ({ inside, waiting }: { inside: number, waiting: number }): Turnstile {
  const queue: Array<() => Promise<void>> = []
  let running = 0

  function next (): void {
    while (running < inside) {
      const task = queue.shift()
      if (task === undefined) return
      running += 1
      void task().finally(() => {
        running -= 1
        next()
      })
    }
  }

  return {
    enter (task) {
      if (queue.length >= waiting) return false
      queue.push(task)
      next()
      return true
    },
  }
}
