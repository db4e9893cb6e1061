/** The keys by which push services know this deployment (RFC 8292): of the private one that the operator gives, else made once and kept. */
import { createECDH } from 'node:crypto'
import { ConfigError } from '../config.ts'
import type { Queryable } from '../store/pool.ts'
import { keepVapidKeys, type VapidKeys } from '../store/push-subscriptions.ts'

const CURVE = 'prime256v1'
const KEY_BYTES = 32

/** Throws ConfigError where the key that is given is none. */
export async function vapidKeys (db: Queryable, privateKey: string | undefined): Promise<VapidKeys> {
  const ecdh = createECDH(CURVE)
  if (privateKey === undefined) {
    ecdh.generateKeys()
    // OpenSSL leaves leading zeros out.
    const made = Buffer.concat([Buffer.alloc(KEY_BYTES), ecdh.getPrivateKey()]).subarray(-KEY_BYTES)
    return await keepVapidKeys(db, { public_key: ecdh.getPublicKey('base64url'), private_key: made.toString('base64url') })
  }
  try {
    const given = Buffer.from(privateKey, 'base64url')
    if (given.length !== KEY_BYTES) throw new RangeError(`${given.length} bytes`)
    ecdh.setPrivateKey(given)
    return { public_key: ecdh.getPublicKey('base64url'), private_key: given.toString('base64url') }
  } catch {
    throw new ConfigError(`VAPID_PRIVATE_KEY is not valid: it must be the ${KEY_BYTES} bytes of a private key of P-256, as base64url.`)
  }
}
