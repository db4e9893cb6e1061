/**
 * Rebuilding a projection beside the live one: tables of its own are filled from the archive, in order, until they have caught up with
 * what is appended meanwhile; then they take the place of the live ones (`rebuild-switch.ts`). Readers and projectors go on, and nobody
 * is restarted. Cut off anywhere, it goes on from its checkpoints when it is started again.
 *
 *     tables ──▶ fill ──▶ indexes ──▶ fill ──▶ vacuum ──▶ fill ◀──▶ switch ──▶ the old ones wait to be dropped
 *
 * One rebuild of a projection at a time: the lock is held by the connection that switches, so who has lost it does not switch.
 */
import { createHash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Groups } from '../src/log/groups.ts'
import type { RoomLog } from '../src/log/log.ts'
import { ARCHIVE } from '../src/store/archive.ts'
import { whileAlone } from '../src/store/lock.ts'
import type { Client, Queryable, Store } from '../src/store/pool.ts'
import { dropRetired, forgetGroups } from '../src/store/retired.ts'
import { claimVersion } from '../src/store/versions.ts'
import type { Logger } from '../src/telemetry/logging.ts'
import { eraseRebuilt } from './erase.ts'
import { groupOf, type Projection } from './projection.ts'
import { createFiller, type Filler } from './rebuild-fill.ts'
import { createIndex, createTables, dropTables, enterSchema, missingIndexes, shadowOf, structureOf, vacuum } from './rebuild-shadow.ts'
import { LEFT_EVENTS_MAX, trySwitch, type Held, type Switched } from './rebuild-switch.ts'

/** Left over by a pass: worth another one before indexes are made. */
const PASS_EVENTS_MIN = 20_000
/** How often a switch is tried while others hold locks, and how long is waited in between, on average. */
const SWITCH_TRIES_MAX = 60
const SWITCH_PAUSE_MS = 1000
/** How long a room that holds the switch up is waited for: the archive may be moments behind. */
const HELD_MS_MAX = 5000
const HELD_PAUSE_MS = 200
const ROOMS_NAMED = 5
/** Messages that are taken out of the new tables in one transaction. */
const ERASED_AT_ONCE = 1000
const ROOMS_PER_CALL = 1000

/** Why it cannot be rebuilt, or not now; one line for people. What was filled stays, and is gone on with. */
export class NotRebuilt extends Error {
  override name = 'NotRebuilt'
}

export interface RebuildOptions {
  readonly projection: Projection
  readonly store: Store
  readonly log: RoomLog
  readonly groups: Groups
  readonly logger: Logger
  /** Epoch milliseconds; for when tables are retired and dropped. */
  readonly clock: () => number
  /** How long the replaced tables stay. */
  readonly graceMs: number
  /** Most events per second; 0: as fast as it goes. */
  readonly throttle: number
  /** Throws away what an earlier run has filled. */
  readonly restart: boolean
  readonly signal: AbortSignal
  /** What happens now, a line for people. */
  readonly say: (line: string) => void
  /** How many events are in the new tables, of how many that are archived. */
  readonly onProgress: (done: number, total: number) => void
}

export interface Rebuilt {
  /** Events applied by this run. */
  readonly events: number
  /** Milliseconds from the first event to the last, indexes included. */
  readonly ms: number
  /** Where the old tables are. */
  readonly retired: string
  /** Rooms that are parked in the new ones. */
  readonly parked: number
  /** Views of others that still show the old ones. */
  readonly views: readonly string[]
}

/** Names the projections that can be rebuilt. */
export const isRebuildable = ({ forget, rebuildable }: Projection): boolean => forget !== undefined && rebuildable !== false

/** Undefined if it was aborted: then it goes on from there the next time. Throws NotRebuilt, and faults of Postgres and Redis. */
export async function rebuild (options: RebuildOptions): Promise<Rebuilt | undefined> {
  const { projection, store, clock } = options
  const { name } = projection
  if (!isRebuildable(projection)) throw new NotRebuilt(`${name} cannot be rebuilt.`)
  for (const { schema, reason } of (await dropRetired(store, clock)).kept) options.say(`The old tables in ${schema} are not dropped yet: ${reason}`)
  let result: { rebuilt: Rebuilt | undefined } | undefined
  await whileAlone(store, lockOf(name), async client => { result = { rebuilt: await rebuildAlone(options, client) } })
  if (result === undefined) throw new NotRebuilt(`Somebody else is rebuilding ${name}.`)
  return result.rebuilt
}

/** Key of the advisory lock: below 2^48. */
const lockOf = (name: string): number => createHash('sha1').update(`rebuild ${name}`).digest().readUIntBE(0, 6)

