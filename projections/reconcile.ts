/**
 * Reconciling: a fenced partition's log is compared with the archive, what Redis lacks is put back, histories that parted are
 * settled, all of it is told loudly, and then the fence is lifted [G8]. So nothing is appended on top of a log that was cut
 * short, and every seq that the archive knows stays what it was. Whoever starts first does it, gateway or projector; a lock in
 * Postgres keeps others out of the same partition.
 *
 *     Redis has the archive's checkpoint, or goes on from it    nothing to do
 *     Redis has less, of the same history, or nothing           the room becomes cold at the checkpoint: restored when it is needed
 *     both have what the other has not                          the log stands; the archive is taken back to the fork (`parted.ts`)
 *     neither has what follows the checkpoint                   nothing: the archive parks the room (`hole`)
 *     another projection applied what neither has               it is replayed
 *
 * Rooms of which the archive has nothing and that Redis lost are gone without a trace. A room that a projector has parked because
 * histories parted without a fence (a master that was frozen woke up) has its partition fenced, and goes the same way.
 */
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Cold } from '../src/log/cold.ts'
import type { Fence } from '../src/log/fence.ts'
import type { RoomLog } from '../src/log/log.ts'
import type { MarkClamp } from '../src/log/mark-clamp.ts'
import { ARCHIVE } from '../src/store/archive.ts'
import type { Client, Store } from '../src/store/pool.ts'
import type { Logger } from '../src/telemetry/logging.ts'
import type { Metrics } from '../src/telemetry/metrics.ts'
import { checkpointPages, checkpointsOf, raiseGeneration } from './checkpoint.ts'
import { compareRooms, type Archived, type Deviant } from './compare.ts'
import { clampMarks, replay, roomsOff, takeBack } from './parted.ts'
import { groupOf, type Projection } from './projection.ts'

/** First key of the advisory locks; the second is the partition. */
const LOCK = 0x6d696c6c
const ROOMS_PER_PAGE = 1000
/** How often a room that changes under the comparison is looked at again, before the partition is left fenced for now. */
const LOOKS_MAX = 10
const ROOMS_NAMED = 5
/** Parked rooms that are looked at in one pass. */
const SUSPECTS_MAX = 1000

/** What was found and put right. */
export interface Found {
  /** Archived events that Redis lacked; they come back with their rooms. */
  events_missing: number
  /** Rooms that had less in Redis than in the archive, or were not there at all: cold now. */
  rooms_missing: number
  /** Rooms whose histories parted. */
  rooms_parted: number
  /** Events that were archived and were set aside because they do not stand. */
  events_parted: number
  /** Rooms that a projection replays, over all projections. */
  rooms_replayed: number
  /** Rooms of which neither has what follows the archive's checkpoint. */
  rooms_holed: number
  /** Marks that were beyond the end of their room's log: what comes there now nobody has read. */
  marks_clamped: number
}

export interface Reconciled extends Found {
  /** Partitions whose fence was lifted. */
  readonly lifted: number[]
  /** Fenced ones that another process has in hand, or whose server changed meanwhile: look again. */
  readonly left: number[]
}

export interface ReconcileOptions {
  /** Fences all partitions first, so that every room is compared, and waits for others that are at it. By hand only. */
  readonly all?: boolean
  /** Told how many rooms have been compared since the last time. */
  readonly onCompared?: (rooms: number) => void
}

export interface Reconciler {
  /** One pass over the fenced partitions; nothing to do where there are none. Throws faults of Redis and Postgres. */
  reconcile: (options?: ReconcileOptions) => Promise<Reconciled>
}

export interface ReconcilerOptions {
  store: Store
  log: RoomLog
  cold: Cold
  fence: Fence
  marks: MarkClamp
  /** Projections besides the archive that can be replayed. */
  replayed: readonly Projection[]
  /** All partitions are 0 … this − 1. */
  partitions: number
  logger: Logger
  metrics: Metrics
}

/** Also names the rooms, for the line that tells of it. */
interface Finding extends Found { readonly rooms: Set<string> }

const nothing = (): Found => ({ events_missing: 0, rooms_missing: 0, rooms_parted: 0, events_parted: 0, rooms_replayed: 0, rooms_holed: 0, marks_clamped: 0 })
const FOUND = Object.keys(nothing()) as Array<keyof Found>

