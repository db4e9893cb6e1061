/**
 * IDs: UUIDv7 (RFC 9562). Unique, and ascending within this process, so that rows of one process are inserted in the order
 * of their index. Nothing else may be read out of them: the order of events is `seq`.
 */
import { hash, randomFillSync } from 'node:crypto'

const POOL_BYTES = 8192
const RANDOM_BYTES = 10
const COUNTER_MAX = 0xfff

/** Makes a generator. `clock` gives epoch milliseconds; a clock that steps back is held. */
export function createUuidv7 (clock: () => number = Date.now): () => string {
  const pool = Buffer.allocUnsafe(POOL_BYTES) // one call for many IDs: a call for each costs more than the rest
  let at = POOL_BYTES
  let ms = 0
  let counter = 0

  return () => {
    if (at + RANDOM_BYTES > POOL_BYTES) {
      randomFillSync(pool)
      at = 0
    }
    const now = clock()
    if (now > ms) {
      ms = now
      counter = pool.readUInt16BE(at) & 0x7ff // begins in the lower half: room to count within the millisecond
    } else if (++counter > COUNTER_MAX) {
      ms += 1 // ahead of the clock, until it catches up
      counter = 0
    }
    const time = ms.toString(16).padStart(12, '0')
    const variant = (0x8000 | (pool.readUInt16BE(at + 2) & 0x3fff)).toString(16)
    const rest = pool.toString('hex', at + 4, at + RANDOM_BYTES)
    at += RANDOM_BYTES
    return `${time.slice(0, 8)}-${time.slice(8)}-7${counter.toString(16).padStart(3, '0')}-${variant}-${rest}`
  }
}

/** The process's generator. */
export const uuidv7 = createUuidv7()

/** The same text gives the same ID: version 8 (RFC 9562), from SHA-256. */
export function derivedUuid (text: string): string {
  const bytes = hash('sha256', text, 'buffer').subarray(0, 16)
  bytes[6] = (bytes[6]! & 0x0f) | 0x80
  bytes[8] = (bytes[8]! & 0x3f) | 0x80
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}

/** The room of the direct conversation of two users: one per pair, whoever asks. */
export function dmIdOf (one: string, other: string): string {
  return derivedUuid(`dm of ${[one, other].sort().join(' and ')}`)
}
