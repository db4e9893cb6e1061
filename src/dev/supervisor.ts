/**
 * Keeps one part of `npm start` alive: when its process ends by itself, it is started again, with back-off and a line.
 *
 * The first start is the caller's, whose failure ends everything; later ones are tried for ever, since what the part needs may
 * be coming back too. Stopping ends the part, or the start that is under way, and starts nothing more.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { reason } from './start-error.ts'

/** A server or a child. */
export interface Part {
  readonly exited: Promise<void>
  stop (): Promise<void>
}

export interface SupervisorOptions<T extends Part> {
  name: string
  first: T
  /** Starts it again, in the place of `last`. Must end soon when `signal` is aborted, and leave no process then. */
  start: (last: T, signal: AbortSignal) => Promise<T>
  log: (line: string) => void
  backoffMs?: { first: number, most: number }
}

/** A part that lived this long begins with the shortest back-off again. */
const STEADY_MS = 30_000

export interface Supervised<T> { readonly current: T, stop (): Promise<void> }

export function supervise<T extends Part> ({ name, first, start, log, backoffMs = { first: 250, most: 10_000 } }: SupervisorOptions<T>): Supervised<T> {
  const stopping = new AbortController()
  const { signal } = stopping
  const stopped = new Promise<void>(resolve => signal.addEventListener('abort', () => resolve(), { once: true }))
  let current = first
  const done = keep()

  async function keep (): Promise<void> {
    let wait = backoffMs.first
    for (;;) {
      const since = performance.now()
      await Promise.race([current.exited, stopped])
      if (signal.aborted) return await current.stop()
      if (performance.now() - since >= STEADY_MS) wait = backoffMs.first
      log(`${name} ended by itself: starting it again`)
      let again: T | undefined
      while (again === undefined) {
        await sleep(wait, undefined, { signal }).catch(() => {}) // aborted: seen in the next line
        if (signal.aborted) return
        wait = Math.min(wait * 2, backoffMs.most)
        try {
          again = await start(current, signal)
        } catch (error) {
          if (!signal.aborted) log(`${name} could not be started${reason(error) === '' ? '' : ` (${reason(error)})`}: trying again in ${wait / 1000} s`)
        }
      }
      current = again
      log(`${name} is back`)
    }
  }

  return {
    get current () { return current },
    async stop () {
      stopping.abort()
      await done
    },
  }
}
