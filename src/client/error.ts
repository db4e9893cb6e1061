/**
 * The one error that callers get: a stable code to match, never the text. Codes of the server are those of docs/PROTOCOL.md; the
 * client's own are `closed`, `outbox_full`, `too_large` and `unreachable`.
 */
export class MillraceError extends Error {
  override readonly name = 'MillraceError'
  readonly code: string
  /** When trying again makes sense, in milliseconds; undefined if the server did not say. */
  readonly retryAfterMs: number | undefined

  constructor (code: string, message: string = code, retryAfterMs?: number) {
    super(message)
    this.code = code
    this.retryAfterMs = retryAfterMs
  }
}

/** Codes after which the same again may succeed. */
const RETRIED = ['unavailable', 'overloaded', 'busy', 'rate_limited', 'slow_mode', 'conflict', 'unauthenticated']

/** Whether what was answered with this code on a socket is tried again. `unauthenticated`: by then there is a fresh token. */
export function isRetried (code: string): boolean {
  return RETRIED.includes(code)
}
