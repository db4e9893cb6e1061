/**
 * Sessions: what a log-in opens, a refresh prolongs and a log-out ends; one for each log-in of a device.
 *
 * A refresh token works once. One that is used again was stolen or copied, and nobody can tell by whom: its session is
 * revoked, so that thief and owner both have to log in. Postgres is the truth: a session that ended there is refreshed by
 * nobody. `revocations` then makes its access tokens void and closes its sockets, everywhere. Throws what Postgres throws.
 */
import { reject, type Rejection } from '../domain/rejections.ts'
import type { Revocations } from '../log/revocations.ts'
import type { Tickets } from '../log/tickets.ts'
import type { Queryable, Store } from '../store/pool.ts'
import { removeSubscriptionsOf } from '../store/push-subscriptions.ts'
import { endSession, insertSession, revokeOtherSessions, revokeReused, revokeSessionOf, rotateSession, sessionsOf, type SessionRow } from '../store/sessions.ts'
import { userById, type User } from '../store/users.ts'
import type { Logger } from '../telemetry/logging.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import { addressOf, userAgentOf, type Device } from './device.ts'
import { newRefreshToken, nextRefreshToken, readRefreshToken } from './refresh-tokens.ts'
import type { SecurityLog } from './security-log.ts'
import type { Identity, Tokens, VerifiedToken } from './tokens.ts'

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

/** A user who has just proved to be one. `expires_in`: seconds that the access token lives. */
export interface SignedIn {
  readonly user: User
  readonly session_id: string
  readonly access_token: string
  readonly refresh_token: string
  readonly expires_in: number
}

/** `field`: the one of the request that is to blame. */
export type Refused = { readonly ok: false, readonly rejection: Rejection, readonly field?: string | undefined }
export type SignedInOrNot = { readonly ok: true, readonly signedIn: SignedIn } | Refused

export interface Sessions {
  /** Opens a session; `db` may be the transaction that makes the user. */
  open: (db: Queryable, user: User, device: Device) => Promise<SignedIn>
  refresh: (refreshToken: string, device: Device) => Promise<SignedInOrNot>
  /** Ends the session of this access token, or of this refresh token; true if there was one. */
  end: (which: { identity?: VerifiedToken | undefined, refresh_token?: string | undefined }, device: Device) => Promise<boolean>
  /** The user's sessions, newest first; `next` is where the next page begins, or null. */
  list: (userId: string, page: { after?: string | undefined, limit: number }) => Promise<{ items: SessionRow[], next: string | null }>
  /** Ends another session of the same user; false if they have none with this ID. */
  revoke: (who: Identity, sessionId: string, device: Device) => Promise<boolean>
  /** Runs `change`; if it returns true, ends all other sessions of the user, in the same transaction. Returns what it returned. */
  revokeOthersAfter: (who: Identity, change: (db: Queryable) => Promise<boolean>, device: Device) => Promise<boolean>
  /** A ticket for one socket. Throws LogFault. */
  ticket: (holder: VerifiedToken) => Promise<string>
  /** Who holds the ticket, which is used up by this; undefined if it is none, or the session was revoked or its token expired. Throws LogFault. */
  redeem: (ticket: string) => Promise<VerifiedToken | undefined>
}

export interface SessionsOptions {
  store: Store
  tokens: Tokens
  revocations: Pick<Revocations, 'has' | 'revoke'>
  tickets: Tickets
  security: Pick<SecurityLog, 'note'>
  refreshLifetimeS: number
  clock: () => number
  newId: () => string
  metrics: Metrics
  logger: Logger
}

export function createSessions ({ store, tokens, revocations, tickets, security, refreshLifetimeS, clock, newId, metrics, logger }: SessionsOptions): Sessions {
  const expiry = (now: number): Date => new Date(now + refreshLifetimeS * 1000)

  const signedIn = (user: User, session_id: string, refresh_token: string): SignedIn => ({
    user,
    session_id,
    access_token: tokens.sign({ user_id: user.id, session_id }),
    refresh_token,
    expires_in: tokens.lifetimeS,
  })

  const refused = (reason: string): Refused => {
    metrics.authFailures.inc({ reason })
    return { ok: false, rejection: reject('bad_refresh_token') }
  }

  return {
    async open (db, user, device) {
      const token = newRefreshToken()
      const id = newId()
      const now = clock()
      await insertSession(db, {
        id,
        user_id: user.id,
        device_id: device.device_id ?? null,
        user_agent: userAgentOf(device),
        address: addressOf(device),
        refresh_family: token.family,
        refresh_hash: token.hash,
        created_at: new Date(now),
        expires_at: expiry(now),
      })
      return signedIn(user, id, token.text)
    },

    async refresh (refreshToken, device) {
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
        security.note({ type: 'refresh_reuse', user_id: revoked.user_id, session_id: revoked.id, device })
        await revocations.revoke([revoked.id])
        return refused('refresh_token_reused')
      }
      const user = await userById(store, session.user_id)
      return user === undefined ? refused('bad_refresh_token') : { ok: true, signedIn: signedIn(user, session.id, next.text) }
    },

    async end ({ identity, refresh_token }, device) {
      const family = refresh_token === undefined ? undefined : readRefreshToken(refresh_token)?.family
      const ours = identity !== undefined && UUID.test(identity.session_id) ? identity.session_id : undefined
      if (identity !== undefined && ours === undefined) {
        // A session of a foreign issuer: all that we can end are its tokens here.
        if (!revocations.has(identity.session_id)) security.note({ type: 'logout', user_id: identity.user_id, session_id: identity.session_id, device })
        await revocations.revoke([identity.session_id], identity.expires_at)
        await removeSubscriptionsOf(store, identity.user_id, identity.session_id)
      }
      if (ours === undefined && family === undefined) return identity !== undefined
      const ended = await endSession(store, { id: ours, family, now: new Date(clock()) })
      for (const { id, user_id } of ended) security.note({ type: 'logout', user_id, session_id: id, device })
      if (ended.length > 0) await revocations.revoke(ended.map(({ id }) => id))
      return ended.length > 0
    },

    async list (userId, { after, limit }) {
      const found = await sessionsOf(store, userId, { after, limit: limit + 1, now: new Date(clock()) })
      const items = found.slice(0, limit)
      return { items, next: found.length > limit ? items.at(-1)!.id : null }
    },

    async revoke ({ user_id, session_id: by }, sessionId, device) {
      const session = await revokeSessionOf(store, user_id, { id: sessionId, now: new Date(clock()) })
      if (session === undefined) return false
      security.note({ type: 'session_revoked', user_id, session_id: session.id, device, detail: { by } })
      await revocations.revoke([session.id])
      return true
    },

    async revokeOthersAfter ({ user_id, session_id }, change, device) {
      const others = await store.transaction(async db => await change(db) ? await revokeOtherSessions(db, user_id, { except: session_id, now: new Date(clock()) }) : undefined)
      if (others === undefined) return false
      for (const id of others) security.note({ type: 'session_revoked', user_id, session_id: id, device, detail: { by: session_id } })
      if (others.length > 0) await revocations.revoke(others)
      return true
    },

    ticket: async holder => await tickets.issue(holder),

    async redeem (ticket) {
      const holder = await tickets.redeem(ticket)
      return holder === undefined || holder.expires_at <= clock() || revocations.has(holder.session_id) ? undefined : holder
    },
  }
}
