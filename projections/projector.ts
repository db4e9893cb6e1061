/**
 * The projector: follows the logs of the partitions that this worker holds leases on and applies them to one projection.
 *
 * Every event takes effect once and in order, whatever is killed wherever [G6]: rows and checkpoint move in one
 * transaction, checkpoints by compare-and-set. A room that cannot be applied is parked, others go on [G10]. Lost bells, groups
 * and `active` entries cost at most one sweep. Faults of Redis and Postgres are waited out with jitter and counted; nothing is
 * skipped over because of them. Tables of another version than this code are left alone.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { BellSource } from '../src/log/bells.ts'
import type { Groups } from '../src/log/groups.ts'
import type { Keys } from '../src/log/keys.ts'
import type { Position } from '../src/domain/position.ts'
import { stampOf, traceparentOf, type LogEvent } from '../src/log/codec.ts'
import type { RoomLog } from '../src/log/log.ts'
import { ARCHIVE, readArchive } from '../src/store/archive.ts'
import type { Store } from '../src/store/pool.ts'
import { claimVersion, NotLive, notLive } from '../src/store/versions.ts'
import type { Logger } from '../src/telemetry/logging.ts'
import type { Metrics } from '../src/telemetry/metrics.ts'
import { childOfAll, endSpan, isTracing, within, type Span } from '../src/telemetry/tracing.ts'
import { createApplier, type Work } from './apply.ts'
import { createIntake, ROOMS_PER_READ } from './intake.ts'
import { startLeases, type Leases } from './lease.ts'
import { groupOf, type Projection } from './projection.ts'
import { fromArchive, fromLog } from './source.ts'
import { sweep } from './sweep.ts'

const PARTITIONS_PER_SWEEP = 16
const PAUSE_MS = 100
const PAUSE_MS_MAX = 5000
/** How often it is looked whether the tables are of this version. */
const VERSION_LOOK_MS = 3000
/**
 * In a busy time the next transaction waits longer, so that it carries more and costs less for each: so long for each event of the last,
 * up to so many times `lingerMs`.
 */
const LINGER_MS_PER_EVENT = 1
const LINGERS_MAX = 8
/**
 * And a projector that is not behind rests after a batch for as long as it took, up to so many times `lingerMs`, and less the further it is
 * behind; not at all from this on: where processors are short, what people wait for goes first (ADR 14).
 */
const UNHURRIED_MS = 1000
const RESTS_MAX = 10
/** The archive waits so long, after each batch, for those that follow it to have room for what it hands on. They may be held up; it is not. */
const ABREAST_MS_MAX = 250
const ABREAST_LOOK_MS = 5
/** Failures of the same kind in a row before batches are halved: it may be their size that fails. */
const FAULTS_BEFORE_HALVING = 3
/** Traced events of one batch that get a span; sampling makes more of them rare. */
const TRACES_MAX = 16
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
  /** Epoch milliseconds; for the delay in seconds only. */
  readonly clock?: () => number
  readonly batchEvents: number
  readonly leaseMs: number
  readonly sweepMs: number
  /** Told after each transaction what was committed. */
  readonly onApplied?: ((rooms: readonly Applied[]) => void) | undefined
  /** The archive's projector in this process: this one follows it, is served what it commits, and serves the partitions that it holds. */
  readonly follows?: { readonly leases: Pick<Leases, 'held'> } | undefined
  /** While there is little to do, at least so long between two transactions: ten times fewer of them for a little delay. */
  readonly lingerMs?: number
  /** Of the archive: whether those that follow it have no room for what it hands on, and would have to read it again. */
  readonly isAhead?: (() => boolean) | undefined
}

/** What a transaction has applied of a room: events that follow on each other, up to `to`. */
export interface Applied {
  readonly room_id: string
  readonly partition: number
  readonly to: Position
  readonly entries: readonly LogEvent[]
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
  /** Text of the fault that is being waited out, or why the tables are left alone; null when there is none. */
  readonly fault: string | null
}

export interface Projector {
  /** Resolves when it has stopped. Never rejects. */
  readonly done: Promise<void>
  /** Finishes the batch under way, gives the leases up, and resolves with `done`. Twice does nothing more. */
  stop: () => Promise<void>
  progress: () => Progress
  readonly leases: Pick<Leases, 'held'>
  /** Hands on what the archive has committed, to one that follows it. */
  offer: (rooms: readonly Applied[]) => void
  /** Events that were read, or handed on, and wait to be applied. */
  held: () => number
}

