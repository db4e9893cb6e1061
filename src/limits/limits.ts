/**
 * Limits that hold across gateways: token buckets in Redis (`bucket.lua`), one for each limit and key (a user, a room, an
 * address). A key's tokens are taken a quarter of a second's worth ahead and spent from a purse in memory, so that a message does
 * not cost a call to Redis. Over any time since the start, all gateways together grant at most burst + rate × time; what
 * purses hold, a quarter of a second's worth in each gateway, can come late.
 *
 * While Redis is away each gateway goes by buckets of its own, of the same size: limits fall open, appends do not. Purses are
 * bounded in number and given up when idle [G7]; what is in them is lost, not won.
 */
import type { Config } from '../config.ts'
import { isBug, script, type Redis } from '../log/redis.ts'
import type { Logger } from '../telemetry/logging.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import { TokenBucket } from './bucket.ts'

/** Purses of one limit in one gateway; of two generations, the older of which is given up. */
const PURSES_MAX = 100_000
/** A purse that was not touched for this long, or at most for twice as long, is given up. */
const IDLE_MS = 60_000
/** Those who wait for one purse to be filled. */
const WAITING_MAX = 1000
/** Seconds' worth of tokens that are taken ahead: a call to Redis four times a second for a key at its rate. */
const AHEAD_S = 0.25
/** After a fault Redis is asked again this often; in between limits are local. */
const AWAY_MS = 1000
const FULL_RETRY_MS = 1000

/** `perSecond` on average, `burst` at once. */
export interface Rate { readonly perSecond: number, readonly burst: number }

/** Each limit and what its keys are. */
export const LIMITS = {
  /** Address: sign-ups and guests. */
  signups: ({ SIGNUPS_PER_MINUTE: m, SIGNUPS_BURST: burst }) => ({ perSecond: m / 60, burst }),
  /** Address: log-ins, good and bad. */
  logins: ({ LOGINS_PER_MINUTE: m, LOGINS_BURST: burst }) => ({ perSecond: m / 60, burst }),
  /** User name: wrong passwords. */
  login_failures: ({ LOGIN_FAILURES_PER_MINUTE: m, LOGIN_FAILURES_BURST: burst }) => ({ perSecond: m / 60, burst }),
  /** Room and user: guesses of the room's password. */
  room_passwords: ({ ROOM_PASSWORDS_PER_MINUTE: m, ROOM_PASSWORDS_BURST: burst }) => ({ perSecond: m / 60, burst }),
  /** Address: WebSocket upgrades. */
  upgrades: ({ ADDRESS_UPGRADES_PER_SECOND: perSecond, ADDRESS_UPGRADES_BURST: burst }) => ({ perSecond, burst }),
  /** User: commands that append to a room as often as people speak. */
  sends: ({ SENDS_PER_SECOND: perSecond, SENDS_BURST: burst }) => ({ perSecond, burst }),
  /** Room: the same, of all users. */
  room_sends: ({ ROOM_SENDS_PER_SECOND: perSecond, ROOM_SENDS_BURST: burst }) => ({ perSecond, burst }),
  /** User: HTTP requests; joins and leaves, by whatever way. */
  requests: ({ REQUESTS_PER_SECOND: perSecond, REQUESTS_BURST: burst }) => ({ perSecond, burst }),
  /** Address: HTTP requests without a valid token. */
  anonymous: ({ ANONYMOUS_REQUESTS_PER_SECOND: perSecond, ANONYMOUS_REQUESTS_BURST: burst }) => ({ perSecond, burst }),
} as const satisfies Record<string, (config: Config) => Rate>

export type LimitName = keyof typeof LIMITS

