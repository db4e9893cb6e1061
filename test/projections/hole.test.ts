// Postgres restored from an old backup, while Redis has gone on and trimmed: what neither has is a hole, which parks the room until
// somebody skips it by hand; that is recorded, and what Redis knows of bans and members holds [G8, G10].
import { randomUUID } from 'node:crypto'
import t, { type Test } from 'tap'
import { listParked } from '../../projections/park.ts'
import { NotSkipped, skipHole } from '../../projections/skip.ts'
import { isTrouble, verify, type Finding } from '../../projections/verify.ts'
import { memberRecordOf } from '../../src/commands/room-hashes.ts'
import { readArchive } from '../../src/store/archive.ts'
import { roomState } from '../../src/store/room-state.ts'
import { holeAfter } from '../../src/store/skipped.ts'
import { until } from '../until.ts'
import { archive, caughtUp, createWorld, history, wholeLog, type World } from './feed.ts'
import { olderBackup } from './loss.ts'

const GROUPS = ['archive_v1', 'history_v1']

const skip = async (world: World, room: string) => await skipHole(world, room, { by: 'a test' })

async function verified (world: World, room?: string): Promise<Finding[]> {
  const found = []
  for await (const finding of verify({ db: world.store, log: world.log, fence: world.fence }, room, { rooms: 0, events: 0 })) found.push(finding)
  return found
}

/** A room of 41 events, of which the archive has 20 and the stream the last ten; a ban is in the hole. */
async function holed (t: Test) {
  const world = await createWorld(t)
  const [owner, eve] = [randomUUID(), randomUUID()]
  const room = await world.feed.room({ owner, kind: 'private' })
  await world.feed.join(room, eve)
  await world.feed.say(room, 20, owner)
  await world.feed.put(room, owner, [{ type: 'ban', target: eve }])
  await world.feed.say(room, 18, owner)
  const log = await wholeLog(world.log, room)
  const projectors = [archive, history].map(projection => world.project(projection))
  for (const group of GROUPS) await caughtUp(world, group, [room])
  await Promise.all(projectors.map(async projector => { await projector.stop() }))
  await olderBackup(world, room, 20)
  return { world, room, owner, eve, log }
}

t.test('a hole in the middle is skipped in the archive, and the history follows', async t => {
  const { world, room, eve, log } = await holed(t)
  await world.redis.xtrim(world.keys.log(room), 'MINID', '32-0')
  await t.rejects(skip(world, room), NotSkipped, 'not before it was found')
  for (const projection of [archive, history]) world.project(projection)
  await until(async () => (await listParked(world.store)).length === 2, { what: 'the hole to park the room' })
  t.ok((await listParked(world.store)).every(({ error_code, seq }) => error_code === 'hole' && seq === 21))
  t.ok((await verified(world)).some(({ kind, seq, text }) => kind === 'hole' && seq === 20 && text.includes('21 to 31')))

  t.same(await skip(world, room), { from: 21, to: 31, applied: 10 })
  await t.rejects(skip(world, room), NotSkipped, 'once')
  t.same((await readArchive(world.store, room, 0, 100)).map(({ seq }) => seq), [...log.slice(0, 20), ...log.slice(31)].map(({ seq }) => seq))
  t.equal(await holeAfter(world.store, room, 20), 31)
  t.equal(await holeAfter(world.store, room, 25), 31)
  t.equal(await holeAfter(world.store, room, 31), undefined)
  t.equal(await holeAfter(world.store, room, 5), undefined)
  const state = (await roomState(world.store, room))!
  t.match(state.members.find(({ user_id }) => user_id === eve), { role: 'kicked' }, 'the ban in the hole holds')
  t.same(Object.fromEntries(state.members.map(member => [member.user_id, memberRecordOf(member)])), await world.redis.hgetall(world.keys.members(room)))
  const { seq, chain, ...meta } = await world.redis.hgetall(world.keys.meta(room))
  t.same(Object.fromEntries(state.meta), { history: 'all', topic: '', ...meta })
  t.same(state.head, { seq: Number(seq), chain })

  await world.feed.say(room, 3)
  for (const group of GROUPS) await caughtUp(world, group, [room])
  t.same((await world.store.query('SELECT seq FROM messages WHERE room_id = $1 AND seq > 15 ORDER BY seq', [room])).rows.map(({ seq }) => seq), [16, 17, 18, 19, 20, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44])
  const found = await verified(world)
  t.same(found.filter(isTrouble), [], 'what was skipped by hand is known')
  t.match(found, [{ kind: 'skipped', seq: 21 }])
})

