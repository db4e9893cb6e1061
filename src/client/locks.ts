/**
 * Mutual exclusion between the tabs of an origin, by the Web Locks API: a lock ends with the tab that holds it, whatever ends the
 * tab. Where there is none (Node before 24.5, pages without TLS), it is among the clients of this process only.
 */

interface Locks { request: (name: string, options: { ifAvailable?: boolean }, run: (lock: unknown) => Promise<unknown>) => Promise<unknown> }

const running = new Map<string, Promise<unknown>>()
const held = new Set<string>()

function webLocks (): Locks | undefined {
  return (globalThis as unknown as { navigator?: { locks?: Locks } }).navigator?.locks
}

/** Runs `work` when nobody else runs under this name. */
export async function withLock<T> (name: string, work: () => Promise<T>): Promise<T> {
  const locks = webLocks()
  if (locks !== undefined) return await locks.request(name, {}, work) as T
  const mine = (running.get(name) ?? Promise.resolve()).catch(() => {}).then(work)
  running.set(name, mine)
  try {
    return await mine
  } finally {
    if (running.get(name) === mine) running.delete(name)
  }
}

/** Holds the lock until the returned function is called, or the tab is gone. */
export function hold (name: string): () => void {
  held.add(name)
  let release = (): void => {}
  const released = new Promise<void>(resolve => { release = resolve })
  webLocks()?.request(name, {}, async () => { await released }).catch(() => {}) // refused in a page that is going away
  return () => {
    held.delete(name)
    release()
  }
}

/** Runs `work` if nobody holds the lock, and nobody can take it meanwhile. */
export async function ifFree (name: string, work: () => Promise<void>): Promise<void> {
  if (held.has(name)) return
  const locks = webLocks()
  if (locks === undefined) return await work()
  await locks.request(name, { ifAvailable: true }, async lock => { if (lock !== null) await work() })
}
