/**
 * What `access.reading` said a moment ago: for frames that come often and append nothing (typing, marks). Whoever is put out of a
 * room is told of for as long as an answer is kept, and hears nothing by it. Bounded; answers that fail are not kept.
 */
import type { Access, Reading } from '../commands/access.ts'

const KEPT_MS = 3000
const KEPT_MAX = 10_000

export interface Readings {
  /** Throws LogFault. */
  reading: (roomId: string, userId: string) => Promise<Reading>
}

export function createReadings ({ access, clock }: { access: Access, clock: () => number }): Readings {
  const kept = new Map<string, { at: number, reading: Promise<Reading> }>()

  /** The oldest come first: what has passed its time goes, and what is too much. */
  function forget (now: number): void {
    for (const [key, { at }] of kept) {
      if (now - at < KEPT_MS && kept.size < KEPT_MAX) return
      kept.delete(key)
    }
  }

  return {
    async reading (roomId, userId) {
      const now = clock()
      forget(now)
      const key = `${roomId} ${userId}`
      const known = kept.get(key)
      if (known !== undefined) return await known.reading
      const answer = { at: now, reading: access.reading(roomId, userId) }
      kept.set(key, answer)
      answer.reading.catch(() => { if (kept.get(key) === answer) kept.delete(key) })
      return await answer.reading
    },
  }
}
