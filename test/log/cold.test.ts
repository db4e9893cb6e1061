// Rooms leave Redis and come back: each step is conditional, so nothing that was appended meanwhile is lost or written over [G5].
import { randomUUID } from 'node:crypto'
import t, { type Test } from 'tap'
import { chainOf } from '../../src/log/chain.ts'
import { createCold, type RoomState } from '../../src/log/cold.ts'
import { testRedis } from '../dev/servers.ts'
import { logWorld, newRoom, replidOf, unit } from './world.ts'

const COLD_BYTES_MAX = 400
const COLD_ROOMS = Number(process.env.TEST_COLD_ROOMS ?? 20_000)

async function open (t: Test) {
  const server = await testRedis(t)
  const world = await logWorld(t, server.url)
  return { ...world, cold: createCold(world) }
}

type World = Awaited<ReturnType<typeof open>>

const headOf = async ({ log }: World, room: string) => (await log.heads([room])).heads.get(room)!

/** A room with `count` more messages, a member and a deleted message. */
async function filledRoom (world: World, count = 5): Promise<string> {
  const room = await newRoom(world.log)
  await world.log.append(room, [unit('hello', { patches: [['set', 'meta', 'kind', 'public'], ['set', 'members', 'ada', 'owner|0|0|1'], ['mark', 'deleted', '1', '']] })])
  for (let i = 1; i < count; i++) await world.log.append(room, [unit(`m${i}`)])
  return room
}

/** What an archive that has all of the room would give back. */
async function stateOf (world: World, room: string): Promise<RoomState> {
  const { meta, members } = (await world.cold.holds(room))!
  const { seq, chain, ...rest } = Object.fromEntries(meta)
  return { head: { seq: Number(seq), chain: chain! }, meta: new Map(Object.entries(rest)), members, events: await world.log.read(room, 0, 1000), once: [] }
}

t.test('a room that is let go of leaves its head, and comes back as it was', async t => {
  const world = await open(t)
  const { log, cold, redis, keys } = world
  const room = await filledRoom(world)
  const head = await headOf(world, room)
  const before = await stateOf(world, room)
  t.equal(await cold.evict(room, { ...head, seq: head.seq - 1 }), false, 'not if the archive lacks its end')
  t.equal(await cold.evict(room, { ...head, chain: 'abcdef0123456789' }), false, 'not if the archive has another history')
  t.equal(await cold.evict(room, head), true)
  t.equal(await cold.evict(room, head), false, 'once')
  t.same(await redis.keys(`*${room}*`).then(found => found.filter(key => !key.includes(':once:'))), [keys.meta(room)])
  t.same(await redis.zscore(keys.active(keys.partitionOf(room)), room), null)
  t.same(await headOf(world, room), head, 'its head is known')
  t.same(await log.append(room, [unit('no')]), [{ status: 'cold' }])
  t.same(await log.append(room, [unit('no', { create: true })]), [{ status: 'cold' }], 'nor is it made again')

  t.equal(await cold.thaw(room, { ...before, head: { ...head, seq: head.seq - 1 } }), false, 'not to another place')
  t.equal(await cold.thaw(room, before), true)
  t.same({ ...await stateOf(world, room) }, before)
  t.equal(await cold.thaw(room, before), false, 'once')
  t.match(await log.append(room, [unit('yes')]), [{ status: 'appended', seq: head.seq + 1 }])
  t.type(await redis.zscore(keys.active(keys.partitionOf(room)), room), 'string', 'it can be found again')
})

t.test('of several that put a room back at once one does, and steps of the others do nothing', async t => {
  const world = await open(t)
  const room = await filledRoom(world)
  const head = await headOf(world, room)
  const state = { ...await stateOf(world, room), members: new Map(Array.from({ length: 5000 }, (_, i) => [`user ${i}`, `member|0|0|${i}`])) }
  for (let round = 0; round < 20; round++) {
    await world.redis.hset(world.keys.meta(room), 'cold', '1')
    const thawed = await Promise.all(Array.from({ length: 5 }, async () => await world.cold.thaw(room, state)))
    t.equal(thawed.filter(Boolean).length, 1)
    t.equal(await world.redis.hlen(world.keys.members(room)), 5000)
    t.equal((await world.log.read(room, 0, 100)).length, head.seq)
  }
})

t.test('commands that are remembered come back with the room', async t => {
  const world = await open(t)
  const room = await filledRoom(world)
  const [first] = await world.log.append(room, [unit('mine', { key: 'k' })]) as unknown as [{ seq: number, chain: string, event_id: string }]
  const head = await headOf(world, room)
  const state = await stateOf(world, room)
  await world.redis.del(world.keys.once(room, 'ada', 'k'))
  t.equal(await world.cold.evict(room, head), true)
  t.equal(await world.cold.thaw(room, { ...state, once: [{ ...first, author: 'ada', client_id: 'k', ms: 60_000 }] }), true)
  t.match(await world.log.append(room, [unit('mine', { key: 'k' })]), [{ status: 'duplicate', seq: first.seq, chain: first.chain, event_id: first.event_id }])
  t.ok(await world.redis.pttl(world.keys.once(room, 'ada', 'k')) <= 60_000)
})

