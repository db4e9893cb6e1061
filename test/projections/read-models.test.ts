// The projections alone: their rows against a naïve fold, applied twice, rebuilt from the archive, and against what Redis holds.
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import t from 'tap'
import { createApplier } from '../../projections/apply.ts'
import { openCheckpoints } from '../../projections/checkpoint.ts'
import { groupOf, type Projection } from '../../projections/projection.ts'
import { search } from '../../projections/search.ts'
import { memberFrom } from '../../src/commands/room-hashes.ts'
import { START } from '../../src/domain/position.ts'
import type { LogEvent } from '../../src/log/codec.ts'
import { logEventOf } from '../../src/log/entries.ts'
import { readArchive } from '../../src/store/archive.ts'
import { anyEvent } from './any-event.ts'
import { archive, createWorld, history, logger, wholeLog, type World } from './feed.ts'
import { equal, naiveHistory, storedHistory } from './naive.ts'

/** Applies logs in parts, each part twice, as after a commit whose answer was lost. */
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

/** As the projector reads it: with what was deleted since. */
async function rawLog (world: World, room: string): Promise<LogEvent[]> {
  return (await world.redis.xrange(world.keys.log(room), '-', '+')).map(logEventOf)
}

const TABLES = 'rooms, members, messages, message_edits, reactions, pins, deleted_tallies, message_mentions, checkpoints, events, room_state, member_state, inbox_pending'

/** Tables of which some row has one of these texts anywhere. */
async function tablesWith (world: World, texts: readonly string[]): Promise<string[]> {
  const { rows } = await world.store.query<{ name: string }>("SELECT relname AS name FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition")
  const found: string[] = []
  for (const { name } of rows) {
    const { rows: [row] } = await world.store.query<{ n: number }>(`SELECT count(*) AS n FROM ${name} AS one WHERE one::text LIKE ANY ($1)`, [texts.map(text => `%${text}%`)])
    if (row!.n > 0) found.push(name)
  }
  return found
}

t.test('history equals a naïve fold of any log, and nothing of a deleted message is anywhere in Postgres, in batches of any size, applied twice', async t => {
  const world = await createWorld(t)
  const users = Array.from({ length: 4 }, () => randomUUID())
  const rooms = fc.array(fc.record({ kind: fc.constantFrom('public' as const, 'dm' as const, 'lobby' as const), steps: fc.array(anyEvent(users), { maxLength: 40 }) }), { minLength: 1, maxLength: 3 })
  await fc.assert(fc.asyncProperty(rooms, fc.integer({ min: 1, max: 15 }), async (given, part) => {
    const logs = new Map<string, LogEvent[]>()
    const gone: string[] = []
    for (const { kind, steps } of given) {
      const room = randomUUID()
      const deleted = new Set<number>()
      await world.feed.put(room, users[0]!, [{ type: 'room', change: 'created', name: 'a "room"', kind, history: 'joined', ...(kind === 'dm' ? { members: users.slice(0, 2) } : {}) }], { create: true })
      const texts = new Map<number, string[]>()
      const messages = new Set<number>()
      let seq = 1
      for (const { by, body } of steps) {
        if (body.type === 'delete' && !messages.has(body.message_seq)) continue // as the rules have it
        if (body.type === 'delete') deleted.add(body.message_seq)
        seq++
        if (body.type === 'message') messages.add(seq)
        const secret = `s${randomUUID()}`
        const of = 'message_seq' in body ? body.message_seq : seq
        if ('content' in body) texts.set(of, [...texts.get(of) ?? [], secret])
        await world.feed.put(room, by, [{ ...body, ...('content' in body ? { content: `${secret} ${body.content}` } : {}) }], { by: 'a session' })
      }
      for (const message of deleted) gone.push(...texts.get(message) ?? [])
      logs.set(room, await rawLog(world, room))
    }
    await world.store.query(`TRUNCATE ${TABLES}`)
    for (const projection of [archive, history]) await applyTwice(world, projection, logs, part)
    assert.deepEqual(await storedHistory(world.store), naiveHistory(logs))
    if (gone.length > 0) assert.deepEqual(await tablesWith(world, gone), [])
    for (const room of logs.keys()) await assertArchived(world, room, users)
    // A projection that begins anew reads tombstones: the same comes of it.
    await world.store.query('TRUNCATE rooms, members, messages, message_edits, reactions, pins, deleted_tallies, message_mentions')
    await world.store.query("DELETE FROM checkpoints WHERE projection = 'history_v1'")
    await applyTwice(world, history, new Map(await Promise.all([...logs.keys()].map(async room => [room, await readArchive(world.store, room, 0, 1000)] as const))), part)
    assert.deepEqual(await storedHistory(world.store), naiveHistory(logs))
  }), { numRuns: 60 })
  t.pass('60 logs')
})

