/** How far projections are behind the log: heads of rooms against checkpoints, and how old the oldest event is that waits. */
import type { RoomLog } from '../log/log.ts'
import { archivedAt } from '../store/archive.ts'
import { checkpointsOfRooms } from '../store/overview.ts'
import type { Queryable } from '../store/pool.ts'

export interface Lag {
  readonly lag_events: number
  readonly lag_rooms: number
  /** Left out where nothing waits. */
  readonly lag_seconds?: number
}

interface Behind { readonly room_id: string, readonly from: number, readonly events: number }

/** Rooms of a projection of which the first waiting event is read, to know its age: those that wait for the most, and some more. */
const ROOMS_DATED_MAX = 16
const ROOMS_PER_COMPARISON = 1000

/**
 * Rooms that are parked are left out: they do not wait, they stand still. Throws faults of both stores.
 * @param nowMs epoch milliseconds of the clock that times are compared with
 */
export async function lagsOf ({ db, log }: { db: Queryable, log: RoomLog }, projections: readonly string[], rooms: readonly string[], nowMs: number): Promise<Map<string, Lag>> {
  const behind = new Map<string, Behind[]>(projections.map(projection => [projection, []]))
  for (let i = 0; i < rooms.length; i += ROOMS_PER_COMPARISON) {
    const some = rooms.slice(i, i + ROOMS_PER_COMPARISON)
    const at = new Map((await checkpointsOfRooms(db, projections, some)).map(({ projection, room_id, seq, parked }) => [`${projection} ${room_id}`, { seq, parked }])) // before the heads: those are at them or beyond
    const { heads } = await log.heads(some)
    for (const [room_id, { seq: head }] of heads) {
      for (const projection of projections) {
        const { seq: from, parked } = at.get(`${projection} ${room_id}`) ?? { seq: 0, parked: false }
        if (!parked && head > from) behind.get(projection)!.push({ room_id, from, events: head - from })
      }
    }
  }
  const lags = await Promise.all([...behind].map(async ([projection, waiting]) => [projection, await lagOf({ db, log }, waiting, nowMs)] as const))
  return new Map(lags)
}

async function lagOf ({ db, log }: { db: Queryable, log: RoomLog }, waiting: readonly Behind[], nowMs: number): Promise<Lag> {
  const lag = { lag_events: waiting.reduce((sum, { events }) => sum + events, 0), lag_rooms: waiting.length }
  if (waiting.length === 0) return lag
  const most = waiting.toSorted((one, other) => other.events - one.events).slice(0, ROOMS_DATED_MAX / 2)
  // Rooms come with those of the latest news first within each partition: the last ones have waited longest.
  const dated = new Set([...most, ...waiting.slice(-ROOMS_DATED_MAX / 2)])
  const times = await Promise.all([...dated].map(async ({ room_id, from }) => await timeAt({ db, log }, room_id, from + 1)))
  const known = times.filter(time => time !== undefined)
  return known.length === 0 ? lag : { ...lag, lag_seconds: Math.max(0, Math.round((nowMs - Math.min(...known)) / 100) / 10) }
}

/** When the event was stamped; undefined where neither store has it. */
async function timeAt ({ db, log }: { db: Queryable, log: RoomLog }, roomId: string, seq: number): Promise<number | undefined> {
  const entry = (await log.at(roomId, [seq])).get(seq) ?? (await archivedAt(db, roomId, [seq]))[0]
  const stamp = entry === undefined ? undefined : /"timestamp":"([^"]+)"/.exec(entry.data)?.[1]
  const time = stamp === undefined ? NaN : Date.parse(stamp)
  return Number.isNaN(time) ? undefined : time
}