t.test('a room that Redis let go of has nothing behind the hole but its head', async t => {
  const { world, room } = await holed(t)
  const head = (await world.log.heads([room])).heads.get(room)!
  t.equal(await world.cold.evict(room, head), true)
  for (const projection of [archive, history]) world.project(projection)
  await until(async () => (await listParked(world.store)).length === 2, { what: 'the hole to park the room' })
  t.same(await skip(world, room), { from: 21, to: head.seq, applied: 0 })
  await world.restorer.restore(room)
  t.match((await world.log.heads([room])).heads.get(room), head)
  t.equal(await world.redis.hget(world.keys.meta(room), 'cold'), null, 'it can be restored')
  await world.feed.say(room, 2)
  for (const group of GROUPS) await caughtUp(world, group, [room])
  t.same((await verified(world, room)).filter(isTrouble), [])
})

t.test('verify finds what does not fit', async t => {
  const { world, room } = await holed(t)
  const projector = world.project(archive)
  world.project(history)
  for (const group of GROUPS) await caughtUp(world, group, [room])
  await projector.stop()
  t.same(await verified(world), [], 'all is well')
  const kinds = async (): Promise<string[]> => (await verified(world)).map(({ kind, seq }) => `${kind} ${seq ?? ''}`.trim()).sort()
  const other = await world.feed.room()
  t.same(await kinds(), [], 'a room that is not archived yet is nothing to tell of')
  t.ok(other)

  await world.store.query("UPDATE events SET chain = 'abcdef0123456789' WHERE room_id = $1 AND seq = 10", [room])
  t.same(await kinds(), ['chain 10', 'chain 11'])
  await world.store.query('DELETE FROM events WHERE room_id = $1 AND seq = 10', [room])
  t.same(await kinds(), ['hole 10'])
  await world.store.query('UPDATE room_state SET seq = 3')
  t.same(await kinds(), ['checkpoint 41', 'hole 10'])
  const head = (await world.log.heads([room])).heads.get(room)!
  await world.redis.hset(world.keys.meta(room), 'seq', 30, 'chain', (await world.log.chainsAt(room, [30])).get(30)!)
  t.ok((await verified(world)).some(({ kind, text }) => kind === 'log' && text === 'Redis ends at seq 30, the archive at seq 41'))
  await world.redis.hset(world.keys.meta(room), 'seq', head.seq, 'chain', 'abcdef0123456789')
  t.ok((await verified(world, room)).some(({ kind, text }) => kind === 'log' && text.startsWith('Redis and the archive parted after seq 41')))
  await world.redis.del(world.keys.meta(room))
  t.ok((await verified(world, room)).some(({ kind, text }) => kind === 'log' && text.startsWith('Redis does not have the room')))
  t.same(await verified(world, randomUUID()), [], 'of another room there is nothing')
  await world.fence.raise(3)
  t.ok((await kinds()).includes('fenced'))
})

t.test('what is put in while it is looked for is no hole', async t => {
  const world = await createWorld(t)
  const room = await world.feed.room()
  await world.feed.say(room, 5)
  const before = world.project(archive)
  await caughtUp(world, 'archive_v1', [room])
  await before.stop()
  const { seq } = (await world.log.heads([room])).heads.get(room)!
  await world.redis.hset(world.keys.meta(room), 'seq', seq + 3) // more is said to be there than is
  let asked = false
  let reads = 0
  const read: World['log']['read'] = async (id, after, limit) => {
    if (id === room) reads += 1
    return await world.log.read(id, after, limit)
  }
  const heads = async (rooms: readonly string[]) => {
    if (!asked && reads > 1 && rooms.includes(room)) { // it was read twice, and nothing was there
      asked = true
      await world.redis.hset(world.keys.meta(room), 'seq', seq)
      await world.feed.say(room, 3)
    }
    return await world.log.heads(rooms)
  }
  world.project(archive, { log: { ...world.log, read, heads } })
  await until(() => asked, { what: 'the head to be asked for' })
  await caughtUp(world, 'archive_v1', [room])
  t.same(await listParked(world.store), [])
})
