// What a projection cannot apply, or must not: the room is set aside at exactly that event, others go on, nothing is thrown away [G10].
import { randomUUID } from 'node:crypto'
import t from 'tap'
import { listParked, retryParked, type ParkedRoom } from '../../projections/park.ts'
import type { Projection } from '../../projections/projection.ts'
import { CorruptEvent } from '../../src/log/codec.ts'
import { chainOf } from '../../src/log/chain.ts'
import { readArchive } from '../../src/store/archive.ts'
import { until } from '../until.ts'
import { archive, caughtUp, createWorld, history, NO_BELLS, wholeLog, type World } from './feed.ts'
import { equal, naiveHistory, storedHistory } from './naive.ts'

/** A projection that fails on messages which contain a word, until it is mended. */
function poisonable (projection: Projection, raise: () => Error) {
  const state = { poisonous: true }
  return {
    state,
    ...projection,
    async apply (tx: Parameters<Projection['apply']>[0], batch: Parameters<Projection['apply']>[1]) {
      const poison = batch.some(({ events }) => events.some(({ event }) => event.type === 'message' && event.content.startsWith('poison')))
      await projection.apply(tx, batch)
      if (poison && state.poisonous) throw raise()
    },
  } satisfies Projection & { state: { poisonous: boolean } }
}

const parkedOf = async (world: World, count: number): Promise<ParkedRoom[]> => (await until(async () => {
  const list = await listParked(world.store)
  return list.length === count ? list : undefined
}, { what: `${count} parked rooms` }))!

/** An entry put into a stream by hand, as no gateway would. `head` moves the room's head, so that a sweep expects it. */
async function forge (world: World, room: string, { seq, id = randomUUID(), chain, v = 1, data }: { seq: number, id?: string, chain?: string, v?: number, data: string }): Promise<string> {
  const before = seq === 1 ? '0'.repeat(16) : (await world.log.chainsAt(room, [seq - 1])).get(seq - 1) ?? ''
  const made = chain ?? chainOf(before, id)
  await world.redis.xadd(world.keys.log(room), `${seq}-0`, 'id', id, 'chain', made, 'v', v, 'data', data)
  await world.redis.hset(world.keys.meta(room), 'seq', seq, 'chain', made)
  return made
}

const stamped = (event: object): string => JSON.stringify({ ...event, user_id: '00000000-0000-7000-8000-000000000009', timestamp: '2026-11-20T12:00:00.000Z' })

t.test('a room with a poisonous event is parked there, others go on, and retrying replays it in order', async t => {
  for (const [what, raise, code] of [
    ['a bug', () => new TypeError('cannot read properties of undefined'), 'bug'],
    ['a refusal of Postgres', () => Object.assign(new Error('division by zero'), { code: '22012' }), '22012'],
    ['an event that cannot be read', () => new CorruptEvent('no content'), 'corrupt'],
  ] as const) {
    await t.test(what, async t => {
      const world = await createWorld(t)
      const [bad, good] = [await world.feed.room({ partition: 3 }), await world.feed.room({ partition: 3 })]
      await world.feed.say(bad, 37)
      await world.feed.say(bad, 1, undefined, 'poison')
      await world.feed.say(bad, 40)
      await world.feed.say(good, 60)
      const projection = poisonable(history, raise)
      const projector = world.project(projection)
      world.project(archive)
      await caughtUp(world, 'history_v1', [good])
      const [parked] = await parkedOf(world, 1)
      t.match(parked, { projection: 'history_v1', room_id: bad, partition: 3, seq: 39, error: raise().message, error_code: code, attempts: 1 })
      t.equal(parked?.event_id, (await wholeLog(world.log, bad))[38]?.event_id)
      t.equal((await world.store.query('SELECT last_seq FROM rooms WHERE id = $1', [bad])).rows[0].last_seq, 38, 'everything before it is applied')
      t.equal(projector.progress().parked_rooms, 1)
      await world.feed.say(good, 5)
      await world.feed.say(bad, 5)
      await caughtUp(world, 'history_v1', [good])
      await caughtUp(world, 'archive_v1', [good, bad])
      t.equal((await world.store.query('SELECT seq FROM checkpoints WHERE projection = $1 AND room_id = $2', ['history_v1', bad])).rows[0].seq, 38, 'it stands still')

      t.equal(await retryParked(world.store, 'history_v1', bad), true)
      t.equal(await retryParked(world.store, 'history_v1', bad), false, 'only once')
      await until(async () => (await listParked(world.store))[0]?.attempts === 2, { what: 'it to be parked again' })
      t.equal((await listParked(world.store))[0]?.seq, 39, 'at the same place')

      projection.state.poisonous = false
      await retryParked(world.store, 'history_v1', bad)
      await caughtUp(world, 'history_v1', [bad, good])
      const logs = new Map([[bad, await wholeLog(world.log, bad)], [good, await wholeLog(world.log, good)]])
      equal(t, await storedHistory(world.store), naiveHistory(logs), 'the history is the log folded')
      t.equal(projector.progress().parked_rooms, 0)
    })
  }
})

