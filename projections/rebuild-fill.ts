/**
 * Filling the tables of a rebuild from the archive, many rooms at once in large batches: while one batch is applied, the next is read.
 * Each moves checkpoints of its own by compare-and-set, in the transaction that writes the rows, like any projector's; so it may be
 * ended anywhere and goes on from there [G6]. What cannot be applied parks its room there, too [G10].
 *
 * A room whose archive was taken back while it was read, because histories had parted, begins again from its first event.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { START, type Position } from '../src/domain/position.ts'
import { chainOf } from '../src/log/chain.ts'
import { ARCHIVE, type ArchivedEvent } from '../src/store/archive.ts'
import type { Queryable, Store } from '../src/store/pool.ts'
import { holeAfter } from '../src/store/skipped.ts'
import type { Logger } from '../src/telemetry/logging.ts'
import { createApplier, type Applier, type Work } from './apply.ts'
import { beginAnew, lockCheckpoints, openCheckpoints } from './checkpoint.ts'
import { groupOf, type Projection } from './projection.ts'

/** Events of one transaction. Measured for history, CPU of Postgres per event: 24 µs with 500, 18 µs with 1,000, 13 µs with 4,000, 12 µs with 10,000. */
const BATCH_EVENTS = 4000
/** Rooms that are looked up at once. */
const PAGE_ROOMS = 5000
const FIRST = '00000000-0000-0000-0000-000000000000'

/** A room in which the rebuild is not where the archive is. */
export interface Behind {
  readonly room_id: string
  readonly partition: number
  /** Where the rebuild is. */
  readonly own: Position
  readonly archived: Position
}

interface Row { room_id: string, partition: number, seq: number, chain: string, own_seq: number, own_chain: string }

/** Rooms with IDs above `after` in which the rebuild is not where the archive is, in their order; without those that are parked. */
async function roomsBehind (db: Queryable, group: string, after: string, limit: number): Promise<Behind[]> {
  const { rows } = await db.query<Row>(`
    SELECT archive.room_id, archive.partition, archive.seq, archive.chain, coalesce(own.seq, $5) AS own_seq, coalesce(own.chain, $6) AS own_chain
      FROM checkpoints AS archive
      LEFT JOIN checkpoints AS own
             ON own.projection = $2
            AND own.room_id = archive.room_id
     WHERE archive.projection = $1
       AND archive.room_id > $3
       AND (archive.seq, archive.chain) IS DISTINCT FROM (coalesce(own.seq, $5), coalesce(own.chain, $6))
       AND NOT EXISTS (SELECT FROM parked_rooms WHERE parked_rooms.projection = $2 AND parked_rooms.room_id = archive.room_id)
     ORDER BY archive.room_id
     LIMIT $4`, [ARCHIVE, group, after, limit, START.seq, START.chain])
  return rows.map(({ room_id, partition, seq, chain, own_seq, own_chain }) => ({ room_id, partition, own: { seq: own_seq, chain: own_chain }, archived: { seq, chain } }))
}

interface Asked { readonly room_id: string, readonly after: number, readonly limit: number }

/** Events of several rooms with seq > `after`, oldest first, at most `limit` of each. */
export async function readRooms (db: Queryable, asked: readonly Asked[]): Promise<Map<string, ArchivedEvent[]>> {
  const { rows } = await db.query<Omit<ArchivedEvent, 'by'> & { room_id: string, session_id: string | null }>({
    name: 'read_rooms',
    text: `
    SELECT asked.room_id, event.*
      FROM unnest($1::uuid[], $2::bigint[], $3::int[]) AS asked (room_id, after, "limit")
     CROSS JOIN LATERAL (
           SELECT seq, chain, event_id, v, data, session_id
             FROM events
            WHERE events.room_id = asked.room_id
              AND seq > asked.after
            ORDER BY seq
            LIMIT asked.limit) AS event`,
    values: [asked.map(({ room_id }) => room_id), asked.map(({ after }) => after), asked.map(({ limit }) => limit)],
  })
  const events = new Map<string, ArchivedEvent[]>()
  for (const { room_id, session_id, ...event } of rows) {
    const entry = session_id === null ? event : { ...event, by: session_id }
    const list = events.get(room_id)
    if (list === undefined) events.set(room_id, [entry])
    else list.push(entry)
  }
  return events
}

/** Where a room's events do not follow on what was applied. */
export type Break =
  /** Another history than the one applied. */
  | { readonly kind: 'parted' }
  /** Events are missing. */
  | { readonly kind: 'hole', readonly seq: number }

/** As many of these events as follow on `from`, over holes that were skipped by hand; and what comes then. */
export async function follow (db: Queryable, roomId: string, from: Position, events: readonly ArchivedEvent[]): Promise<{ entries: readonly ArchivedEvent[], broken?: Break }> {
  let tail: Position = from
  for (const [i, event] of events.entries()) {
    const entries = events.slice(0, i)
    if (event.seq !== tail.seq + 1) {
      if (await holeAfter(db, roomId, tail.seq) !== event.seq - 1) return { entries, broken: { kind: 'hole', seq: tail.seq + 1 } }
    } else if (event.chain !== chainOf(tail.chain, event.event_id)) {
      return { entries, broken: { kind: 'parted' } }
    }
    tail = event
  }
  return { entries: events }
}