export function startProjector (options: ProjectorOptions): Projector {
  const { projection, store, groups, log, keys, bells, owner, metrics, clock = Date.now, batchEvents, leaseMs, sweepMs, lingerMs = 25, isAhead } = options
  const group = groupOf(projection)
  const logger = options.logger.child({ projection: group })
  const aborter = new AbortController()
  const isArchive = group === ARCHIVE
  const source = options.follows === undefined
    ? fromLog({ group, groups, log, consumer: owner, readArchive: isArchive ? undefined : async (roomId, after, limit) => await readArchive(store, roomId, after, limit) })
    : fromArchive({ store })
  const intake = createIntake({ group, store, source, log, isArchive, metrics, logger })
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
  let versionDue = 0
  /** Age of the oldest event of the last batch when it was committed; by its stamp, so a clock that is wrong makes it hurry, or rest, for nothing. */
  let behindMs = 0

  const wake = (): void => {
    rung = true
    endSleep()
  }
  const follower = source.follows ? undefined : bells.follower(partition => { intake.ring(partition); wake() })
  const own = options.follows === undefined ? startLeases({ store, group, partitions: keys.partitions, owner, leaseMs, logger, onChange: wake }) : undefined
  const leases = own ?? options.follows!.leases

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
    follower?.follow(held)
    metrics.leases.set({ projection: group }, held.size)
    metrics.leaseMoves.inc({ projection: group, direction: 'gained' }, gained.length)
    metrics.leaseMoves.inc({ projection: group, direction: 'lost' }, lost.length)
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
  }

  async function applyBatch (batch: readonly Work[]): Promise<void> {
    const end = metrics.projectionSeconds.startTimer({ projection: group })
    const spans = isTracing() ? spansOf(batch) : []
    const outcomes = await within(spans[0], async () => await applier.apply(batch)).finally(() => { for (const span of spans) endSpan(span) })
    end()
    intake.settle(batch, outcomes)
    if (options.onApplied !== undefined) {
      const works = new Map(batch.map(work => [work.room_id, work]))
      options.onApplied(outcomes.flatMap(outcome => {
        if (outcome.status === 'elsewhere' || outcome.count === 0) return []
        const { room_id, partition, entries } = works.get(outcome.room_id)!
        return [{ room_id, partition, to: outcome.to, entries: entries.slice(0, outcome.count) }]
      }))
    }
    const events = outcomes.reduce((sum, outcome) => sum + (outcome.status === 'elsewhere' ? 0 : outcome.count), 0)
    if (events === 0) return
    applied += events
    metrics.projected.inc({ projection: group }, events)
    metrics.projectionBatch.observe({ projection: group }, events)
    const oldest = Math.min(...batch.map(({ entries }) => stampOf(entries[0]!) ?? Infinity))
    behindMs = oldest < Infinity ? Math.max(0, clock() - oldest) : 0
    if (oldest < Infinity) metrics.projectionDelay.observe({ projection: group }, behindMs / 1000)
  }

  /** One in each trace that an event of the batch is of. What the transaction asks is part of the first, to which the others are linked. */
  function spansOf (batch: readonly Work[]): Span[] {
    const traces = batch.flatMap(({ entries }) => entries.flatMap(entry => traceparentOf(entry) ?? [])).slice(0, TRACES_MAX)
    const name = `project ${projection.name}`
    const [first, ...others] = traces.flatMap((trace, i) => childOfAll(i === 0 ? traces : [trace], name) ?? [])
    for (const other of others) other.addLink({ context: first!.spanContext() })
    return first === undefined ? [] : [first, ...others]
  }

  /** Throws NotLive while the tables are of another version: until a rebuild has put others in their place, they are left alone. */
  async function agreeWithVersion (): Promise<void> {
    if (performance.now() < versionDue) return
    const live = await claimVersion(store, projection.name, projection.version)
    if (live !== projection.version) throw notLive(projection.name, projection.version, live)
    versionDue = performance.now() + VERSION_LOOK_MS
  }

  /** One turn. Returns how many events it applied. */
  async function turn (): Promise<number> {
    await agreeWithVersion()
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
    metrics.projectionFaults.inc({ projection: group }, 0)
    while (!aborter.signal.aborted) {
      const began = performance.now()
      rung = false
      try {
        const count = await turn()
        faults = Math.max(0, faults - 1)
        if (fault !== null) logger.info('projecting again')
        fault = null
        wellAt = performance.now()
        if (count > 0) {
          await abreast()
          await pause(restMs(count, performance.now() - began))
        }
        if (count >= budget() || aborter.signal.aborted) continue
        if (!intake.busy) await sleepUntilBell()
        else if (count === 0) await pause(1)
      } catch (error) {
        if (error instanceof NotLive) {
          if (fault !== error.message) logger.error(error.message)
          fault = error.message
          versionDue = 0
          await pause(VERSION_LOOK_MS)
          continue
        }
        faults = Math.min(faults + 1, FAULTS_MAX)
        metrics.projectionFaults.inc({ projection: group })
        const reason = (error as Error).message
        if (fault !== reason) logger.warn({ err: error }, 'a batch failed; trying again')
        fault = reason
        await pause(Math.min(PAUSE_MS * 2 ** faults, PAUSE_MS_MAX) * (0.5 + Math.random() / 2))
      }
    }
    follower?.stop()
    await own?.stop()
    metrics.leases.set({ projection: group }, 0)
  }

  /** How long to wait before the next turn. Who follows the archive is given as much at once as it has waited for. */
  function restMs (count: number, tookMs: number): number {
    if (own === undefined) return 0
    const rest = Math.min(tookMs, lingerMs * RESTS_MAX) * Math.max(0, 1 - behindMs / UNHURRIED_MS)
    if (count >= budget() || intake.waiting >= ROOMS_PER_READ) return rest
    return Math.max(rest, Math.min(Math.max(lingerMs, count * LINGER_MS_PER_EVENT), lingerMs * LINGERS_MAX) - tookMs)
  }

  async function abreast (): Promise<void> {
    for (let waited = 0; isAhead?.() === true && waited < ABREAST_MS_MAX; waited += ABREAST_LOOK_MS) await pause(ABREAST_LOOK_MS)
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
    leases,
    offer (rooms) {
      intake.offer(rooms)
      wake()
    },
    held: () => intake.held,
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
