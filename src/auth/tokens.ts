/**
 * Access tokens: JWTs signed with Ed25519 (EdDSA, RFC 8037), checked without asking anybody. Gateways that share the key verify
 * each other's. Signing and checking is done by `app.jwt`, which @fastify/jwt puts on the HTTP server; this file says with which
 * key and by which rules, and what a token of ours holds.
 *
 * A token that does not verify is a returned no, never thrown. A token is good until it expires or its session is revoked, which is
 * looked up in memory. Tokens of another issuer are handed to `foreign`, if there is one.
 */
import { createHash, createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto'
import type { FastifyJWTOptions, JWT } from '@fastify/jwt'

const ISSUER = 'millrace'
const AUDIENCE = 'millrace'
const TOKEN_CHARS_MAX = 4096
/** Tokens whose signature was found good and need not be checked again, for ten minutes each: checking one costs as much as framing a hundred events and more. */
const TOKENS_KEPT = 10_000

/** Who speaks: a user, by one of their sessions. */
export interface Identity {
  readonly user_id: string
  readonly session_id: string
}

/** `expires_at`: epoch milliseconds. */
export type VerifiedToken = Identity & { readonly expires_at: number }

/** What a check says: at once about our own tokens; later about those of another issuer, whose keys or users may have to be fetched. */
export type Checked = VerifiedToken | undefined | Promise<VerifiedToken | undefined>

/** The public half of the signing key (RFC 8037), named by its thumbprint. */
export interface PublicJwk { readonly kty: string, readonly crv: string, readonly x: string, readonly kid: string, readonly use: 'sig', readonly alg: 'EdDSA' }

/** An Ed25519 key pair as PEM: PKCS#8 and SPKI. */
export interface SigningKey {
  readonly privatePem: string
  readonly publicPem: string
  readonly jwk: PublicJwk
}

export interface Tokens {
  sign: (identity: Identity) => string
  /** Whose token this is; undefined if it is not valid, or its session is revoked. What is thrown (later only) is a fault of Postgres. */
  verify: (token: string) => Checked
  /** The same, without asking whether the session is revoked: who logs out twice is still the same. */
  identify: (token: string) => Checked
  /** Seconds from signing to expiry. */
  readonly lifetimeS: number
  /** The public key as a JWK set (RFC 7517). */
  readonly jwks: { readonly keys: readonly PublicJwk[] }
}

/** JWT_PRIVATE_KEY is not what it must be; the message is one line and does not contain it. */
export class SigningKeyUnfit extends Error {
  override name = 'SigningKeyUnfit'
}

/**
 * Reads JWT_PRIVATE_KEY. Throws SigningKeyUnfit.
 * @param text Ed25519, PKCS#8: PEM, the base64 of the PEM, or the base64 of the DER
 */
export function readSigningKey (text: string): SigningKey {
  const secret = privateKeyOf(text)
  const open = createPublicKey(secret)
  const { crv = '', kty = '', x = '' } = open.export({ format: 'jwk' })
  const kid = createHash('sha256').update(JSON.stringify({ crv, kty, x })).digest('base64url') // RFC 7638
  return {
    privatePem: secret.export({ type: 'pkcs8', format: 'pem' }).toString(),
    publicPem: open.export({ type: 'spki', format: 'pem' }).toString(),
    jwk: { kty, crv, x, kid, use: 'sig', alg: 'EdDSA' },
  }
}

/** What @fastify/jwt is registered with: who we are, and what a token must be and have. */
export function jwtOptions ({ privatePem, publicPem, jwk: { kid } }: SigningKey): FastifyJWTOptions {
  return {
    secret: { private: privatePem, public: publicPem },
    sign: { algorithm: 'EdDSA', kid, iss: ISSUER, aud: AUDIENCE },
    verify: {
      algorithms: ['EdDSA'], // whatever the token says of itself: not `none`, nor the public key as an HMAC secret
      allowedIss: ISSUER,
      allowedAud: AUDIENCE,
      requiredClaims: ['iss', 'aud', 'sub', 'sid', 'exp'],
      // Times are looked at in `identify`, by our clock: as an option of each call it has the key read anew, which costs as much as the signature.
      ignoreExpiration: true,
      ignoreNotBefore: true,
      cache: TOKENS_KEPT,
    },
  }
}

export interface TokensOptions {
  jwt: Pick<JWT, 'sign' | 'verify'>
  key: SigningKey
  lifetimeS: number
  clock: () => number
  isRevoked?: (sessionId: string) => boolean
  foreign?: { verify: (token: string) => Promise<VerifiedToken | undefined> } | undefined
}

/**
 * @param jwt `app.jwt` of a server on which @fastify/jwt is registered with `jwtOptions(key)`
 * @param lifetimeS seconds
 * @param clock epoch milliseconds
 */
export function createTokens ({ jwt, key, lifetimeS, clock, isRevoked = () => false, foreign }: TokensOptions): Tokens {
  function identify (token: string): Checked {
    if (token.length > TOKEN_CHARS_MAX) return undefined
    if (foreign !== undefined && issuerOf(token) !== ISSUER) return foreign.verify(token)
    try {
      const { sub, sid, exp, nbf } = jwt.verify<Record<string, unknown>>(token)
      if (typeof sub !== 'string' || typeof sid !== 'string' || typeof exp !== 'number') return undefined
      const now = clock()
      if (exp * 1000 < now || (nbf !== undefined && !(Number(nbf) * 1000 <= now))) return undefined
      return { user_id: sub, session_id: sid, expires_at: exp * 1000 }
    } catch {
      return undefined // whatever is wrong with it, it is not ours
    }
  }

  const unlessRevoked = (verified: VerifiedToken | undefined): VerifiedToken | undefined => verified === undefined || isRevoked(verified.session_id) ? undefined : verified

  return {
    lifetimeS,
    jwks: { keys: [key.jwk] },
    sign ({ user_id, session_id }) {
      const iat = Math.floor(clock() / 1000)
      return jwt.sign({ sub: user_id, sid: session_id, iat, exp: iat + lifetimeS })
    },
    identify,
    verify (token) {
      const checked = identify(token)
      return checked instanceof Promise ? checked.then(unlessRevoked) : unlessRevoked(checked)
    },
  }
}

/** What a token says of its issuer; nothing is proved by it. */
function issuerOf (token: string): unknown {
  try {
    const [, payload = ''] = token.split('.', 2)
    return (JSON.parse(Buffer.from(payload, 'base64url').toString()) as { iss?: unknown } | null)?.iss
  } catch {
    return undefined
  }
}

function privateKeyOf (text: string): KeyObject {
  try {
    const bytes = text.includes('-----BEGIN') ? Buffer.from(text.replaceAll('\\n', '\n')) : Buffer.from(text, 'base64')
    const key = bytes.includes('-----BEGIN') ? createPrivateKey(bytes) : createPrivateKey({ key: bytes, format: 'der', type: 'pkcs8' })
    if (key.asymmetricKeyType === 'ed25519') return key
  } catch {} // what OpenSSL says may quote the key
  throw new SigningKeyUnfit('JWT_PRIVATE_KEY is not an Ed25519 private key in PKCS#8 (PEM, or the base64 of it). Make one with: openssl genpkey -algorithm ed25519')
}
