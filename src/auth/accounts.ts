/**
 * Accounts: signing up, with a password or as a guest, logging in, changing the password and what others see.
 *
 * No two users share a name (`usernames.ts` says which are the same). A "no" is returned; what Postgres throws is thrown. Does not send mail, and
 * believes no email address.
 */
import { reject, type RejectionCode } from '../domain/rejections.ts'
import type { Store } from '../store/pool.ts'
import { changePassword, credentialsOf, holdPassword, insertUser, passwordHashOf, updateProfile, userById, usersByKeys, usersByPrefix, type NewUser, type ProfileChange, type User } from '../store/users.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import type { Device } from './device.ts'
import type { Passwords } from './passwords.ts'
import type { SecurityLog } from './security-log.ts'
import type { Refused, Sessions, SignedInOrNot } from './sessions.ts'
import type { Identity } from './tokens.ts'
import { problemOfDisplayName, problemOfUsername, usernameKey } from './usernames.ts'

export interface SignUp {
  readonly username: string
  readonly password: string
  readonly email?: string | undefined
  readonly display_name?: string | undefined
}

export interface Accounts {
  signUp: (who: SignUp, device: Device) => Promise<SignedInOrNot>
  guest: (username: string, device: Device) => Promise<SignedInOrNot>
  logIn: (username: string, password: string, device: Device) => Promise<SignedInOrNot>
  refresh: Sessions['refresh']
  logOut: Sessions['end']
  /** Sets a new password and ends all other sessions. A guest, who has none yet, becomes a person by it. */
  changePassword: (who: Identity, change: { current_password?: string | undefined, new_password: string }, device: Device) => Promise<{ readonly ok: true } | Refused>
  /** Changes what the user says of themselves; `user` is undefined if there is no such user any more. */
  update: (id: string, change: ProfileChange) => Promise<{ readonly ok: true, readonly user: User | undefined } | Refused>
  user: (id: string) => Promise<User | undefined>
  /** Users whose name begins with `query`, by name; `next` is where the next page begins, or null. */
  search: (query: string, page: { after?: string | undefined, limit: number }) => Promise<{ items: User[], next: string | null }>
}

export interface AccountsOptions {
  store: Store
  passwords: Passwords
  sessions: Sessions
  security: Pick<SecurityLog, 'note'>
  /** Whether guests may sign up. */
  guests?: boolean
  clock: () => number
  newId: () => string
  metrics: Metrics
}

