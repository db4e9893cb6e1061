// Migrations that are missing are applied, wherever their numbers are.
import t from 'tap'
import { migrate, missingMigrations } from '../../src/store/migrate.ts'
import { openStore } from '../../src/store/pool.ts'
import { createLogger } from '../../src/telemetry/logging.ts'
import { testPostgres } from '../dev/servers.ts'

// Two that are written at the same time get numbers of their own, and a deployment that had the higher first refused to start with the other.
t.test('one that comes later than one with a higher number is applied all the same, and all of them once', async t => {
  const log = createLogger({ level: 'silent', role: 'test' })
  const postgres = await testPostgres(t)
  const store = await openStore({ url: await postgres.createDatabase(), max: 2, name: 'test', log })
  t.teardown(async () => { await store.close() })
  const all = await missingMigrations(store)
  t.same(await migrate({ store, log }), all)
  t.same(await migrate({ store, log }), [], 'again: nothing to do')
  await store.query("DROP TABLE exports; DELETE FROM migrations WHERE name = '0025_exports'")
  t.same(await missingMigrations(store), ['0025_exports'])
  t.same(await migrate({ store, log }), ['0025_exports'])
  t.equal((await store.query('SELECT FROM exports')).rowCount, 0)
})