export function createReconciler ({ store, log, cold, fence, marks, replayed, partitions, logger, metrics }: ReconcilerOptions): Reconciler {
  const replayable = replayed.filter(({ forget }) => forget !== undefined)

  /** Takes the locks of those partitions that nobody has in hand; all of them, if it is to wait. */
  async function lock (client: Client, asked: readonly number[], wait: boolean): Promise<number[]> {
    if (wait) {
      for (const partition of asked) await client.query('SELECT pg_advisory_lock($1, $2)', [LOCK, partition])
      return [...asked]
    }
    const { rows } = await client.query<{ partition: number, locked: boolean }>(`
      SELECT partition, pg_try_advisory_lock($1, partition) AS locked
        FROM unnest($2::int[]) AS fenced (partition)`, [LOCK, asked])
    return rows.filter(({ locked }) => locked).map(({ partition }) => partition)
  }

  async function reconcilePartition (client: Client, partition: number, onCompared: (rooms: number) => void): Promise<Finding> {
    const finding: Finding = { ...nothing(), rooms: new Set() }
    await raiseGeneration(client, partition)
    for await (const page of checkpointPages(client, ARCHIVE, partition, ROOMS_PER_PAGE)) {
      await putRight(client, page, finding)
      finding.marks_clamped += await clampPage(client, page)
      onCompared(page.length)
    }
    for (const projection of replayable) {
      for await (const page of checkpointPages(client, groupOf(projection), partition, ROOMS_PER_PAGE)) await replayOff(projection, page, finding)
    }
    return finding
  }

  /** Of all rooms: marks may have been ahead of what the archive had, and a loss need not reach back to that. */
  async function clampPage (client: Client, page: readonly Archived[]): Promise<number> {
    const ids = page.map(({ room_id }) => room_id)
    const clamped = await marks.clamp(ids)
    const { heads } = await log.heads(ids)
    return clamped + await clampMarks(client, [...heads].map(([room_id, { seq }]) => ({ room_id, seq })))
  }

  /** Compares a page of rooms and acts on what deviates, again where something moved meanwhile. */
  async function putRight (client: Client, page: readonly Archived[], finding: Finding): Promise<void> {
    const settled: string[] = []
    for (let rooms = page, look = 0; rooms.length > 0; look++) {
      if (look === LOOKS_MAX) throw new Error(`${rooms.length} rooms of partition ${rooms[0]!.partition} change while they are reconciled`)
      const deviants = await compareRooms({ db: client, log }, rooms)
      const results = await settleAll(deviants, finding)
      const again = deviants.filter((_, i) => !results[i]).map(({ room }) => room)
      settled.push(...deviants.filter(({ status }, i) => results[i] && status !== 'hole').map(({ room }) => room.room_id))
      const now = await checkpointsOf(client, ARCHIVE, again.map(({ room_id }) => room_id))
      rooms = again.map(room => ({ ...room, ...now.get(room.room_id) }))
    }
    if (settled.length > 0) await store.query("DELETE FROM parked_rooms WHERE room_id = ANY ($1::uuid[]) AND error_code = 'parted'", [settled])
  }

  /** Whether each is settled. Parted ones one after the other: they are rare, and each is a long transaction. */
  async function settleAll (deviants: readonly Deviant[], finding: Finding): Promise<boolean[]> {
    const frozen = await Promise.all(deviants.map(async ({ room, head, status }) => status === 'lacking' && await cold.freeze(room.room_id, room, head)))
    const results: boolean[] = []
    for (const [i, deviant] of deviants.entries()) {
      const { room, head, status } = deviant
      let done = frozen[i]!
      if (status === 'lacking' && done) {
        finding.rooms_missing += 1
        finding.events_missing += Math.max(0, room.seq - (head?.seq ?? 0))
      } else if (status === 'hole') {
        finding.rooms_holed += 1
        done = true
      } else if (status === 'parted') {
        const taken = await takeBack({ store, log, replayed: replayable }, room, deviant.fork)
        done = taken !== undefined
        finding.rooms_parted += Number(done)
        finding.events_parted += taken?.events ?? 0
        finding.rooms_replayed += taken?.replayed ?? 0
      }
      if (done) finding.rooms.add(room.room_id)
      results.push(done)
    }
    return results
  }

  async function replayOff (projection: Projection, page: readonly Archived[], finding: Finding): Promise<void> {
    const off = await roomsOff({ db: store, log }, page)
    finding.rooms_replayed += await replay({ store }, projection, off)
    for (const { room_id } of off) finding.rooms.add(room_id)
  }

  function report (partition: number, { rooms, ...found }: Finding): void {
    if (rooms.size === 0) return
    if (found.rooms_parted > 0) metrics.parted.inc({ where: 'reconcile' }, found.rooms_parted)
    if (found.rooms_missing > 0) metrics.frozen.inc(found.rooms_missing)
    logger.error({ partition, ...found, rooms: [...rooms].slice(0, ROOMS_NAMED) }, 'Redis and the archive do not have the same history: Redis lost events, or others were appended')
  }

  /**
   * Rooms that a projector parked because histories parted: in a partition that is not fenced, an older server has had appends
   * archived since. Those are fenced, so that they are settled as after any loss; a projection that is off by itself is replayed.
   */
  async function fenceSuspects (fenced: ReadonlyMap<number, string>): Promise<boolean> {
    const { rows } = await store.query<{ projection: string, room_id: string, partition: number }>(`
      SELECT projection, room_id, partition
        FROM parked_rooms
       WHERE error_code = 'parted'
         AND partition <> ALL ($1::int[])
       ORDER BY parked_at
       LIMIT $2`, [[...fenced.keys()], SUSPECTS_MAX])
    if (rows.length === 0) return false
    const partitionOf = new Map(rows.map(({ room_id, partition }) => [room_id, partition]))
    const at = async (group: string, ids: readonly string[]): Promise<Archived[]> => [...await checkpointsOf(store, group, ids)].map(([room_id, position]) => ({ ...position, room_id, partition: partitionOf.get(room_id)! }))
    const deviants = await compareRooms({ db: store, log }, await at(ARCHIVE, [...partitionOf.keys()]))
    const raised = new Set(deviants.filter(({ status }) => status !== 'hole').map(({ room }) => room.partition))
    for (const partition of raised) await fence.raise(partition)
    for (const projection of replayable) {
      const own = rows.filter(row => row.projection === groupOf(projection) && !raised.has(row.partition)).map(({ room_id }) => room_id)
      if (own.length === 0) continue
      const again = await replay({ store }, projection, await roomsOff({ db: store, log }, await at(groupOf(projection), own)))
      if (again > 0) logger.error({ projection: groupOf(projection), rooms_replayed: again }, 'a projection applied what no log has; it is replayed')
    }
    return raised.size > 0
  }

  /** Compares these partitions, and lifts the fence of each when it is done. */
  async function reconcileAll (client: Client, mine: readonly number[], replids: ReadonlyMap<number, string>, onCompared: (rooms: number) => void): Promise<{ lifted: number[], gone: Set<number>, sum: Found }> {
    const sum = nothing()
    const lifted: number[] = []
    const gone = new Set<number>() // fences that somebody else has lifted meanwhile
    const token = `reconciling ${randomUUID()}`
    for (const partition of mine) {
      const held = await fence.hold(partition, replids.get(partition)!, token)
      if (held === 'lifted') gone.add(partition)
      if (held !== 'held') continue
      const finding = await reconcilePartition(client, partition, onCompared)
      report(partition, finding)
      for (const field of FOUND) sum[field] += finding[field]
      if (await fence.lift(partition, replids.get(partition)!, token)) lifted.push(partition)
    }
    metrics.eventsMissing.set(sum.events_missing)
    return { lifted, gone, sum }
  }

  return {
    async reconcile ({ all = false, onCompared = () => {} } = {}) {
      // The replid is noted before anything is compared: if the server changes meanwhile, its fence stays.
      let fenced = await fence.fencedPartitions()
      if (!all && await fenceSuspects(fenced)) fenced = await fence.fencedPartitions()
      metrics.partitionsFenced.set(fenced.size)
      if (fenced.size === 0 && !all) return { lifted: [], left: [], ...nothing() }
      const client = await store.connect()
      let broken: Error | undefined
      const breaks = (error: Error): void => { broken = error } // between two statements; without a listener it would end the process
      client.on('error', breaks)
      try {
        const every = Array.from({ length: partitions }, (_, partition) => partition)
        const mine = await lock(client, all ? every : [...fenced.keys()], all)
        if (all) {
          for (const partition of every) await fence.raise(partition)
          fenced = await fence.fencedPartitions()
        }
        const { lifted, gone, sum } = await reconcileAll(client, mine.filter(partition => fenced.has(partition)), fenced, onCompared)
        const left = [...fenced.keys()].filter(partition => !lifted.includes(partition) && !gone.has(partition))
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
