/**
 * Who people are and how they are: fetched when somebody is shown for the first time, a few at a time; kept in the cache. Presence comes
 * over the socket, and is asked once for those in whom the page takes an interest.
 */
import type { Api } from '../api/calls.ts'
import type { Member, Peer, Presence, Status, User } from '../api/types.ts'
import type { Cache } from './cache.ts'
import { ObservableMap } from './observable.ts'

/** People who are asked for at the same time. */
const ASKED_AT_ONCE_MAX = 6
/** Milliseconds after which somebody who could not be had is asked for again. */
const AGAIN_MS = 5_000
/** Milliseconds over which people are collected for the cache. */
const KEEP_MS = 2_000

export type Person = Pick<User, 'id' | 'username' | 'display_name' | 'avatar_url'> & Partial<Pick<User, 'status_text' | 'kind'>>

export class People {
  readonly known = new ObservableMap<Person>()
  readonly presence = new ObservableMap<Status>()
  readonly #api: Api
  readonly #cache: Cache
  readonly #waiting: string[] = []
  readonly #asked = new Set<string>()
  readonly #presenceAsked = new Set<string>()
  #asking = 0
  #toKeep: User[] = []
  #timer: ReturnType<typeof setTimeout> | undefined

  constructor (api: Api, cache: Cache) {
    this.#api = api
    this.#cache = cache
  }

  async restore (): Promise<void> {
    for (const user of await this.#cache.users()) if (this.known.get(user.id) === undefined) this.known.set(user.id, user)
  }

  /** Somebody was met in an answer. */
  met (user: User): void {
    this.known.set(user.id, user)
    this.#asked.add(user.id)
    this.#toKeep.push(user)
    this.#timer ??= setTimeout(() => { this.keep() }, KEEP_MS)
  }

  /** Writes who was met into the cache, now. */
  keep (): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    if (this.#toKeep.length > 0) void this.#cache.keepUsers(this.#toKeep)
    this.#toKeep = []
  }

  /** The same, where an answer tells less of them. */
  seen ({ user_id, username, display_name, avatar_url }: Peer | Member): void {
    const known = this.known.get(user_id)
    if (known === undefined || known.display_name !== display_name || known.avatar_url !== avatar_url) this.known.set(user_id, { ...known, id: user_id, username, display_name, avatar_url })
  }

  /** Finds out who this is, unless it is known. Idempotent. */
  want (id: string): void {
    if (this.#asked.has(id)) return
    this.#asked.add(id)
    this.#waiting.push(id)
    this.#pump()
  }

  #pump (): void {
    while (this.#asking < ASKED_AT_ONCE_MAX && this.#waiting.length > 0) void this.#ask(this.#waiting.shift()!)
  }

  async #ask (id: string): Promise<void> {
    this.#asking++
    try {
      this.met(await this.#api.user(id))
    } catch (error) {
      if ((error as { code?: string }).code !== 'user_not_found') setTimeout(() => { this.#asked.delete(id) }, AGAIN_MS) // whoever renders them next asks again
    } finally {
      this.#asking--
      this.#pump()
    }
  }

  /** Finds out how they are, once; from then on the socket tells. */
  wantPresence (id: string): void {
    if (this.#presenceAsked.has(id)) return
    this.#presenceAsked.add(id)
    this.#api.presence(id).then(presence => { this.told(presence) }, () => { this.#presenceAsked.delete(id) })
  }

  /** The connection is new: what was known of presence is old. */
  forgetPresence (): void {
    const asked = [...this.#presenceAsked]
    this.#presenceAsked.clear()
    for (const id of asked) this.wantPresence(id)
  }

  told ({ user_id, status }: Presence): void { this.presence.set(user_id, status) }
}
