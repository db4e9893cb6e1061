/**
 * What operators do to accounts: shutting and opening them, setting passwords, ending sessions. Each change and its record are one
 * transaction; whoever it is done to finds it among what happened to their account. Throws what Postgres throws.
 *
 * Who is an operator is asked of Postgres each time: an operator who is none any more can do nothing from that moment on.
 */
import { randomBytes } from 'node:crypto'
import { reject, type RejectionCode } from '../domain/rejections.ts'
import type { Revocations } from '../log/revocations.ts'
import { endedByOperators, insertAct, knownUser, operatorName, resetPassword, revokeAllSessions, revokeAnySession, setDisabled, type KnownUser } from '../store/operators.ts'
import type { Queryable, Store } from '../store/pool.ts'
import type { Logger } from '../telemetry/logging.ts'
import { addressOf, type Device } from './device.ts'
import type { Passwords } from './passwords.ts'
import type { SecurityLog } from './security-log.ts'
import type { Refused } from './sessions.ts'

/** Bytes of a password that is made here. */
const PASSWORD_BYTES = 15

/** Who acts, and from where. */
export interface Operator {
  readonly user_id: string
  readonly name: string
  readonly device: Device
}

export interface ActOn {
  readonly action: string
  readonly user_id?: string | undefined
  readonly room_id?: string | undefined
  readonly detail?: Readonly<Record<string, unknown>>
}

type Done<T extends object = object> = ({ readonly ok: true } & T) | Refused

export interface Operators {
  /** Name of this user if they are an operator now. */
  nameOf: (userId: string) => Promise<string | undefined>
  /** Nobody logs in with the account any more, and all its sessions end. */
  disable: (by: Operator, userId: string, reason: string | undefined) => Promise<Done>
  enable: (by: Operator, userId: string) => Promise<Done>
  /** Sets the password, made here if none is given, and ends all sessions. */
  resetPassword: (by: Operator, userId: string, password: string | undefined) => Promise<Done<{ readonly password: string }>>
  endSessions: (by: Operator, userId: string) => Promise<Done<{ readonly ended: number }>>
  /** False if there is no such session, or it is over. */
  endSession: (by: Operator, sessionId: string) => Promise<boolean>
  /** Writes down what was done elsewhere. Never throws: where it matters (rooms) the log itself says who did it. */
  note: (by: Operator, act: ActOn) => Promise<void>
}

export interface OperatorsOptions {
  store: Store
  passwords: Passwords
  revocations: Pick<Revocations, 'revoke'>
  security: Pick<SecurityLog, 'note'>
  /** Milliseconds after a session was revoked for which an access token of it may live. */
  keepMs: number
  clock: () => number
  newId: () => string
  logger: Logger
}

export function createOperators ({ store, passwords, revocations, security, keepMs, clock, newId, logger }: OperatorsOptions): Operators {
  const no = (code: RejectionCode, detail?: string): Refused => ({ ok: false, rejection: reject(code, detail) })

  async function record (db: Queryable, { user_id: operator_id, name: operator, device }: Operator, act: ActOn): Promise<void> {
    await insertAct(db, { id: newId(), operator_id, operator, address: addressOf(device), ...act })
  }

  /** The user, unless nothing may be done to them. */
  async function subject (by: Operator, userId: string): Promise<KnownUser | Refused> {
    if (userId === by.user_id) return no('not_yourself')
    return await knownUser(store, userId) ?? no('user_not_found')
  }

  /** After the transaction: the sessions are void at once, everywhere, and their sockets closed. */
  async function announce (ended: readonly string[]): Promise<void> {
    if (ended.length > 0) await revocations.revoke(ended)
  }

  /**
   * Those that this ended and, once more, those that an operator ended lately: the process that did may have died between its transaction and
   * this, and then it is done again. Heard twice, it changes nothing.
   */
  async function announceAll (userId: string): Promise<void> {
    await announce(await endedByOperators(store, userId, new Date(clock() - keepMs)))
  }

  return {
    nameOf: async userId => await operatorName(store, userId),

    async disable (by, userId, reason) {
      const user = await subject(by, userId)
      if ('ok' in user) return user
      if (user.kind === 'foreign') return no('forbidden', 'The tokens of this user come from another issuer: shut the account there')
      const changed = await store.transaction(async db => {
        // First the account: a log-in under way waits for it, or its session is seen below.
        if (!await setDisabled(db, userId, new Date(clock()))) return false
        await record(db, by, { action: 'disable', user_id: userId, detail: reason === undefined ? {} : { reason } })
        await revokeAllSessions(db, userId, new Date(clock()))
        return true
      })
      if (changed) security.note({ type: 'disabled', user_id: userId, device: {} })
      await announceAll(userId)
      return { ok: true }
    },

    async enable (by, userId) {
      const user = await subject(by, userId)
      if ('ok' in user) return user
      const changed = await store.transaction(async db => {
        if (!await setDisabled(db, userId, null)) return false
        await record(db, by, { action: 'enable', user_id: userId })
        return true
      })
      if (changed) security.note({ type: 'enabled', user_id: userId, device: {} })
      return { ok: true }
    },

    async resetPassword (by, userId, given) {
      const user = await subject(by, userId)
      if ('ok' in user) return user
      if (user.kind !== 'person' && user.kind !== 'guest') return no('forbidden', 'This user has no password here')
      const password = given ?? randomBytes(PASSWORD_BYTES).toString('base64url')
      const hash = await passwords.hash(password)
      if (hash === 'overloaded') return { ok: false, rejection: reject('overloaded', 'Too many passwords are being checked: try again', 1000) }
      await store.transaction(async db => {
        await resetPassword(db, userId, hash)
        await record(db, by, { action: 'reset password', user_id: userId })
        await revokeAllSessions(db, userId, new Date(clock()))
      })
      security.note({ type: 'password_reset', user_id: userId, device: {} })
      await announceAll(userId)
      return { ok: true, password }
    },

    async endSessions (by, userId) {
      if (await knownUser(store, userId) === undefined) return no('user_not_found')
      const ended = await store.transaction(async db => {
        const sessions = await revokeAllSessions(db, userId, new Date(clock()))
        await record(db, by, { action: 'end sessions', user_id: userId, detail: { sessions: sessions.length } })
        return sessions
      })
      for (const session_id of ended) security.note({ type: 'session_revoked', user_id: userId, session_id, device: {}, detail: { by: 'operator' } })
      await announceAll(userId)
      return { ok: true, ended: ended.length }
    },

    async endSession (by, sessionId) {
      const session = await store.transaction(async db => {
        const ended = await revokeAnySession(db, sessionId, new Date(clock()))
        if (ended !== undefined) await record(db, by, { action: 'end session', user_id: ended.user_id, detail: { session_id: ended.id } })
        return ended
      })
      if (session === undefined) return false
      security.note({ type: 'session_revoked', user_id: session.user_id, session_id: session.id, device: {}, detail: { by: 'operator' } })
      await announce([session.id])
      return true
    },

    async note (by, act) {
      try {
        await record(store, by, act)
      } catch (error) {
        logger.error({ reason: (error as Error).message, operator_id: by.user_id, ...act }, 'what an operator did could not be written down')
      }
    },
  }
}
