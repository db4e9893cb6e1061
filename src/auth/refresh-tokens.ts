/**
 * Refresh tokens: a random handle (16 bytes) that stays for the life of a session, and a random secret (32 bytes) that changes
 * with each use. Only SHA-256 of them is stored, which is enough for secrets that cannot be guessed.
 *
 * Whoever shows the handle had a token of that session. So a token with a known handle and another secret than the current
 * one is an old one used again: a thief or its victim. That is noticed for as long as the session lives, without keeping
 * a row for each token that ever was.
 */
import { hash, randomBytes } from 'node:crypto'

const HANDLE_BYTES = 16
const SECRET_BYTES = 32

export interface RefreshToken {
  /** What the client gets. */
  readonly text: string
  /** SHA-256 of the handle: finds the session. */
  readonly family: Buffer
  /** SHA-256 of the whole token. */
  readonly hash: Buffer
}

const tokenOf = (bytes: Buffer): RefreshToken => ({
  text: bytes.toString('base64url'),
  family: hash('sha256', bytes.subarray(0, HANDLE_BYTES), 'buffer'),
  hash: hash('sha256', bytes, 'buffer'),
})

/** The first token of a session. */
export function newRefreshToken (): RefreshToken {
  return tokenOf(randomBytes(HANDLE_BYTES + SECRET_BYTES))
}

/** The token that follows `token` in its session. */
export function nextRefreshToken (token: RefreshToken): RefreshToken {
  const handle = Buffer.from(token.text, 'base64url').subarray(0, HANDLE_BYTES)
  return tokenOf(Buffer.concat([handle, randomBytes(SECRET_BYTES)]))
}

/** Reads what a client sent; undefined if it cannot be a token. */
export function readRefreshToken (text: string): RefreshToken | undefined {
  const bytes = /^[\w-]{64}$/.test(text) ? Buffer.from(text, 'base64url') : undefined
  return bytes?.length === HANDLE_BYTES + SECRET_BYTES ? tokenOf(bytes) : undefined
}
