// The projections `search` and `mentions` alone: their rows against a naïve fold of any log, applied twice, and rebuilt from the archive.
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import t from 'tap'
import { createApplier } from '../../projections/apply.ts'
import { openCheckpoints } from '../../projections/checkpoint.ts'
import { mentions } from '../../projections/mentions.ts'
import { groupOf, type Projection } from '../../projections/projection.ts'
import { search } from '../../projections/search.ts'
import { START } from '../../src/domain/position.ts'
import { wordsOf } from '../../src/domain/search.ts'
import type { LogEvent } from '../../src/log/codec.ts'
import { logEventOf } from '../../src/log/entries.ts'
import { readArchive } from '../../src/store/archive.ts'
import { EVERYONE } from '../../src/store/mentions.ts'
import { anyEvent } from './any-event.ts'
import { archive, createWorld, logger, type World } from './feed.ts'

type Logs = ReadonlyMap<string, readonly LogEvent[]>

/** In parts, each part twice, as after a commit whose answer was lost. */
async function applyTwice (world: World, projection: Projection, logs: Logs, part: number): Promise<void> {
  const applier = createApplier({ projection, store: world.store, logger })
  await openCheckpoints(world.store, groupOf(projection), [...logs.keys()].map(id => ({ id, partition: world.keys.partitionOf(id) })))
  for (let at = 0; [...logs.values()].some(log => log.length > at); at += part) {
    const work = [...logs].flatMap(([room_id, log]) => {
      const entries = log.slice(at, at + part)
      return entries.length === 0 ? [] : [{ room_id, partition: world.keys.partitionOf(room_id), from: log[at - 1] ?? START, entries, attempts: 0 }]
    })
    for (const wanted of ['applied', 'elsewhere']) for (const { status } of await applier.apply(work)) assert.equal(status, wanted)
  }
}

/** As the projector reads it: with what was deleted since. */
async function rawLog (world: World, room: string): Promise<LogEvent[]> {
  return (await world.redis.xrange(world.keys.log(room), '-', '+')).map(logEventOf)
}

interface Row { room_id: string, seq: number }
const byPlace = <R extends Row & { user_id: string }>(rows: R[]): R[] => rows.sort((a, b) => a.room_id < b.room_id ? -1 : a.room_id > b.room_id ? 1 : a.seq - b.seq || (a.user_id < b.user_id ? -1 : 1))
const end = (id: string): string => id.slice(-12)

/** One event after the other. */
function naive (logs: Logs) {
  const words: Array<Row & { user_id: string, timestamp: string, attached: boolean, lexemes: string[] }> = []
  const named: Array<Row & { user_id: string, named_at: string }> = []
  const gone: string[] = []
  for (const [room_id, log] of logs) {
    const messages = new Map<number, { user_id: string, timestamp: string, content: string, mentions: string[], everyone: boolean, attached: boolean, since: Map<string, string> }>()
    for (const { seq, data } of log) {
      const event = JSON.parse(data)
      if (event.type === 'delete') {
        messages.delete(event.message_seq)
        gone.push(`${room_id} ${event.message_seq}`)
      }
      const message = event.type === 'message' ? { ...event, since: new Map(), attached: event.attachments !== undefined } : event.type === 'edit' ? messages.get(event.message_seq) : undefined
      if (message === undefined || event.deleted === true) continue
      Object.assign(message, { content: event.content, mentions: event.mentions ?? [], everyone: event.mentions_room === true })
      const users: string[] = [...message.mentions, ...message.everyone ? [EVERYONE] : []]
      message.since = new Map(users.map(user => [user, message.since.get(user) ?? event.timestamp]))
      if (event.type === 'message') messages.set(seq, message)
    }
    for (const [seq, { user_id, timestamp, content, mentions, everyone, attached, since }] of messages) {
      const facets = [`=r${end(room_id)}`, `=u${end(user_id)}`, ...attached ? ['=attachment'] : [], ...content.includes('https://x.y') ? ['=link'] : [], ...mentions.length > 0 || everyone ? ['=mention'] : []]
      words.push({ room_id, seq, user_id, timestamp, attached, lexemes: [...new Set([...facets, ...wordsOf(content).map(({ word }) => word)])].sort() })
      for (const [user, named_at] of since) named.push({ room_id, seq, user_id: user, named_at })
    }
  }
  return { words: byPlace(words), named: byPlace(named), gone: [...new Set(gone)].sort() }
}

