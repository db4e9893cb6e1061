/** One of all processes at a time: work under an advisory lock of Postgres, on the connection that holds it. */
import type { Client, Store } from './pool.ts'

/** Runs `work` if nobody holds the lock; else nothing happens. The lock ends with the work, or with its connection. */
export async function whileAlone (store: Store, lock: number, work: (client: Client) => Promise<void>): Promise<void> {
  const client = await store.connect()
  let broken: Error | undefined
  try {
    const { rows: [taken] } = await client.query<{ held: boolean }>('SELECT pg_try_advisory_lock($1) AS held', [lock])
    if (taken?.held !== true) return
    await work(client)
    await client.query('SELECT pg_advisory_unlock($1)', [lock])
  } catch (error) {
    broken = error as Error // its lock ends with it
    throw error
  } finally {
    client.release(broken)
  }
}
