/**
 * Users of a foreign issuer: made when they are first seen, found by the issuer's name for them from then on. A bounded number is
 * remembered, so that who is connected keeps being known while Postgres is away.
 */
import { hash } from 'node:crypto'
import type { Store } from '../store/pool.ts'
import { insertForeignUser, userByExternalId, type ExternalId } from '../store/users.ts'
import { problemOfUsername, USERNAME_CHARS_MAX, usernameKey } from './usernames.ts'

/** Users remembered by one gateway. */
const USERS_MAX = 20_000
/** Names tried for a new user; the suffixes of all but the first are random. */
const NAMES_MAX = 5
const SUFFIX_CHARS = 6

export interface ForeignUsers {
  /** The ID of this user, who is made if they are new. Throws what Postgres throws. */
  idOf: (external: ExternalId, wantedName: string | undefined) => Promise<string>
}

export function createForeignUsers ({ store, newId, clock, usersMax = USERS_MAX }: { store: Store, newId: () => string, clock: () => number, usersMax?: number }): ForeignUsers {
  /** In the order of their last use. */
  const known = new Map<string, string>()
  /** Being looked up: a client that opens many sockets at once asks once. */
  const asked = new Map<string, Promise<string>>()

  function remember (key: string, id: string): void {
    known.delete(key)
    known.set(key, id)
    if (known.size > usersMax) known.delete(known.keys().next().value!)
  }

  async function findOrMake (external: ExternalId, wantedName: string | undefined): Promise<string> {
    const name = wantedName !== undefined && problemOfUsername(wantedName) === undefined ? wantedName : `user-${suffixOf(external.external_id)}`
    for (let i = 0; i < NAMES_MAX; i++) {
      const found = await userByExternalId(store, external)
      if (found !== undefined) return found.id
      const id = newId()
      const username = i === 0 ? name : `${[...name].slice(0, USERNAME_CHARS_MAX - SUFFIX_CHARS - 1).join('').trimEnd()}-${suffixOf(id)}`
      // Nothing is added where the name is taken, and where another gateway has just made this user: the next round knows.
      const added = await insertForeignUser(store, { ...external, id, username, username_key: usernameKey(username), display_name: name, created_at: new Date(clock()) })
      if (added !== undefined) return added.id
    }
    throw new Error(`none of ${NAMES_MAX} names could be had for a foreign user`)
  }

  return {
    async idOf (external, wantedName) {
      const key = JSON.stringify([external.issuer, external.external_id])
      const id = known.get(key)
      if (id !== undefined) {
        remember(key, id)
        return id
      }
      let asking = asked.get(key)
      if (asking === undefined) {
        asking = findOrMake(external, wantedName).finally(() => { asked.delete(key) })
        asked.set(key, asking)
      }
      const found = await asking
      remember(key, found)
      return found
    },
  }
}

function suffixOf (text: string): string {
  return hash('sha256', text, 'hex').slice(0, SUFFIX_CHARS)
}
