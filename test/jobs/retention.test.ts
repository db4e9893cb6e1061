// Messages that are kept for a limited time: what is left of them is what a rebuild would make of the archive, everywhere the same, and
// nothing else has changed.
import t from 'tap'
import { randomUUID } from 'node:crypto'
import { createApplier } from '../../projections/apply.ts'
import { openCheckpoints } from '../../projections/checkpoint.ts'
import { eraseOld, type Keeping } from '../../projections/erase.ts'
import { mentions } from '../../projections/mentions.ts'
import { groupOf, type Projection } from '../../projections/projection.ts'
import { search } from '../../projections/search.ts'
import { START } from '../../src/domain/position.ts'
import { retention } from '../../src/jobs/retention.ts'
import type { LogEvent } from '../../src/log/codec.ts'
import { readArchive } from '../../src/store/archive.ts'
import { archive, caughtUp, createWorld, history, logger, wholeLog, type World } from '../projections/feed.ts'

const HOLDERS = [history, search, mentions]
const never = new AbortController().signal
const TABLES = ['rooms', 'members', 'messages', 'message_edits', 'reactions', 'pins', 'deleted_tallies', 'message_mentions', 'search_messages', 'mentions', 'mentions_deleted']

/** All rows of the read models, as texts. */
async function readModels ({ store }: World): Promise<Record<string, string[]>> {
  const found: Record<string, string[]> = {}
  for (const table of TABLES) found[table] = (await store.query<{ row: string }>(`SELECT one::text AS row FROM ${table} AS one`)).rows.map(({ row }) => row).sort()
  return found
}

/** The read models, filled anew from the archive. */
async function rebuilt (world: World, room: string, projections: readonly Projection[]): Promise<Record<string, string[]>> {
  const entries = await readArchive(world.store, room, 0, 10_000)
  for (const projection of projections) {
    await projection.forget!(world.store, [room])
    await world.store.query('DELETE FROM checkpoints WHERE projection = $1', [groupOf(projection)])
    await openCheckpoints(world.store, groupOf(projection), [{ id: room, partition: world.keys.partitionOf(room) }])
    const applier = createApplier({ projection, store: world.store, logger })
    for (let at = 0; at < entries.length; at += 7) {
      const [outcome] = await applier.apply([{ room_id: room, partition: world.keys.partitionOf(room), from: entries[at - 1] ?? START, entries: entries.slice(at, at + 7), attempts: 0 }])
      if (outcome?.status !== 'applied') throw new Error(outcome?.status)
    }
  }
  return await readModels(world)
}

/** A room with everything; of what has the number `n` in its text, the event is the n-th. */
async function everything (world: World, ann: string, bob: string): Promise<{ room: string, log: LogEvent[] }> {
  const { feed } = world
  const room = await feed.room({ owner: ann })
  await feed.join(room, bob) // 2
  for (let i = 0; i < 20; i++) { // 3 + 6 i …
    const seq = 3 + 6 * i
    await feed.put(room, ann, [{ type: 'message', content: `secret${seq} https://x.y`, mentions: [bob], ...(i % 2 === 0 ? { mentions_room: true } : {}) }])
    await feed.put(room, ann, [{ type: 'edit', message_seq: seq, content: `secret${seq + 1}`, mentions: [bob] }])
    await feed.put(room, bob, [{ type: 'reaction', message_seq: seq, emoji: '👍', added: true }, { type: 'pin', message_seq: seq, added: true }, { type: 'message', content: `secret${seq + 4}`, reply_to: seq }])
    await feed.put(room, bob, [i % 5 === 4 ? { type: 'delete', message_seq: seq + 4 } : { type: 'reaction', message_seq: 3, emoji: '🎉', added: i % 3 !== 0 }])
  }
  // About what is old by then, from when it is not.
  await feed.put(room, ann, [{ type: 'edit', message_seq: 3, content: 'late secret' }, { type: 'edit', message_seq: 117, content: 'late and young' }])
  return { room, log: await wholeLog(world.log, room) }
}

