/**
 * Revoked sessions, known to every gateway within a moment, and looked up in memory: an access token of one is void from then on.
 *
 * They are kept in a sorted set until their last access token has ended, announced on a channel, and held here in a Map. Each
 * announcement carries a count, and the count is compared every few seconds: so one that was lost costs seconds, and one that was heard no
 * reading. At the start and after each reconnect of the subscriber the set is read anew, and what the sessions' own table
 * says (`revokedSince`): what was revoked while Redis was away, or what a Redis that lost its data forgot, is void all the same.
 *
 * The Map has one entry for each session revoked within the lifetime of an access token. It is not cut off at a size: to forget
 * an entry would let its tokens in again.
 */
import type { Logger } from '../telemetry/logging.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import { script, type Redis } from './redis.ts'
import type { Subscriptions } from './subscriptions.ts'

const SESSIONS_KEY = '{revoked}:sessions'
const COUNT_KEY = '{revoked}:count'
const CHANNEL = '{revoked}'
/** Between two comparisons of the count. */
const COMPARE_MS = 3000
/** How long an announcement that failed is tried again; after that, gateways learn of it from the sessions' table when they reconnect. */
const RETRY_MS = 60_000
/** Sessions that may wait for being announced again. */
const RETRIED_MAX = 10_000
/** Sessions in one call. */
const CHUNK_SESSIONS = 500
const PAGE_SESSIONS = 5000

/** A session, and the epoch millisecond at which its last access token ends. */
export interface Revoked {
  readonly session_id: string
  readonly until: number
}

export interface Revocations {
  /** Whether the session is revoked, as far as an access token of it may still live. */
  has: (sessionId: string) => boolean
  /**
   * Revokes sessions: here at once, elsewhere as soon as Redis has heard of it. Never throws: what Redis does not take is tried
   * again for RETRY_MS. Session IDs have no white space. `until`: if not the lifetime of our own access tokens from now on.
   */
  revoke: (sessionIds: readonly string[], until?: number) => Promise<void>
  /** Has `listener` called with the sessions that are newly known to be revoked. Returns what ends that. */
  onRevoked: (listener: (sessionIds: ReadonlySet<string>) => void) => () => void
  /** Tries once more what waits to be announced, then ends. */
  stop: () => Promise<void>
}

export interface RevocationsOptions {
  redis: Redis
  subscriptions: Subscriptions
  /** Sessions that the store knows to be revoked after this moment, and when. */
  revokedSince: (since: Date) => Promise<ReadonlyArray<{ readonly id: string, readonly revoked_at: Date }>>
  /** Milliseconds after a session was revoked for which an access token of it may live. */
  keepMs: number
  compareMs?: number
  clock: () => number
  metrics: Metrics
  logger: Logger
}

const revokeScript = script('revoke')