t.test('an entry that is no event parks its room in every projection', async t => {
  const world = await createWorld(t)
  const rooms = [await world.feed.room(), await world.feed.room(), await world.feed.room()] as const
  for (const room of rooms) await world.feed.say(room, 5)
  await forge(world, rooms[0], { seq: 7, data: 'no JSON' })
  await forge(world, rooms[1], { seq: 7, data: '{"type":"message","content":"nobody said it"}' })
  for (const projection of [archive, history]) world.project(projection)
  const parked = await parkedOf(world, 4)
  t.ok(parked.every(({ seq, error_code }) => seq === 7 && error_code === 'corrupt'))
  await caughtUp(world, 'history_v1', [rooms[2]])
  t.equal((await readArchive(world.store, rooms[0], 0, 100)).length, 6)
})

t.test('a key that holds no stream parks its room, and other rooms of the partition go on', async t => {
  const world = await createWorld(t)
  const [bad, good] = [await world.feed.room({ partition: 4 }), await world.feed.room({ partition: 4 })]
  world.project(archive)
  await caughtUp(world, 'archive_v1', [bad, good])
  await world.redis.set(world.keys.log(bad), 'not a stream')
  await world.redis.hset(world.keys.meta(bad), 'seq', 2)
  await world.feed.say(good, 5)
  t.match(await parkedOf(world, 1), [{ room_id: bad, seq: 2, error_code: 'corrupt' }])
  await world.feed.say(good, 5)
  await caughtUp(world, 'archive_v1', [good])
})

t.test('a message that Postgres cannot store parks its room in history and not in the archive', async t => {
  const world = await createWorld(t)
  const room = await world.feed.room()
  await forge(world, room, { seq: 2, data: stamped({ type: 'message', content: 'a\0b' }) })
  await forge(world, room, { seq: 3, data: stamped({ type: 'message', content: 'c', reply_to: '1},{2' }) })
  for (const projection of [archive, history]) world.project(projection)
  await caughtUp(world, 'archive_v1', [room])
  t.match(await parkedOf(world, 1), [{ projection: 'history_v1', seq: 2, error_code: '22021' }])
  equal(t, await readArchive(world.store, room, 0, 10), await wholeLog(world.log, room), 'the archive is the log')
})

t.test('events of unknown types and later versions are archived, and history goes on over them', async t => {
  const world = await createWorld(t)
  const room = await world.feed.room()
  await forge(world, room, { seq: 2, data: stamped({ type: 'poll', options: ['é', 'ü'], later: { deep: 1.50 } }) })
  await forge(world, room, { seq: 3, v: 9, data: stamped({ type: 'message', content: 'from the future', mood: 'fine' }) })
  await forge(world, room, { seq: 4, v: 9, data: stamped({ type: 'hologram' }) })
  for (const projection of [archive, history]) world.project(projection)
  await caughtUp(world, 'archive_v1', [room])
  await caughtUp(world, 'history_v1', [room])
  const log = await wholeLog(world.log, room)
  equal(t, await readArchive(world.store, room, 0, 10), log, 'the archive is the log')
  t.match((await world.store.query('SELECT type, v FROM events ORDER BY seq')).rows, [{ type: 'room' }, { type: 'poll', v: 1 }, { type: 'message', v: 9 }, { type: 'hologram', v: 9 }])
  equal(t, await storedHistory(world.store), naiveHistory(new Map([[room, log]])), 'the history is the log folded')
})

