/**
 * The switch of a rebuild: in one transaction the new tables take the place of the live ones, and their checkpoints that of the live
 * checkpoints. Whoever reads has the old tables or the new ones, and the new ones are at or past the old in every room.
 *
 *     all, SHARE UPDATE EXCLUSIVE     nobody waits for that but autovacuum, which would be in the way
 *     checkpoints, EXCLUSIVE          no projector commits any more: what is left is finite. Readers go on.
 *     what is left                    applied here: of the archive, and where the live ones are ahead of that, of the log
 *     what was erased meanwhile       taken out: the new tables may have read it before
 *     checkpoints, parked, pointer    carried over. Projectors that wait find them elsewhere, and open their rooms anew
 *     the live tables, ACCESS EXCL.   the only moment at which readers wait. Given up at once if somebody reads for longer
 *     moved, views pointed anew       the live ones into a schema of their own, from which they are dropped later
 *
 * Locks are taken in the order in which projectors take them, checkpoints first, and those that others wait behind for less long than
 * Postgres takes to look for deadlocks: whoever is in the way goes first. Nothing has happened then, and the rebuild tries again.
 */
import type { Position } from '../src/domain/position.ts'
import type { RoomLog } from '../src/log/log.ts'
import { decodeEvent } from '../src/log/codec.ts'
import { ARCHIVE, chainsOf, type ArchivedEvent } from '../src/store/archive.ts'
import { sqlStateOf, type Client, type Queryable } from '../src/store/pool.ts'
import { skipKey, skippedEvents } from '../src/store/skipped.ts'
import { moveCheckpoints, openCheckpoints } from './checkpoint.ts'
import { eraseRebuilt } from './erase.ts'
import { groupOf, type Projection } from './projection.ts'
import { follow, readRooms } from './rebuild-fill.ts'
import { dress, enterSchema, leaveSchema, LIVE, schemaOf, structureOf } from './rebuild-shadow.ts'

/** Events that may be left when no projector commits any more: some tens of milliseconds. */
export const LEFT_EVENTS_MAX = 2000
/** More than the second (`deadlock_timeout`) after which Postgres calls off an autovacuum that is waited for. */
const VACUUM_LOCK_MS = 3000
/** How long projectors wait behind this for the transactions of others to end. */
const CHECKPOINTS_LOCK_MS = 800
/** How long readers wait behind this for longer reads to end: for one table, and for all. */
const TABLE_LOCK_MS = 80
const TABLES_LOCK_MS = 200

/** Why a room holds the switch up. */
export interface Held { readonly room_id: string, readonly reason: string }

export type Switched =
  | { readonly status: 'switched', readonly schema: string, readonly parked: number, readonly views: readonly string[] }
  /** More is left than can be applied while others wait, or something of it cannot be applied, or histories have parted. */
  | { readonly status: 'behind' }
  /** Somebody holds a lock. */
  | { readonly status: 'busy', readonly reason: string }
  /** The new tables would be behind the live ones there. */
  | { readonly status: 'held', readonly rooms: readonly Held[] }
  /** The live tables have other columns or indexes than those that the new ones were made like. */
  | { readonly status: 'altered' }

interface Deps {
  readonly client: Client
  readonly projection: Projection
  readonly shadow: Projection
  readonly log: RoomLog
  /** Fingerprint of what the new tables were made like. */
  readonly structure: string
  readonly live: number
  readonly now: Date
  readonly graceMs: number
}

/** Ends the transaction without a trace. */
class Left extends Error {
  readonly outcome: Switched
  constructor (outcome: Switched) {
    super(outcome.status)
    this.outcome = outcome
  }
}

/** One attempt. Throws faults of Postgres and Redis; nothing has happened then. */
export async function trySwitch (deps: Deps): Promise<Switched> {
  const { client } = deps
  await client.query('BEGIN')
  try {
    const switched = await exchange(deps)
    await client.query('COMMIT')
    return switched
  } catch (error) {
    await client.query('ROLLBACK')
    if (error instanceof Left) return error.outcome
    // A lock, a statement that took too long, a deadlock: not ours to insist.
    if (/^(55P03|57014|40P01)$/.test(sqlStateOf(error) ?? '')) return { status: 'busy', reason: (error as Error).message }
    throw error
  }
}

