/**
 * The lag watch: how far projections are behind the log, as metrics, by every process and not only by the projector that may be dead.
 *
 * Every few seconds it hears which rooms were appended to (`{p}:active`, a cursor of its own), compares heads with checkpoints, and
 * keeps the rooms that are behind until they are not. So a look costs as much as was appended since the last and is behind, at most
 * `ROOMS_PER_LOOK` rooms: news first, the others in turn. What it cannot ask it does not make up: the lag then grows with the clock
 * from what was known, and from when something was appended that nobody could compare.
 *
 * It begins with all rooms that Redis has not let go of, one look soon after the other until they are through. A parked room is behind
 * like any other.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Groups } from '../src/log/groups.ts'
import { stampOf } from '../src/log/codec.ts'
import type { RoomLog } from '../src/log/log.ts'
import type { MarkStreams } from '../src/log/mark-streams.ts'
import { ARCHIVE, archivedAt } from '../src/store/archive.ts'
import { checkpointsOfRooms, inboxesWaiting, servedProjections } from '../src/store/overview.ts'
import type { Queryable } from '../src/store/pool.ts'
import { listVersions } from '../src/store/versions.ts'
import type { Logger } from '../src/telemetry/logging.ts'
import type { Metrics } from '../src/telemetry/metrics.ts'
import { CURSORS } from './cursors.ts'
import { groupOf, type Projection } from './projection.ts'
import { isRoomId } from './sweep.ts'

const EVERY_MS = 5000
const STOP_MS = 500
/** Rooms that one look compares. */
const ROOMS_PER_LOOK = 2000
/** Rooms that are kept; while there are more, no news is heard. */
const ROOMS_MAX = 10_000
/** News that is heard of one partition at a time, at least. */
const NEWS_MIN = 20
/** While there is more to hear, looks come so many times as often. */
const HURRY = 20
/** Events that one look reads to know their age. */
const DATED_PER_LOOK = 128
/** A look that is so late has failed: its answer hangs. */
const LATE = 2
const INBOX = 'inbox'

/** Where a projection stands in a room that it is behind in: at `from`; the time stamped on the next event, once it was read. */
interface Behind { readonly from: number, readonly events: number, stamp?: number | undefined }

/** What is not applied: how many, and since when (epoch milliseconds; undefined: nothing waits). */
interface Lag { readonly events: number, readonly since: number | undefined }

export interface LagWatchOptions {
  readonly store: Queryable
  readonly log: RoomLog
  readonly groups: Pick<Groups, 'news'>
  readonly marks: Pick<MarkStreams, 'waiting'>
  readonly partitions: number
  readonly projections: readonly Projection[]
  readonly everyMs?: number
  /** Epoch milliseconds. */
  readonly clock: () => number
  readonly metrics: Metrics
  readonly logger: Logger
}

export interface LagWatch { readonly stop: () => Promise<void> }

