/**
 * Who is signed in here. The browser's account has its refresh token in an HttpOnly cookie, which all tabs share and no script can read. A
 * tab may have an account of its own beside it: its refresh token is in the tab's sessionStorage and ends with the tab. So
 * two people can talk in two tabs of one browser. Only IDs and names are kept in the open, to know whose cache to show before the
 * server can be asked.
 */
import { logIn, signUp, MillraceError, type SignedIn } from 'millrace/client'
import { afterLeaving } from './leaving.ts'

export interface Account {
  readonly id: string
  readonly username: string
  /** `browser`: by the cookie; `tab`: by a refresh token of this tab. */
  readonly of: 'browser' | 'tab'
  /** Of the log-in: the first to be used. */
  readonly refreshToken?: string
  /** Of the log-in: good for some minutes. */
  readonly accessToken?: string
}

const KEY = 'millrace-account'
const DEVICE = 'millrace-device'

export type Way = { how: 'log in' | 'sign up', username: string, password: string, display_name?: string } | { how: 'guest', username: string }

function read (storage: Storage): Account | undefined {
  try {
    const kept = storage.getItem(KEY)
    return kept === null ? undefined : JSON.parse(kept) as Account
  } catch {
    return undefined
  }
}

/** The account of this page: the tab's own, else the browser's; none if a tab was opened for another one. */
export function currentAccount (): Account | undefined {
  return read(sessionStorage) ?? (isForAnother() ? undefined : read(localStorage))
}

/** Whether this tab was opened to sign in as somebody else. */
export function isForAnother (): boolean {
  return new URLSearchParams(location.search).has('another')
}

/** The account that the browser has already, if any: then whoever signs in here does so for this tab. */
export function browserAccount (): Account | undefined { return read(localStorage) }

/** What this browser is called among the user's sessions; a tab's own account is another device. */
export function deviceId (of: Account['of']): string {
  const storage = of === 'browser' ? localStorage : sessionStorage
  let id = storage.getItem(DEVICE)
  if (id === null) storage.setItem(DEVICE, id = `web-${crypto.randomUUID()}`)
  return id
}

/** Signs in. Throws MillraceError: `bad_credentials`, `username_taken`, `unreachable`, … */
export async function signIn (way: Way, keep: boolean): Promise<Account> {
  const of = keep && !isForAnother() && browserAccount() === undefined ? 'browser' : 'tab'
  const options = { url: location.origin, cookie: of === 'browser', deviceId: deviceId(of) }
  const signedIn = await afterLeaving(async () => way.how === 'guest' ? await asGuest(way.username, options) : await (way.how === 'log in' ? logIn : signUp)({ ...options, username: way.username, password: way.password, ...(way.how === 'sign up' && way.display_name !== undefined && { display_name: way.display_name }) }))
  const { user: { id, username }, access_token: accessToken, refresh_token: refreshToken } = signedIn
  keepAccount({ id, username, of })
  return { id, username, of, accessToken, ...(refreshToken !== undefined && { refreshToken }) }
}

/** `millrace/client` has the doors for people with a password. */
async function asGuest (username: string, { cookie, deviceId }: { cookie: boolean, deviceId: string }): Promise<SignedIn> {
  let response: Response
  try {
    response = await fetch('/auth/guest', { method: 'POST', headers: { 'content-type': 'application/json', 'x-requested-with': 'millrace' }, body: JSON.stringify({ username, device_id: deviceId, cookie }) })
  } catch (error) {
    throw new MillraceError('unreachable', (error as Error).message)
  }
  const answer = await response.json()
  if (!response.ok) throw new MillraceError(answer.code, answer.detail)
  return answer as SignedIn
}

/** Remembers who it is, without any secret: those are in the cookie, or kept by the client. */
export function keepAccount ({ id, username, of }: Account): void {
  (of === 'browser' ? localStorage : sessionStorage).setItem(KEY, JSON.stringify({ id, username, of }))
}

export function forgetAccount ({ of }: Account): void {
  (of === 'browser' ? localStorage : sessionStorage).removeItem(KEY)
}

/** Calls back when the browser's account is another one, in another tab. */
export function onBrowserAccount (changed: () => void): () => void {
  const listener = ({ key, storageArea }: StorageEvent): void => { if (key === KEY && storageArea === localStorage) changed() }
  window.addEventListener('storage', listener)
  return () => { window.removeEventListener('storage', listener) }
}
