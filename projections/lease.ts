/**
 * Leases: which worker serves which partitions of a projection. Rows in Postgres, judged by its clock alone, so that the
 * clocks of workers do not matter.
 *
 * Workers that are alive divide the partitions evenly: one that holds more than its share gives the rest up, one that holds
 * less takes what is free. A dead worker's partitions are free after `leaseMs`; a stopping one gives its own up at once. A
 * worker that cannot reach Postgres counts its leases as lost when they may have run out, by its monotonic clock.
 * Leases save double work; what keeps rows right are the checkpoints.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Store } from '../src/store/pool.ts'
import type { Logger } from '../src/telemetry/logging.ts'

export interface Leases {
  /** The partitions held now. */
  held: () => ReadonlySet<number>
  /** Resolves when it has stopped and given everything up. */
  readonly done: Promise<void>
  stop: () => Promise<void>
}

interface Options {
  readonly store: Store
  /** Name and version of the projection. */
  readonly group: string
  readonly partitions: number
  /** Names this worker; never used twice. */
  readonly owner: string
  readonly leaseMs: number
  readonly logger: Logger
  /** Called when `held` has changed. */
  readonly onChange: () => void
}

const NONE: ReadonlySet<number> = new Set()

export function startLeases ({ store, group, partitions, owner, leaseMs, logger, onChange }: Options): Leases {
  const aborter = new AbortController()
  let held = new Set<number>()
  let renewedAt = 0
  let failing = false

  /** One look: say that this worker lives, renew, give up what is too much, take what is missing. */
  async function look (): Promise<{ hungry: boolean }> {
    const asked = performance.now()
    const share = await announce()
    const mine = new Set(await renew())
    // What is to be given up is no longer served before its row goes.
    const spare = [...mine].slice(share)
    for (const partition of spare) mine.delete(partition)
    publish(mine, asked)
    if (spare.length > 0) await release(spare)
    if (mine.size < share) {
      const taken = await take(share - mine.size)
      if (taken.length > 0) publish(new Set([...mine, ...taken]), asked)
    }
    return { hungry: held.size < share }
  }

  function publish (now: Set<number>, asked: number): void {
    const changed = now.size !== held.size || [...now].some(partition => !held.has(partition))
    held = now
    renewedAt = asked
    if (changed) onChange()
  }

  /** Returns the fair share of this worker: the first ones in the order of their names take one more where it does not come out even. */
  async function announce (): Promise<number> {
    await store.query(`
      INSERT INTO workers (projection, owner, expires_at)
      VALUES ($1, $2, now() + $3 * interval '1 ms')
          ON CONFLICT (projection, owner) DO UPDATE
         SET expires_at = excluded.expires_at`, [group, owner, leaseMs])
    const { rows } = await store.query<{ owner: string }>(`
      SELECT owner
        FROM workers
       WHERE projection = $1
         AND expires_at > now()
       ORDER BY owner`, [group])
    const place = rows.findIndex(row => row.owner === owner)
    return Math.floor(partitions / rows.length) + (place < partitions % rows.length ? 1 : 0)
  }

  /** A lease that has run out and that nobody took is still ours. */
  async function renew (): Promise<number[]> {
    const { rows } = await store.query<{ partition: number }>(`
      UPDATE leases
         SET expires_at = now() + $3 * interval '1 ms'
       WHERE projection = $1
         AND owner = $2
   RETURNING partition`, [group, owner, leaseMs])
    return rows.map(({ partition }) => partition).sort((a, b) => a - b)
  }

  async function take (count: number): Promise<number[]> {
    const { rows } = await store.query<{ partition: number }>(`
      INSERT INTO leases (projection, partition, owner, expires_at)
      SELECT $1, partition, $2, now() + $3 * interval '1 ms'
        FROM generate_series(0, $4 - 1) AS all_of_them (partition)
       WHERE NOT EXISTS (
             SELECT
               FROM leases
              WHERE projection = $1
                AND leases.partition = all_of_them.partition
                AND expires_at > now())
       ORDER BY partition
       LIMIT $5
          ON CONFLICT (projection, partition) DO UPDATE
         SET owner = excluded.owner, expires_at = excluded.expires_at
       WHERE leases.expires_at <= now()
   RETURNING partition`, [group, owner, leaseMs, partitions, count])
    return rows.map(({ partition }) => partition)
  }

  async function release (given: readonly number[]): Promise<void> {
    await store.query(`
      DELETE FROM leases
       WHERE projection = $1
         AND owner = $2
         AND partition = ANY ($3::int[])`, [group, owner, given])
  }

  async function leave (): Promise<void> {
    await store.query('DELETE FROM leases WHERE projection = $1 AND owner = $2', [group, owner])
    await store.query('DELETE FROM workers WHERE projection = $1 AND (owner = $2 OR expires_at < now() - interval \'1 hour\')', [group, owner])
  }

  async function run (): Promise<void> {
    while (!aborter.signal.aborted) {
      let hungry = true
      try {
        ({ hungry } = await look())
        failing = false
      } catch (error) {
        if (!failing) logger.warn({ reason: (error as Error).message, projection: group }, 'leases cannot be renewed; trying again')
        failing = true
      }
      // A hungry worker looks more often, so that it has its share soon after another has died or given some up.
      const pauseMs = (hungry ? leaseMs / 12 : leaseMs / 4) * (0.75 + Math.random() / 2)
      await sleep(pauseMs, undefined, { signal: aborter.signal }).catch(() => {})
    }
    held = new Set()
    onChange()
    try {
      await leave()
    } catch (error) {
      logger.warn({ reason: (error as Error).message, projection: group }, 'leases were not given up; they run out by themselves')
    }
  }

  const done = run()
  return {
    held: () => performance.now() - renewedAt < leaseMs ? held : NONE,
    done,
    async stop () {
      aborter.abort()
      await done
    },
  }
}
