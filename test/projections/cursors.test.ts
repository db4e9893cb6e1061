// Marks from the streams into Postgres: folded by maximum, whatever comes twice, late, from two workers, or is no mark at all.
import t from 'tap'
import { randomUUID, type UUID } from 'node:crypto'
import { foldMarks, startCursors, type CursorsOptions } from '../../projections/cursors.ts'
import { takeBack } from '../../projections/parted.ts'
import { createMarkStreams, type MarkStreams } from '../../src/log/mark-streams.ts'
import { createMarks } from '../../src/log/marks.ts'
import { createPeopleKeys } from '../../src/log/people-keys.ts'
import { until } from '../until.ts'
import { archive, caughtUp, createWorld, logger } from './feed.ts'

async function cursorsWorld (t: Parameters<typeof createWorld>[0]) {
  const world = await createWorld(t)
  const { redis, keys, store, metrics } = world
  const peopleKeys = createPeopleKeys(keys)
  const streams = createMarkStreams({ redis, peopleKeys })
  const publisher = { toRoom: () => {}, toUser: () => {} }
  return {
    ...world,
    peopleKeys,
    streams,
    // No room keeps its newest marks in Redis: each goes into the stream.
    marks: createMarks({ redis, keys, peopleKeys, publisher, roomMax: 0, clock: Date.now }),
    start (more: Partial<CursorsOptions> = {}) {
      const worker = startCursors({ store, streams, partitions: keys.partitions, owner: randomUUID(), leaseMs: 1000, idleMs: 20, metrics, logger, ...more })
      t.teardown(async () => { await worker.stop() })
      return worker
    },
    stored: async (room: string) => (await store.query('SELECT user_id, kind, device, seq FROM marks WHERE room_id = $1 ORDER BY user_id, kind, device', [room])).rows,
    waiting: async () => [...(await streams.read(Array.from({ length: keys.partitions }, (_, p) => p), 1000)).values()].flat().length,
  }
}

t.test('the furthest mark of each is kept, and what is folded leaves the stream', async t => {
  const { feed, marks, start, stored, waiting, store, metrics } = await cursorsWorld(t)
  const [ann, bob] = [randomUUID(), randomUUID()].sort() as [UUID, UUID]
  const rooms = await Promise.all(Array.from({ length: 20 }, async () => await feed.room({ owner: ann })))
  for (const room of rooms) await feed.say(room, 9, ann)
  const move = async (room_id: string, user_id: string, seq: number, device = ''): Promise<unknown> => await marks.move({ room_id, user_id, kind: device === '' ? 'read' : 'delivered', device, seq, member: true })
  const worker = start()
  for (const seqs of [[3, 7], [5, 2], [9, 1]]) await Promise.all(rooms.flatMap(room => [...seqs.map(async seq => await move(room, ann, seq)), move(room, bob, seqs[0]!, 'a "phone", {mine}'), move(room, bob, seqs[1]!, 'laptop')]))
  await until(async () => await waiting() === 0)
  for (const room of rooms) {
    t.same(await stored(room), [
      { user_id: ann, kind: 'read', device: '', seq: 9 },
      { user_id: bob, kind: 'delivered', device: 'a "phone", {mine}', seq: 9 },
      { user_id: bob, kind: 'delivered', device: 'laptop', seq: 7 },
    ])
  }
  const { rows: [row] } = await store.query('SELECT min(at) AS first, max(at) AS last FROM marks')
  t.ok(Math.abs(Date.now() - row.first.getTime()) < 60_000 && row.last <= new Date(Date.now() + 60_000), 'when they were moved')
  t.ok((await metrics.marksFolded.get()).values[0]!.value >= 60)
  t.equal(worker.fault(), null)
  await worker.stop()
  await worker.stop()
  t.same((await store.query("SELECT FROM leases WHERE projection = 'cursors_v1'")).rows, [])
})

t.test('whoever dies after the commit loses nothing, and two who fold the same do no harm', async t => {
  const { feed, marks, start, stored, streams, waiting } = await cursorsWorld(t)
  const ann = randomUUID()
  const room = await feed.room({ owner: ann })
  await feed.say(room, 100, ann)
  const forgetful: MarkStreams = { ...streams, trim: async () => { throw new Error('killed') } }
  const dying = start({ streams: forgetful })
  await marks.move({ room_id: room, user_id: ann, kind: 'read', device: '', seq: 40, member: true })
  await until(async () => (await stored(room)).length === 1)
  await until(() => dying.fault() === 'killed')
  t.ok(await waiting() > 0, 'the entry is still there')
  await dying.stop()
  const workers = [start(), start()]
  for (let seq = 41; seq <= 60; seq += 5) await marks.move({ room_id: room, user_id: ann, kind: 'read', device: '', seq, member: true })
  await until(async () => await waiting() === 0)
  t.match(await stored(room), [{ seq: 56 }])
  await Promise.all(workers.map(async worker => { await worker.stop() }))
})

