/**
 * Where a client keeps what must outlive it: positions, commands that are not acked yet, the refresh token. Small strings by key,
 * each written whole, so that tabs that share a store cannot tear each other's: a command has a key of its own, and of a position any
 * one that was ever written is a true one.
 */

/** A place to keep strings. Faults are thrown; the client then goes on in memory and says so (`error`). */
export interface Store {
  get: (key: string) => Promise<string | undefined>
  set: (key: string, value: string) => Promise<void>
  delete: (key: string) => Promise<void>
  /** All keys that begin with `prefix`, with their values, in any order. */
  list: (prefix: string) => Promise<Array<[key: string, value: string]>>
}

/** Keeps everything as long as the object lives. */
export function memoryStore (): Store {
  const kept = new Map<string, string>()
  return {
    get: async key => kept.get(key),
    set: async (key, value) => { kept.set(key, value) },
    delete: async key => { kept.delete(key) },
    list: async prefix => [...kept].filter(([key]) => key.startsWith(prefix)),
  }
}

/** As much of `localStorage` as is needed. */
export interface StorageLike {
  readonly length: number
  key: (index: number) => string | null
  getItem: (key: string) => string | null
  setItem: (key: string, value: string) => void
  removeItem: (key: string) => void
}

/**
 * Keeps everything in the page's localStorage (5 MB per origin, shared by its tabs), or in another storage such as sessionStorage.
 * @param name begins all its keys: one for each account that is used in the browser
 */
export function localStorageStore (name = 'millrace', storage: StorageLike = (globalThis as unknown as { localStorage: StorageLike }).localStorage): Store {
  const within = `${name}:`
  return {
    get: async key => storage.getItem(within + key) ?? undefined,
    set: async (key, value) => { storage.setItem(within + key, value) },
    delete: async key => { storage.removeItem(within + key) },
    async list (prefix) {
      const found: Array<[string, string]> = []
      for (let i = 0; i < storage.length; i++) {
        const key = storage.key(i)!
        if (key.startsWith(within + prefix)) found.push([key.slice(within.length), storage.getItem(key) ?? ''])
      }
      return found
    },
  }
}

/**
 * Keeps everything in an IndexedDB database of this name, shared by the origin's tabs and its workers.
 * @param name of the database: one for each account that is used in the browser
 */
export function indexedDbStore (name = 'millrace', factory: any = (globalThis as any).indexedDB): Store {
  const TABLE = 'kept'
  const ask = async <T>(request: any): Promise<T> => await new Promise((resolve, reject) => {
    request.onsuccess = () => { resolve(request.result) }
    request.onerror = () => { reject(request.error) }
  })
  let opened: Promise<any> | undefined
  /** The database; opened again after it failed to, or after the browser closed it. */
  const open = async (): Promise<any> => await (opened ??= (async () => {
    const request = factory.open(name, 1)
    request.onupgradeneeded = () => { request.result.createObjectStore(TABLE) }
    const db = await ask<any>(request)
    db.onclose = () => { opened = undefined }
    db.onversionchange = () => { // another tab wants to delete it
      db.close()
      opened = undefined
    }
    return db
  })().catch(error => {
    opened = undefined
    throw error
  }))
  const table = async (mode: 'readonly' | 'readwrite'): Promise<any> => (await open()).transaction(TABLE, mode).objectStore(TABLE)
  const write = async (change: (table: any) => any): Promise<void> => {
    const kept = await table('readwrite')
    await new Promise<void>((resolve, reject) => { // written is what the transaction has committed
      kept.transaction.oncomplete = () => { resolve() }
      kept.transaction.onabort = () => { reject(kept.transaction.error) }
      change(kept)
    })
  }
  return {
    get: async key => await ask(((await table('readonly')).get(key))),
    set: async (key, value) => { await write(kept => kept.put(value, key)) },
    delete: async key => { await write(kept => kept.delete(key)) },
    async list (prefix) {
      const kept = await table('readonly')
      const [keys, values] = await Promise.all([ask<string[]>(kept.getAllKeys()), ask<string[]>(kept.getAll())]) // both in key order, of one transaction
      return keys.map((key, i): [string, string] => [key, values[i]!]).filter(([key]) => key.startsWith(prefix))
    },
  }
}
