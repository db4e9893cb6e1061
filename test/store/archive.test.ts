// The archive as others read it.
import { randomUUID } from 'node:crypto'
import t from 'tap'
import { findByClientIds, readArchive } from '../../src/store/archive.ts'
import { archive, caughtUp, createWorld, wholeLog } from '../projections/feed.ts'

t.test('events of any age are read by seq, as they were in the log', async t => {
  const world = await createWorld(t)
  const room = await world.feed.room()
  await world.feed.say(room, 30)
  world.project(archive)
  await caughtUp(world, 'archive_v1', [room])
  const log = await wholeLog(world.log, room)
  t.same(await readArchive(world.store, room, 0, 10), log.slice(0, 10))
  t.same(await readArchive(world.store, room, 10, 100), log.slice(10))
  t.same(await readArchive(world.store, room, 31, 100), [])
  t.same(await readArchive(world.store, randomUUID(), 0, 100), [])
})

t.test('first results of commands are found with the checkpoint up to which they were looked for', async t => {
  const world = await createWorld(t)
  const [author, other] = [randomUUID(), randomUUID()]
  const room = await world.feed.room()
  const none = { archived: { seq: 0, chain: '0000000000000000' }, hits: [] }
  t.same(await findByClientIds(world.store, room, [{ author, client_id: 'x' }]), none, 'nothing is archived yet')
  await world.feed.say(room, 3, author)
  const log = await wholeLog(world.log, room)
  const ids = log.map(({ data }) => JSON.parse(data).client_id as string)
  const projector = world.project(archive)
  await caughtUp(world, 'archive_v1', [room])
  const head = { seq: 4, chain: log[3]!.chain }
  t.same(await findByClientIds(world.store, room, []), { archived: head, hits: [] })
  t.same(await findByClientIds(world.store, room, [
    { author, client_id: ids[1]! }, { author, client_id: ids[3]! }, { author: other, client_id: ids[2]! }, { author, client_id: 'new' },
  ]), {
    archived: head,
    hits: [1, 3].map(i => ({ author, client_id: ids[i], seq: log[i]!.seq, chain: log[i]!.chain, event_id: log[i]!.event_id })),
  })
  t.same(await findByClientIds(world.store, randomUUID(), [{ author, client_id: ids[1]! }]), none, 'another room')

  // The same key again, when Redis has forgotten it: a legal log, in which the first result stands.
  const again = JSON.parse(log[1]!.data)
  await world.log.append(room, [{ session: author, author, key: randomUUID(), onceMs: 1000, create: false, preconditions: [], events: [{ event_id: randomUUID(), v: 1, data: JSON.stringify(again) }], patches: [] }])
  await caughtUp(world, 'archive_v1', [room])
  t.same((await findByClientIds(world.store, room, [{ author, client_id: ids[1]! }])).hits.map(({ seq }) => seq), [2])
  t.equal(projector.progress().parked_rooms, 0)
})
