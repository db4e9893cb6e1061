/**
 * Cursors: marks, from the partitions' streams into the table `marks`. Folded by maximum, so it does not matter how often an entry comes, or
 * in what order: entries are taken out of the stream once they are committed, and a crash in between folds them again. Counts
 * are made of marks when somebody asks (`store/unread.ts`); none is kept.
 *
 * Whoever holds the lease on a partition folds its marks. Leases only save work: two who fold the same do no harm.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { MarkStreams, StreamedMark } from '../src/log/mark-streams.ts'
import type { Store } from '../src/store/pool.ts'
import type { Logger } from '../src/telemetry/logging.ts'
import type { Metrics } from '../src/telemetry/metrics.ts'
import { createColumns } from './columns.ts'
import { startLeases } from './lease.ts'

/** Name of its leases. */
export const CURSORS = 'cursors_v1'

/** Marks of one partition that one transaction folds at most, and of all. */
const PARTITION_MARKS_MAX = 500
const BATCH_MARKS_MAX = 5000
/** Between two looks, while there are marks and while there are none. */
const BUSY_MS = 100
const IDLE_MS = 500
const FAULT_MS = 2000
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

export interface CursorsOptions {
  store: Store
  streams: MarkStreams
  /** All partitions are 0 … this − 1. */
  partitions: number
  /** Names this worker; unique to this run of the process. */
  owner: string
  leaseMs: number
  /** Milliseconds between two looks while there is nothing to fold. */
  idleMs?: number
  metrics: Metrics
  logger: Logger
}

export interface Cursors {
  /** Resolves when it has stopped. Never rejects. */
  readonly done: Promise<void>
  /** Finishes the batch under way and gives the leases up. */
  stop: () => Promise<void>
  /** Text of the fault that is being waited out; null when there is none. */
  fault: () => string | null
}

export function startCursors ({ store, streams, partitions, owner, leaseMs, idleMs = IDLE_MS, metrics, logger }: CursorsOptions): Cursors {
  const stopping = new AbortController()
  const { signal } = stopping
  let fault: string | null = null
  const leases = startLeases({
    store,
    group: CURSORS,
    partitions,
    owner,
    leaseMs,
    logger,
    onChange: noteLeases,
  })

  let served = 0
  function noteLeases (): void {
    const { size } = leases.held()
    metrics.leases.set({ projection: CURSORS }, size)
    if (size !== served) metrics.leaseMoves.inc({ projection: CURSORS, direction: size > served ? 'gained' : 'lost' }, Math.abs(size - served))
    served = size
  }

  /** Returns how many entries it took out. */
  async function turn (): Promise<number> {
    const held = [...leases.held()]
    if (held.length === 0) return 0
    const found = await streams.read(held, PARTITION_MARKS_MAX)
    let count = 0
    for (const batch of batchesOf(found)) {
      const entries = [...batch.values()].flat()
      const refused = await foldMarks(store, entries)
      if (refused > 0) {
        metrics.marksRefused.inc(refused)
        logger.error({ refused }, 'entries of a stream of marks are no marks; they are passed over')
      }
      await streams.trim(new Map([...batch].map(([partition, marks]) => [partition, marks.at(-1)!.id])))
      metrics.marksFolded.inc(entries.length - refused)
      count += entries.length
    }
    return count
  }

  async function run (): Promise<void> {
    metrics.projectionFaults.inc({ projection: CURSORS }, 0)
    while (!signal.aborted) {
      let pauseMs = FAULT_MS
      try {
        pauseMs = await turn() > 0 ? Math.min(BUSY_MS, idleMs) : idleMs
        fault = null
      } catch (error) {
        const reason = (error as Error).message
        metrics.projectionFaults.inc({ projection: CURSORS })
        if (fault !== reason) logger.warn({ reason, projection: CURSORS }, 'marks wait in their streams; trying again')
        fault = reason
      }
      await sleep(pauseMs * (0.75 + Math.random() / 2), undefined, { signal }).catch(() => {})
    }
    await leases.stop()
  }

  const done = run()
  return {
    done,
    async stop () {
      stopping.abort()
      await done
    },
    fault: () => fault,
  }
}

function * batchesOf (found: ReadonlyMap<number, StreamedMark[]>): Generator<Map<number, StreamedMark[]>> {
  let batch = new Map<number, StreamedMark[]>()
  let size = 0
  for (const [partition, marks] of found) {
    if (size + marks.length > BATCH_MARKS_MAX) {
      yield batch
      batch = new Map()
      size = 0
    }
    batch.set(partition, marks)
    size += marks.length
  }
  if (size > 0) yield batch
}

/** Writes the furthest of each; marks that are not further than what is there change nothing. Returns how many were no marks. */
export async function foldMarks (store: Pick<Store, 'query'>, entries: readonly StreamedMark[]): Promise<number> {
  const furthest = new Map<string, StreamedMark>()
  let refused = 0
  for (const mark of entries) {
    if (!isMark(mark)) {
      refused += 1
      continue
    }
    const key = `${mark.user} ${mark.room} ${mark.kind} ${mark.device}`
    if (Number(mark.seq) > Number(furthest.get(key)?.seq ?? -1)) furthest.set(key, mark)
  }
  if (furthest.size === 0) return refused
  const columns = createColumns(6)
  // In the order of their keys: two who fold the same wait for each other in one order, so they cannot deadlock.
  for (const [, { id, room, user, kind, device, seq }] of [...furthest].sort(([a], [b]) => a < b ? -1 : 1)) columns.add(room, user, kind, device, seq, Number(id.slice(0, id.indexOf('-'))))
  await store.query({
    name: 'cursors_marks',
    text: `
    INSERT INTO marks (room_id, user_id, kind, device, seq, at)
    SELECT room_id, user_id, kind, device, seq, to_timestamp(at_ms / 1000.0)
      FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::bigint[], $6::bigint[]) AS mark (room_id, user_id, kind, device, seq, at_ms)
        ON CONFLICT (user_id, room_id, kind, device) DO UPDATE
       SET seq = excluded.seq, at = excluded.at
     WHERE marks.seq < excluded.seq`,
    values: columns.parameters(),
  })
  return refused
}

/** One entry that Postgres would not take would hold up all that come after it. */
function isMark ({ room, user, kind, device, seq }: StreamedMark): boolean {
  return UUID.test(room) && UUID.test(user) && (kind === 'read' || kind === 'delivered') && !device.includes('\0') && /^\d{1,15}$/.test(seq)
}
