/**
 * The positions of all rooms in the store, written a little later than they move: after a crash a few events come again, none is
 * missing. Tabs that share a store share the positions: the furthest stands, except that a reset takes back what no longer stands.
 */
import type { Claim } from './frames.ts'
import type { Store } from './store.ts'

/** Milliseconds over which moves are collected. */
const WRITE_MS = 300
/** Rooms of which the position is kept; of more, those that moved last. */
export const POSITIONS_KEPT_MAX = 2_000

export interface Positions {
  /** All that are stored, by room. Forgets those beyond the limit. */
  load: () => Promise<Map<string, Claim>>
  /** The position moved; `back`: by a reset. `claim` is asked when it is written. */
  moved: (roomId: string, claim: () => Claim | undefined, back?: boolean) => void
  /** Writes what is not written yet. */
  flush: () => Promise<void>
}

type Kept = Claim & { readonly t: number }

export function createPositions ({ store, onFault }: { store: Store, onFault: (error: unknown) => void }): Positions {
  const dirty = new Map<string, { claim: () => Claim | undefined, back: boolean }>()
  let timer: ReturnType<typeof setTimeout> | undefined
  let writing: Promise<void> = Promise.resolve()

  async function write (roomId: string, claim: Claim | undefined, back: boolean): Promise<void> {
    if (claim === undefined) return
    const key = `at:${roomId}`
    const stored = await store.get(key)
    if (!back && stored !== undefined && (JSON.parse(stored) as Kept).seq > claim.seq) return
    await store.set(key, JSON.stringify({ ...claim, t: Date.now() }))
  }

  async function flush (): Promise<void> {
    clearTimeout(timer)
    timer = undefined
    const moved = [...dirty]
    dirty.clear()
    writing = writing.then(async () => { for (const [roomId, { claim, back }] of moved) await write(roomId, claim(), back) }).catch(onFault)
    await writing
  }

  return {
    async load () {
      const kept = (await store.list('at:')).map(([key, value]): [string, Kept] => [key.slice(3), JSON.parse(value)]).sort((a, b) => b[1].t - a[1].t)
      for (const [roomId] of kept.slice(POSITIONS_KEPT_MAX)) await store.delete(`at:${roomId}`)
      return new Map(kept.slice(0, POSITIONS_KEPT_MAX))
    },
    moved (roomId, claim, back = false) {
      dirty.set(roomId, { claim, back: back || dirty.get(roomId)?.back === true })
      timer ??= setTimeout(() => { void flush() }, WRITE_MS)
    },
    flush,
  }
}
