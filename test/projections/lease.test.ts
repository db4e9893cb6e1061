// Leases: who serves which partitions, judged by the clock of Postgres alone.
import { randomUUID } from 'node:crypto'
import t, { type Test } from 'tap'
import { startLeases, type Leases } from '../../projections/lease.ts'
import { migrate } from '../../src/store/migrate.ts'
import { openStore, type Store } from '../../src/store/pool.ts'
import { testPostgres } from '../dev/servers.ts'
import { until } from '../until.ts'
import { logger } from './feed.ts'

async function database (t: Test): Promise<{ store: Store, worker: (owner?: string) => Leases }> {
  const postgres = await testPostgres(t)
  const store = await openStore({ url: await postgres.createDatabase(), max: 5, name: 'test', log: logger })
  const started: Leases[] = []
  t.teardown(async () => {
    await Promise.all(started.map(async leases => { await leases.stop() }))
    await store.close()
  })
  await migrate({ store, log: logger })
  return {
    store,
    worker (owner = randomUUID()) {
      const leases = startLeases({ store, group: 'test_v1', partitions: 10, owner, leaseMs: 1000, logger, onChange: () => {} })
      started.push(leases)
      return leases
    },
  }
}

const sizes = (workers: Leases[]): number[] => workers.map(({ held }) => held().size).sort((a, b) => a - b)
const overlap = (workers: Leases[]): boolean => new Set(workers.flatMap(({ held }) => [...held()])).size !== workers.flatMap(({ held }) => [...held()]).length

t.test('one worker takes all, more divide them evenly, and one that stops gives its own up', async t => {
  const { store, worker } = await database(t)
  const first = worker()
  await until(() => first.held().size === 10, { timeoutMs: 10_000, what: 'one to hold all' })
  const three = [first, worker(), worker()]
  await until(() => sizes(three).join() === '3,3,4', { timeoutMs: 10_000, what: 'three to divide them' })
  t.notOk(overlap(three))
  await first.stop()
  t.equal(first.held().size, 0)
  await until(() => sizes(three).join() === '0,5,5', { timeoutMs: 10_000, what: 'two to divide them' })
  t.notOk(overlap(three))
  await three[1]!.stop()
  await three[2]!.stop()
  t.same((await store.query('SELECT * FROM leases')).rows, [])
  t.same((await store.query('SELECT * FROM workers')).rows, [])
})

t.test('the partitions of a dead worker move when its leases have run out', async t => {
  const { store, worker } = await database(t)
  await store.query("INSERT INTO workers VALUES ('test_v1', 'dead', now() + interval '1 second')")
  await store.query("INSERT INTO leases SELECT 'test_v1', p, 'dead', now() + interval '1 second' FROM generate_series(0, 9) AS p")
  const heir = worker()
  await until(async () => (await store.query('SELECT count(*) AS n FROM workers')).rows[0].n === 2)
  t.equal(heir.held().size, 0, 'not before')
  await until(() => heir.held().size === 10, { timeoutMs: 10_000, what: 'the heir to hold all' })
})

t.test('a worker whose clock is an hour off neither robs others nor loses its own', async t => {
  const { worker } = await database(t)
  const honest = worker()
  await until(() => honest.held().size === 10)
  const { now } = Date
  t.teardown(() => { Date.now = now })
  Date.now = () => now() + 3_600_000
  const early = worker()
  await until(() => sizes([honest, early]).join() === '5,5', { timeoutMs: 10_000, what: 'the two to divide them' })
  Date.now = () => now() - 3_600_000
  await new Promise(resolve => setTimeout(resolve, 1500)) // longer than a lease
  t.same(sizes([honest, early]), [5, 5])
  t.notOk(overlap([honest, early]))
})

t.test('a worker that cannot reach Postgres counts its leases as lost in time, and has them back after', async t => {
  const postgres = await testPostgres(t, { args: ['-c', 'synchronous_commit=on'] }) // or the kill may cost it the tables
  const store = await openStore({ url: await postgres.createDatabase(), max: 5, name: 'test', log: logger })
  await migrate({ store, log: logger })
  const leases = startLeases({ store, group: 'test_v1', partitions: 10, owner: 'a', leaseMs: 1000, logger, onChange: () => {} })
  t.teardown(async () => {
    await leases.stop()
    await store.close()
  })
  await until(() => leases.held().size === 10)
  await postgres.kill()
  await until(() => leases.held().size === 0, { timeoutMs: 10_000, what: 'them to count as lost' })
  await postgres.restart()
  await until(() => leases.held().size === 10, { what: 'them to be back' })
})
