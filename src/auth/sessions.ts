/**
 * Sessions: what a log-in opens, a refresh prolongs and a log-out ends; one for each log-in of a device.
 *
 * A refresh token works once. One that is used again was stolen or copied, and nobody can tell by whom: its session is
 * revoked, so that thief and owner both have to log in. Throws what Postgres throws.
 */
import { reject, type Rejection } from '../domain/rejections.ts'
import type { Queryable, Store } from '../store/pool.ts'
import { endSession, insertSession, revokeReused, rotateSession } from '../store/sessions.ts'
import { userById, type User } from '../store/users.ts'
import type { Logger } from '../telemetry/logging.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import { newRefreshToken, nextRefreshToken, readRefreshToken } from './refresh-tokens.ts'
import type { Tokens } from './tokens.ts'

const USER_AGENT_CHARS_MAX = 200

/** What the client says about itself; kept to be shown to its owner. */
export interface Device {
  readonly device_id?: string | undefined
  readonly user_agent?: string | undefined
}

/** A user who has just proved to be one. `expires_in`: seconds that the access token lives. */
export interface SignedIn {
  readonly user: User
  readonly access_token: string
  readonly refresh_token: string
  readonly expires_in: number
}

export type Refused = { readonly ok: false, readonly rejection: Rejection }
export type SignedInOrNot = { readonly ok: true, readonly signedIn: SignedIn } | Refused

export interface Sessions {
  /** Opens a session; `db` may be the transaction that makes the user. */
  open: (db: Queryable, user: User, device: Device) => Promise<SignedIn>
  refresh: (refreshToken: string) => Promise<SignedInOrNot>
  /** Ends the session with this ID, or of this refresh token; true if there was one. */
  end: (which: { session_id?: string | undefined, refresh_token?: string | undefined }) => Promise<boolean>
}

export interface SessionsOptions {
  store: Store
  tokens: Tokens
  refreshLifetimeS: number
  clock: () => number
  newId: () => string
  metrics: Metrics
  logger: Logger
}

export function createSessions ({ store, tokens, refreshLifetimeS, clock, newId, metrics, logger }: SessionsOptions): Sessions {
  const expiry = (now: number): Date => new Date(now + refreshLifetimeS * 1000)

  const signedIn = (user: User, session_id: string, refresh_token: string): SignedIn => ({
    user,
    access_token: tokens.sign({ user_id: user.id, session_id }),
    refresh_token,
    expires_in: tokens.lifetimeS,
  })

  const refused = (reason: string): Refused => {
    metrics.authFailures.inc({ reason })
    return { ok: false, rejection: reject('bad_refresh_token') }
  }

  return {
    async open (db, user, { device_id, user_agent }) {
      const token = newRefreshToken()
      const id = newId()
      const now = clock()
      await insertSession(db, {
        id,
        user_id: user.id,
        device_id: device_id ?? null,
        user_agent: user_agent?.slice(0, USER_AGENT_CHARS_MAX) ?? null,
        refresh_family: token.family,
        refresh_hash: token.hash,
        created_at: new Date(now),
        expires_at: expiry(now),
      })
      return signedIn(user, id, token.text)
    },

    async refresh (refreshToken) {
      const token = readRefreshToken(refreshToken)
      if (token === undefined) return refused('bad_refresh_token')
      const { family, hash } = token
      const next = nextRefreshToken(token)
      const now = clock()
      const session = await rotateSession(store, { family, hash, nextHash: next.hash, now: new Date(now), expiresAt: expiry(now) })
      if (session === undefined) {
        const revoked = await revokeReused(store, { family, hash, now: new Date(now) })
        if (revoked === undefined) return refused('bad_refresh_token')
        logger.warn({ session_id: revoked.id, user_id: revoked.user_id }, 'a refresh token was used again: its session is revoked')
        return refused('refresh_token_reused')
      }
      const user = await userById(store, session.user_id)
      return user === undefined ? refused('bad_refresh_token') : { ok: true, signedIn: signedIn(user, session.id, next.text) }
    },

    async end ({ session_id, refresh_token }) {
      const family = refresh_token === undefined ? undefined : readRefreshToken(refresh_token)?.family
      if (session_id === undefined && family === undefined) return false
      return await endSession(store, { id: session_id, family, now: new Date(clock()) }) !== undefined
    },
  }
}
