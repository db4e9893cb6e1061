/**
 * Access tokens of a foreign issuer, so that a product with its own users can embed Millrace: checked against the keys that the issuer
 * publishes (RFC 7517), by asymmetric algorithms only.
 *
 * Keys are fetched when they are needed, at most every 30 s for a key that is unknown, and anew every 10 minutes. While they cannot be
 * fetched, those fetched last are good for an hour more, and the issuer is asked again every 5 s at most. A token that
 * does not verify is a returned no; what is thrown is a fault of Postgres.
 */
import { hash } from 'node:crypto'
import { createLocalJWKSet, createRemoteJWKSet, errors, jwksCache, jwtVerify, type ExportedJWKSCache, type JWKSCacheInput, type JWTPayload, type JWTVerifyGetKey } from 'jose'
import type { Logger } from '../telemetry/logging.ts'
import type { ForeignUsers } from './foreign-users.ts'
import type { VerifiedToken } from './tokens.ts'

/** Whatever a token says of itself: not `none`, nor a public key as an HMAC secret. */
const ALGORITHMS = ['EdDSA', 'Ed25519', 'ES256', 'ES384', 'ES512', 'RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512']
const FETCH_MS = 5000
/** Between two fetches for keys that are not in the set. */
const UNKNOWN_KEY_MS = 30_000
const KEYS_FRESH_MS = 600_000
/** How long keys are used that could not be fetched anew. */
const KEYS_STALE_MS = 3_600_000
/** Between two fetches while they fail. */
const FETCH_AGAIN_MS = 5000
const EXTERNAL_ID_CHARS_MAX = 255
const ISSUER_CHARS_MAX = 500

export interface ForeignTokens {
  verify: (token: string) => Promise<VerifiedToken | undefined>
}

export interface ForeignTokensOptions {
  jwksUrl: URL
  /** What the claims iss and aud must be; undefined: whatever they are. */
  issuer?: string | undefined
  audience?: string | undefined
  /** Claims that name the user: for ever, and as a user name. */
  claimUser: string
  claimName: string
  users: ForeignUsers
  clock: () => number
  logger: Logger
}

export function createForeignTokens ({ jwksUrl, issuer, audience, claimUser, claimName, users, clock, logger }: ForeignTokensOptions): ForeignTokens {
  const keys = createKeys(jwksUrl, clock, logger)

  async function claimsOf (token: string): Promise<JWTPayload | undefined> {
    try {
      const { payload } = await jwtVerify(token, keys, { algorithms: ALGORITHMS, issuer, audience, requiredClaims: ['exp', claimUser], currentDate: new Date(clock()) })
      return payload
    } catch {
      return undefined // whatever is wrong with it, it is not theirs; that keys cannot be fetched is said where they are
    }
  }

  return {
    async verify (token) {
      const claims = await claimsOf(token)
      if (claims?.exp === undefined) return undefined
      const { iss = '', exp, sid, jti } = claims
      const external_id = textOf(claims[claimUser], EXTERNAL_ID_CHARS_MAX)
      if (external_id === undefined || typeof iss !== 'string' || iss.length > ISSUER_CHARS_MAX || iss.includes('\0')) return undefined
      const user_id = await users.idOf({ issuer: iss, external_id }, textOf(claims[claimName], EXTERNAL_ID_CHARS_MAX))
      // With the user before it: no claim of theirs is the ID of another's session.
      const session = sessionOf(sid) ?? sessionOf(jti) ?? hash('sha256', token, 'base64url')
      return { user_id, session_id: `${user_id}/${session}`, expires_at: exp * 1000 }
    },
  }
}

/** A claim as text that Postgres takes; undefined if it is none. */
function textOf (claim: unknown, charsMax: number): string | undefined {
  const text = typeof claim === 'number' ? String(claim) : claim
  return typeof text === 'string' && text !== '' && text.length <= charsMax && !text.includes('\0') && text.isWellFormed() ? text : undefined
}

/** Session IDs have no white space. */
function sessionOf (claim: unknown): string | undefined {
  return typeof claim === 'string' && /^[\x21-\x7e]{1,200}$/.test(claim) ? claim : undefined
}

/** The issuer's keys, with what jose leaves open: what happens while they cannot be fetched. */
function createKeys (url: URL, clock: () => number, logger: Logger): JWTVerifyGetKey {
  const last: Partial<ExportedJWKSCache> = {} // jose notes here what it fetched, and when
  const remote = createRemoteJWKSet(url, { timeoutDuration: FETCH_MS, cooldownDuration: UNKNOWN_KEY_MS, cacheMaxAge: KEYS_FRESH_MS, [jwksCache]: last as JWKSCacheInput })
  let stale: { readonly fetchedAt: number, readonly keys: JWTVerifyGetKey } | undefined
  let failedAt = -Infinity

  function lastKeys (): JWTVerifyGetKey {
    const { jwks, uat: fetchedAt } = last
    if (jwks === undefined || fetchedAt === undefined || Date.now() - fetchedAt > KEYS_FRESH_MS + KEYS_STALE_MS) throw new errors.JWKSNoMatchingKey()
    if (stale?.fetchedAt !== fetchedAt) stale = { fetchedAt, keys: createLocalJWKSet(jwks) }
    return stale.keys
  }

  return async (header, token) => {
    if (clock() - failedAt < FETCH_AGAIN_MS) return await lastKeys()(header, token)
    try {
      return await remote(header, token)
    } catch (error) {
      if (error instanceof errors.JWKSNoMatchingKey || error instanceof errors.JOSENotSupported || error instanceof errors.JWKSMultipleMatchingKeys) throw error
      failedAt = clock()
      logger.warn({ reason: (error as Error).message }, 'the keys of the foreign issuer cannot be fetched')
      return await lastKeys()(header, token)
    }
  }
}