async function stored ({ store }: World) {
  const { rows: words } = await store.query('SELECT room_id, seq, user_id, timestamp, attached, tsvector_to_array(words) AS lexemes FROM search_messages')
  const { rows: gone } = await store.query<Row>('SELECT room_id, seq FROM mentions_deleted')
  const { rows: named } = await store.query('SELECT room_id, seq, user_id, named_at FROM mentions')
  return {
    words: byPlace(words.map(({ timestamp, lexemes, ...row }) => ({ ...row, timestamp: timestamp.toISOString(), lexemes: lexemes.sort() }))),
    named: byPlace(named.map(({ named_at, ...row }) => ({ ...row, named_at: named_at.toISOString() }))),
    gone: gone.map(({ room_id, seq }) => `${room_id} ${seq}`).sort(),
  }
}

t.test('words and mentions equal a naïve fold of any log, in batches of any size, applied twice, live and rebuilt', async t => {
  const world = await createWorld(t)
  const users = Array.from({ length: 3 }, () => randomUUID())
  const rooms = fc.array(fc.array(anyEvent(users), { maxLength: 40 }), { minLength: 1, maxLength: 3 })
  await fc.assert(fc.asyncProperty(rooms, fc.integer({ min: 1, max: 15 }), async (given, part) => {
    const logs = new Map<string, LogEvent[]>()
    for (const steps of given) {
      const room = await world.feed.room()
      const messages = new Set<number>()
      let seq = 1
      for (const { by, body } of steps) {
        if ((body.type === 'delete' || body.type === 'edit') && !messages.has(body.message_seq)) continue // as the rules have it
        seq++
        if (body.type === 'message') messages.add(seq)
        await world.feed.put(room, by, [body])
      }
      logs.set(room, await rawLog(world, room))
    }
    await world.store.query('TRUNCATE search_messages, mentions, mentions_deleted, events, room_state, member_state, checkpoints, inbox_pending')
    for (const projection of [archive, search, mentions]) await applyTwice(world, projection, logs, part)
    const live = await stored(world)
    assert.deepEqual(live, naive(logs))

    // What is deleted has left tombstones in the archive: the same comes of it, whatever the batches.
    for (const projection of [search, mentions]) await projection.forget!(world.store, [...logs.keys()])
    assert.deepEqual(await stored(world), { words: [], named: [], gone: [] }, 'all is forgotten')
    await world.store.query("DELETE FROM checkpoints WHERE projection <> 'archive_v1'")
    const archived = new Map(await Promise.all([...logs.keys()].map(async room => [room, await readArchive(world.store, room, 0, 1000)] as const)))
    for (const projection of [search, mentions]) await applyTwice(world, projection, archived, 16 - part)
    assert.deepEqual(await stored(world), live)
  }), { numRuns: 60 })
  t.pass('60 logs')
})

