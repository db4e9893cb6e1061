/**
 * Reconciling: a fenced partition's log is compared with the archive, what is missing or parted is reported loudly, and the
 * fence is lifted [G8]. Whoever starts first does it, gateway or projector; a lock in Postgres keeps others out of the same partition.
 *
 * Restoring what Redis lacks is not done here yet: after the comparison the fence is lifted as things are.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Fence } from '../src/log/fence.ts'
import type { RoomLog } from '../src/log/log.ts'
import type { Position } from '../src/domain/position.ts'
import { ARCHIVE } from '../src/store/archive.ts'
import type { Client, Store } from '../src/store/pool.ts'
import type { Logger } from '../src/telemetry/logging.ts'
import type { Metrics } from '../src/telemetry/metrics.ts'

/** First key of the advisory locks; the second is the partition. */
const LOCK = 0x6d696c6c
const ROOMS_PER_PAGE = 5000
const ROOMS_NAMED = 5

export interface Reconciled {
  /** Partitions whose fence was lifted. */
  readonly lifted: number[]
  /** Fenced ones that another process has in hand, or whose server changed meanwhile: look again. */
  readonly left: number[]
  readonly events_missing: number
  readonly rooms_missing: number
  readonly rooms_parted: number
}

export interface Reconciler {
  /** One pass over the fenced partitions; nothing to do where there are none. Throws faults of Redis and Postgres. */
  reconcile: () => Promise<Reconciled>
}

interface Found { events: number, missing: string[], parted: string[] }
interface Row extends Position { partition: number, room_id: string }