async function rebuildAlone (options: RebuildOptions, client: Client): Promise<Rebuilt | undefined> {
  const { projection, store, logger, throttle, signal, onProgress } = options
  const live = await claimVersion(store, projection.name, projection.version)
  if (live > projection.version) throw new NotRebuilt(`The tables of ${projection.name} are of version ${live}, and this code would make version ${projection.version}.`)
  const shadow = shadowOf(projection)
  const structure = await begin(options, shadow)
  let { done, total } = await amounts(store, groupOf(shadow))
  let applied = 0
  const filler = createFiller({
    store,
    shadow,
    logger,
    throttle,
    signal,
    onApplied (events) {
      applied += events
      onProgress(done += events, total = Math.max(total, done))
    },
  })
  const began = performance.now()
  // What ends these statements when this process dies is Postgres itself, within a second: then the next run need not wait for them.
  await client.query("SET statement_timeout = 0; SET client_connection_check_interval = '1s'")
  try {
    await fillAll(options, filler)
    await makeIndexes(options, client)
    if (signal.aborted) return undefined
    const ms = performance.now() - began
    await filler.pass()
    await vacuum(client, projection)
    const switched = await switchOver(options, { client, shadow, live, structure, filler })
    if (switched === undefined) return undefined
    const { schema: retired, parked, views } = switched
    await tidy(options, { shadow, live })
    return { events: applied, ms, retired, parked, views }
  } finally {
    await client.query('RESET statement_timeout; RESET client_connection_check_interval').catch(() => {}) // a connection that is gone needs none
  }
}

/** Until little is left. A throttle that lets less through than is appended would never come to an end. */
async function fillAll ({ throttle, say }: RebuildOptions, filler: Filler): Promise<void> {
  let before = Infinity
  for (;;) {
    const events = await filler.pass()
    if (events >= before && throttle > 0) say(`More is appended than ${throttle} events/s: going on as fast as it goes.`)
    if (events <= PASS_EVENTS_MIN || events >= before) break
    before = events
  }
  filler.lift() // what is left is what is appended meanwhile
}

/** Makes the tables, or goes on with those that are there. Returns what they were made like. */
async function begin ({ projection, store, restart, say }: RebuildOptions, shadow: Projection): Promise<string> {
  const { name, version } = projection
  const group = groupOf(shadow)
  const structure = await structureOf(store, projection)
  const { rows: [half] } = await store.query<{ version: number, structure: string, begun_at: Date }>('SELECT version, structure, begun_at FROM rebuilds WHERE name = $1', [name])
  const why = half === undefined ? undefined : restart ? 'as asked for' : half.version !== version ? `it was of version ${half.version}` : half.structure !== structure ? 'the live tables were altered since' : undefined
  if (half !== undefined && why === undefined) {
    say(`Going on with what was begun at ${half.begun_at.toISOString()}.`)
    await store.query('DELETE FROM parked_rooms WHERE projection = $1', [group]) // what could not be applied is tried again
  } else {
    if (half !== undefined) say(`What was filled since ${half.begun_at.toISOString()} is thrown away: ${why!}.`)
    await throwAway(store, projection, half?.version ?? version)
    await store.transaction(async tx => {
      await createTables(tx, projection)
      await tx.query('INSERT INTO rebuilds (name, version, structure) VALUES ($1, $2, $3)', [name, version, structure])
    })
  }
  // What somebody skipped by hand in this version is left out here too.
  await store.query(`
    INSERT INTO skipped (projection, room_id, from_seq, to_seq, skipped_at, event_id, skipped_by, reason)
    SELECT $2, room_id, from_seq, to_seq, skipped_at, event_id, skipped_by, reason
      FROM skipped
     WHERE projection = $1
        ON CONFLICT DO NOTHING`, [groupOf(projection), group])
  return structure
}

export interface HalfDone {
  readonly name: string
  readonly version: number
  readonly begun_at: Date
  /** Events in the new tables, of how many that are archived. */
  readonly done: number
  readonly total: number
}

/** Rebuilds that were begun and did not get to their end, and those that run. */
export async function listHalfDone (db: Queryable): Promise<HalfDone[]> {
  const { rows } = await db.query<Omit<HalfDone, 'done' | 'total'>>('SELECT name, version, begun_at FROM rebuilds ORDER BY name')
  return await Promise.all(rows.map(async row => ({ ...row, ...await amounts(db, `${row.name}_rebuild_v${row.version}`) })))
}

async function throwAway (store: Store, projection: Projection, version: number): Promise<void> {
  const groups = [projection.version, version].map(version => groupOf(shadowOf({ ...projection, version })))
  await store.transaction(async tx => {
    await tx.query('SET LOCAL statement_timeout = 0')
    await forgetGroups(tx, groups) // waits for a batch that somebody is still applying
    await dropTables(tx, projection)
    await tx.query('DELETE FROM rebuilds WHERE name = $1', [projection.name])
    await tx.query('DELETE FROM skipped WHERE projection = ANY ($1::text[]) AND projection <> $2', [groups, groupOf(shadowOf(projection))])
  })
}