export function startLagWatch ({ store, log, groups, marks, partitions, projections, everyMs = EVERY_MS, clock, metrics, logger }: LagWatchOptions): LagWatch {
  const cursors = new Array<number>(partitions).fill(0)
  /** By room; the first have waited longest. */
  const rooms = new Map<string, Map<string, Behind>>()
  /** Appended to since they were compared last. */
  const heard = new Set<string>()
  let lags = new Map<string, Lag>()
  let lookedAt = clock()
  /** Since when something was appended that could not be compared. */
  let blindSince: number | undefined
  /** Whose turn it is. */
  let next = 0
  /** There was more news than could be heard at a time. */
  let more = false
  let looking: Promise<void> | undefined
  let soon: NodeJS.Timeout | undefined
  let stopped = false

  /** Rooms appended to since the last look. */
  async function hear (): Promise<void> {
    more = rooms.size >= ROOMS_MAX
    if (more) return
    const limit = Math.max(NEWS_MIN, Math.ceil((ROOMS_MAX - rooms.size) / partitions))
    await Promise.all(cursors.map(async (cursor, partition) => {
      const news = await groups.news(partition, cursor, limit)
      cursors[partition] = news.cursor
      if (news.rooms.length === limit) more = true
      for (const id of news.rooms) {
        if (!isRoomId(id)) continue
        heard.add(id)
        if (!rooms.has(id)) rooms.set(id, new Map())
      }
    }))
  }

  /** Rooms to be compared: such as were heard of, up to a half, and of all the next in turn. */
  function chosen (): string[] {
    const some = new Set([...heard].slice(0, ROOMS_PER_LOOK / 2))
    const all = [...rooms.keys()]
    if (next >= all.length) next = 0
    while (some.size < ROOMS_PER_LOOK && next < all.length) some.add(all[next++]!)
    return [...some]
  }

  async function compare (names: readonly string[]): Promise<void> {
    const some = chosen()
    if (some.length === 0) return
    // Checkpoints before heads: what is applied in between is not taken for more than there is.
    const at = new Map((await checkpointsOfRooms(store, names, some)).map(({ projection, room_id, seq }) => [`${projection} ${room_id}`, seq]))
    const { fenced, heads } = await log.heads(some)
    if (fenced) throw new Error('a partition is fenced: its heads say nothing')
    for (const id of some) {
      heard.delete(id)
      const before = rooms.get(id)!
      const now = new Map<string, Behind>()
      const head = heads.get(id)?.seq ?? 0
      for (const name of names) {
        const from = at.get(`${name} ${id}`) ?? 0
        const known = before.get(name)
        if (head > from) now.set(name, { from, events: head - from, stamp: known?.from === from ? known.stamp : undefined })
      }
      if (now.size === 0) rooms.delete(id)
      else rooms.set(id, now) // in its place
    }
  }

  /** Reads the age of what waits, of those that have waited longest. */
  async function date (): Promise<void> {
    const undated = new Map<string, { id: string, seq: number, all: Behind[] }>()
    for (const [id, behind] of rooms) {
      for (const one of behind.values()) {
        if (one.stamp !== undefined) continue
        const key = `${id} ${one.from}`
        const same = undated.get(key)
        if (same !== undefined) same.all.push(one)
        else if (undated.size < DATED_PER_LOOK) undated.set(key, { id, seq: one.from + 1, all: [one] })
      }
      if (undated.size >= DATED_PER_LOOK) break
    }
    await Promise.all([...undated.values()].map(async ({ id, seq, all }) => {
      const event = (await log.at(id, [seq])).get(seq) ?? (await archivedAt(store, id, [seq]))[0]
      const stamp = event === undefined ? undefined : stampOf(event)
      for (const one of all) one.stamp = stamp
    }))
  }

  function sum (names: readonly string[]): Map<string, Lag> {
    const sums = new Map(names.map(name => [name, { events: 0, since: undefined as number | undefined }]))
    for (const behind of rooms.values()) {
      for (const [name, { events, stamp }] of behind) {
        const lag = sums.get(name)
        if (lag === undefined) continue // another version is live by now
        lag.events += events
        if (stamp !== undefined) lag.since = Math.min(lag.since ?? Infinity, stamp)
      }
    }
    return sums
  }

  async function look (): Promise<void> {
    await hear()
    const live = new Map((await listVersions(store)).map(({ name, version }) => [name, version]))
    const names = projections.map(({ name, version }) => groupOf({ name, version: live.get(name) ?? version }))
    await compare(names)
    await date()
    const [served, marked, inboxes] = await Promise.all([servedProjections(store, [...projections.map(({ source }, i) => ({ projection: names[i]!, leases: source === 'archive' ? ARCHIVE : names[i]! })), CURSORS]), marks.waiting(partitions), inboxesWaiting(store)])
    if (stopped) return
    lags = sum(names).set(CURSORS, marked).set(INBOX, inboxes)
    metrics.projectionWorkers.reset()
    metrics.parked.reset()
    for (const { projection, workers, parked_rooms } of served) {
      metrics.projectionWorkers.set({ projection }, workers)
      if (projection !== CURSORS) metrics.parked.set({ projection }, parked_rooms)
    }
    metrics.projectionLag.reset()
    metrics.projectionLagSeconds.reset()
    publish(blindSince = undefined)
    lookedAt = clock()
    metrics.lagUnknown.set(0)
    if (heard.size > 0 || (more && rooms.size < ROOMS_MAX)) soon = setTimeout(tick, everyMs / HURRY)
  }

  /** @param blind since when it is not known what is behind */
  function publish (blind: number | undefined): void {
    const now = clock()
    for (const [projection, { events, since }] of lags) {
      const oldest = Math.min(since ?? Infinity, blind ?? Infinity)
      metrics.projectionLag.set({ projection }, events)
      metrics.projectionLagSeconds.set({ projection }, oldest === Infinity ? 0 : Math.max(0, now - oldest) / 1000)
    }
  }

  /** While looks fail, or hang, the clock goes on. */
  function goOn (): void {
    metrics.lagUnknown.set(1)
    if (heard.size > 0) blindSince ??= clock()
    publish(blindSince)
  }

  function tick (): void {
    if (clock() - lookedAt > LATE * everyMs) goOn()
    looking ??= look().catch((error: unknown) => {
      logger.debug({ reason: (error as Error).message }, 'how far projections are behind cannot be told')
      goOn()
    }).finally(() => { looking = undefined })
  }
  const timer = setInterval(tick, everyMs)
  tick()

  return {
    async stop () {
      stopped = true
      clearInterval(timer)
      clearTimeout(soon)
      await Promise.race([looking, sleep(STOP_MS, undefined, { ref: false })]) // what hangs would hold the stop up
    },
  }
}
