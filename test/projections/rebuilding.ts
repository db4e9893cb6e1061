// What tests of rebuilding share: rooms in which anything happens, a rebuild, somebody who reads all the time, and what there is to compare.
import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import type { Test } from 'tap'
import { PROJECTIONS } from '../../projections/live.ts'
import { groupOf, type Projection } from '../../projections/projection.ts'
import { isRebuildable, rebuild, type RebuildOptions, type Rebuilt } from '../../projections/rebuild.ts'
import { chainOf } from '../../src/log/chain.ts'
import { decodeEvent } from '../../src/log/codec.ts'
import { messagePage } from '../../src/store/history.ts'
import { asReader } from '../../src/store/reader.ts'
import { anyEvent } from './any-event.ts'
import { logger, wholeLog, type World } from './feed.ts'
import { equal } from './naive.ts'

const MILLRACE = fileURLToPath(new URL('../../bin/millrace.js', import.meta.url))
/** What is rebuilt: all that can be. */
export const REBUILT = PROJECTIONS.filter(isRebuildable)
export const USERS = Array.from({ length: 5 }, () => randomUUID())
export const HOUR_MS = 3_600_000

export async function rebuilt (world: World, projection: Projection, more: Partial<RebuildOptions> = {}): Promise<Rebuilt | undefined> {
  return await rebuild({
    projection,
    store: world.store,
    log: world.log,
    groups: world.groups,
    logger,
    clock: Date.now,
    graceMs: HOUR_MS,
    throttle: 0,
    restart: false,
    signal: new AbortController().signal,
    say: () => {},
    onProgress: () => {},
    ...more,
  })
}

/** Rooms in which anything happens, and goes on happening. */
export async function createRooms (world: World, count: number, events: number) {
  const rooms = await Promise.all(Array.from({ length: count }, async () => await world.feed.room({ owner: USERS[0] })))
  const messages = new Map(rooms.map(room => [room, new Set<number>()]))
  const seqs = new Map(rooms.map(room => [room, 1]))
  async function happen (room: string, howMany: number): Promise<void> {
    for (const { by, body } of fc.sample(anyEvent(USERS, 40), howMany)) {
      if (body.type === 'delete' && !messages.get(room)!.has(body.message_seq)) continue // as the rules have it
      const seq = seqs.get(room)! + 1
      seqs.set(room, seq)
      if (body.type === 'message') messages.get(room)!.add(seq)
      await world.feed.put(room, by, [body])
    }
  }
  await Promise.all(rooms.map(async room => { await happen(room, events) }))
  return {
    rooms,
    happen,
    logs: async () => new Map(await Promise.all(rooms.map(async room => [room, await wholeLog(world.log, room)] as const))),
    /** Something happens everywhere until it is stopped; now and then in a new room. */
    goOn () {
      const aborter = new AbortController()
      const done = (async () => {
        for (let turn = 0; !aborter.signal.aborted; turn++) {
          if (turn % 10 === 9) {
            const room = await world.feed.room({ owner: USERS[0] })
            messages.set(room, new Set())
            seqs.set(room, 1)
            rooms.push(room)
          }
          await Promise.all(rooms.map(async room => { await happen(room, 3) }))
          await sleep(5)
        }
      })()
      return async () => { aborter.abort(); await done }
    },
  }
}

/** Every table of the projection in two schemas, row by row. */
export async function same (t: Test, world: World, { tables }: Projection, retired: string, what: string): Promise<void> {
  for (const table of tables) {
    const rows = async (schema: string): Promise<unknown[]> => (await world.store.query(`SELECT to_jsonb(one) AS row FROM ${schema}.${table} AS one ORDER BY to_jsonb(one)`)).rows
    const [now, before] = [await rows('public'), await rows(retired)]
    equal(t, now, before, `${what}: ${table}, ${now.length} rows`)
  }
}