export function createReconciler ({ store, log, fence, logger, metrics }: { store: Store, log: RoomLog, fence: Fence, logger: Logger, metrics: Metrics }): Reconciler {
  async function lock (client: Client, partitions: readonly number[]): Promise<number[]> {
    const { rows } = await client.query<{ partition: number, locked: boolean }>(`
      SELECT partition, pg_try_advisory_lock($1, partition) AS locked
        FROM unnest($2::int[]) AS fenced (partition)`, [LOCK, partitions])
    return rows.filter(({ locked }) => locked).map(({ partition }) => partition)
  }

  /** Compares page by page every room that the archive knows in these partitions. */
  async function compare (client: Client, partitions: readonly number[]): Promise<Map<number, Found>> {
    const found = new Map<number, Found>(partitions.map(partition => [partition, { events: 0, missing: [], parted: [] }]))
    let after: { partition: number, room_id: string } = { partition: -1, room_id: '00000000-0000-0000-0000-000000000000' }
    for (;;) {
      const { rows } = await client.query<Row>(`
        SELECT partition, room_id, seq, chain
          FROM checkpoints
         WHERE projection = $1
           AND partition = ANY ($2::int[])
           AND (partition, room_id) > ($3, $4)
         ORDER BY partition, room_id
         LIMIT $5`, [ARCHIVE, partitions, after.partition, after.room_id, ROOMS_PER_PAGE])
      await comparePage(client, rows, found)
      const last = rows.at(-1)
      if (last === undefined || rows.length < ROOMS_PER_PAGE) return found
      after = last
    }
  }

  async function comparePage (client: Client, rows: readonly Row[], found: Map<number, Found>): Promise<void> {
    const { heads } = await log.heads(rows.map(({ room_id }) => room_id))
    const ahead: Row[] = []
    const shorter: Array<{ row: Row, head: Position }> = []
    for (const row of rows) {
      if (row.seq === 0) continue
      const head = heads.get(row.room_id)
      const of = found.get(row.partition)!
      if (head === undefined || head.seq < row.seq) {
        of.missing.push(row.room_id)
        of.events += row.seq - (head?.seq ?? 0)
        if (head !== undefined && head.seq > 0) shorter.push({ row, head })
      } else if (head.seq > row.seq) ahead.push(row)
      else if (head.chain !== row.chain) of.parted.push(row.room_id)
    }
    // Where Redis is ahead, its log must have the checkpoint's chain; a checkpoint that was trimmed away cannot be asked.
    await Promise.all(ahead.map(async ({ partition, room_id, seq, chain }) => {
      const there = (await log.chainsAt(room_id, [seq])).get(seq)
      if (there !== undefined && there !== chain) found.get(partition)!.parted.push(room_id)
    }))
    if (shorter.length === 0) return
    // Where it is behind, the archive must have the head's chain.
    const { rows: parted } = await client.query<{ partition: number, room_id: string }>(`
      SELECT head.partition, head.room_id
        FROM unnest($1::int[], $2::uuid[], $3::bigint[], $4::text[]) AS head (partition, room_id, seq, chain)
        JOIN events USING (room_id, seq)
       WHERE events.chain <> head.chain`,
    [shorter.map(({ row }) => row.partition), shorter.map(({ row }) => row.room_id), shorter.map(({ head }) => head.seq), shorter.map(({ head }) => head.chain)])
    for (const { partition, room_id } of parted) found.get(partition)!.parted.push(room_id)
  }

  function report (found: ReadonlyMap<number, Found>): Omit<Reconciled, 'lifted' | 'left'> {
    const sum = { events_missing: 0, rooms_missing: 0, rooms_parted: 0 }
    for (const [partition, { events, missing, parted }] of found) {
      if (missing.length === 0 && parted.length === 0) continue
      sum.events_missing += events
      sum.rooms_missing += missing.length
      sum.rooms_parted += parted.length
      if (parted.length > 0) metrics.parted.inc({ where: 'reconcile' }, parted.length)
      logger.error({
        partition,
        events_missing: events,
        rooms_missing: missing.length,
        rooms_parted: parted.length,
        rooms: [...new Set([...parted, ...missing])].slice(0, ROOMS_NAMED),
      }, 'Redis lost events that were archived, or has another history')
    }
    metrics.eventsMissing.set(sum.events_missing)
    return sum
  }

  return {
    async reconcile () {
      // The replid is noted before anything is compared: if the server changes meanwhile, its fence stays.
      const fenced = await fence.fencedPartitions()
      metrics.partitionsFenced.set(fenced.size)
      if (fenced.size === 0) return { lifted: [], left: [], events_missing: 0, rooms_missing: 0, rooms_parted: 0 }
      const client = await store.connect()
      let broken: Error | undefined
      const breaks = (error: Error): void => { broken = error } // between two statements; without a listener it would end the process
      client.on('error', breaks)
      try {
        const mine = await lock(client, [...fenced.keys()])
        const sum = report(await compare(client, mine))
        const results = await Promise.all(mine.map(async partition => await fence.lift(partition, fenced.get(partition)!)))
        const lifted = mine.filter((_, i) => results[i])
        const left = [...fenced.keys()].filter(partition => !lifted.includes(partition))
        metrics.partitionsFenced.set(left.length)
        logger.info({ lifted: lifted.length, left: left.length, ...sum }, 'fenced partitions were compared with the archive')
        return { lifted, left, ...sum }
      } catch (error) {
        broken = error as Error // its locks end with it
        throw error
      } finally {
        if (broken === undefined) await client.query('SELECT pg_advisory_unlock_all()').catch((error: Error) => { broken = error })
        if (broken === undefined) client.off('error', breaks) // a broken one may tell so later
        client.release(broken)
      }
    },
  }
}

/**
 * Keeps reconciling: looks for fenced partitions every `everyMs`, and at once when told (after a reconnect to Redis, or when
 * an append was answered `fenced`).
 */
export function startReconciling ({ reconciler, everyMs = 2000, logger }: { reconciler: Reconciler, everyMs?: number, logger: Logger }): { done: Promise<void>, stop: () => Promise<void>, now: () => void } {
  const aborter = new AbortController()
  let hurry = new AbortController()
  let failing = false

  async function run (): Promise<void> {
    while (!aborter.signal.aborted) {
      hurry = new AbortController()
      let again = false
      try {
        again = (await reconciler.reconcile()).left.length > 0
        failing = false
      } catch (error) {
        if (!failing) logger.warn({ reason: (error as Error).message }, 'fenced partitions cannot be reconciled; trying again')
        failing = true
      }
      await sleep((again ? Math.min(200, everyMs) : everyMs) * (0.75 + Math.random() / 2), undefined, { signal: AbortSignal.any([aborter.signal, hurry.signal]) }).catch(() => {})
    }
  }

  const done = run()
  return {
    done,
    now: () => { hurry.abort() },
    async stop () {
      aborter.abort()
      await done
    },
  }
}
