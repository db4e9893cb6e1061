// The pool when its connections break, through a proxy that breaks them.
import t from 'tap'
import { setTimeout as sleep } from 'node:timers/promises'
import { openStore, isUnavailable } from '../../src/store/pool.ts'
import { createLogger } from '../../src/telemetry/logging.ts'
import { testPostgres } from '../dev/servers.ts'
import { startProxy } from '../faults/proxy.ts'

const log = createLogger({ level: 'silent', role: 'test' })

async function behindProxy (t: Parameters<typeof testPostgres>[0], { silenceMs }: { silenceMs?: number } = {}) {
  const postgres = await testPostgres(t)
  const url = new URL(await postgres.createDatabase())
  const proxy = await startProxy(() => postgres)
  t.teardown(async () => { await proxy.close() })
  url.port = String(proxy.port)
  const store = await openStore({ url: url.href, max: 2, name: 'test', log, ...(silenceMs === undefined ? {} : { silenceMs }) })
  t.teardown(async () => { proxy.cut(); await store.close() })
  return { proxy, store }
}

// Faults seed 37: the error was emitted before the transaction's work had begun to listen for it, and ended the projector.
t.test('a connection that breaks while it is lent out fails what it was lent for, not the process', async t => {
  const { proxy, store } = await behindProxy(t)
  await t.rejects(store.transaction(async () => {
    proxy.cut()
    await sleep(100) // it breaks while no statement is under way
  }), 'the commit fails')
  const client = await store.connect()
  proxy.cut()
  await t.rejects(client.query('SELECT 1'))
  client.release(true)
  const beginning = store.transaction(async () => {})
  await sleep(0)
  proxy.cut()
  await beginning.catch(error => { t.ok(isUnavailable(error), 'a BEGIN that is cut off is a fault') })
  t.match(await store.query('SELECT 1 AS one'), { rows: [{ one: 1 }] }, 'the next one has a connection')
})

// Faults seed 7: the archive's lookups waited for a server that had vanished, for ever.
t.test('a statement on a connection whose server has vanished fails, and its connection is not used again', async t => {
  const { proxy, store } = await behindProxy(t, { silenceMs: 300 })
  proxy.halfOpen()
  const began = Date.now()
  const error = await store.transaction(async tx => await tx.query('SELECT 1')).then(() => undefined, error => error)
  t.ok(isUnavailable(error), 'it is a fault')
  t.ok(Date.now() - began < 550, 'no ROLLBACK is waited for')
  t.match(await store.query('SELECT 1 AS one'), { rows: [{ one: 1 }] })
})

t.test('a connection that owes nothing may be silent', async t => {
  const { store } = await behindProxy(t, { silenceMs: 100 })
  const client = await store.connect()
  await client.query('SELECT 1')
  await sleep(400)
  t.match(await client.query('SELECT 1 AS one'), { rows: [{ one: 1 }] })
  t.match(await client.query('SELECT 1 AS one, pg_sleep(0.05)'), { rows: [{ one: 1 }] })
  client.release()
})
