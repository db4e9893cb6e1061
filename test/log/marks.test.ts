// Marks over a real Redis: folded by maximum, never beyond the head, told live where the room is small, kept for whoever comes back.
import t from 'tap'
import { randomUUID } from 'node:crypto'
import { createMarks, type Mark } from '../../src/log/marks.ts'
import { createPeopleKeys } from '../../src/log/people-keys.ts'
import type { Signal } from '../../src/log/signals.ts'
import { testRedis } from '../dev/servers.ts'
import { logger, logWorld, unit } from './world.ts'

void logger
const ROOM_MAX = 3

async function marksWorld (t: Parameters<typeof testRedis>[0]) {
  const server = await testRedis(t)
  const world = await logWorld(t as never, server.url)
  const { redis, keys, log } = world
  const peopleKeys = createPeopleKeys(keys)
  const toRoom: Array<[string, object]> = []
  const toUser: Array<[string, Signal]> = []
  const publisher = { toRoom: (room: string, frame: object) => { toRoom.push([room, frame]) }, toUser: (user: string, signal: Signal) => { toUser.push([user, signal]) } }
  const marks = createMarks({ redis, keys, peopleKeys, publisher, roomMax: ROOM_MAX, clock: Date.now })
  /** A room of five events. */
  const room = async (members: number, kind = 'private'): Promise<string> => {
    const id = randomUUID()
    await log.append(id, [unit('1', { create: true, patches: [['set', 'meta', 'kind', kind], ['set', 'meta', 'members', String(members)]] }), ...['2', '3', '4', '5'].map(text => unit(text))])
    return id
  }
  const mark = (room_id: string, seq: number, more: Partial<Mark> = {}): Mark => ({ room_id, user_id: 'ada', kind: 'read', device: '', seq, member: true, ...more })
  const stream = async (room_id: string): Promise<string[][]> => (await redis.xrange(peopleKeys.marks(keys.partitionOf(room_id)), '-', '+')).map(([, fields]) => fields).filter(fields => fields[1] === room_id)
  return { ...world, server, peopleKeys, marks, toRoom, toUser, room, mark, stream }
}

t.test('marks', async t => {
  const { redis, keys, peopleKeys, server, marks, toRoom, toUser, room, mark, stream } = await marksWorld(t)

  await t.test('move forward only, and not beyond the head', async t => {
    const id = await room(2)
    t.equal(await marks.move(mark(id, 3)), 3)
    t.equal(await marks.move(mark(id, 2)), 3)
    t.equal(await marks.move(mark(id, 99)), 5)
    t.equal(await marks.move(mark(id, 0)), 5)
    t.same(await marks.of(id), { read: { ada: 5 }, delivered: {} })
    t.same(await stream(id), [3, 5].map(seq => ['room', id, 'user', 'ada', 'device', '', 'kind', 'read', 'seq', String(seq)]))
    t.equal(await marks.move(mark(randomUUID(), 7)), 0, 'a room that is not there has no place to mark')
  })

  await t.test('what comes together is one mark and one frame', async t => {
    const id = await room(3)
    toRoom.length = toUser.length = 0
    t.same(await Promise.all([
      ...[1, 4, 2].map(async seq => await marks.move(mark(id, seq, { connection: 'c' }))),
      marks.move(mark(id, 2, { user_id: 'bob' })),
      marks.move(mark(id, 3, { user_id: 'bob', kind: 'delivered', device: 'phone' })),
      marks.move(mark(id, 2, { user_id: 'bob', kind: 'delivered', device: 'laptop' })),
    ]), [4, 4, 4, 2, 3, 2])
    t.same(toRoom, [[id, { type: 'marks', room_id: id, read: { ada: 4, bob: 2 }, delivered: { bob: 3 } }]])
    t.same(toUser, [
      ['ada', { type: 'frame', frame: { type: 'marks', room_id: id, read: { ada: 4 }, delivered: {} }, except: 'c' }],
      ['bob', { type: 'frame', frame: { type: 'marks', room_id: id, read: { bob: 2 }, delivered: {} }, except: undefined }],
    ])
  })

  await t.test('of delivered, each device has its own, and others see the furthest', async t => {
    const id = await room(2)
    toRoom.length = 0
    const delivered = async (device: string, seq: number): Promise<number> => await marks.move(mark(id, seq, { kind: 'delivered', device }))
    t.equal(await delivered('phone', 4), 4)
    t.equal(await delivered('a laptop: mine', 2), 2)
    t.equal(await delivered('a laptop: mine', 1), 2)
    t.same(toRoom.map(([, frame]) => frame), [{ type: 'marks', room_id: id, read: {}, delivered: { ada: 4 } }])
    t.same(await marks.of(id), { read: {}, delivered: { ada: 4 } })
    t.same((await stream(id)).map(fields => [fields[5], fields[9]]), [['phone', '4'], ['a laptop: mine', '2']])
  })

  await t.test('of a large room, of the lobby, and of those who only look in, nothing is kept or told', async t => {
    for (const [id, member] of [[await room(ROOM_MAX + 1), true], [await room(0, 'lobby'), true], [await room(1), false]] as const) {
      toRoom.length = toUser.length = 0
      t.equal(await marks.move(mark(id, 4, { member })), 4)
      t.same([toRoom.length, toUser.length], [0, 1], 'only their own devices hear of it')
      t.equal(await marks.of(id), undefined)
      t.equal((await stream(id)).length, 1, 'the read models do')
    }
    const grows = await room(1)
    await marks.move(mark(grows, 1))
    await redis.hset(keys.meta(grows), 'members', ROOM_MAX + 1)
    await marks.move(mark(grows, 2))
    t.equal(await redis.exists(peopleKeys.roomMarks(grows)), 0, 'a room that has grown large forgets them')
  })

  await t.test('a room keeps a bounded number of them, however many devices are named', async t => {
    const id = await room(1)
    await Promise.all(Array.from({ length: 100 }, async (_, i) => await marks.move(mark(id, 3, { kind: 'delivered', device: `device ${i}` }))))
    t.ok(await redis.hlen(peopleKeys.roomMarks(id)) <= 8 * ROOM_MAX + 1)
    t.equal((await stream(id)).length, 100)
  })

  await t.test('many are dealt to several calls, and each is answered', async t => {
    const ids = await Promise.all(Array.from({ length: 30 }, async () => await room(2)))
    const answers = await Promise.all(ids.flatMap(id => Array.from({ length: 60 }, async (_, i) => await marks.move(mark(id, 1 + i % 5, { user_id: `user ${i}` })))))
    t.same(answers, ids.flatMap(() => Array.from({ length: 60 }, (_, i) => 1 + i % 5)))
  })

  await t.test('nothing is concluded while the partition is fenced, or without Redis', async t => {
    const id = await room(2)
    await redis.set(keys.epoch(keys.partitionOf(id)), 'another history')
    await t.rejects(marks.move(mark(id, 3)), { code: 'fenced' })
    t.equal(await redis.exists(peopleKeys.roomMarks(id)), 0)
    await server.kill()
    await t.rejects(marks.move(mark(id, 3)), { code: 'unavailable' })
  })
})
