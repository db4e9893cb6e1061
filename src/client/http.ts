/**
 * The little of HTTP that a client needs beside its socket: JSON in, JSON out, problems (RFC 9457) as MillraceError with their
 * code. It does not retry.
 */
import { MillraceError } from './error.ts'

/** Milliseconds that an answer may take. */
const REQUEST_MS = 15_000

export interface RequestOptions {
  method?: string
  /** Sent as JSON. */
  body?: unknown
  /** The access token. */
  token?: string
  headers?: Record<string, string>
  /** Sends and takes cookies, as those of the refresh token. */
  cookie?: boolean
}

export type Fetch = (url: string, init: any) => Promise<any>

/** Asks the server at `base` for `path`. Throws MillraceError: the problem's code, or `unreachable` if there was no answer that one could read. */
export async function request<T> (base: string, path: string, { method = 'GET', body, token, headers, cookie = false }: RequestOptions = {}, fetch: Fetch = globalThis.fetch): Promise<T> {
  let status = 0
  let answer: any
  try {
    const response = await fetch(new URL(path.replace(/^\//, ''), base.endsWith('/') ? base : `${base}/`).href, {
      method,
      headers: {
        ...(body !== undefined && { 'content-type': 'application/json' }),
        ...(token !== undefined && { authorization: `Bearer ${token}` }),
        ...(cookie && { 'x-requested-with': 'millrace' }), // proves that a page of ours asks: forms cannot set it
        ...headers,
      },
      ...(cookie && { credentials: 'include' }),
      ...(body !== undefined && { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(REQUEST_MS),
    })
    status = response.status
    const text: string = await response.text()
    answer = text === '' ? undefined : JSON.parse(text)
  } catch (error) {
    throw new MillraceError('unreachable', `${method} ${path}: ${status === 0 ? (error as Error).message : `status ${status}`}`)
  }
  if (status >= 400) throw new MillraceError(answer?.code ?? 'unreachable', answer?.detail ?? answer?.title ?? `status ${status}`, answer?.retry_after_ms)
  return answer
}

/** Who signed in, and the tokens. */
export interface SignedIn {
  user: { id: string, username: string, [field: string]: unknown }
  access_token: string
  /** Good for one refresh; missing if it came as a cookie. */
  refresh_token?: string
  /** Seconds that the access token lives. */
  expires_in: number
}

export interface LogInOptions {
  /** The server's base: `https://chat.example`. */
  url: string
  username: string
  password: string
  /** What you call this device, to find it among your sessions. */
  deviceId?: string
  /** The refresh token comes as an HttpOnly cookie instead; then `connect` with `cookie: true`. */
  cookie?: boolean
  fetch?: Fetch
}

async function enter (path: string, { url, deviceId, cookie, fetch, ...who }: LogInOptions & { email?: string, display_name?: string }): Promise<SignedIn> {
  return await request<SignedIn>(url, path, { method: 'POST', body: { ...who, device_id: deviceId, cookie }, cookie }, fetch)
}

/** Logs in. Throws MillraceError `bad_credentials`, `rate_limited`, …; pass what it returns on to `connect`. */
export async function logIn (options: LogInOptions): Promise<SignedIn> {
  return await enter('/auth/login', options)
}

/** Makes an account and logs in. Throws MillraceError `username_taken`, `bad_request`, … */
export async function signUp (options: LogInOptions & { email?: string, display_name?: string }): Promise<SignedIn> {
  return await enter('/auth/signup', options)
}