async function exchange (deps: Deps): Promise<Switched> {
  const { client, projection, shadow, structure, live, now, graceMs } = deps
  const group = groupOf(projection)
  const old = groupOf({ name: projection.name, version: live })
  const liveTables = projection.tables.map(table => `${LIVE}.${table}`).join(', ')
  const newTables = projection.tables.map(table => `${schemaOf(projection)}.${table}`).join(', ')
  await client.query(`SET LOCAL lock_timeout = ${VACUUM_LOCK_MS}; LOCK TABLE checkpoints, ${liveTables}, ${newTables} IN SHARE UPDATE EXCLUSIVE MODE`)
  await client.query(`SET LOCAL lock_timeout = ${CHECKPOINTS_LOCK_MS}; LOCK TABLE checkpoints IN EXCLUSIVE MODE`)
  if (await structureOf(client, projection) !== structure) throw new Left({ status: 'altered' })
  await applyLeft(deps, old)
  await eraseLeft(client, projection)
  await carryOver(client, groupOf(shadow), group)
  const parked = await carryParked(client, groupOf(shadow), group)
  const schema = `retired_${projection.name}_${now.toISOString().replace(/\D/g, '')}`
  await client.query('UPDATE projection_versions SET version = $2, since = $3 WHERE name = $1', [projection.name, projection.version, now])
  await client.query('DELETE FROM rebuilds WHERE name = $1', [projection.name])
  await client.query('INSERT INTO retired_tables (schema, name, version, forgotten, retired_at, drop_after) VALUES ($1, $2, $3, $4, $5, $6)',
    [schema, projection.name, live, [groupOf(shadow), ...old === group ? [] : [old]], now, new Date(now.getTime() + graceMs)])
  await dress(client, projection)
  await client.query(`SET LOCAL lock_timeout = ${TABLE_LOCK_MS}; SET LOCAL statement_timeout = ${TABLES_LOCK_MS}; LOCK TABLE ${liveTables} IN ACCESS EXCLUSIVE MODE; SET LOCAL statement_timeout = 0`)
  const views = await viewsOf(client, projection)
  await move(client, projection, schema)
  for (const { definition } of views) if (definition !== null) await client.query(definition)
  return { status: 'switched', schema, parked, views: views.filter(({ definition }) => definition === null).map(({ name }) => name) }
}

interface Gap {
  readonly room_id: string
  readonly partition: number
  readonly own: Position
  readonly archived: Position
  readonly live: Position
  /** First event that the rebuild could not apply, and what it says; null where it is not parked. */
  readonly parked: { readonly seq: number, readonly error: string } | null
}

/** Rooms in which the rebuild is not exactly where archive and live tables are. */
async function gapsOf (tx: Queryable, own: string, live: string): Promise<Gap[]> {
  const { rows } = await tx.query<{ room_id: string, partition: number, own_seq: number | null, own_chain: string, seq: number | null, chain: string, live_seq: number | null, live_chain: string, parked_seq: number | null, error: string }>(`
    SELECT places.*, parked.seq AS parked_seq, parked.error
      FROM (
           SELECT room_id, min(partition) AS partition,
                  max(seq) FILTER (WHERE projection = $1) AS seq, max(chain) FILTER (WHERE projection = $1) AS chain,
                  max(seq) FILTER (WHERE projection = $2) AS own_seq, max(chain) FILTER (WHERE projection = $2) AS own_chain,
                  max(seq) FILTER (WHERE projection = $3) AS live_seq, max(chain) FILTER (WHERE projection = $3) AS live_chain
             FROM checkpoints
            WHERE projection IN ($1, $2, $3)
              AND seq > 0
            GROUP BY room_id) AS places
      LEFT JOIN (SELECT room_id, seq, error FROM parked_rooms WHERE projection = $2) AS parked USING (room_id)
     WHERE (own_seq, own_chain) IS DISTINCT FROM (places.seq, chain)
        OR live_seq > coalesce(own_seq, 0)
     ORDER BY room_id`, [ARCHIVE, own, live])
  const place = (seq: number | null, chain: string): Position => seq === null ? { seq: 0, chain: '0'.repeat(16) } : { seq, chain }
  return rows.map(row => ({
    room_id: row.room_id,
    partition: row.partition,
    own: place(row.own_seq, row.own_chain),
    archived: place(row.seq, row.chain),
    live: place(row.live_seq, row.live_chain),
    parked: row.parked_seq === null ? null : { seq: row.parked_seq, error: row.error },
  }))
}

