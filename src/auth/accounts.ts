/**
 * Accounts: signing up, with a password or as a guest, logging in.
 *
 * No two users share a name (`usernames.ts` says which are the same). A "no" is returned; what Postgres throws is thrown. Does not send mail, and
 * believes no email address.
 */
import { reject, type RejectionCode } from '../domain/rejections.ts'
import type { Store } from '../store/pool.ts'
import { credentialsOf, insertUser, userById, usersByKeys, usersByPrefix, type NewUser, type User } from '../store/users.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import type { Passwords } from './passwords.ts'
import type { Device, Refused, Sessions, SignedInOrNot } from './sessions.ts'
import { problemOfUsername, usernameKey } from './usernames.ts'

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
  user: (id: string) => Promise<User | undefined>
  /** Users whose name begins with `query`, by name; `next` is where the next page begins, or null. */
  search: (query: string, page: { after?: string | undefined, limit: number }) => Promise<{ items: User[], next: string | null }>
}

export interface AccountsOptions {
  store: Store
  passwords: Passwords
  sessions: Sessions
  /** Whether guests may sign up. */
  guests?: boolean
  clock: () => number
  newId: () => string
  metrics: Metrics
}

export function createAccounts ({ store, passwords, sessions, guests = true, clock, newId, metrics }: AccountsOptions): Accounts {
  const no = (code: RejectionCode, detail?: string, retryAfterMs?: number): Refused => ({ ok: false, rejection: reject(code, detail, retryAfterMs) })
  const overloaded = (): Refused => no('overloaded', 'Too many passwords are being checked: try again', 1000)

  /** Why this name cannot be had; undefined if nothing speaks against it now. */
  async function refusalOf (username: string): Promise<Refused | undefined> {
    const problem = problemOfUsername(username)
    if (problem !== undefined) return no('bad_request', `username ${problem}`)
    const taken = await usersByKeys(store, [usernameKey(username)])
    return taken.length > 0 ? no('username_taken') : undefined
  }

  async function add (user: Omit<NewUser, 'id' | 'username_key' | 'created_at'>, device: Device): Promise<SignedInOrNot> {
    return await store.transaction(async db => {
      const added = await insertUser(db, { ...user, id: newId(), username_key: usernameKey(user.username), created_at: new Date(clock()) })
      // Somebody was quicker than our first look.
      return added === undefined ? no('username_taken') : { ok: true, signedIn: await sessions.open(db, added, device) }
    })
  }

  return {
    async signUp ({ username, password, email, display_name = username }, device) {
      const refusal = await refusalOf(username) // before the hash, which costs far more than a look
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
      const { password_hash, ...user } = (key.includes('\0') ? undefined : await credentialsOf(store, key)) ?? { password_hash: null }
      const right = await passwords.verify(password, password_hash ?? undefined)
      if (right === 'overloaded') return overloaded()
      if (!right || !('id' in user)) {
        metrics.authFailures.inc({ reason: 'bad_credentials' })
        return no('bad_credentials')
      }
      return { ok: true, signedIn: await sessions.open(store, user, device) }
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
