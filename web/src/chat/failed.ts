/** Messages that were refused, per room, until they are sent again or discarded: over reloads of the page. */
import { MillraceError } from 'millrace/client'
import type { Pending } from './outgoing.ts'

const PREFIX = 'millrace-failed:'
/** Messages that are kept of a room, the newest. */
const KEPT_MAX = 20

interface Kept extends Omit<Pending, 'error' | 'state'> { readonly code: string, readonly message: string }

export interface Failed {
  get: () => readonly Pending[]
  set: (pending: readonly Pending[]) => void
}

export function failedOf (userId: string, roomId: string): Failed {
  const key = `${PREFIX}${userId}:${roomId}`
  return {
    get () {
      try {
        const kept = JSON.parse(localStorage.getItem(key) ?? '[]') as Kept[]
        return kept.map(({ code, message, ...rest }) => ({ ...rest, state: 'failed', error: new MillraceError(code, message) }))
      } catch {
        return []
      }
    },
    set (pending) {
      const kept = pending.filter(({ state }) => state === 'failed').slice(-KEPT_MAX).map(({ error, state, ...rest }): Kept => ({ ...rest, code: error?.code ?? 'internal', message: error?.message ?? 'refused' }))
      try {
        if (kept.length > 0) localStorage.setItem(key, JSON.stringify(kept))
        else if (localStorage.getItem(key) !== null) localStorage.removeItem(key)
      } catch {} // no room left: what is on the page is still there
    },
  }
}

/** Of all rooms: nothing of the user stays in the browser. */
export function clearFailed (userId: string): void {
  for (const key of Object.keys(localStorage)) if (key.startsWith(`${PREFIX}${userId}:`)) localStorage.removeItem(key)
}