/** Brings the rebuild to where the archive and the live tables are; throws Left where that cannot be done here and now. */
async function applyLeft ({ client, shadow, log }: Deps, live: string): Promise<void> {
  const gaps = await gapsOf(client, groupOf(shadow), live)
  if (gaps.reduce((sum, { own, archived, live, parked }) => sum + (parked === null ? Math.max(archived.seq, live.seq) - own.seq : 0), 0) > LEFT_EVENTS_MAX) throw new Left({ status: 'behind' })
  const stuck = gaps.filter(({ parked }) => parked !== null)
  const held = stuck.filter(({ own, live }) => live.seq > own.seq).map(({ room_id, live, parked }) => ({ room_id, reason: `the new tables stop before seq ${parked!.seq} (${parked!.error}), the live ones are at ${live.seq}` }))
  const chains = await chainsOf(client, stuck.filter(({ own }) => own.seq > 0).map(({ room_id, own: { seq } }) => ({ room_id, seq })))
  if (stuck.some(({ room_id, own }) => own.seq > 0 && chains.get(room_id) !== own.chain)) throw new Left({ status: 'behind' })

  const open = gaps.filter(({ parked }) => parked === null)
  // Beyond the archive, or beside it: it was taken back, and the next pass begins there anew.
  if (open.some(({ own, archived }) => own.seq > archived.seq || (own.seq === archived.seq && own.chain !== archived.chain))) throw new Left({ status: 'behind' })
  const archived = await readRooms(client, open.filter(({ own, archived }) => own.seq < archived.seq).map(({ room_id, own, archived }) => ({ room_id, after: own.seq, limit: archived.seq - own.seq })))
  const work: Array<{ gap: Gap, entries: ArchivedEvent[] }> = []
  for (const gap of open) {
    const { room_id, own, live } = gap
    const entries: ArchivedEvent[] = []
    const take = async (events: readonly ArchivedEvent[]): Promise<void> => {
      const { entries: next, broken } = await follow(client, room_id, entries.at(-1) ?? own, events)
      if (broken?.kind === 'parted') throw new Left({ status: 'behind' })
      entries.push(...next)
      if (broken?.kind === 'hole') held.push({ room_id, reason: `the event at seq ${broken.seq} is neither in the archive nor in the log` })
    }
    await take(archived.get(room_id) ?? [])
    const reached = (entries.at(-1) ?? own).seq
    if (live.seq > reached) await take(await log.read(room_id, reached, live.seq - reached))
    const at = (entries.at(-1) ?? own).seq
    if (live.seq > at && held.at(-1)?.room_id !== room_id) held.push({ room_id, reason: `the new tables are at seq ${at}, the live ones at ${live.seq}, and the archive has no more` })
    if (entries.length > 0) work.push({ gap, entries })
  }
  if (held.length > 0) throw new Left({ status: 'held', rooms: held })
  if (work.length > 0) await applyWork(client, shadow, work)
}

/** As any batch, but in this transaction. What cannot be applied is for the next pass, which parks it. */
async function applyWork (client: Client, shadow: Projection, work: ReadonlyArray<{ gap: Gap, entries: readonly ArchivedEvent[] }>): Promise<void> {
  const group = groupOf(shadow)
  await openCheckpoints(client, group, work.map(({ gap: { room_id, partition } }) => ({ id: room_id, partition })))
  await moveCheckpoints(client, group, work.map(({ gap: { room_id, own }, entries }) => ({ room_id, from: own, to: entries.at(-1)! })))
  const skipped = await skippedEvents(client, group, work.map(({ gap }) => gap.room_id))
  await client.query('SAVEPOINT applying')
  try {
    const batch = work.map(({ gap: { room_id, partition }, entries }) => ({ room_id, partition, events: entries.filter(({ seq }) => !skipped.has(skipKey(room_id, seq))).map(entry => ({ entry, event: decodeEvent(entry) })) }))
    await shadow.apply(client, batch.filter(({ events }) => events.length > 0))
  } catch (error) {
    await client.query('ROLLBACK TO SAVEPOINT applying') // fails where Postgres is away: then that is thrown
    throw new Left({ status: 'behind' })
  }
  await leaveSchema(client)
}

