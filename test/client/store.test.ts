// Stores: one contract. IndexedDB is played by as much of one as is asked for: requests that answer later, transactions that commit.
import t from 'tap'
import { createPositions, POSITIONS_KEPT_MAX } from '../../src/client/positions.ts'
import { indexedDbStore, localStorageStore, memoryStore, type StorageLike, type Store } from '../../src/client/store.ts'

function storage (): StorageLike {
  const kept = new Map<string, string>()
  return {
    get length () { return kept.size },
    key: index => [...kept.keys()][index] ?? null,
    getItem: key => kept.get(key) ?? null,
    setItem (key, value) { kept.set(key, value) },
    removeItem (key) { kept.delete(key) },
  }
}

function indexedDb () {
  const databases = new Map<string, Map<string, string>>()
  const later = (request: any, result: unknown) => {
    queueMicrotask(() => {
      request.result = result
      request.onsuccess?.()
    })
    return request
  }
  let opened = 0
  return {
    get opened () { return opened },
    open (name: string) {
      opened++
      const isNew = !databases.has(name)
      const kept = databases.get(name) ?? new Map<string, string>()
      databases.set(name, kept)
      const sorted = () => [...kept].sort(([a], [b]) => a < b ? -1 : 1)
      const db = {
        createObjectStore () {},
        close () {},
        transaction () {
          const transaction: any = {}
          const committed = <T>(request: T): T => { queueMicrotask(() => queueMicrotask(() => transaction.oncomplete?.())); return request }
          return {
            objectStore: () => ({
              transaction,
              get: (key: string) => later({}, kept.get(key)),
              put: (value: string, key: string) => { kept.set(key, value); return committed(later({}, undefined)) },
              delete: (key: string) => { kept.delete(key); return committed(later({}, undefined)) },
              getAllKeys: () => later({}, sorted().map(([key]) => key)),
              getAll: () => later({}, sorted().map(([, value]) => value)),
            }),
          }
        },
      }
      const request: any = { result: db }
      queueMicrotask(() => {
        if (isNew) request.onupgradeneeded()
        request.onsuccess()
      })
      return request
    },
  }
}

const shared = storage()
const idb = indexedDb()
const STORES: Record<string, () => Store> = {
  memory: memoryStore,
  localStorage: () => localStorageStore('mine', shared),
  IndexedDB: () => indexedDbStore('mine', idb),
}

for (const [name, make] of Object.entries(STORES)) {
  t.test(`${name}: what was set is there until it is deleted, and listed by the beginning of its key`, async t => {
    const store = make()
    t.equal(await store.get('a:1'), undefined)
    await store.set('a:1', 'one')
    await store.set('a:2', 'two')
    await store.set('b:1', 'other')
    await store.set('a:1', 'uno')
    t.equal(await store.get('a:1'), 'uno')
    t.same((await store.list('a:')).sort(), [['a:1', 'uno'], ['a:2', 'two']])
    await store.delete('a:2')
    await store.delete('never there')
    t.same(await store.list('a:'), [['a:1', 'uno']])
    t.same((await store.list('')).length, 2)
  })
}

t.test('stores of different names do not see each other; the database is opened once', async t => {
  t.same(await localStorageStore('mine2', shared).list(''), [])
  t.same((await localStorageStore('mine', shared).list('')).length, 2)
  t.same(await indexedDbStore('mine2', idb).list(''), [])
  const before = idb.opened
  const store = indexedDbStore('mine', idb)
  await Promise.all([store.get('a:1'), store.get('b:1')])
  t.equal(idb.opened, before + 1)
})

t.test('of two tabs the furthest position stands; a reset takes it back; the oldest rooms are forgotten', async t => {
  const store = memoryStore()
  const faults: unknown[] = []
  const [one, two] = [1, 2].map(() => createPositions({ store, onFault: error => { faults.push(error) } })) as [ReturnType<typeof createPositions>, ReturnType<typeof createPositions>]
  const at = async (): Promise<unknown> => (await one.load()).get('room')
  one.moved('room', () => ({ seq: 10, chain: 'a10' }))
  two.moved('room', () => ({ seq: 7, chain: 'a7' }))
  await one.flush()
  await two.flush()
  t.match(await at(), { seq: 10, chain: 'a10' })
  two.moved('room', () => ({ seq: 5, chain: 'a5' }), true)
  two.moved('room', () => ({ seq: 6, chain: 'b6' }))
  await two.flush()
  t.match(await at(), { seq: 6, chain: 'b6' })
  for (let i = 0; i < POSITIONS_KEPT_MAX + 5; i++) await store.set(`at:${i}`, JSON.stringify({ seq: 1, t: i }))
  t.equal((await one.load()).size, POSITIONS_KEPT_MAX)
  t.equal((await store.list('at:')).length, POSITIONS_KEPT_MAX)
  t.match(await at(), { seq: 6 })
  t.same(faults, [])
})
