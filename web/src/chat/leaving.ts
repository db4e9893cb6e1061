/**
 * Sessions that were left without a connection: they are ended at the server once there is one. Until then stands a mark of each where its refresh
 * token is: beside the browser's cookie, or in the tab's own storage with the token, which serves nothing else any more. Nobody signs in before that,
 * or the cookie of the next one would be taken for it.
 */
import { logOut } from 'millrace/client'
import type { Account } from './account.ts'
import { storeOf } from './store.ts'

const KEY = 'millrace-left'
/** Milliseconds between two tries. */
const AGAIN_MS = 5_000

type Left = Pick<Account, 'id' | 'of'>

let timer: ReturnType<typeof setTimeout> | undefined

const storageOf = (of: Account['of']): Storage => of === 'browser' ? localStorage : sessionStorage
const isAnyLeft = (): boolean => [localStorage, sessionStorage].some(storage => storage.getItem(KEY) !== null)

/** One tab at a time. */
async function alone<T> (run: () => Promise<T>): Promise<T> {
  return navigator.locks === undefined ? await run() : await navigator.locks.request(KEY, run) as T
}

async function end (): Promise<void> {
  for (const storage of [localStorage, sessionStorage]) {
    const kept = storage.getItem(KEY)
    if (kept === null) continue
    const { id, of } = JSON.parse(kept) as Left
    await logOut({ url: location.origin, cookie: of === 'browser', store: storeOf({ id, of }) })
    storage.removeItem(KEY)
  }
}

function trySoon (ms: number): void {
  clearTimeout(timer)
  timer = setTimeout(() => { if (isAnyLeft()) alone(end).catch(() => { trySoon(AGAIN_MS) }) }, ms)
}

/** The session of this account is to be ended; the account's client is closed. */
export function leaveLater ({ id, of }: Left): void {
  storageOf(of).setItem(KEY, JSON.stringify({ id, of }))
  trySoon(AGAIN_MS)
}

/** Signs in behind all that is still to be ended. Throws what `logOut` and `enter` do. */
export async function afterLeaving<T> (enter: () => Promise<T>): Promise<T> {
  return await alone(async () => {
    await end()
    return await enter()
  })
}

/** Once, with the page: what an earlier one left is ended, and later what this one leaves, as soon as the network is back. */
export function startLeaving (): void {
  trySoon(0)
  window.addEventListener('online', () => { trySoon(0) })
}