/** What was erased meanwhile does not come back: nobody erases while the checkpoints are locked. */
async function eraseLeft (client: Client, projection: Projection): Promise<void> {
  await enterSchema(client, projection)
  if (await eraseRebuilt(client, projection, LEFT_EVENTS_MAX) === LEFT_EVENTS_MAX) throw new Left({ status: 'behind' })
  await leaveSchema(client)
}

/** Most are where they were: those are not touched. */
async function carryOver (tx: Queryable, from: string, to: string): Promise<void> {
  await tx.query(`
    INSERT INTO checkpoints (projection, room_id, partition, seq, chain)
    SELECT $2, own.room_id, own.partition, own.seq, own.chain
      FROM checkpoints AS own
      LEFT JOIN checkpoints AS live
             ON live.projection = $2
            AND live.room_id = own.room_id
     WHERE own.projection = $1
       AND (live.seq, live.chain) IS DISTINCT FROM (own.seq, own.chain)
     ORDER BY own.room_id
        ON CONFLICT (projection, room_id) DO UPDATE
       SET seq = excluded.seq, chain = excluded.chain, updated_at = now()`, [from, to])
}

/** What was set aside, and what was skipped by hand, is now that of the live tables. Returns how many rooms are parked. */
async function carryParked (tx: Queryable, from: string, to: string): Promise<number> {
  await tx.query('DELETE FROM parked_rooms WHERE projection = $1', [to])
  const { rowCount } = await tx.query('UPDATE parked_rooms SET projection = $2 WHERE projection = $1', [from, to])
  await tx.query('DELETE FROM skipped WHERE projection = $2 AND (room_id, from_seq) IN (SELECT room_id, from_seq FROM skipped WHERE projection = $1)', [from, to])
  await tx.query('UPDATE skipped SET projection = $2 WHERE projection = $1', [from, to])
  return rowCount ?? 0
}

/** Views of the live tables, whoever made them, as they must be made again; null for those that are not ours to make. */
async function viewsOf (tx: Queryable, { tables }: Projection): Promise<Array<{ name: string, definition: string | null }>> {
  const { rows } = await tx.query<{ name: string, definition: string | null }>(`
    SELECT DISTINCT format('%I.%I', nspname, view.relname) AS name,
           CASE WHEN view.relkind = 'v' AND pg_has_role(view.relowner, 'USAGE')
                THEN format('CREATE OR REPLACE VIEW %I.%I%s AS %s', nspname, view.relname, ' WITH (' || array_to_string(view.reloptions, ', ') || ')', pg_get_viewdef(view.oid)) END AS definition
      FROM pg_class AS base
      JOIN pg_depend ON refclassid = 'pg_class'::regclass AND refobjid = base.oid AND pg_depend.classid = 'pg_rewrite'::regclass
      JOIN pg_rewrite ON pg_rewrite.oid = objid
      JOIN pg_class AS view ON view.oid = ev_class AND view.relkind IN ('v', 'm')
      JOIN pg_namespace ON pg_namespace.oid = view.relnamespace
     WHERE base.relnamespace = $1::regnamespace
       AND base.relname = ANY ($2::text[])`, [LIVE, tables])
  return rows
}

/** The live tables go into a schema of their own, and those of the rebuild come in their place; each with its partitions. */
async function move (tx: Queryable, projection: Projection, schema: string): Promise<void> {
  const moves = `
    SELECT string_agg(format('ALTER TABLE %s SET SCHEMA %I', relid::regclass, $2::text), '; ') AS ddl
      FROM pg_class
     CROSS JOIN LATERAL (SELECT relid FROM pg_partition_tree(pg_class.oid) UNION SELECT pg_class.oid) AS part (relid)
     WHERE relnamespace = $1::regnamespace
       AND relname = ANY ($3::text[])`
  await tx.query(`CREATE SCHEMA ${schema}`)
  await tx.query(`COMMENT ON SCHEMA ${schema} IS 'Tables of ${projection.name} that a rebuild has replaced: see retired_tables.'`)
  for (const [from, to] of [[LIVE, schema], [schemaOf(projection), LIVE]] as const) {
    const { rows: [row] } = await tx.query<{ ddl: string }>(moves, [from, to, projection.tables])
    await tx.query(row!.ddl)
  }
  await tx.query(`DROP SCHEMA ${schemaOf(projection)}`)
}
