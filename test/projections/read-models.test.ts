// The projections alone: their rows against a naïve fold, applied twice, rebuilt from the archive, and against what Redis holds.
import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import t from 'tap'
import { createApplier } from '../../projections/apply.ts'
import { openCheckpoints } from '../../projections/checkpoint.ts'
import { groupOf, type Projection } from '../../projections/projection.ts'
import { memberFrom } from '../../src/commands/room-hashes.ts'
import { START } from '../../src/domain/position.ts'
import type { LogEvent } from '../../src/log/codec.ts'
import { readArchive } from '../../src/store/archive.ts'
import { archive, createWorld, history, logger, wholeLog, type World } from './feed.ts'
import { equal, naiveHistory, storedHistory } from './naive.ts'

/** Applies logs in parts, each part twice, as after a crash between commit and acknowledgement. */
async function applyTwice (world: World, projection: Projection, logs: ReadonlyMap<string, readonly LogEvent[]>, part: number): Promise<void> {
  const applier = createApplier({ projection, store: world.store, logger })
  await openCheckpoints(world.store, groupOf(projection), [...logs.keys()].map(id => ({ id, partition: world.keys.partitionOf(id) })))
  for (let at = 0; [...logs.values()].some(log => log.length > at); at += part) {
    const work = [...logs].flatMap(([room_id, log]) => {
      const entries = log.slice(at, at + part)
      return entries.length === 0 ? [] : [{ room_id, partition: world.keys.partitionOf(room_id), from: log[at - 1] ?? START, entries, attempts: 0 }]
    })
    for (const wanted of ['applied', 'elsewhere']) {
      const outcomes = await applier.apply(work)
      if (outcomes.some(({ status }) => status !== wanted)) throw new Error(`wanted ${wanted}: ${JSON.stringify(outcomes)}`)
    }
  }
}

t.test('history equals a naïve fold of any log, in batches of any size, applied twice', async t => {
  const world = await createWorld(t)
  const users = Array.from({ length: 4 }, () => randomUUID())
  const word = fc.oneof(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }), fc.constantFrom('"', '\\', '{},', 'NULL', '😀', "'; --", '\n')).filter(text => !text.includes('\0'))
  const step = fc.oneof(
    { weight: 4, arbitrary: fc.record({ type: fc.constant('message' as const), content: word, by: fc.nat(3) }) },
    { weight: 1, arbitrary: fc.record({ type: fc.constantFrom('join' as const, 'leave' as const), by: fc.nat(3) }) })
  await fc.assert(fc.asyncProperty(fc.array(fc.array(step, { maxLength: 25 }), { minLength: 1, maxLength: 3 }), fc.integer({ min: 1, max: 9 }), async (rooms, part) => {
    const logs = new Map<string, LogEvent[]>()
    for (const steps of rooms) {
      const room = await world.feed.room({ owner: users[0], name: 'a "room"' })
      const inside = new Set([users[0]])
      for (const { by, ...body } of steps) {
        const user = users[by]!
        if (body.type === 'join' ? inside.has(user) : body.type === 'leave' && !inside.has(user)) continue // as the rules have it
        if (body.type === 'join') inside.add(user)
        if (body.type === 'leave') inside.delete(user)
        await world.feed.put(room, user, [body])
      }
      logs.set(room, await wholeLog(world.log, room))
    }
    await world.store.query('TRUNCATE rooms, members, messages, checkpoints')
    await applyTwice(world, history, logs, part)
    const stored = await storedHistory(world.store)
    const wanted = naiveHistory(logs)
    if (JSON.stringify(stored) !== JSON.stringify(wanted)) t.same(stored, wanted)
    return JSON.stringify(stored) === JSON.stringify(wanted)
  }), { numRuns: 40 })
  t.pass('40 logs')
})

t.test('the archive is the log byte for byte, and its states are what Redis holds', async t => {
  const world = await createWorld(t)
  const [owner, guest] = [randomUUID(), randomUUID()]
  const rooms = [await world.feed.room({ owner }), await world.feed.room({ owner, kind: 'lobby' })]
  for (const room of rooms) {
    await world.feed.join(room, guest)
    await world.feed.say(room, 15, guest, '"\\ {,} 😀')
    await world.feed.leave(room, guest)
  }
  const logs = new Map(await Promise.all(rooms.map(async room => [room, await wholeLog(world.log, room)] as const)))
  await applyTwice(world, archive, logs, 4)
  for (const [room, log] of logs) {
    equal(t, await readArchive(world.store, room, 0, 100), log, 'the archive is the log')
    const redis = await world.log.room(room, [owner, guest])
    const { rows: [state] } = await world.store.query('SELECT * FROM room_state WHERE room_id = $1', [room])
    t.same(Object.fromEntries(Object.entries(state).map(([field, value]) => [field, String(value)])), { room_id: room, ...Object.fromEntries(redis!.meta) })
    const { rows: members } = await world.store.query('SELECT user_id, role, muted_until, banned_until, joined_seq FROM member_state WHERE room_id = $1', [room])
    for (const { user_id, ...member } of members) t.same(member, memberFrom(redis!.members.get(user_id)!))
    t.equal(members.length, [...redis!.members.values()].filter(record => record !== '').length)
  }
})

t.test('a history rebuilt from the archive equals the live one, row by row', async t => {
  const world = await createWorld(t)
  const rooms = await Promise.all(Array.from({ length: 5 }, async (_, i) => {
    const room = await world.feed.room()
    await world.feed.join(room, '00000000-0000-7000-8000-000000000001')
    await world.feed.say(room, 40 + i)
    return room
  }))
  const logs = new Map(await Promise.all(rooms.map(async room => [room, await wholeLog(world.log, room)] as const)))
  for (const projection of [archive, history]) await applyTwice(world, projection, logs, 17)
  // The same code over tables of their own, found first on the search path (Postgres plans prepared statements anew for it).
  await world.store.query('CREATE SCHEMA rebuilt')
  for (const table of history.tables) await world.store.query(`CREATE TABLE rebuilt.${table} (LIKE public.${table} INCLUDING ALL)`)
  const beside: Projection = { ...history, version: 2, async apply (tx, batch) { await tx.query('SET LOCAL search_path = rebuilt, public'); await history.apply(tx, batch) } }
  const archived = new Map(await Promise.all(rooms.map(async room => [room, await readArchive(world.store, room, 0, 1000)] as const)))
  await applyTwice(world, beside, archived, 23)
  equal(t, await storedHistory(world.store, 'rebuilt'), await storedHistory(world.store), 'row by row')
  t.equal((await world.store.query('SELECT count(*) AS n FROM rebuilt.messages')).rows[0].n, 210)
})

t.test('every table and column is commented', async t => {
  const world = await createWorld(t)
  const { rows } = await world.store.query(`
    SELECT c.relname || coalesce('.' || a.attname, '') AS name
      FROM pg_class c
      LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND NOT c.relispartition
     WHERE c.relnamespace = 'public'::regnamespace
       AND c.relkind IN ('r', 'p')
       AND c.relname = ANY ($1)
       AND col_description(c.oid, a.attnum) IS NULL`, [['events', 'checkpoints', 'leases', 'workers', 'parked_rooms', 'room_state', 'member_state', 'deployment', 'rooms', 'members', 'messages']])
  t.same(rows, [])
})