t.test('the same entries folded by many at once, in any order, give the same', async t => {
  const { store, stored } = await cursorsWorld(t)
  const rooms = Array.from({ length: 30 }, () => randomUUID())
  const users = Array.from({ length: 5 }, () => randomUUID())
  const entries = Array.from({ length: 2000 }, (_, i) => ({ id: `${1_700_000_000_000 + i}-0`, room: rooms[i % 30]!, user: users[i % 5]!, device: '', kind: 'read', seq: String((i * 7919) % 1000) }))
  await Promise.all(Array.from({ length: 8 }, async (_, i) => await foldMarks(store, i % 2 === 0 ? entries : entries.toReversed())))
  const furthest = (room: string, user: string): number => Math.max(...entries.filter(entry => entry.room === room && entry.user === user).map(({ seq }) => Number(seq)))
  for (const room of rooms) for (const { user_id, seq } of await stored(room)) t.equal(seq, furthest(room, user_id))
})

t.test('what is no mark is passed over and counted', async t => {
  const { redis, keys, peopleKeys, start, stored, waiting, metrics } = await cursorsWorld(t)
  const [room, user] = [randomUUID(), randomUUID()]
  const stream = peopleKeys.marks(keys.partitionOf(room))
  const good = ['room', room, 'user', user, 'device', '', 'kind', 'read', 'seq', '5']
  for (const [field, value] of [['room', 'lobby'], ['user', ''], ['kind', 'eaten'], ['seq', '-1'], ['seq', '1e9'], ['device', 'a\0b']]) {
    await redis.xadd(stream, '*', ...good.map((text, i) => good[i - 1] === field && i % 2 === 1 ? value! : text))
  }
  await redis.xadd(stream, '*', 'nothing', 'at all')
  await redis.xadd(stream, '*', ...good)
  start()
  await until(async () => await waiting() === 0)
  t.same(await stored(room), [{ user_id: user, kind: 'read', device: '', seq: 5 }])
  t.equal((await metrics.marksRefused.get()).values[0]!.value, 7)
})

t.test('while Postgres is away marks wait, and are folded when it is back', async t => {
  const { feed, marks, start, stored, waiting, postgres } = await cursorsWorld(t)
  const ann = randomUUID()
  const room = await feed.room({ owner: ann })
  const worker = start({ leaseMs: 20_000 })
  await marks.move({ room_id: room, user_id: ann, kind: 'delivered', device: 'phone', seq: 1, member: true })
  await until(async () => (await stored(room)).length === 1)
  await postgres.kill()
  await marks.move({ room_id: room, user_id: ann, kind: 'read', device: '', seq: 1, member: true })
  await until(() => worker.fault() !== null)
  t.equal(await waiting(), 1)
  await postgres.restart()
  await until(async () => (await stored(room).catch(() => [])).length === 2)
  await until(() => worker.fault() === null)
  t.match(await stored(room), [{ kind: 'delivered', seq: 1 }, { kind: 'read', seq: 1 }])
})

t.test('of a history that does not stand, marks end at the fork', async t => {
  const { feed, project, store, log, stored } = await cursorsWorld(t)
  const [ann, bob] = [randomUUID(), randomUUID()].sort() as [UUID, UUID]
  const room = await feed.room({ owner: ann })
  await feed.say(room, 9, ann)
  const projector = project(archive)
  await caughtUp({ store, log }, 'archive_v1', [room])
  await projector.stop()
  await foldMarks(store, [[ann, 4], [bob, 10]].map(([user, seq]) => ({ id: '1700000000000-0', room, user: String(user), device: '', kind: 'read', seq: String(seq) })))
  const { rows: [at] } = await store.query('SELECT seq, chain, partition FROM checkpoints WHERE room_id = $1', [room])
  const { rows: [fork] } = await store.query('SELECT seq, chain FROM events WHERE room_id = $1 AND seq = 6', [room])
  t.ok(await takeBack({ store, log, replayed: [] }, { ...at, room_id: room }, fork))
  t.match(await stored(room), [{ user_id: ann, seq: 4 }, { user_id: bob, seq: 6 }])
})
