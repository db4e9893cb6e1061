/**
 * Access tokens: JWTs signed with Ed25519 (EdDSA, RFC 8037), checked without asking anybody. Gateways that share the key verify
 * each other's.
 *
 * A token that does not verify is a returned no, never thrown. A token is good until it expires: revoking a session stops
 * its refresh at once, and its access tokens with their short life.
 */
import { createHash, createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto'
import { createSigner, createVerifier } from 'fast-jwt'

const ISSUER = 'millrace'
const AUDIENCE = 'millrace'
const TOKEN_CHARS_MAX = 4096

/** Who speaks: a user, by one of their sessions. */
export interface Identity {
  readonly user_id: string
  readonly session_id: string
}

/** `expires_at`: epoch milliseconds. */
export type VerifiedToken = Identity & { readonly expires_at: number }

export interface Tokens {
  sign: (identity: Identity) => string
  verify: (token: string) => VerifiedToken | undefined
  /** Seconds from signing to expiry. */
  readonly lifetimeS: number
  /** The public key as a JWK set (RFC 7517). */
  readonly jwks: { readonly keys: ReadonlyArray<{ kty: string, crv: string, x: string, kid: string, use: string, alg: string }> }
}

/** JWT_PRIVATE_KEY is not what it must be; the message is one line and does not contain it. */
export class SigningKeyUnfit extends Error {
  override name = 'SigningKeyUnfit'
}

/**
 * Throws SigningKeyUnfit.
 * @param privateKey Ed25519, PKCS#8: PEM, the base64 of the PEM, or the base64 of the DER
 * @param lifetimeS seconds
 * @param clock epoch milliseconds
 */
export function createTokens ({ privateKey, lifetimeS, clock }: { privateKey: string, lifetimeS: number, clock: () => number }): Tokens {
  const secret = signingKey(privateKey)
  const open = createPublicKey(secret)
  const { crv = '', kty = '', x = '' } = open.export({ format: 'jwk' })
  const kid = createHash('sha256').update(JSON.stringify({ crv, kty, x })).digest('base64url') // RFC 7638

  // Times are set and checked here, by our clock: the library would read the system's.
  const sign = createSigner({ algorithm: 'EdDSA', key: secret.export({ type: 'pkcs8', format: 'pem' }).toString(), kid, iss: ISSUER, aud: AUDIENCE, noTimestamp: true })
  const verify = createVerifier({
    algorithms: ['EdDSA'],
    key: open.export({ type: 'spki', format: 'pem' }).toString(),
    allowedIss: ISSUER,
    allowedAud: AUDIENCE,
    requiredClaims: ['iss', 'aud', 'sub', 'sid', 'exp'],
    ignoreExpiration: true,
    cache: false,
  })

  return {
    lifetimeS,
    jwks: { keys: [{ kty, crv, x, kid, use: 'sig', alg: 'EdDSA' }] },
    sign ({ user_id, session_id }) {
      const iat = Math.floor(clock() / 1000)
      return sign({ sub: user_id, sid: session_id, iat, exp: iat + lifetimeS })
    },
    verify (token) {
      if (token.length > TOKEN_CHARS_MAX) return undefined
      try {
        const { sub, sid, exp } = verify(token) as Record<string, unknown>
        if (typeof sub !== 'string' || typeof sid !== 'string' || typeof exp !== 'number' || exp * 1000 <= clock()) return undefined
        return { user_id: sub, session_id: sid, expires_at: exp * 1000 }
      } catch {
        return undefined // whatever is wrong with it, it is not ours
      }
    },
  }
}

function signingKey (text: string): KeyObject {
  try {
    const bytes = text.includes('-----BEGIN') ? Buffer.from(text.replaceAll('\\n', '\n')) : Buffer.from(text, 'base64')
    const key = bytes.includes('-----BEGIN') ? createPrivateKey(bytes) : createPrivateKey({ key: bytes, format: 'der', type: 'pkcs8' })
    if (key.asymmetricKeyType === 'ed25519') return key
  } catch {} // what OpenSSL says may quote the key
  throw new SigningKeyUnfit('JWT_PRIVATE_KEY is not an Ed25519 private key in PKCS#8 (PEM, or the base64 of it). Make one with: openssl genpkey -algorithm ed25519')
}