/** Reads pages of a room and its checkpoints all the time. `stop` says what it saw. */
export function readAllTheTime (world: World, room: string, projection: Projection) {
  const aborter = new AbortController()
  const seen = { reads: 0, back: [] as string[], longestMs: 0 }
  const reads = { store: asReader(world.store, [room]), log: world.log, decode: decodeEvent, chainOf }
  const last = { page: 0, newest: 0, applied: 0 }
  const note = (what: keyof typeof last, seq: number): void => {
    if (seq < last[what]) seen.back.push(`${what} from ${last[what]} to ${seq}`)
    last[what] = seq
  }
  const done = (async () => {
    while (!aborter.signal.aborted) {
      const began = performance.now()
      const page = await messagePage(reads, { room_id: room, limit: 50 })
      const { rows: [at] } = await world.store.query('SELECT seq FROM checkpoints WHERE projection = (SELECT live_group($1)) AND room_id = $2', [groupOf(projection), room])
      seen.longestMs = Math.max(seen.longestMs, performance.now() - began)
      seen.reads += 1
      note('page', page.as_of.seq)
      note('newest', page.items.at(-1)?.seq ?? 0)
      note('applied', at?.seq ?? 0)
      await sleep(1)
    }
  })()
  return async () => { aborter.abort(); await done; return seen }
}

/** The command as people run it. */
export function run (world: { redisUrl: string, databaseUrl: string }, ...args: string[]) {
  const child = spawn(process.execPath, [MILLRACE, 'rebuild', ...args], { env: { PATH: process.env.PATH, REDIS_URL: world.redisUrl, DATABASE_URL: world.databaseUrl, PARTITIONS: '8' } })
  const result = { out: '', err: '' }
  child.stdout.on('data', data => { result.out += String(data) })
  child.stderr.on('data', data => { result.err += String(data) })
  const done = once(child, 'close').then(([code]) => ({ code: code as number | null, ...result }))
  return { child, done }
}

/** Fills some of it, and stops. */
export async function fillSome (t: Test, world: World, projection: Projection): Promise<void> {
  const aborter = new AbortController()
  t.equal(await rebuilt(world, projection, { signal: aborter.signal, onProgress: () => { aborter.abort() } }), undefined, 'it was stopped')
}

/** What stands on tables and is not rows: as text, by name, wherever they are. */
export async function dressOf (world: World, { tables }: Projection, schema: string): Promise<unknown> {
  const { rows } = await world.store.query(`
    SELECT part.relname, part.reloptions, part.relrowsecurity, part.relowner::regrole::text AS owner, part.relacl::text AS acl, obj_description(part.oid, 'pg_class') AS comment,
           (SELECT json_agg(json_build_array(attname, format_type(atttypid, atttypmod), attnotnull, pg_get_expr(adbin, adrelid), col_description(attrelid, attnum), attcollation::regcollation::text) ORDER BY attname)
              FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum WHERE attrelid = part.oid AND attnum > 0 AND NOT attisdropped) AS columns,
           (SELECT json_agg(replace(pg_get_indexdef(indexrelid), $2::text || '.', '') ORDER BY pg_get_indexdef(indexrelid)) FROM pg_index WHERE indrelid = part.oid AND NOT part.relispartition) AS indexes,
           (SELECT count(*) FROM pg_index WHERE indrelid = part.oid AND indisvalid) AS count,
           (SELECT json_agg(json_build_array(conname, pg_get_constraintdef(pg_constraint.oid)) ORDER BY conname) FROM pg_constraint WHERE conrelid = part.oid AND contype <> 'n') AS constraints,
           (SELECT json_agg(json_build_array(policyname, cmd, roles, qual, with_check) ORDER BY policyname) FROM pg_policies WHERE schemaname = $2 AND tablename = part.relname) AS policies,
           (SELECT json_agg(obj_description(oid, 'pg_policy')) FROM pg_policy WHERE polrelid = part.oid) AS policy_comments
      FROM pg_class AS root
     CROSS JOIN LATERAL (SELECT relid FROM pg_partition_tree(root.oid) UNION SELECT root.oid) AS tree (relid)
      JOIN pg_class AS part ON part.oid = tree.relid
     WHERE root.relnamespace = $2::regnamespace
       AND root.relname = ANY ($1)
     ORDER BY part.relname`, [tables, schema])
  return rows
}