/** Every answer is 0, or the milliseconds after which it is worth trying again. Nothing here throws for a Redis that is away. */
export interface Limits {
  /** Takes from the bucket itself: a call to Redis each time. For what is rare, and must be exact. */
  take: (name: LimitName, key: string, cost?: number) => Promise<number>
  /** Gives back one that was taken. */
  giveBack: (name: LimitName, key: string) => Promise<void>
  /** Takes one from the purse: at once where there is one, else after the purse was filled. In the order of the calls. */
  spend: (name: LimitName, key: string) => number | Promise<number>
  /** Puts one that was spent back into the purse. */
  unspend: (name: LimitName, key: string) => void
  /** At most one in every `ms` milliseconds for this key. Holds even where limits are lifted; 0 while Redis is away. */
  slot: (key: string, ms: number) => Promise<number>
}

/** What each limit keeps of a key. */
interface Purse {
  tokens: number
  /** Until then (by our clock) there is none in Redis either. */
  emptyUntil: number
  filling: boolean
  readonly waiting: Array<(waitMs: number) => void>
  /** While Redis is away. */
  local: TokenBucket | undefined
}

interface Limit extends Rate {
  readonly name: LimitName
  /** Tokens that are taken ahead. */
  readonly ahead: number
  /** The purse is filled again in the background when fewer are left. */
  readonly low: number
  /** Purses touched lately, and those before them. */
  young: Map<string, Purse>
  old: Map<string, Purse>
}

export interface LimitsOptions {
  redis: Redis
  config: Config
  metrics: Metrics
  logger: Logger
  /** Milliseconds, never back. */
  clock?: () => number
}

const bucketScript = script(new URL('bucket.lua', import.meta.url))

