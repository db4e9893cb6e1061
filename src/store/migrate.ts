/**
 * Brings the database to the schema of this version: the numbered SQL files of `migrations/`, forward only, each once, under
 * an advisory lock, so that processes that start together do not collide.
 */
import { fileURLToPath } from 'node:url'
import { runner } from 'node-pg-migrate'
import type { Logger } from 'pino'
import type { Store } from './pool.ts'

const DIRECTORY = fileURLToPath(new URL('../../migrations', import.meta.url))

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
      logger: { info: text => log.debug(text), warn: text => log.warn(text), error: text => log.error(text) },
    })
    return applied.map(({ name }) => name)
  } finally {
    client.release()
  }
}
