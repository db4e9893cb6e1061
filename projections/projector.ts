/**
 * The projector: follows the logs of the partitions that this worker holds leases on and applies them to one projection.
 *
 * Every event takes effect once and in order, whatever is killed wherever [G6]: rows and checkpoint move in one
 * transaction, checkpoints by compare-and-set, entries are acknowledged after it. A room that cannot be applied is parked,
 * others go on [G10]. Lost bells, groups and `active` entries cost at most one sweep. Faults of Redis and Postgres are
 * waited out with jitter and counted; nothing is skipped over because of them.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { BellSource } from '../src/log/bells.ts'
import type { Groups } from '../src/log/groups.ts'
import type { Keys } from '../src/log/keys.ts'
import type { Position } from '../src/domain/position.ts'
import type { RoomLog } from '../src/log/log.ts'
import { ARCHIVE, readArchive } from '../src/store/archive.ts'
import type { Store } from '../src/store/pool.ts'
import type { Logger } from '../src/telemetry/logging.ts'
import type { Metrics } from '../src/telemetry/metrics.ts'
import { createApplier, type Work } from './apply.ts'
import { createIntake, ROOMS_PER_READ } from './intake.ts'
import { startLeases } from './lease.ts'
import { groupOf, type Projection } from './projection.ts'
import { sweep } from './sweep.ts'

const PARTITIONS_PER_SWEEP = 16
const PAUSE_MS = 100
const PAUSE_MS_MAX = 5000
/** Failures of the same kind in a row before batches are halved: it may be their size that fails. */
const FAULTS_BEFORE_HALVING = 3
/** More are not counted, so that batches soon have their size again when all is well. */
const FAULTS_MAX = 13

export interface ProjectorOptions {
  readonly projection: Projection
  readonly store: Store
  readonly groups: Groups
  readonly log: RoomLog
  readonly keys: Keys
  readonly bells: BellSource
  /** Names this worker; unique to this run of the process (host, pid and something random). */
  readonly owner: string
  readonly metrics: Metrics
  readonly logger: Logger
  /** Epoch milliseconds; for the lag in seconds only. */
  readonly clock?: () => number
  readonly batchEvents: number
  readonly leaseMs: number
  readonly sweepMs: number
  /** Told after each transaction what was committed. */
  readonly onApplied?: ((rooms: ReadonlyArray<{ readonly room_id: string, readonly to: Position }>) => void) | undefined
  /** While there is little to do, at least so long between two transactions: ten times fewer of them for a little delay. */
  readonly lingerMs?: number
}

export interface Progress {
  /** Name and version of the projection. */
  readonly projection: string
  /** Partitions held. */
  readonly partitions: number
  /** True once every partition held has been swept. */
  readonly swept: boolean
  /** Events in the log that were not applied at the last sweep of their partitions. */
  readonly lag_events: number
  readonly parked_rooms: number
  /** Events applied since the start. */
  readonly applied: number
  /** Milliseconds since the loop last got through a turn without a fault: grows while Redis or Postgres is away. */
  readonly idle_ms: number
  /** Text of the fault that is being waited out; null when there is none. */
  readonly fault: string | null
}

export interface Projector {
  /** Resolves when it has stopped. Never rejects. */
  readonly done: Promise<void>
  /** Finishes the batch under way, gives the leases up, and resolves with `done`. Twice does nothing more. */
  stop: () => Promise<void>
  progress: () => Progress
}

