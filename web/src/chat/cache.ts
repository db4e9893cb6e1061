/**
 * What was loaded, kept in IndexedDB for when there is no network, and so that a room opens at once: of each room its newest messages and
 * the position up to which they are complete, written in one transaction; the list of rooms; people. One database per account.
 * It is a cache: where it fails, everything goes on without it.
 */
import { openDB, type DBSchema, type IDBPDatabase } from 'idb'
import type { Me, Position, User } from '../api/types.ts'
import type { Message } from './fold.ts'
import type { RoomSummary } from './rooms.ts'

/** Rooms of which messages are kept; of more, those opened last. */
const ROOMS_KEPT_MAX = 60
/** Newest messages that are kept of a room. */
export const MESSAGES_KEPT_MAX = 150
/** People that are kept. */
const USERS_KEPT_MAX = 2_000

export interface CachedRoom { readonly room_id: string, readonly position: Position, readonly messages: readonly Message[], readonly has_older: boolean, readonly at: number }
export interface CachedStart { readonly me: Me, readonly rooms: readonly RoomSummary[] }

interface Tables extends DBSchema {
  rooms: { key: string, value: CachedRoom }
  positions: { key: string, value: { readonly position: Position, readonly at: number } }
  users: { key: string, value: User }
  start: { key: 'start', value: CachedStart }
}

export interface Cache {
  start: () => Promise<CachedStart | undefined>
  keepStart: (start: CachedStart) => Promise<void>
  /** Up to where the messages of each room are there. */
  positions: () => Promise<ReadonlyMap<string, Position>>
  room: (roomId: string) => Promise<CachedRoom | undefined>
  keepRoom: (room: CachedRoom) => Promise<void>
  forgetRoom: (roomId: string) => Promise<void>
  users: () => Promise<readonly User[]>
  keepUsers: (users: readonly User[]) => Promise<void>
  /** Deletes all of it. */
  clear: () => Promise<void>
}

const nameOf = (userId: string): string => `millrace-cache-${userId}`

/** A page that goes away does not live to see its requests answered: so it is said at once that there are no more. */
async function written (tx: { commit: () => void, done: Promise<void> }): Promise<void> {
  tx.commit()
  await tx.done
}

export function openCache (userId: string): Cache {
  let opened: Promise<IDBPDatabase<Tables>> | undefined
  let isCleared = false
  const open = async (): Promise<IDBPDatabase<Tables>> => await (opened ??= openDB<Tables>(nameOf(userId), 1, {
    upgrade (db) {
      db.createObjectStore('rooms')
      db.createObjectStore('positions')
      db.createObjectStore('users')
      db.createObjectStore('start')
    },
    terminated () { opened = undefined },
    blocking (_now, _then, event) { // another page has signed out, and deletes it
      (event.target as IDBDatabase).close()
      opened = undefined
    },
  }))

  /** What is asked of the database; `otherwise` where it cannot be asked. */
  async function attempt<T> (otherwise: T, ask: (db: IDBPDatabase<Tables>) => Promise<T>): Promise<T> {
    if (isCleared) return otherwise // what comes late would make it anew
    try {
      return await ask(await open())
    } catch (error) {
      console.warn('The cache of messages failed', error)
      opened = undefined
      return otherwise
    }
  }

  return {
    start: async () => await attempt(undefined, async db => await db.get('start', 'start')),
    async keepStart (start) {
      await attempt(undefined, async db => {
        const tx = db.transaction('start', 'readwrite')
        void tx.store.put(start, 'start')
        await written(tx)
      })
    },
    positions: async () => await attempt(new Map<string, Position>(), async db => {
      const tx = db.transaction(['positions', 'rooms'], 'readwrite')
      const [ids, kept] = await Promise.all([tx.objectStore('positions').getAllKeys(), tx.objectStore('positions').getAll()])
      const newest = ids.map((id, i) => ({ id, ...kept[i]! })).sort((a, b) => b.at - a.at)
      for (const { id } of newest.slice(ROOMS_KEPT_MAX)) {
        void tx.objectStore('positions').delete(id)
        void tx.objectStore('rooms').delete(id)
      }
      await tx.done
      return new Map(newest.slice(0, ROOMS_KEPT_MAX).map(({ id, position }) => [id, position]))
    }),
    room: async roomId => await attempt(undefined, async db => await db.get('rooms', roomId)),
    async keepRoom (room) {
      await attempt(undefined, async db => {
        const tx = db.transaction(['positions', 'rooms'], 'readwrite')
        void tx.objectStore('rooms').put(room, room.room_id)
        void tx.objectStore('positions').put({ position: room.position, at: room.at }, room.room_id)
        await written(tx)
      })
    },
    async forgetRoom (roomId) {
      await attempt(undefined, async db => {
        const tx = db.transaction(['positions', 'rooms'], 'readwrite')
        void tx.objectStore('rooms').delete(roomId)
        void tx.objectStore('positions').delete(roomId)
        await tx.done
      })
    },
    users: async () => await attempt<readonly User[]>([], async db => await db.getAll('users', undefined, USERS_KEPT_MAX)),
    async keepUsers (users) {
      await attempt(undefined, async db => {
        const tx = db.transaction('users', 'readwrite')
        for (const user of users) void tx.store.put(user, user.id)
        await written(tx)
      })
    },
    async clear () {
      isCleared = true
      const db = await opened?.catch(() => undefined)
      db?.close()
      opened = undefined
      indexedDB.deleteDatabase(nameOf(userId))
    },
  }
}