export interface FillOptions {
  readonly store: Store
  /** Of the rebuild (`shadowOf`). */
  readonly shadow: Projection
  readonly logger: Logger
  /** Most events per second; 0: as fast as it goes. */
  readonly throttle: number
  readonly signal: AbortSignal
  /** Told after each transaction how many events it has applied. */
  readonly onApplied: (events: number) => void
}

export interface Filler {
  /** Goes once through all rooms that the archive has more of; returns how many events were applied. Stops after a batch when it is aborted. */
  pass: () => Promise<number>
  /** From now on as fast as it goes. */
  lift: () => void
}

export function createFiller ({ store, shadow, logger, throttle, signal, onApplied }: FillOptions): Filler {
  const group = groupOf(shadow)
  const applier: Applier = createApplier({ projection: shadow, store, logger })
  let pace = createPace(throttle, signal)

  /** The events of these rooms, in batches. Rooms that do not follow on are left out from there, and noted. */
  async function * batches (rooms: readonly Behind[], parted: Behind[]): AsyncGenerator<Work[]> {
    const left = rooms.map(room => ({ room, tail: room.own }))
    while (left.length > 0 && !signal.aborted) {
      const some: Array<typeof left[number] & { limit: number }> = []
      for (let events = 0; events < BATCH_EVENTS && some.length < left.length;) {
        const one = left[some.length]!
        const limit = Math.min(BATCH_EVENTS - events, one.room.archived.seq - one.tail.seq)
        some.push({ ...one, limit })
        events += limit
      }
      const events = await readRooms(store, some.map(({ room: { room_id }, tail, limit }) => ({ room_id, after: tail.seq, limit })))
      const work: Work[] = []
      left.splice(0, some.length)
      for (const { room, tail } of some.toReversed()) {
        const { room_id, partition } = room
        const { entries, broken } = await follow(store, room_id, tail, events.get(room_id) ?? [])
        if (broken?.kind === 'parted') parted.push(room)
        if (entries.length === 0) continue
        work.push({ room_id, partition, from: tail, entries, attempts: 0 })
        const last = entries.at(-1)!
        if (broken === undefined && last.seq < room.archived.seq) left.unshift({ room, tail: last })
      }
      if (work.length > 0) yield work
    }
  }

  async function applyAll (rooms: readonly Behind[]): Promise<number> {
    const parted: Behind[] = []
    const stopped = new Set<string>()
    const reading = batches(rooms.filter(({ own, archived }) => own.seq < archived.seq), parted)
    let applied = 0
    let next = reading.next()
    try {
      for (;;) {
        const { value: work, done } = await next
        if (done === true) break
        next = reading.next() // while this one is applied
        next.catch(() => {}) // it is awaited below
        const outcomes = await applier.apply(work.filter(({ room_id }) => !stopped.has(room_id)))
        const events = outcomes.reduce((sum, outcome) => sum + (outcome.status === 'elsewhere' ? 0 : outcome.count), 0)
        for (const { room_id, status } of outcomes) if (status !== 'applied') stopped.add(room_id)
        applied += events
        onApplied(events)
        await pace(events)
      }
    } finally {
      await next.catch(() => {})
    }
    await startOver([...rooms.filter(({ own, archived }) => own.seq >= archived.seq), ...parted].map(({ room_id }) => room_id))
    return applied
  }

  /** What was applied in these rooms does not stand any more. */
  async function startOver (roomIds: readonly string[]): Promise<void> {
    if (roomIds.length === 0) return
    logger.warn({ projection: group, rooms: roomIds.length }, 'the archive has another history than the one applied: these rooms begin again')
    await store.transaction(async tx => {
      await lockCheckpoints(tx, group, roomIds)
      await beginAnew(tx, group, roomIds)
      await shadow.forget!(tx, roomIds)
    })
  }

  return {
    lift () { pace = createPace(0, signal) },
    async pass () {
      let applied = 0
      for (let after = FIRST; !signal.aborted;) {
        const rooms = await roomsBehind(store, group, after, PAGE_ROOMS)
        if (rooms.length > 0) {
          await openCheckpoints(store, group, rooms.map(({ room_id, partition }) => ({ id: room_id, partition })))
          applied += await applyAll(rooms)
        }
        if (rooms.length < PAGE_ROOMS) break
        after = rooms.at(-1)!.room_id
      }
      return applied
    },
  }
}

/** Waits after each so many events until they are no more than `perSecond`. */
function createPace (perSecond: number, signal: AbortSignal): (events: number) => Promise<void> {
  let dueAt = 0
  return async events => {
    if (perSecond === 0) return
    dueAt = Math.max(dueAt, performance.now()) + events * 1000 / perSecond
    const ms = dueAt - performance.now()
    if (ms > 0) await sleep(ms, undefined, { signal }).catch(() => {})
  }
}
