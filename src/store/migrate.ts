/**
 * Brings the database to the schema of this version: the numbered SQL files of `migrations/`, forward only, each once, under
 * an advisory lock, so that processes that start together do not collide.
 */
import { readdir } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { runner } from 'node-pg-migrate'
import type { Logger } from 'pino'
import type { Queryable, Store } from './pool.ts'

const DIRECTORY = fileURLToPath(new URL('../../migrations', import.meta.url))
/** Made by the migrations, where they may. */
const ROLES = ['millrace_analyst', 'millrace_reader']

/** Applies what is missing, all or nothing, and returns the names of what it applied. */
export async function migrate ({ store, log }: { store: Store, log: Logger }): Promise<string[]> {
  const client = await store.connect()
  try {
    const applied = await runner({
      dbClient: client,
      dir: DIRECTORY,
      direction: 'up',
      migrationsTable: 'migrations',
      advisoryLockMode: 'wait',
      singleTransaction: true,
      checkOrder: false, // two that were written at the same time may come in either order, and each says what it needs
      logger: { info: text => log.debug(text), warn: text => log.warn(text), error: text => log.error(text) },
    })
    const { rows: missing } = await client.query<{ role: string }>('SELECT role FROM unnest($1::text[]) AS role WHERE to_regrole(role) IS NULL', [ROLES])
    if (missing.length > 0) log.warn({ roles: missing.map(({ role }) => role) }, 'this user of Postgres could not make roles: without millrace_reader pages are read without row-level security; see docs/ANALYTICS.md')
    return applied.map(({ name }) => name)
  } finally {
    client.release()
  }
}

/** Names of the migrations of this version that the database does not have yet. */
export async function missingMigrations (db: Queryable): Promise<string[]> {
  const names = (await readdir(DIRECTORY)).filter(file => file.endsWith('.sql')).map(file => file.replace(/\.sql$/, '')).sort()
  const { rows: [there] } = await db.query<{ found: boolean }>("SELECT to_regclass('migrations') IS NOT NULL AS found")
  if (there?.found !== true) return names
  const { rows } = await db.query<{ name: string }>('SELECT name FROM migrations')
  const applied = new Set(rows.map(({ name }) => name))
  return names.filter(name => !applied.has(name))
}