export function createLimits ({ redis, config, metrics, logger, clock = () => performance.now() }: LimitsOptions): Limits & { stop: () => void } {
  const lifted = config.RATE_LIMITS === 'off'
  const limits = Object.fromEntries(Object.entries(LIMITS).map(([name, rateOf]) => [name, limitOf(name as LimitName, rateOf(config))])) as Record<LimitName, Limit>
  let awayUntil = 0
  const aging = setInterval(() => { for (const limit of Object.values(limits)) grow(limit) }, IDLE_MS)
  aging.unref()

  /** Takes up to `wanted` tokens, or none where there are fewer than `fewest`. Throws what Redis throws. */
  async function ask ({ name, perSecond, burst }: Rate & { name: LimitName }, key: string, wanted: number, fewest: number): Promise<[taken: number, waitMs: number]> {
    if (awayUntil > 0) awayUntil = clock() + AWAY_MS // one tries whether Redis is back; the others need not wait for it
    try {
      const answer = await bucketScript(redis, [`millrace:limit:${name}:${key}`], [Math.ceil(1e6 / perSecond), burst, wanted, fewest].map(String)) as [number, number]
      if (awayUntil > 0) {
        awayUntil = 0
        logger.info({}, 'limits hold across gateways again')
      }
      return answer
    } catch (error) {
      if (isBug(error)) logger.error({ err: error, limit: name }, 'a limit could not be asked for')
      else if (awayUntil === 0) logger.warn({ reason: (error as Error).message }, 'Redis is away: until it is back, limits hold for each gateway by itself')
      awayUntil = clock() + AWAY_MS
      throw error
    }
  }

  const isAway = (): boolean => awayUntil > 0 && clock() < awayUntil

  function refused (name: LimitName, waitMs: number): number {
    metrics.rateLimited.inc({ limit: name })
    return Math.max(1, Math.ceil(waitMs))
  }

  function takeLocally ({ name, perSecond, burst }: Limit, purse: Purse, cost = 1): number {
    const now = clock()
    metrics.limitsLocal.inc({ limit: name })
    const waitMs = (purse.local ??= new TokenBucket(perSecond, burst, now)).take(now, cost)
    return waitMs === 0 ? 0 : refused(name, waitMs)
  }

  /** Fills the purse until nobody waits, or those who do were refused. */
  async function fill (limit: Limit, key: string, purse: Purse): Promise<void> {
    if (purse.filling) return
    purse.filling = true
    const { waiting } = purse
    do {
      try {
        const [taken, waitMs] = await ask(limit, key, Math.min(limit.burst, Math.max(limit.ahead, waiting.length)), 1)
        purse.tokens += taken
        purse.local = undefined
        const now = clock()
        purse.emptyUntil = waitMs === 0 ? 0 : now + waitMs
        const served = waiting.splice(0, purse.tokens)
        purse.tokens -= served.length
        for (const go of served) go(0)
        if (waitMs > 0) for (const go of waiting.splice(0)) go(refused(limit.name, waitMs))
      } catch {
        for (const go of waiting.splice(0)) go(takeLocally(limit, purse))
      }
    } while (waiting.length > 0)
    purse.filling = false
  }

  return {
    async take (name, key, cost = 1) {
      if (lifted) return 0
      const limit = limits[name]
      if (cost > limit.burst) throw new RangeError(`${cost} of ${name} are more than can ever be there: ${limit.burst}`)
      if (isAway()) return takeLocally(limit, purseOf(limit, key), cost)
      try {
        const [taken, waitMs] = await ask(limit, key, cost, cost)
        return taken > 0 ? 0 : refused(name, waitMs)
      } catch {
        return takeLocally(limit, purseOf(limit, key), cost)
      }
    },

    async giveBack (name, key) {
      if (lifted) return
      const limit = limits[name]
      const purse = limit.young.get(key) ?? limit.old.get(key)
      purse?.local?.give()
      if (!isAway()) await ask(limit, key, -1, -1).catch(() => {}) // said and counted by `ask`; the bucket fills by itself
    },

    spend (name, key) {
      if (lifted) return 0
      const limit = limits[name]
      const purse = purseOf(limit, key)
      if (purse.waiting.length === 0) { // else behind them
        if (purse.tokens > 0) {
          purse.tokens -= 1
          if (purse.tokens < limit.low && !purse.filling && !isAway() && clock() >= purse.emptyUntil) void fill(limit, key, purse)
          return 0
        }
        const emptyMs = purse.emptyUntil === 0 ? 0 : purse.emptyUntil - clock()
        if (emptyMs > 0) return refused(name, emptyMs)
        if (isAway()) return takeLocally(limit, purse)
      }
      if (purse.waiting.length >= WAITING_MAX) return refused(name, FULL_RETRY_MS)
      return new Promise(resolve => {
        purse.waiting.push(resolve)
        void fill(limit, key, purse)
      })
    },

    unspend (name, key) {
      if (lifted) return
      const purse = purseOf(limits[name], key)
      if (purse.local === undefined) purse.tokens += 1
      else purse.local.give()
    },

    async slot (key, ms) {
      const name = `millrace:slot:${key}`
      try {
        if (await redis.set(name, '1', 'PX', ms, 'NX') === 'OK') return 0
        return Math.max(1, await redis.pttl(name)) // it may end between the two calls
      } catch {
        return 0
      }
    },

    stop () { clearInterval(aging) },
  }
}

/** Lets everything pass; for those who count nothing. */
export const UNLIMITED: Limits = {
  take: async () => 0,
  giveBack: async () => {},
  spend: () => 0,
  unspend: () => {},
  slot: async () => 0,
}

function limitOf (name: LimitName, { perSecond, burst }: Rate): Limit {
  const ahead = Math.max(1, Math.min(Math.floor(perSecond * AHEAD_S), burst))
  return { name, perSecond, burst, ahead, low: Math.floor(ahead / 4), young: new Map(), old: new Map() }
}

function purseOf (limit: Limit, key: string): Purse {
  const known = limit.young.get(key)
  if (known !== undefined) return known
  const purse = limit.old.get(key) ?? { tokens: 0, emptyUntil: 0, filling: false, waiting: [], local: undefined }
  limit.old.delete(key)
  if (limit.young.size >= PURSES_MAX / 2) grow(limit)
  limit.young.set(key, purse)
  return purse
}

/** The young become the old; the old, which nobody has touched since they did, are given up. Those who wait for one still get theirs. */
function grow (limit: Limit): void {
  limit.old = limit.young
  limit.young = new Map()
}