/** The archive is what may be read of the log, byte for byte, and its states are what Redis holds. */
async function assertArchived (world: World, room: string, users: readonly string[]): Promise<void> {
  assert.deepEqual(await readArchive(world.store, room, 0, 1000), await wholeLog(world.log, room))
  const redis = await world.log.room(room, users)
  const { rows: [{ settings, ...state }] } = await world.store.query('SELECT * FROM room_state WHERE room_id = $1', [room])
  const texts = Object.fromEntries(Object.entries(state).map(([field, value]) => [field, String(value)]))
  // Redis has no field for what was never set.
  assert.deepEqual({ ...texts, ...settings }, { room_id: room, topic: '', members: '0', owners: '0', messages: '0', ...Object.fromEntries(redis!.meta) })
  const { rows: members } = await world.store.query('SELECT user_id, role, muted_until, banned_until, joined_seq FROM member_state WHERE room_id = $1', [room])
  for (const { user_id, ...member } of members) assert.deepEqual(member, memberFrom(redis!.members.get(user_id)!))
  assert.equal(members.length, [...redis!.members.values()].filter(record => record !== '').length)
}

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
    await assertArchived(world, room, [owner, guest])
  }
})

t.test('an edit that comes after the delete of its message is blanked, and a message with many edits whole', async t => {
  const world = await createWorld(t)
  const room = await world.feed.room()
  await world.feed.put(room, 'a0000000-0000-4000-8000-000000000000', [{ type: 'message', content: 'secret' }, ...Array.from({ length: 1200 }, (_, i) => ({ type: 'edit' as const, message_seq: 2, content: `secret ${i}` }))])
  const early = await rawLog(world, room)
  await world.feed.put(room, 'a0000000-0000-4000-8000-000000000000', [{ type: 'delete', message_seq: 2 }])
  await world.feed.put(room, 'a0000000-0000-4000-8000-000000000000', [{ type: 'edit', message_seq: 2, content: 'secret again' }])
  for (const projection of [archive, history]) await applyTwice(world, projection, new Map([[room, early]]), 700)
  t.same((await tablesWith(world, ['secret'])).sort(), ['events', 'message_edits', 'messages'])
  const late = (await rawLog(world, room)).slice(early.length)
  for (const projection of [archive, history]) {
    const applier = createApplier({ projection, store: world.store, logger })
    for (const [i, entry] of late.entries()) await applier.apply([{ room_id: room, partition: world.keys.partitionOf(room), from: (late[i - 1] ?? early.at(-1))!, entries: [entry], attempts: 0 }])
  }
  t.same(await tablesWith(world, ['secret']), [])
  equal(t, await readArchive(world.store, room, 0, 2000), await wholeLog(world.log, room), 'as it is read from the stream')
})

t.test('texts that mean something to COPY are stored as they are', async t => {
  const world = await createWorld(t)
  const room = await world.feed.room({ name: '\\N' })
  const texts = ['\\N', '\\.', 'a\tb', 'a\nb', 'a\r\nb', '\\', '\\\\t', '{"\\"}', 'ü\u2028é 👍🏽', 'x'.repeat(8000), 'NULL', '\\x41', 'a\\\nb']
  await world.feed.put(room, randomUUID(), texts.map(content => ({ type: 'message' as const, content, attachments: [{ url: 'https://a.b/\\N', name: 'a\t"b"\\', media_type: 'text/plain', bytes: 1 }] })), { by: '\\N' })
  const logs = new Map([[room, await wholeLog(world.log, room)]])
  for (const projection of [archive, history, search]) await applyTwice(world, projection, logs, 5)
  equal(t, await readArchive(world.store, room, 0, 100), logs.get(room), 'the archive is the log')
  t.same((await world.store.query('SELECT content FROM messages WHERE room_id = $1 ORDER BY seq', [room])).rows.map(({ content }) => content), texts)
  equal(t, await storedHistory(world.store), naiveHistory(logs), 'the history is the log folded')
  t.equal((await world.store.query('SELECT count(*) AS n FROM search_messages WHERE room_id = $1', [room])).rows[0].n, texts.length)
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
       AND col_description(c.oid, a.attnum) IS NULL`, [['events', 'checkpoints', 'leases', 'workers', 'parked_rooms', 'room_state', 'member_state', 'deployment', 'rooms', 'members', 'messages', 'message_edits', 'reactions', 'pins']])
  t.same(rows, [])
})
