/** Tables that a rebuild has replaced: kept for a while, then dropped by whoever comes by: the jobs, or the next rebuild. */
import type { Queryable, Store } from './pool.ts'

/** Whoever still reads them is not waited for: they are dropped the next time. Longer than Postgres takes to call off an autovacuum. */
const LOCK_MS = 3000
/** Ten million rows in tens of files are gone within this. */
const DROP_MS = 20_000

export interface Retired {
  /** Where the tables are. */
  readonly schema: string
  /** Of which projection, and of which version of it. */
  readonly name: string
  readonly version: number
  readonly retired_at: Date
  readonly drop_after: Date
}

export interface Dropped {
  /** Schemas that are gone. */
  readonly dropped: string[]
  /** Schemas that should be, and why they are not. */
  readonly kept: Array<{ readonly schema: string, readonly reason: string }>
}

/** Oldest first. */
export async function listRetired (db: Queryable): Promise<Retired[]> {
  const { rows } = await db.query<Retired>('SELECT schema, name, version, retired_at, drop_after FROM retired_tables ORDER BY retired_at, schema')
  return rows
}

/** Drops what has been replaced for long enough by this clock. What something else hangs on, a view of somebody's, stays, with the reason. */
export async function dropRetired (store: Store, clock: () => number): Promise<Dropped> {
  const { rows: due } = await store.query<{ schema: string }>('SELECT schema FROM retired_tables WHERE drop_after <= $1 ORDER BY retired_at', [new Date(clock())])
  const result: Dropped = { dropped: [], kept: [] }
  for (const { schema } of due) {
    try {
      if (await drop(store, schema)) result.dropped.push(schema)
    } catch (error) {
      const { message, detail } = error as Error & { detail?: string }
      result.kept.push({ schema, reason: detail === undefined ? message : `${message} (${detail.split('\n')[0]!})` })
    }
  }
  return result
}

/** False if somebody else has it in hand. Nothing cascades: what hangs on the tables was not made by us. */
async function drop (store: Store, schema: string): Promise<boolean> {
  return await store.transaction(async tx => {
    const { rows: [retired] } = await tx.query<{ forgotten: string[] }>('SELECT forgotten FROM retired_tables WHERE schema = $1 FOR UPDATE SKIP LOCKED', [schema])
    if (retired === undefined) return false
    await tx.query(`SET LOCAL lock_timeout = ${LOCK_MS}; SET LOCAL statement_timeout = ${DROP_MS}`)
    const { rows: [tables] } = await tx.query<{ names: string | null }>(`
      SELECT string_agg(format('%I.%I', $1::text, relname), ', ') AS names
        FROM pg_class
       WHERE relnamespace = to_regnamespace(quote_ident($1))
         AND relkind IN ('r', 'p')
         AND NOT relispartition`, [schema])
    if (tables?.names != null) await tx.query(`DROP TABLE ${tables.names}`)
    await tx.query(`DROP SCHEMA IF EXISTS "${schema.replaceAll('"', '""')}"`)
    await forgetGroups(tx, retired.forgotten)
    await tx.query('DELETE FROM retired_tables WHERE schema = $1', [schema])
    return true
  })
}

/** Takes away what Postgres keeps for groups that nothing follows any more. */
export async function forgetGroups (db: Queryable, groups: readonly string[]): Promise<void> {
  for (const table of ['checkpoints', 'parked_rooms', 'leases', 'workers']) await db.query(`DELETE FROM ${table} WHERE projection = ANY ($1::text[])`, [groups])
}
