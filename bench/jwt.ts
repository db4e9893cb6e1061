/**
 * Access tokens as Millrace takes them (EdDSA, RFC 8037; claims iss, aud, sub, sid, iat, exp), signed for the load clients, and
 * verified by the peer. With Node's crypto alone: what verifying costs is the signature, and it is the same for both.
 */
import { createPrivateKey, createPublicKey, sign as signBytes, verify as verifyBytes } from 'node:crypto'

const HEADER = Buffer.from(JSON.stringify({ alg: 'EdDSA', typ: 'JWT' })).toString('base64url')

export function createSign (privateKey: string): (userId: string, sessionId: string) => string {
  const key = createPrivateKey(privateKey)
  return (sub, sid) => {
    const iat = Math.floor(Date.now() / 1000)
    const text = `${HEADER}.${Buffer.from(JSON.stringify({ iss: 'millrace', aud: 'millrace', sub, sid, iat, exp: iat + 86_400 })).toString('base64url')}`
    return `${text}.${signBytes(null, Buffer.from(text), key).toString('base64url')}`
  }
}

/** Returns the user, or undefined for a token that is not good. */
export function createVerify (privateKey: string): (token: string) => string | undefined {
  const key = createPublicKey(createPrivateKey(privateKey))
  return token => {
    const [head = '', body = '', signature = ''] = token.split('.')
    try {
      const { alg } = JSON.parse(Buffer.from(head, 'base64url').toString())
      if (alg !== 'EdDSA' || !verifyBytes(null, Buffer.from(`${head}.${body}`), key, Buffer.from(signature, 'base64url'))) return undefined
      const { iss, aud, sub, exp } = JSON.parse(Buffer.from(body, 'base64url').toString())
      return iss === 'millrace' && aud === 'millrace' && typeof sub === 'string' && exp * 1000 > Date.now() ? sub : undefined
    } catch {
      return undefined
    }
  }
}
