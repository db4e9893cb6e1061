/**
 * Passwords as Argon2id hashes (RFC 9106, OWASP's parameters: 19 MiB, 2 passes, 1 lane; 29 ms of a core), stored as PHC strings.
 *
 * A bounded number is hashed at a time and a bounded number waits, because each takes memory and a thread of the pool that
 * files and names share. Beyond that the answer is `overloaded`. Where there is no hash to compare with, one is computed
 * all the same, so that time does not tell whether a user exists.
 */
import { argon2, randomBytes, timingSafeEqual } from 'node:crypto'
import { createWaitingLine } from '../waiting-line.ts'

const MEMORY_KIB = 19_456
const PASSES = 2
const LANES = 1
const SALT_BYTES = 16
const TAG_BYTES = 32

export const PASSWORD_CHARS_MIN = 8
export const PASSWORD_CHARS_MAX = 1024

export interface Passwords {
  /** A PHC string, or `overloaded`. */
  hash: (password: string) => Promise<string | 'overloaded'>
  /** Whether the password is the one behind `phc`; never, after the same time, where `phc` is undefined. */
  verify: (password: string, phc: string | undefined) => Promise<boolean | 'overloaded'>
  /** Hashes under way, and callers that wait for their turn. */
  stats: () => { running: number, waiting: number }
}

/** @param runningMax hashes computed at a time · @param waitingMax callers that may wait, each some 30 ms for each before it */
export function createPasswords ({ runningMax = 2, waitingMax = 256 }: { runningMax?: number, waitingMax?: number } = {}): Passwords {
  const line = createWaitingLine({ inside: runningMax, waiting: waitingMax })
  const inTurn = async <T>(work: () => Promise<T>): Promise<T | 'overloaded'> => await (line.enter(work) ?? 'overloaded')

  return {
    hash: async password => await inTurn(async () => {
      const salt = randomBytes(SALT_BYTES)
      return phcOf(salt, await derive(password, salt, MEMORY_KIB, PASSES, LANES, TAG_BYTES))
    }),
    verify: async (password, phc) => await inTurn(async () => {
      const { memory, passes, lanes, salt, tag } = parsePhc(phc ?? NOBODY)
      const derived = await derive(password, salt, memory, passes, lanes, tag.length)
      return timingSafeEqual(derived, tag) && phc !== undefined
    }),
    stats: line.stats,
  }
}

const NOBODY = phcOf(Buffer.alloc(SALT_BYTES), Buffer.alloc(TAG_BYTES))

/** The same text typed on different systems may be composed differently: NFC makes it one (RFC 8265). */
async function derive (password: string, nonce: Buffer, memory: number, passes: number, parallelism: number, tagLength: number): Promise<Buffer> {
  return await new Promise((resolve, reject) => {
    argon2('argon2id', { message: password.normalize('NFC'), nonce, parallelism, tagLength, memory, passes }, (error, tag) => {
      if (error !== null) reject(error)
      else resolve(tag)
    })
  })
}

function phcOf (salt: Buffer, tag: Buffer): string {
  const text = (bytes: Buffer): string => bytes.toString('base64').replace(/=+$/, '')
  return `$argon2id$v=19$m=${MEMORY_KIB},t=${PASSES},p=${LANES}$${text(salt)}$${text(tag)}`
}

function parsePhc (phc: string): { memory: number, passes: number, lanes: number, salt: Buffer, tag: Buffer } {
  const [, memory, passes, lanes, salt, tag] = /^\$argon2id\$v=19\$m=(\d+),t=(\d+),p=(\d+)\$([\w+/]+)\$([\w+/]+)$/.exec(phc) ?? []
  if (salt === undefined || tag === undefined) throw new TypeError('a stored password hash is no Argon2id PHC string')
  return { memory: Number(memory), passes: Number(passes), lanes: Number(lanes), salt: Buffer.from(salt, 'base64'), tag: Buffer.from(tag, 'base64') }
}