export function startProjector (options: ProjectorOptions): Projector {
  const { projection, store, groups, log, keys, bells, owner, metrics, clock = Date.now, batchEvents, leaseMs, sweepMs, lingerMs = 25 } = options
  const group = groupOf(projection)
  const logger = options.logger.child({ projection: group })
  const aborter = new AbortController()
  const intake = createIntake({
    group,
    store,
    groups,
    log,
    consumer: owner,
    metrics,
    logger,
    readArchive: group === ARCHIVE ? undefined : async (roomId, after, limit) => await readArchive(store, roomId, after, limit),
  })
  const applier = createApplier({ projection, store, logger })

  const sweepDue = new Map<number, number>()
  const scannedAt = new Map<number, number>()
  const lags = new Map<number, number>()
  /** Something happened since the turn began. */
  let rung = false
  let endSleep = (): void => {}
  let applied = 0
  let faults = 0
  let fault: string | null = null
  let wellAt = performance.now()

  const wake = (): void => {
    rung = true
    endSleep()
  }
  const follower = bells.follower(partition => { intake.ring(partition); wake() })
  const leases = startLeases({ store, group, partitions: keys.partitions, owner, leaseMs, logger, onChange: wake })

  /** Follows the leases: serves what was gained, forgets what was lost. */
  async function agreeWithLeases (): Promise<void> {
    const held = leases.held()
    const lost = [...sweepDue.keys()].filter(partition => !held.has(partition))
    const gained = [...held].filter(partition => !sweepDue.has(partition))
    if (lost.length === 0 && gained.length === 0) return
    for (const partition of lost) {
      intake.lose(partition)
      sweepDue.delete(partition)
      lags.delete(partition)
    }
    await intake.gain(gained)
    for (const partition of gained) sweepDue.set(partition, 0)
    follower.follow(held)
    metrics.leases.set({ projection: group }, held.size)
    logger.info({ partitions: held.size, gained: gained.length, lost: lost.length }, 'the partitions served have changed')
  }

  /** Sweeps what is due, some partitions at a time, so that batches are not held up. */
  async function sweepSome (): Promise<void> {
    const now = performance.now()
    const due = [...sweepDue].filter(([, at]) => at <= now).map(([partition]) => partition).slice(0, PARTITIONS_PER_SWEEP)
    if (due.length === 0) return
    const found = await sweep({ store, groups, log, group }, due, scannedAt)
    await intake.take(due, found)
    for (const partition of due) {
      sweepDue.set(partition, now + sweepMs * (0.9 + Math.random() / 5))
      lags.set(partition, found.lag.get(partition) ?? 0)
    }
    metrics.projectionLag.set({ projection: group }, total(lags))
  }

  async function applyBatch (batch: readonly Work[]): Promise<void> {
    const end = metrics.projectionSeconds.startTimer({ projection: group })
    const outcomes = await applier.apply(batch)
    end()
    intake.settle(batch, outcomes)
    options.onApplied?.(outcomes.filter(outcome => outcome.status !== 'elsewhere'))
    const events = outcomes.reduce((sum, outcome) => sum + (outcome.status === 'elsewhere' ? 0 : outcome.count), 0)
    if (events === 0) return
    applied += events
    metrics.projected.inc({ projection: group }, events)
    metrics.projectionBatch.observe({ projection: group }, events)
    const stamp = /"timestamp":"([^"]+)"/.exec(batch.at(-1)!.entries.at(-1)!.data)?.[1]
    if (stamp !== undefined) metrics.projectionLagSeconds.set({ projection: group }, Math.max(0, (clock() - Date.parse(stamp)) / 1000 || 0))
  }

  /** One turn. Returns how many events it applied. */
  async function turn (): Promise<number> {
    await agreeWithLeases()
    await sweepSome()
    const batch = await intake.gather(budget())
    if (batch.length === 0) return 0
    try {
      await applyBatch(batch)
    } catch (error) {
      intake.putBack(batch)
      throw error
    }
    return batch.reduce((sum, { entries }) => sum + entries.length, 0)
  }

  const budget = (): number => Math.max(1, batchEvents >> Math.max(0, faults - FAULTS_BEFORE_HALVING))

  async function run (): Promise<void> {
    while (!aborter.signal.aborted) {
      const began = performance.now()
      rung = false
      try {
        const count = await turn()
        faults = Math.max(0, faults - 1)
        if (fault !== null) logger.info('projecting again')
        fault = null
        wellAt = performance.now()
        if (count >= budget() || aborter.signal.aborted) continue
        // Little came: wait for more, so that the next transaction is worth its while.
        if (count > 0 && intake.waiting < ROOMS_PER_READ) await pause(lingerMs - (performance.now() - began))
        if (!intake.busy) await sleepUntilBell()
        else if (count === 0) await pause(1)
      } catch (error) {
        faults = Math.min(faults + 1, FAULTS_MAX)
        metrics.projectionFaults.inc({ projection: group })
        const reason = (error as Error).message
        if (fault !== reason) logger.warn({ err: error }, 'a batch failed; trying again')
        fault = reason
        await pause(Math.min(PAUSE_MS * 2 ** faults, PAUSE_MS_MAX) * (0.5 + Math.random() / 2))
      }
    }
    follower.stop()
    await leases.stop()
    await intake.flushed()
    metrics.leases.set({ projection: group }, 0)
  }

  async function pause (ms: number): Promise<void> {
    if (ms > 0) await sleep(ms, undefined, { signal: aborter.signal }).catch(() => {})
  }

  /** Until a bell, a change of leases, the next sweep, or the end. */
  async function sleepUntilBell (): Promise<void> {
    const next = Math.min(...sweepDue.values(), performance.now() + sweepMs)
    await new Promise<void>(resolve => {
      const timer = setTimeout(resolve, Math.max(1, Math.min(next - performance.now(), leaseMs / 4)))
      endSleep = () => {
        clearTimeout(timer)
        resolve()
      }
      aborter.signal.addEventListener('abort', endSleep, { once: true })
      if (rung) endSleep()
    })
    aborter.signal.removeEventListener('abort', endSleep)
    endSleep = () => {}
  }

  const done = run()
  return {
    done,
    async stop () {
      aborter.abort()
      await done
    },
    progress: () => ({
      projection: group,
      partitions: sweepDue.size,
      swept: sweepDue.size > 0 && lags.size === sweepDue.size,
      lag_events: total(lags),
      parked_rooms: intake.parked,
      applied,
      idle_ms: performance.now() - wellAt,
      fault,
    }),
  }
}

const total = (numbers: ReadonlyMap<number, number>): number => [...numbers.values()].reduce((sum, n) => sum + n, 0)