const timeOf = ({ data }: LogEvent): Date => new Date(JSON.parse(data).timestamp)
const DAY_MS = 24 * 60 * 60 * 1000
const daysAfter = (at: Date, days: number): Date => new Date(at.getTime() + days * DAY_MS)
/** Keeping everything that is not older. */
const olderThan = (before: Date): Keeping => ({ days: 1, now: daysAfter(before, 1) })

t.test('what is old is erased everywhere; places and chains stay; and it is what a rebuild makes of the archive', async t => {
  const world = await createWorld(t)
  const [ann, bob] = [randomUUID(), randomUUID()]
  const projectors = [archive, ...HOLDERS].map(projection => world.project(projection))
  const { room, log } = await everything(world, ann, bob)
  const inbox = await world.feed.room({ kind: 'inbox' })
  for (const projection of [archive, ...HOLDERS]) await caughtUp(world, groupOf(projection), [room, inbox])
  const before = timeOf(log[59]!) // the 60th event is the first that is young
  const archived = await readArchive(world.store, room, 0, 1000)

  t.match(await eraseOld(world, olderThan(before), never), { rooms: 1, waiting: 0 })
  const after = await readArchive(world.store, room, 0, 1000)
  t.same(after.map(({ seq, chain, event_id }) => [seq, chain, event_id]), archived.map(({ seq, chain, event_id }) => [seq, chain, event_id]))
  t.same(after.slice(59), archived.slice(59), 'what is young is as it was')
  for (const { data } of after.slice(0, 59)) t.notMatch(data, 'secret')
  t.match(JSON.parse(after[2]!.data), { type: 'message', content: '', deleted: true, user_id: ann })
  t.equal((await world.log.read(room, 0, 1000))[0]!.seq, 60, 'the stream begins with what is young')

  const now = await readModels(world)
  const all = JSON.stringify(now)
  for (let seq = 3; seq < 60; seq++) t.notMatch(all, new RegExp(`secret${seq}\\D`), `nothing of ${seq} is left`)
  t.match(all, 'secret63')
  const words = (await world.store.query<{ seq: number }>('SELECT seq FROM search_messages ORDER BY seq')).rows.map(({ seq }) => seq)
  t.ok(words.length > 0 && words.every(seq => seq >= 60))
  const [unread] = (await world.store.query('SELECT standing FROM messages_after($1, $2, 0)', [room, ann])).rows
  t.equal(unread.standing, (await world.store.query('SELECT FROM messages WHERE room_id = $1 AND NOT deleted', [room])).rowCount, 'counts agree')

  t.match(await eraseOld(world, olderThan(before), never), { rooms: 0, events: 0, waiting: 0 }, 'again does nothing')
  t.same(await readModels(world), now)
  await Promise.all(projectors.map(async projector => { await projector.stop() }))
  t.same(await rebuilt(world, room, HOLDERS), now, 'as after a rebuild')
})

t.test('a little at a time, as it grows old, comes to the same as all at once', async t => {
  const world = await createWorld(t)
  const [ann, bob] = [randomUUID(), randomUUID()]
  const projectors = [archive, ...HOLDERS].map(projection => world.project(projection))
  const { room, log } = await everything(world, ann, bob)
  for (const projection of [archive, ...HOLDERS]) await caughtUp(world, groupOf(projection), [room])
  for (const end of [1, 4, 5, 6, 40, 41, 99]) await eraseOld(world, olderThan(timeOf(log[end]!)), never)
  await Promise.all(projectors.map(async projector => { await projector.stop() }))
  const now = await readModels(world)
  t.same(await rebuilt(world, room, HOLDERS), now)
  t.equal((await world.store.query('SELECT seq FROM retention')).rows[0].seq, 99)

  // After a rebuild other tables stand there, which may have been filled before: they are gone through again.
  await world.store.query("UPDATE messages SET content = 'secret, back', deleted = false WHERE room_id = $1 AND seq = 3", [room])
  await eraseOld(world, olderThan(timeOf(log[99]!)), never)
  t.equal((await world.store.query("SELECT FROM messages WHERE content LIKE '%back%'")).rowCount, 1)
  await world.store.query('UPDATE retention SET tables = tables[2:]')
  await eraseOld(world, olderThan(timeOf(log[99]!)), never)
  t.equal((await world.store.query("SELECT FROM messages WHERE content LIKE '%back%'")).rowCount, 0)
})