t.test('a log that does not chain onto what was applied is set aside, and other rooms go on', async t => {
  const world = await createWorld(t)
  const [off, good] = [await world.feed.room(), await world.feed.room()]
  await world.feed.say(off, 5)
  const projector = world.project(archive)
  await caughtUp(world, 'archive_v1', [off, good])
  await forge(world, off, { seq: 7, chain: 'abcdef0123456789', data: stamped({ type: 'message', content: 'of another branch' }) })
  await world.feed.say(good, 5)
  await caughtUp(world, 'archive_v1', [good])
  t.match(await parkedOf(world, 1), [{ room_id: off, seq: 7, error_code: 'parted' }])
  t.equal((await world.metrics.parted.get()).values.find(({ labels }) => labels.where === 'projector')?.value, 1)
  t.equal((await readArchive(world.store, off, 0, 100)).length, 6, 'nothing of the other branch is archived')
  t.equal(projector.progress().fault, null)
})

t.test('a log that ends before what was applied, or ends otherwise, is found by the sweep', async t => {
  const world = await createWorld(t)
  const [shorter, other] = [await world.feed.room(), await world.feed.room()]
  for (const room of [shorter, other]) await world.feed.say(room, 9)
  world.project(archive)
  await caughtUp(world, 'archive_v1', [shorter, other])
  await world.redis.hset(world.keys.meta(shorter), 'seq', 4, 'chain', (await world.log.chainsAt(shorter, [4])).get(4)!)
  await world.redis.hset(world.keys.meta(other), 'chain', 'abcdef0123456789')
  const parked = await parkedOf(world, 2)
  t.same(parked.map(({ error_code, seq }) => [error_code, seq]), [['parted', 11], ['parted', 11]])
})

t.test('a hole in the stream is filled from the archive; one that neither has parks the room', async t => {
  const world = await createWorld(t)
  const room = await world.feed.room()
  await world.feed.say(room, 30)
  const first = world.project(archive)
  await caughtUp(world, 'archive_v1', [room])
  const log = await wholeLog(world.log, room)
  await world.redis.xtrim(world.keys.log(room), 'MINID', '12-0')
  await world.redis.xdel(world.keys.log(room), '20-0', '25-0')
  world.project(history, { batchEvents: 4 })
  await caughtUp(world, 'history_v1', [room])
  equal(t, await storedHistory(world.store), naiveHistory(new Map([[room, log]])), 'the history is the log folded')

  await first.stop()
  await world.feed.say(room, 6)
  await world.redis.xdel(world.keys.log(room), '34-0')
  world.project(archive)
  const parked = await parkedOf(world, 2)
  t.same(parked.map(({ projection, seq, error_code }) => [projection, seq, error_code]).sort(), [['archive_v1', 34, 'hole'], ['history_v1', 34, 'hole']])
})

t.test('while a partition is fenced, nothing is concluded from what its log lacks', async t => {
  const world = await createWorld(t)
  const room = await world.feed.room({ partition: 2 })
  await world.feed.say(room, 20)
  const projector = world.project(archive, { bells: NO_BELLS })
  await caughtUp(world, 'archive_v1', [room])
  const epoch = await world.redis.get(world.keys.epoch(2))
  await world.redis.set(world.keys.epoch(2), 'another')
  await world.redis.hset(world.keys.meta(room), 'seq', 4)
  const { applied } = projector.progress()
  await new Promise(resolve => setTimeout(resolve, 1200)) // four sweeps
  t.same(await listParked(world.store), [])
  t.equal(projector.progress().applied, applied)
  await world.redis.hset(world.keys.meta(room), 'seq', 21)
  await world.redis.set(world.keys.epoch(2), epoch!)
  await world.feed.say(room, 1)
  await caughtUp(world, 'archive_v1', [room])
})
