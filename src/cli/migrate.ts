/** `millrace migrate`: brings the database to the schema of this version. */
import type { Config } from '../config.ts'
import { migrate } from '../store/migrate.ts'
import { openStore } from '../store/pool.ts'
import { createLogger } from '../telemetry/logging.ts'
import { reachStores } from './reach.ts'

export async function migrateCommand (config: Config): Promise<number> {
  const url = config.DATABASE_URL ?? reachStores(config).DATABASE_URL
  const log = createLogger({ level: 'warn', role: 'migrate' })
  const store = await openStore({ url, max: 2, name: 'migrate', log })
  try {
    const applied = await migrate({ store, log })
    process.stdout.write(applied.length === 0 ? 'The database is up to date.\n' : `Applied ${applied.join(', ')}.\n`)
    return 0
  } finally {
    await store.close()
  }
}