/** Loads what is revoked, and follows it. Throws what Redis and Postgres throw while loading for the first time. */
export async function startRevocations ({ redis, subscriptions, revokedSince, keepMs, compareMs = COMPARE_MS, clock, metrics, logger }: RevocationsOptions): Promise<Revocations> {
  /** Session → when its last access token ends. */
  const until = new Map<string, number>()
  const listeners = new Set<(sessionIds: ReadonlySet<string>) => void>()
  /** What Redis has not taken yet → until when it is tried. */
  const retried = new Map<string, number>()
  /** All announcements up to this one are known here. */
  let count = -1
  let storeAsked = false
  let loading: Promise<void> | undefined
  let again = false
  let stopped = false

  function learn (sessions: readonly Revoked[]): void {
    const now = clock()
    const news = new Set<string>()
    for (const { session_id, until: end } of sessions) {
      const known = until.get(session_id)
      if (end <= now || (known !== undefined && known >= end)) continue
      until.set(session_id, end)
      if (known === undefined) news.add(session_id)
    }
    metrics.sessionsRevoked.set(until.size)
    if (news.size > 0) for (const listener of listeners) listener(news)
  }

  async function load (): Promise<void> {
    if (!storeAsked) {
      learn((await revokedSince(new Date(clock() - keepMs))).map(({ id, revoked_at }) => ({ session_id: id, until: revoked_at.getTime() + keepMs })))
      storeAsked = true
    }
    const counted = Number(await redis.get(COUNT_KEY) ?? 0) // before the set: what is added meanwhile has a higher one
    for (let offset = 0; ; offset += PAGE_SESSIONS) {
      // From the latest down: what is added or removed meanwhile shifts no entry past us.
      const found = await redis.zrevrangebyscore(SESSIONS_KEY, '+inf', clock(), 'WITHSCORES', 'LIMIT', offset, PAGE_SESSIONS)
      learn(pairsOf(found))
      if (found.length < 2 * PAGE_SESSIONS) break
    }
    count = counted
  }

  /** One load at a time; what asks for one meanwhile gets one more. Throws what `load` throws. */
  async function reload (): Promise<void> {
    if (loading !== undefined) {
      again = true
      return await loading
    }
    loading = (async () => {
      do {
        again = false
        await load()
      } while (again)
    })()
    try {
      await loading
    } finally {
      loading = undefined
    }
  }

  const reloadOrLater = (): void => {
    reload().catch((error: Error) => { logger.debug({ reason: error.message }, 'revoked sessions could not be read; trying again') })
  }

  async function announce (sessions: readonly Revoked[]): Promise<void> {
    for (let i = 0; i < sessions.length; i += CHUNK_SESSIONS) {
      const args = sessions.slice(i, i + CHUNK_SESSIONS).flatMap(({ session_id, until }) => [session_id, String(until)])
      await revokeScript(redis, [SESSIONS_KEY, COUNT_KEY], [CHANNEL, String(clock()), ...args])
    }
  }

  async function announceRetried (): Promise<void> {
    if (retried.size === 0) return
    const ids = [...retried.keys()]
    try {
      await announce(ids.map(session_id => ({ session_id, until: until.get(session_id) ?? 0 })))
      for (const id of ids) retried.delete(id)
    } catch {
      const now = clock()
      const given = ids.filter(id => retried.get(id)! <= now)
      for (const id of given) retried.delete(id)
      if (given.length > 0) logger.error({ sessions: given.length }, 'Redis did not take revoked sessions in time: other gateways learn of them when they reach it again')
    }
  }

  async function tick (): Promise<void> {
    const now = clock()
    for (const [id, end] of until) if (end <= now) until.delete(id)
    metrics.sessionsRevoked.set(until.size)
    await announceRetried()
    try {
      if (!storeAsked || Number(await redis.get(COUNT_KEY) ?? 0) !== count) await reload()
    } catch {} // Redis or Postgres is away: the next tick, or the reconnect, asks again
  }

  await reload()
  subscriptions.add(CHANNEL, {
    onMessage (text) {
      const [counted, ...sessions] = text.split(' ')
      learn(pairsOf(sessions))
      if (Number(counted) === count + 1) count += 1
      else if (Number(counted) !== count) reloadOrLater()
    },
    onReady () {
      storeAsked = false
      reloadOrLater()
    },
  })
  let ticking: Promise<void> | undefined
  const timer = setInterval(() => { ticking ??= tick().finally(() => { ticking = undefined }) }, compareMs)

  return {
    has: sessionId => until.has(sessionId),

    async revoke (sessionIds, end = clock() + keepMs) {
      const sessions = sessionIds.map(session_id => ({ session_id, until: end }))
      learn(sessions)
      try {
        await announce(sessions)
      } catch (error) {
        const deadline = clock() + RETRY_MS
        for (const id of sessionIds) if (retried.size < RETRIED_MAX) retried.set(id, deadline)
        logger.warn({ sessions: sessionIds.length, reason: (error as Error).message }, 'revoked sessions could not be announced; trying again')
      }
    },

    onRevoked (listener) {
      listeners.add(listener)
      return () => { listeners.delete(listener) }
    },

    async stop () {
      if (stopped) return
      stopped = true
      clearInterval(timer)
      subscriptions.remove(CHANNEL)
      await ticking
      await announceRetried()
    },
  }
}

/** `session, ms, session, ms, …`, as sets and announcements have them. */
function pairsOf (flat: readonly string[]): Revoked[] {
  return Array.from({ length: flat.length >> 1 }, (_, i) => ({ session_id: flat[2 * i]!, until: Number(flat[2 * i + 1]) }))
}