t.test('a room waits while a read model is behind, and while its log is another than the archive', async t => {
  const world = await createWorld(t)
  const projectors = [archive, history, search].map(projection => world.project(projection))
  const { room, log } = await everything(world, randomUUID(), randomUUID())
  for (const projection of [archive, history, search]) await caughtUp(world, groupOf(projection), [room])
  const before = timeOf(log[59]!)
  t.match(await eraseOld(world, olderThan(before), never), { rooms: 0, events: 0, waiting: 1 })
  t.match(await world.log.read(room, 59, 1), [{ seq: 60 }])
  world.project(mentions)
  await caughtUp(world, groupOf(mentions), [room])
  await Promise.all(projectors.map(async projector => { await projector.stop() }))
  const meta = world.keys.meta(room)
  const chain = await world.redis.hget(meta, 'chain')
  await world.redis.hset(meta, 'chain', 'ffffffffffffffff')
  t.match(await eraseOld(world, olderThan(before), never), { rooms: 0, waiting: 1 })
  await world.redis.hset(meta, 'chain', chain!)
  t.match(await eraseOld(world, olderThan(before), never), { rooms: 1, waiting: 0 })
})

t.test('a room keeps for as long as it says, where that is shorter than in all rooms; inboxes have no rule', async t => {
  const world = await createWorld(t)
  const { feed, store } = world
  const ann = randomUUID()
  for (const projection of [archive, ...HOLDERS]) world.project(projection)
  const made: Record<string, { room: string, last: Date }> = {}
  for (const [name, days] of [['no rule', undefined], ['a week', 7], ['a year', 365], ['taken back', 0]] as const) {
    const room = await feed.room({ owner: ann })
    if (name === 'taken back') await feed.put(room, ann, [{ type: 'room', change: 'updated', retention_days: 1 }])
    if (days !== undefined) await feed.put(room, ann, [{ type: 'room', change: 'updated', retention_days: days }])
    await feed.put(room, ann, [{ type: 'message', content: `secret of ${name}`, mentions_room: true }])
    made[name] = { room, last: timeOf((await wholeLog(world.log, room)).at(-1)!) }
  }
  for (const projection of [archive, ...HOLDERS]) await caughtUp(world, groupOf(projection), Object.values(made).map(({ room }) => room))
  t.same((await store.query("SELECT settings ->> 'retention_days' AS days FROM room_state WHERE room_id = $1", [made['a week']!.room])).rows, [{ days: '7' }], 'a restore puts it back')
  const last = Object.values(made).map(({ last }) => last).sort((a, b) => Number(a) - Number(b)).at(-1)!
  /** Rooms of which something is left that was said, in the order in which they were made. */
  const left = async (days: number, later: number): Promise<string[]> => {
    await eraseOld(world, { days, now: daysAfter(last, later) }, never)
    const all = JSON.stringify([await readModels(world), await Promise.all(Object.values(made).map(async ({ room }) => await readArchive(store, room, 0, 100)))])
    return Object.keys(made).filter(name => all.includes(`secret of ${name}`))
  }
  t.same(await left(0, 6), ['no rule', 'a week', 'a year', 'taken back'])
  t.same(await left(0, 8), ['no rule', 'a year', 'taken back'], 'the week is over')
  t.same(await left(500, 366), ['no rule', 'taken back'], 'the year as well, before that of all rooms')
  t.same(await left(30, 31), [], 'no room keeps for longer than all do')
  const events = await readArchive(store, made['a week']!.room, 0, 10)
  t.match(JSON.parse(events.at(-1)!.data), { type: 'message', content: '', deleted: true }, 'who resumes gets the tombstone')
  t.same(await wholeLog(world.log, made['a week']!.room), [], 'and not from the stream')
})

t.test('the job has everything erased that is older than the deployment or its room keeps it', async t => {
  const asked: Keeping[] = []
  const erase = async (keeping: Keeping): Promise<object> => { asked.push(keeping); return {} }
  const clock = (): number => Date.UTC(2026, 10, 20)
  for (const days of [0, 30]) await retention({ days, erase, clock }).run()
  t.same(asked, [{ days: 0, now: new Date(clock()) }, { days: 30, now: new Date(clock()) }])
})