export function createAccounts ({ store, passwords, sessions, security, guests = true, clock, newId, metrics }: AccountsOptions): Accounts {
  const no = (code: RejectionCode, detail?: string, retryAfterMs?: number): Refused => ({ ok: false, rejection: reject(code, detail, retryAfterMs) })
  const overloaded = (): Refused => no('overloaded', 'Too many passwords are being checked: try again', 1000)

  /** Why this name cannot be had; undefined if nothing speaks against it now. */
  async function refusalOf (username: string): Promise<Refused | undefined> {
    const problem = problemOfUsername(username)
    if (problem !== undefined) return { ...no('bad_request', `username ${problem}`), field: 'username' }
    const taken = await usersByKeys(store, [usernameKey(username)])
    return taken.length > 0 ? no('username_taken') : undefined
  }

  async function add (user: Omit<NewUser, 'id' | 'username_key' | 'created_at'>, device: Device): Promise<SignedInOrNot> {
    const result = await store.transaction<SignedInOrNot>(async db => {
      const added = await insertUser(db, { ...user, id: newId(), username_key: usernameKey(user.username), created_at: new Date(clock()) })
      // Somebody was quicker than our first look.
      return added === undefined ? no('username_taken') : { ok: true, signedIn: await sessions.open(db, added, device) }
    })
    if (result.ok) security.note({ type: 'signup', user_id: result.signedIn.user.id, session_id: result.signedIn.session_id, device, detail: { kind: user.kind } })
    return result
  }

  const refusalOfDisplayName = (name = 'none'): Refused | undefined => {
    const problem = problemOfDisplayName(name)
    return problem === undefined ? undefined : { ...no('bad_request', `display_name ${problem}`), field: 'display_name' }
  }

  function wrongPassword (device: Device, user_id: string | undefined, at: 'login' | 'password'): Refused {
    metrics.authFailures.inc({ reason: 'bad_credentials' })
    security.note({ type: 'login_failed', user_id, device, detail: { at } })
    return no('bad_credentials', at === 'password' ? 'The current password is another one' : undefined)
  }

  function shut (device: Device, user_id: string): Refused {
    metrics.authFailures.inc({ reason: 'disabled' })
    security.note({ type: 'login_failed', user_id, device, detail: { at: 'login', why: 'disabled' } })
    return no('forbidden', 'This account is shut')
  }

  return {
    async signUp ({ username, password, email, display_name = username }, device) {
      const refusal = refusalOfDisplayName(display_name === username ? undefined : display_name) ?? await refusalOf(username) // before the hash, which costs far more than a look
      if (refusal !== undefined) return refusal
      const password_hash = await passwords.hash(password)
      if (password_hash === 'overloaded') return overloaded()
      return await add({ username, display_name, email: email ?? null, password_hash, kind: 'person' }, device)
    },

    async guest (username, device) {
      if (!guests) return no('forbidden', 'Guests are not admitted here: sign up')
      return await refusalOf(username) ?? await add({ username, display_name: username, email: null, password_hash: null, kind: 'guest' }, device)
    },

    async logIn (username, password, device) {
      const key = usernameKey(username)
      // Postgres refuses to be asked for U+0000; nobody is called that.
      const { password_hash, disabled_at, ...user } = (key.includes('\0') ? undefined : await credentialsOf(store, key)) ?? { password_hash: null, disabled_at: null }
      const right = await passwords.verify(password, password_hash ?? undefined)
      if (right === 'overloaded') return overloaded()
      const failed = (): Refused => wrongPassword(device, 'id' in user ? user.id : undefined, 'login')
      if (!right || !('id' in user) || password_hash === null) return failed()
      if (disabled_at !== null) return shut(device, user.id) // who knows the password may know
      const signedIn = await store.transaction(async db => {
        // Changed since we looked? A change of the password ends all sessions, so none may be opened behind its back.
        return await holdPassword(db, user.id, password_hash) ? await sessions.open(db, user, device) : undefined
      })
      if (signedIn === undefined) return failed()
      security.note({ type: 'login', user_id: user.id, session_id: signedIn.session_id, device })
      return { ok: true, signedIn }
    },

    async changePassword (who, { current_password, new_password }, device) {
      const { kind, password_hash: before } = await passwordHashOf(store, who.user_id) ?? {}
      if (kind !== 'person' && kind !== 'guest') return no('forbidden', 'This user has no password here')
      if (before !== null && before !== undefined) {
        if (current_password === undefined) return { ...no('bad_request', 'current_password is missing'), field: 'current_password' }
        const right = await passwords.verify(current_password, before)
        if (right === 'overloaded') return overloaded()
        if (!right) return wrongPassword(device, who.user_id, 'password')
      }
      const after = await passwords.hash(new_password)
      if (after === 'overloaded') return overloaded()
      const changed = await sessions.revokeOthersAfter(who, async db => await changePassword(db, who.user_id, { before: before ?? null, after }), device)
      if (!changed) return no('conflict', 'The password was changed meanwhile')
      security.note({ type: 'password_changed', user_id: who.user_id, session_id: who.session_id, device })
      return { ok: true }
    },

    async update (id, change) {
      return refusalOfDisplayName(change.display_name) ?? { ok: true, user: await updateProfile(store, id, change) }
    },

    refresh: sessions.refresh,
    logOut: sessions.end,
    user: async id => await userById(store, id),

    async search (query, { after, limit }) {
      const prefix = query === '' ? '' : usernameKey(query)
      const found = await usersByPrefix(store, { prefix, after: after ?? '', limit: limit + 1 })
      const page = found.slice(0, limit)
      return { items: page.map(({ username_key: _, ...user }) => user), next: found.length > limit ? page.at(-1)?.username_key ?? null : null }
    },

  }
}