t.test('an edit adds mentions and takes them away, and says since when; one that comes after the delete names nobody', async t => {
  const world = await createWorld(t)
  const [ann, bob, cat] = [randomUUID(), randomUUID(), randomUUID()]
  const room = await world.feed.room()
  const edit = (...mentions: string[]) => ({ type: 'edit' as const, message_seq: 2, content: 'hello', mentions })
  await world.feed.put(room, ann, [{ type: 'message', content: 'hello', mentions: [bob] }, edit(bob, cat), edit(cat), edit(bob, cat), { type: 'message', content: 'hello', mentions: [bob] }, { type: 'delete', message_seq: 6 }, { ...edit(bob), message_seq: 6 }])
  const log = await rawLog(world, room)
  const at = (seq: number): string => JSON.parse(log[seq - 1]!.data).timestamp
  for (const part of [1, 2, 3, 20]) {
    await world.store.query('TRUNCATE mentions, mentions_deleted, checkpoints')
    await applyTwice(world, mentions, new Map([[room, log]]), part)
    t.same((await stored(world)).named, byPlace([{ room_id: room, seq: 2, user_id: bob, named_at: at(5) }, { room_id: room, seq: 2, user_id: cat, named_at: at(3) }]), `in batches of ${part}`)
  }
})

t.test('the longest words, the most words, and texts without any are taken', async t => {
  const world = await createWorld(t)
  const room = await world.feed.room()
  const contents = ['x'.repeat(8000), '𝒳'.repeat(8000), '好'.repeat(8000), 'a '.repeat(4000), '🎉'.repeat(8000), '\'"\\ :* <-> {}', 'e\u0301'.repeat(4000), Array.from({ length: 1800 }, (_, i) => i).join(' ').slice(0, 8000)]
  await world.feed.put(room, randomUUID(), contents.map(content => ({ type: 'message', content })))
  await applyTwice(world, search, new Map([[room, await rawLog(world, room)]]), 3)
  t.equal((await stored(world)).words.length, contents.length)
})

t.test('every table and column is commented', async t => {
  const world = await createWorld(t)
  const { rows } = await world.store.query(`
    SELECT c.relname || coalesce('.' || a.attname, '') AS name
      FROM pg_class c
      LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND NOT c.relispartition
     WHERE c.relkind IN ('r', 'p')
       AND c.relname = ANY ($1)
       AND (obj_description(c.oid) IS NULL OR col_description(c.oid, a.attnum) IS NULL)`, [[...search.tables, ...mentions.tables]])
  t.same(rows, [])
})

t.test('the projection that docs/PROJECTIONS.md builds works as it stands there', async t => {
  const world = await createWorld(t)
  const page = readFileSync(new URL('../../docs/PROJECTIONS.md', import.meta.url), 'utf8')
  const block = (language: string): string => new RegExp(`\`\`\`${language}\n([^]*?)\`\`\``).exec(page)![1]!
  await world.store.query(block('sql'))
  const file = `${t.testdir({ 'busy-hours.ts': block('ts').replaceAll("from './", `from '${new URL('../../projections/', import.meta.url).pathname}`) })}/busy-hours.ts`
  const { busyHours } = await import(file) as { busyHours: Projection }

  const [user, logs] = [randomUUID(), new Map<string, LogEvent[]>()]
  for (const count of [4000, 7]) {
    const room = await world.feed.room()
    await world.feed.say(room, count, user)
    await world.feed.put(room, user, [{ type: 'edit', message_seq: 2, content: 'not one more' }, { type: 'delete', message_seq: 3 }])
    logs.set(room, await rawLog(world, room))
  }
  const wanted = new Map<string, number>()
  for (const [room, log] of logs) for (const { data } of log) if (data.includes('"message"')) wanted.set(`${room} ${JSON.parse(data).timestamp.slice(0, 13)}`, (wanted.get(`${room} ${JSON.parse(data).timestamp.slice(0, 13)}`) ?? 0) + 1)
  await applyTwice(world, busyHours, logs, 900)
  const { rows } = await world.store.query('SELECT room_id, hour, messages FROM busy_hours')
  t.same(Object.fromEntries(rows.map(({ room_id, hour, messages }) => [`${room_id} ${hour.toISOString().slice(0, 13)}`, messages])), Object.fromEntries(wanted))
  t.equal(rows.length, 3, 'two hours in the one, one in the other')
  await busyHours.forget!(world.store, [...logs.keys()].slice(0, 1))
  t.equal((await world.store.query('SELECT FROM busy_hours')).rowCount, 1)
})