async function amounts (db: Queryable, group: string): Promise<{ done: number, total: number }> {
  const { rows: [row] } = await db.query<{ done: number, total: number }>(`
    SELECT coalesce(sum(seq) FILTER (WHERE projection = $2), 0)::bigint AS done, coalesce(sum(seq) FILTER (WHERE projection = $1), 0)::bigint AS total
      FROM checkpoints
     WHERE projection IN ($1, $2)`, [ARCHIVE, group])
  return row!
}

async function makeIndexes ({ projection, store, signal, say }: RebuildOptions, client: Client): Promise<void> {
  const missing = await missingIndexes(store, projection)
  if (missing.length === 0 || signal.aborted) return
  say(`Making ${missing.length} indexes.`)
  for (const index of missing) {
    if (signal.aborted) return
    await client.query('BEGIN')
    await createIndex(client, projection, index)
    await client.query('COMMIT')
  }
}

/** Tries until it is done, or held up for good; undefined if it was aborted. */
async function switchOver ({ projection, store, log, clock, graceMs, signal, say }: RebuildOptions, { client, shadow, live, structure, filler }: { client: Client, shadow: Projection, live: number, structure: string, filler: Filler }): Promise<Extract<Switched, { status: 'switched' }> | undefined> {
  let heldSince: number | undefined
  let reason = ''
  for (let tries = 0; tries < SWITCH_TRIES_MAX;) {
    while (await filler.pass() > LEFT_EVENTS_MAX / 2) ;
    if (signal.aborted) return undefined
    await eraseMeanwhile(store, projection)
    const outcome = await trySwitch({ client, projection, shadow, log, structure, live, now: new Date(clock()), graceMs })
    switch (outcome.status) {
      case 'switched': return outcome
      case 'altered': throw new NotRebuilt(`The live tables of ${projection.name} were altered meanwhile: run it again, and it begins anew.`)
      case 'held':
        heldSince ??= performance.now()
        if (performance.now() - heldSince > HELD_MS_MAX) throw new NotRebuilt(`The new tables of ${projection.name} are not at or past the live ones in every room, so they do not take their place yet: ${named(outcome.rooms)}. Run it again once that is mended: it goes on from there.`)
        await pause(HELD_PAUSE_MS, signal)
        break
      default:
        tries += 1
        if (outcome.status === 'busy' && reason === '') say(`Waiting for others to let go of the tables: ${reason = outcome.reason}.`)
        await pause(outcome.status === 'busy' ? SWITCH_PAUSE_MS : HELD_PAUSE_MS, signal)
    }
  }
  throw new NotRebuilt(`The switch was tried ${SWITCH_TRIES_MAX} times, and others were always in the way${reason === '' ? '' : ` (${reason})`}. Run it again: everything is filled.`)
}

/** What was old was erased while this was filled, and may have been read before: most of it goes before the switch, which does the rest. */
async function eraseMeanwhile (store: Store, projection: Projection): Promise<void> {
  for (let erased = ERASED_AT_ONCE; erased === ERASED_AT_ONCE;) {
    erased = await store.transaction(async tx => {
      await enterSchema(tx, projection)
      return await eraseRebuilt(tx, projection, ERASED_AT_ONCE)
    })
  }
}

const named = (rooms: readonly Held[]): string => `${rooms.slice(0, ROOMS_NAMED).map(({ room_id, reason }) => `room ${room_id}: ${reason}`).join('; ')}${rooms.length > ROOMS_NAMED ? `; and ${rooms.length - ROOMS_NAMED} more` : ''}`

async function pause (ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms * (0.5 + Math.random()), undefined, { signal }).catch(() => {})
}

/** What is left of the rebuild's own checkpoints, and of a version that is not the live one any more. If this is not got to, dropping the old tables does it. */
async function tidy ({ projection, store, groups, logger }: RebuildOptions, { shadow, live }: { shadow: Projection, live: number }): Promise<void> {
  const old = groupOf({ name: projection.name, version: live })
  await forgetGroups(store, [groupOf(shadow), ...live === projection.version ? [] : [old]])
  if (live === projection.version) return
  const { rows } = await store.query<{ room_id: string }>('SELECT room_id FROM checkpoints WHERE projection = $1', [groupOf(projection)])
  try {
    for (let i = 0; i < rows.length; i += ROOMS_PER_CALL) await groups.destroy(rows.slice(i, i + ROOMS_PER_CALL).map(({ room_id }) => room_id), old)
  } catch (error) {
    logger.warn({ reason: (error as Error).message, group: old }, 'consumer groups of the old version are left in Redis')
  }
}
