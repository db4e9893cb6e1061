/**
 * Applies batches: one transaction that locks the checkpoints, compares, moves them and writes the rows. A room found ahead
 * (another worker applied it) or elsewhere is left out; the others go on.
 *
 * What a projection cannot apply is found by halving: first the rooms, then the events of the room, so everything before
 * the failing event is applied, every other room goes on, and the room is parked at exactly that event [G10]. Postgres
 * being away is not that: it is thrown, nothing has happened, and the caller tries the same batch again.
 *
 * An event that somebody has skipped by hand in this projection is left out, not even read, and the checkpoint moves over it:
 * whenever the room is replayed under this version, it is left out again.
 */
import { CorruptEvent, decodeEvent, type LogEvent } from '../src/log/codec.ts'
import { LogFault } from '../src/log/log.ts'
import type { Position } from '../src/domain/position.ts'
import { isUnavailable, sqlStateOf, type Store } from '../src/store/pool.ts'
import { skipKey, skippedEvents } from '../src/store/skipped.ts'
import { liveVersion, NotLive, notLive } from '../src/store/versions.ts'
import type { Logger } from '../src/telemetry/logging.ts'
import { generationsOf, lockCheckpoints, moveCheckpoints } from './checkpoint.ts'
import { park } from './park.ts'
import { groupOf, type BatchEvent, type Projection, type RoomBatch } from './projection.ts'

/** Consecutive events of one room; the first one chains onto `from`. */
export interface Work {
  readonly room_id: string
  readonly partition: number
  readonly from: Position
  readonly entries: readonly LogEvent[]
  /** How many times the room was parked before, for the record. */
  readonly attempts: number
  /** How many times the partition had been reconciled before these were read; left out where it does not matter. */
  readonly generation?: number
}

export type Outcome =
  /** `count` entries are committed; the checkpoint is `to`. */
  | { readonly room_id: string, readonly status: 'applied', readonly to: Position, readonly count: number }
  /** The checkpoint is elsewhere, or the log was reconciled since: look again. */
  | { readonly room_id: string, readonly status: 'elsewhere' }
  /** `count` entries are committed; the next one cannot be applied, and the room is parked. */
  | { readonly room_id: string, readonly status: 'parked', readonly to: Position, readonly count: number }

export interface Applier {
  /** Every room at most once. Throws where trying again can help. */
  apply: (work: readonly Work[]) => Promise<Outcome[]>
}

export function createApplier ({ projection, store, logger }: { projection: Projection, store: Store, logger: Logger }): Applier {
  const group = groupOf(projection)

  async function attempt (work: readonly Work[]): Promise<Outcome[]> {
    return await store.transaction(async tx => {
      // A Postgres that crashes takes the end of what was committed with it, rows and checkpoints alike, and the archive has it all (ADR 14).
      if (projection.source === 'archive') await tx.query('SET LOCAL synchronous_commit = off')
      const checkpoints = await lockCheckpoints(tx, group, work.map(({ room_id }) => room_id))
      // Asked when the checkpoints are locked: a reconciliation that begins from here on waits for them, and sees what is written here.
      const generations = await generationsOf(tx, work.map(({ partition }) => partition))
      // Likewise: a rebuild that puts tables of another version in place of these locks the checkpoints first.
      const live = await liveVersion(tx, projection.name)
      if (live !== undefined && live !== projection.version) throw notLive(projection.name, projection.version, live)
      const outcomes: Outcome[] = []
      const fit: Work[] = []
      for (const room of work) {
        const at = checkpoints.get(room.room_id)
        const stale = room.generation !== undefined && room.generation !== generations.get(room.partition)
        if (stale || at?.seq !== room.from.seq || at.chain !== room.from.chain) outcomes.push({ room_id: room.room_id, status: 'elsewhere' })
        else fit.push(room)
      }
      if (fit.length === 0) return outcomes
      const skipped = await skippedEvents(tx, group, fit.map(({ room_id }) => room_id))
      const batch = fit.map(room => batchOf(room, skipped)).filter(({ events }) => events.length > 0)
      const moves = fit.map(({ room_id, from, entries }) => ({ room_id, from, to: placeOf(entries.at(-1)!) }))
      await moveCheckpoints(tx, group, moves)
      if (batch.length > 0) await projection.apply(tx, batch)
      moves.forEach(({ room_id, to }, i) => { outcomes.push({ room_id, status: 'applied', to, count: fit[i]!.entries.length }) })
      return outcomes
    })
  }

  async function setAside (room: Work, error: unknown): Promise<Outcome> {
    const [entry] = room.entries as [LogEvent]
    const error_code = sqlStateOf(error) ?? (error instanceof CorruptEvent ? 'corrupt' : 'bug')
    const { room_id, partition, from, attempts } = room
    const done = await park(store, { projection: group, room_id, partition, at: from, seq: entry.seq, event_id: entry.event_id, error: (error as Error).message, error_code, attempts: attempts + 1 })
    if (!done) return { room_id, status: 'elsewhere' }
    logger.error({ err: error, projection: group, room_id, seq: entry.seq, event_id: entry.event_id, error_code }, 'an event cannot be applied; its room is parked')
    return { room_id, status: 'parked', to: from, count: 0 }
  }

  async function apply (work: readonly Work[]): Promise<Outcome[]> {
    try {
      return await attempt(work)
    } catch (error) {
      if (isFault(error)) throw error
      if (work.length > 1) {
        const middle = work.length >> 1
        const first = await apply(work.slice(0, middle))
        return [...first, ...await apply(work.slice(middle))]
      }
      const [room] = work as [Work]
      return [room.entries.length > 1 ? await applyHalves(room) : await setAside(room, error)]
    }
  }

  async function applyHalves (room: Work): Promise<Outcome> {
    const middle = room.entries.length >> 1
    const [first] = await apply([{ ...room, entries: room.entries.slice(0, middle) }]) as [Outcome]
    if (first.status !== 'applied') return first
    const [second] = await apply([{ ...room, from: first.to, entries: room.entries.slice(middle) }]) as [Outcome]
    return second.status === 'elsewhere' ? second : { ...second, count: first.count + second.count }
  }

  return { apply }
}

const placeOf = ({ seq, chain }: LogEvent): Position => ({ seq, chain })

function batchOf ({ room_id, partition, entries }: Work, skipped: ReadonlySet<string>): RoomBatch {
  const applied = skipped.size === 0 ? entries : entries.filter(({ seq }) => !skipped.has(skipKey(room_id, seq)))
  return { room_id, partition, events: applied.map(decoded) }
}

/** On an entry: what was read of it. */
const READ = Symbol('read')

/**
 * What the archive hands on to projections of the same process is read once. Nothing changes an event. Kept on the entry itself: each of
 * many thousands in a WeakMap makes every collection of garbage dearer.
 */
function decoded (entry: LogEvent & { [READ]?: BatchEvent }): BatchEvent {
  return (entry[READ] ??= { entry, event: decodeEvent(entry) })
}

/**
 * Whether trying the same again can help. Besides Postgres being away: a server that only reads (25), log-in refused (28),
 * rights or tables that are missing (42501, 42P01) speak of the deployment, not of an event; parking every room would not help.
 */
function isFault (error: unknown): boolean {
  return error instanceof LogFault || error instanceof NotLive || isUnavailable(error) || /^(25|28|42501|42P01)/.test(sqlStateOf(error) ?? '')
}