t.test('what Redis has less of than the archive becomes cold at the archive’s checkpoint, under a fence only', async t => {
  const world = await open(t)
  const { cold, redis, keys, log } = world
  const room = await filledRoom(world)
  const head = await headOf(world, room)
  const archived = { seq: head.seq + 7, chain: 'abcdef0123456789' }
  t.equal(await cold.freeze(room, archived, head), false, 'not while it takes appends')
  await redis.del(keys.epoch(keys.partitionOf(room)))
  t.equal(await cold.freeze(room, archived, { ...head, seq: 1 }), false, 'not if it is elsewhere by now')
  t.equal(await cold.freeze(room, archived, head), true)
  t.same((await log.heads([room])).heads.get(room), archived)
  const gone = randomUUID()
  await redis.del(keys.epoch(keys.partitionOf(gone)))
  t.equal(await cold.freeze(gone, archived, undefined), true, 'one that is not there at all')
  t.same((await log.heads([gone])).heads.get(gone), archived)
  await t.rejects(cold.thaw(room, { head: archived, meta: new Map(), members: new Map(), events: [], once: [] }), { code: 'fenced' }, 'and nothing is put back under it')
  await redis.set(keys.epoch(keys.partitionOf(room)), await replidOf(redis))
  t.equal(await cold.thaw(room, { head: archived, meta: new Map([['kind', 'public']]), members: new Map(), events: [], once: [] }), true)
  t.match(await log.append(room, [unit('on')]), [{ status: 'appended', seq: archived.seq + 1 }], 'it goes on behind what the archive has')
})

t.test('a stream is trimmed behind the archive, and only where it has the archive’s checkpoint', async t => {
  const world = await open(t)
  const { cold, log, redis, keys } = world
  const room = await filledRoom(world, 50)
  const at = async (seq: number) => ({ seq, chain: (await log.chainsAt(room, [seq])).get(seq)! })
  const archived = await at(40)
  t.equal(await cold.trim(room, { ...archived, chain: 'abcdef0123456789' }, 30), undefined)
  t.equal(await cold.trim(room, { ...archived, seq: 90 }, 30), undefined)
  t.equal(await cold.trim(room, archived, 31), 30)
  t.equal((await log.read(room, 0, 1))[0]?.seq, 31)
  t.same(await redis.zrange(keys.deleted(room), '0', '-1'), [], 'a deleted message that is out of the stream is forgotten')
  t.equal(await cold.trim(room, archived, 31), 0)
  const epoch = keys.epoch(keys.partitionOf(room))
  await redis.del(epoch)
  t.equal(await cold.trim(room, archived, 41), undefined, 'nor under a fence')
  await redis.set(epoch, await replidOf(redis))
  const head = await headOf(world, room)
  t.equal(await cold.trim(room, head, head.seq + 1), head.seq - 30, 'all of it')
  t.match(await log.append(room, [unit('next')]), [{ status: 'appended', seq: head.seq + 1, chain: (await log.heads([room])).heads.get(room)!.chain }])
  t.equal((await log.read(room, 0, 1))[0]?.seq, head.seq + 1)
})

t.test(`a room that is cold costs Redis at most ${COLD_BYTES_MAX} bytes`, async t => {
  const world = await open(t)
  const { redis, keys } = world
  const used = async (): Promise<number> => Number(/used_memory:(\d+)/.exec(await redis.info('memory'))![1])
  for (let p = 0; p < keys.partitions; p++) await redis.del(keys.epoch(p))
  const before = await used()
  let chain = ''
  for (let i = 0; i < COLD_ROOMS; i += 1000) {
    await Promise.all(Array.from({ length: 1000 }, async (_, n) => {
      const room = randomUUID()
      chain = chainOf(chain, room)
      await world.cold.freeze(room, { seq: 1_000_000 + i + n, chain }, undefined)
    }))
  }
  const bytes = (await used() - before) / COLD_ROOMS
  t.comment(`${bytes.toFixed(0)} bytes each, of ${COLD_ROOMS} rooms`)
  t.ok(bytes <= COLD_BYTES_MAX, `${bytes.toFixed(0)} bytes`)
})

t.test('trimming takes the mark of a deleted message with its delete, not before: its edits may still be in the stream', async t => {
  const world = await open(t)
  const { log, cold } = world
  const room = await newRoom(log)
  const said = (type: string, more: object) => ({ events: [{ event_id: randomUUID(), v: 1, data: JSON.stringify({ type, user_id: 'ada', timestamp: '2026-11-20T10:00:00.000Z', ...more }) }] })
  await log.append(room, [unit('SECRET')]) // seq 2
  for (let seq = 3; seq < 10; seq++) await log.append(room, [unit(`m${seq}`)])
  await log.append(room, [unit('', said('edit', { message_seq: 2, content: 'SECRET' }))]) // 10
  await log.append(room, [unit('', { ...said('delete', { message_seq: 2 }), patches: [['mark', 'deleted', '2', '']] })]) // 11
  await log.append(room, [unit('end')])
  const head = await headOf(world, room)
  t.equal(await cold.trim(room, head, 8), 7)
  t.notMatch(JSON.stringify(await log.read(room, 0, 100)), 'SECRET', 'the edit is a tombstone still')
  t.same(await log.areDeleted([{ room_id: room, seq: 2 }, { room_id: room, seq: 3 }]), [true, false])
  await cold.trim(room, head, 12)
  t.same([...await log.deletedAfter(room, 0)], [], 'once its delete is out of the stream, all of it is in the archive only')
})
