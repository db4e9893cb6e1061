/**
 * Access tokens for the connection: a given one, one that a function brings, or one by refresh. A refresh token is good for one use,
 * and using an old one ends the session: so one refresh is made at a time, over all tabs (Web Locks), and the new refresh token is
 * stored before anything else is done.
 */
import { MillraceError } from './error.ts'
import { request, type Fetch, type SignedIn } from './http.ts'
import { withLock } from './locks.ts'
import type { Store } from './store.ts'

export interface Tokens {
  /** The token. Throws `Unobtainable` if none can be had any more, anything else if none can be had now. */
  get: () => Promise<string>
  /** The server wants another one. */
  drop: () => void
  /** Another one before this one runs out; undefined where there is only the one that was given. Throws as `get` does. */
  renew: () => Promise<string | undefined>
}

/** No token will come without somebody logging in again. */
export class Unobtainable extends MillraceError {}

export interface TokensOptions {
  url: string
  token?: string | (() => string | Promise<string>) | undefined
  refreshToken?: string | undefined
  cookie?: boolean | undefined
  store: Store
  fetch?: Fetch | undefined
}

const KEY = 'refresh'
/** What the server says of a token whose session is over. */
const OVER = new Set(['bad_refresh_token', 'bad_request', 'unauthenticated', 'forbidden'])

export function createTokens ({ url, token, refreshToken, cookie, store, fetch }: TokensOptions): Tokens {
  let held: Promise<string> | undefined
  let first = typeof token === 'string' ? token : undefined // used, for as long as it is good

  /** The refresh token to use, and the one of the log-in that it stems from: what is stored, unless another log-in's was given. */
  async function current (): Promise<{ given?: string | undefined, token?: string | undefined }> {
    const stored = JSON.parse(await store.get(KEY) ?? '{}') as { given?: string, token?: string }
    return refreshToken === undefined || stored.given === refreshToken ? stored : { given: refreshToken, token: refreshToken }
  }

  async function refresh (): Promise<string> {
    const { given, token: refresh_token } = cookie === true ? {} : await current()
    if (refresh_token === undefined && cookie !== true) throw new Unobtainable('unauthenticated', 'There is no refresh token: log in')
    try {
      const answer = await request<SignedIn>(url, '/auth/refresh', { method: 'POST', body: { refresh_token }, cookie }, fetch)
      if (cookie !== true) await store.set(KEY, JSON.stringify({ given, token: answer.refresh_token }))
      return answer.access_token
    } catch (error) {
      const { code } = error as MillraceError
      if (code !== 'bad_refresh_token' && code !== 'bad_request' && code !== 'forbidden') throw error
      if (cookie !== true && (await current()).token !== refresh_token) return await refresh() // a tab that knows no locks was quicker
      throw new Unobtainable(code, (error as Error).message)
    }
  }

  async function obtain (): Promise<string> {
    if (typeof token === 'function') return await token()
    if (first !== undefined) return first
    return await withLock(`millrace refresh ${url}`, refresh)
  }

  async function get (): Promise<string> {
    const mine = held ??= obtain()
    mine.catch(() => { if (held === mine) held = undefined })
    return await mine
  }

  function drop (): void {
    first = undefined
    held = undefined
  }

  return {
    get,
    drop,
    async renew () {
      if (typeof token !== 'function' && refreshToken === undefined && cookie !== true) return undefined
      drop()
      return await get()
    },
  }
}

/** What ends a session. */
export interface LogOutOptions extends Pick<TokensOptions, 'url' | 'cookie' | 'fetch'> {
  /** Where a client that is closed by now kept the session's refresh token. */
  store?: Store
}

/** Ends the session at the server, and takes its refresh token out of the store. Throws MillraceError where that cannot be done now: the store has the token still. */
export async function logOut ({ url, cookie, store, fetch }: LogOutOptions): Promise<void> {
  const { token: refresh_token } = JSON.parse(cookie === true ? '{}' : await store?.get(KEY) ?? '{}') as { token?: string }
  if (cookie !== true && refresh_token === undefined) return
  try {
    await request(url, '/auth/logout', { method: 'POST', body: { refresh_token }, cookie }, fetch)
  } catch (error) {
    if (!OVER.has((error as MillraceError).code)) throw error
  }
  if (cookie !== true) await store?.delete(KEY)
}

/** When a token is to be replaced, in milliseconds after `serverTime` (RFC 3339): at four fifths of what is left of it. Undefined if it does not say. */
export function renewInMs (token: string, serverTime: string): number | undefined {
  try {
    const { exp } = JSON.parse(atob(token.split('.')[1]!.replaceAll('-', '+').replaceAll('_', '/')))
    const leftMs = exp * 1000 - Date.parse(serverTime)
    return leftMs > 0 ? leftMs * 0.8 : undefined
  } catch {
    return undefined // not a JWT
  }
}
