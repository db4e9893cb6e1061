/**
 * What a process opens, it closes: in the reverse order, once, within a deadline.
 *
 *     const life = createLifecycle({ log, deadlineMs: config.DRAIN_MS })
 *     const pool = await life.open('postgres', async () => await openPool(config), async pool => { await pool.end() })
 *     …
 *     await life.close()
 *
 * Closing goes on past a closer that fails or hangs: each is logged, and after the deadline the rest are not waited for. Does
 * not catch signals and does not exit: the entry does.
 */
/** The two lines of a pino logger that are used here. */
export interface LifecycleLog {
  debug (facts: object, message: string): void
  error (facts: object, message: string): void
}

export interface Lifecycle {
  /**
   * Runs `open` and remembers to run `close` on what it gave. When `open` throws, nothing is remembered and the error goes on
   * to the caller, who then calls `close()` for what was opened before. After `close()` began it throws: it opens nothing more, and what
   * was being opened just then is closed with the rest.
   */
  open<T> (name: string, open: () => T | Promise<T>, close?: (opened: T) => unknown): Promise<T>
  /** Closes everything, last opened first. Never throws. A second call gives the first one's promise. False: not all closed cleanly and in time. */
  close (): Promise<boolean>
  /** Aborted when closing begins: for loops and waits that should end then. */
  readonly signal: AbortSignal
}

/** `deadlineMs` is for all of `close()` together. */
export function createLifecycle ({ log, deadlineMs }: { log: LifecycleLog, deadlineMs: number }): Lifecycle {
  const opened: Part[] = []
  const opening = new Set<Promise<unknown>>()
  const closing = new AbortController()
  let closed: Promise<boolean> | undefined

  async function closeAll (): Promise<boolean> {
    closing.abort()
    const end = performance.now() + deadlineMs
    let clean = await within(Promise.allSettled(opening), end)
    if (!clean) log.error({ deadline_ms: deadlineMs }, 'what was being opened did not end within the deadline')
    for (let part = opened.pop(); part !== undefined; part = opened.pop()) {
      clean = await closeOne(part, end) && clean
    }
    return clean
  }

  async function closeOne ({ name, close }: Part, end: number): Promise<boolean> {
    try {
      // Begun even after the deadline, so that it can do what needs no waiting: shut a socket, end a timer.
      const inTime = await within((async () => { await close() })(), end)
      if (inTime) log.debug({ part: name }, 'closed')
      else log.error({ part: name, deadline_ms: deadlineMs }, 'not closed within the deadline')
      return inTime
    } catch (error) {
      log.error({ part: name, err: error }, 'closing failed')
      return false
    }
  }

  return {
    async open (name, open, close = () => {}) {
      if (closing.signal.aborted) throw new Error(`${name} is not opened: this process is stopping`)
      const attempt = (async () => await open())()
      const settled = attempt.then(value => { opened.push({ name, close: () => close(value) }) }, () => {})
      opening.add(settled)
      try {
        const value = await attempt
        await settled
        if (closing.signal.aborted) throw new Error(`${name} is closed again: this process is stopping`)
        log.debug({ part: name }, 'opened')
        return value
      } finally {
        opening.delete(settled)
      }
    },
    async close () {
      return await (closed ??= closeAll())
    },
    signal: closing.signal,
  }
}

interface Part { readonly name: string, readonly close: () => unknown }

/** True when it settles well before `end`, false at `end`. The timer holds the process: with nothing else to do, Node would leave here. */
async function within (promise: Promise<unknown>, end: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined
  try {
    const late = new Promise<false>(resolve => { timer = setTimeout(resolve, Math.max(0, end - performance.now()), false) })
    return await Promise.race([promise.then(() => true), late])
  } finally {
    clearTimeout(timer)
  }
}
