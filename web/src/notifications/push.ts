/**
 * Whether this browser is told by Web Push, of the account that is the browser's: that of a tab ends with its tab. The wish is kept in the
 * browser; the subscription is put to the server at each start, made anew where the browser or the server has another one by now, and ends
 * when the user signs out, here and there.
 */
import { MillraceError } from 'millrace/client'
import type { Api } from '../api/calls.ts'
import { registration } from '../offline/worker.ts'
import { notificationCalls } from './calls.ts'

/** `missing`: this browser cannot be told. `denied`: it may not, as the user has said to the browser. */
export type PushState = 'missing' | 'denied' | 'off' | 'on'

/** Whose notifications this browser is to show. */
const WANTED = 'millrace-push'

const isPossible = (): boolean => 'PushManager' in window && 'Notification' in window

export async function pushState (userId: string): Promise<PushState> {
  if (!isPossible() || await registration() === undefined) return 'missing'
  if (Notification.permission === 'denied') return 'denied'
  const subscription = await (await registration())?.pushManager.getSubscription()
  return subscription != null && localStorage.getItem(WANTED) === userId ? 'on' : 'off'
}

/** Asks the user, then has this browser told. Throws MillraceError; `denied` if they said no. */
export async function enablePush (api: Api, userId: string): Promise<void> {
  if (await Notification.requestPermission() !== 'granted') throw new MillraceError('denied', 'The browser does not let Millrace notify you: that is changed beside the address of the page')
  await subscribe(api)
  localStorage.setItem(WANTED, userId)
}

/** This browser is told no more. */
export async function disablePush (api: Api): Promise<void> {
  const { told, tellNoMore } = notificationCalls(api)
  const endpoint = await withdrawPush()
  const mine = (await told()).find(item => item.endpoint === endpoint)
  if (mine !== undefined) await tellNoMore(mine.id)
}

/** At each start, and whenever there is a connection again: what was wished for is true. */
export async function renewPush (api: Api, userId: string): Promise<void> {
  if (!isPossible()) return
  const wanted = localStorage.getItem(WANTED)
  if (wanted === userId) {
    if (Notification.permission === 'granted') await subscribe(api)
  } else await withdrawPush() // of whoever had this browser before
}

/** Ends it in this browser, with what it shows; the server hears of that from the push service, if not before. Returns the endpoint that it had. */
export async function withdrawPush (): Promise<string | undefined> {
  localStorage.removeItem(WANTED)
  if (!isPossible()) return undefined
  const found = await registration(false)
  for (const notification of await found?.getNotifications() ?? []) notification.close()
  const subscription = await found?.pushManager.getSubscription()
  await subscription?.unsubscribe()
  return subscription?.endpoint
}

/** One with the server's key is put again; with another, which it had before, it is good for nothing. */
async function subscribe (api: Api): Promise<void> {
  const { key, tell } = notificationCalls(api)
  const applicationServerKey = bytesOf(await key())
  const { pushManager } = (await registration())!
  let subscription = await pushManager.getSubscription()
  if (subscription !== null && !isSame(subscription.options.applicationServerKey, applicationServerKey)) {
    await subscription.unsubscribe()
    subscription = null
  }
  subscription ??= await pushManager.subscribe({ userVisibleOnly: true, applicationServerKey }).catch((error: Error) => {
    throw new MillraceError('push_failed', `The browser has no push service, or could not reach it (${error.message})`)
  })
  await tell(subscription.toJSON())
}

function bytesOf (base64url: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(base64url.replaceAll('-', '+').replaceAll('_', '/')), char => char.charCodeAt(0))
}

function isSame (a: ArrayBuffer | null, b: Uint8Array): boolean {
  return a !== null && a.byteLength === b.length && new Uint8Array(a).every((byte, i) => byte === b[i])
}
