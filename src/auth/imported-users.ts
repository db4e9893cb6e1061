/**
 * Users for the names of an imported log: nicks with whatever characters they have, without a password, who never log in.
 * The same names give the same users again. A name that belongs to somebody who signed up is not taken from them: the
 * imported user is called `<name> (imported)`.
 */
import type { Queryable, Store } from '../store/pool.ts'
import { insertImportedUsers, usersByKeys, type NamedUser } from '../store/users.ts'
import { importedName, usernameKey } from './usernames.ts'

const NAMES_PER_STATEMENT = 2000
const IMPORTED_CHARS_MAX = 400

/** IDs by name; users that are missing are made. Throws RangeError for a name that is empty or longer than 400 characters. */
export async function ensureUsers ({ store, newId, clock }: { store: Store, newId: () => string, clock: () => number }, names: readonly string[]): Promise<Map<string, string>> {
  const ids = new Map<string, string>()
  const unique = [...new Set(names)]
  for (let i = 0; i < unique.length; i += NAMES_PER_STATEMENT) {
    for (const [name, id] of await ensure(store, unique.slice(i, i + NAMES_PER_STATEMENT), newId, new Date(clock()))) ids.set(name, id)
  }
  return ids
}

/** Finds or makes imported users for names that are all different; names with the same key are the same user. */
async function ensure (db: Queryable, names: readonly string[], newId: () => string, now: Date): Promise<Map<string, string>> {
  const wanted = new Map<string, { username: string, names: string[] }>()
  for (const name of names) {
    if (name === '' || name.length > IMPORTED_CHARS_MAX) throw new RangeError(`a user name has 1 to ${IMPORTED_CHARS_MAX} characters, this one ${name.length}`)
    const username = name.toWellFormed().replaceAll('\0', '\ufffd') // Postgres stores neither half a character nor U+0000
    const same = wanted.get(usernameKey(username))
    if (same === undefined) wanted.set(usernameKey(username), { username, names: [name] })
    else same.names.push(name)
  }
  const ids = new Map<string, string>()
  let users = await usersByKeys(db, [...wanted.keys()])
  const known = new Set(users.map(({ username_key }) => username_key))
  const missing = [...wanted].filter(([key]) => !known.has(key))
  if (missing.length > 0) {
    await insertImportedUsers(db, missing.map(([username_key, { username }]) => ({ id: newId(), username, username_key })), now)
    users = [...users, ...await usersByKeys(db, missing.map(([key]) => key))]
  }
  const isImported = ({ kind }: NamedUser): boolean => kind === 'imported'
  for (const { id, username_key } of users.filter(isImported)) {
    for (const name of wanted.get(username_key)?.names ?? []) ids.set(name, id)
  }
  // Nobody can sign up under a name that ends like these, so there is no second round.
  const others = users.filter(user => !isImported(user)).flatMap(({ username_key }) => wanted.get(username_key)?.names ?? [])
  if (others.length > 0) {
    const renamed = await ensure(db, others.map(importedName), newId, now)
    for (const name of others) ids.set(name, renamed.get(importedName(name))!)
  }
  return ids
}
