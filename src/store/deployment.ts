/** The number of partitions that this database was first used with. Checkpoints and leases are kept by it, so it never changes. */
import { PostgresUnfit, type Queryable } from './pool.ts'

/** Notes `partitions` at the first start (after migrating); throws PostgresUnfit, in one line, where the database was used with another number. */
export async function checkPostgresPartitions (db: Queryable, partitions: number): Promise<void> {
  await db.query('INSERT INTO deployment (partitions) VALUES ($1) ON CONFLICT DO NOTHING', [partitions])
  const { rows: [row] } = await db.query<{ partitions: number }>('SELECT partitions FROM deployment')
  if (row !== undefined && row.partitions !== partitions) throw new PostgresUnfit(`The database holds a deployment with ${row.partitions} partitions, and PARTITIONS is ${partitions}. Set PARTITIONS=${row.partitions}, or use another database.`)
}
