// Projections that follow the archive: they are handed what it commits, and nothing is lost, doubled or reordered by it [G6 G10].
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { retryParked } from '../../projections/park.ts'
import type { Projection } from '../../projections/projection.ts'
import type { Projector } from '../../projections/projector.ts'
import type { Queryable } from '../../src/store/pool.ts'
import { until } from '../until.ts'
import { archive, caughtUp, createWorld, history, wholeLog, type World } from './feed.ts'
import { equal, naiveHistory, storedHistory } from './naive.ts'

/** Writes down each event that it is given, in the order of their coming. */
async function taker (world: World, { fail }: { fail?: (room: string, seq: number) => boolean } = {}): Promise<Projection> {
  await world.store.query('CREATE TABLE IF NOT EXISTS taken (id bigint GENERATED ALWAYS AS IDENTITY, room_id uuid, seq bigint)')
  return {
    name: 'taker',
    version: 1,
    source: 'archive',
    tables: ['taken'],
    async apply (tx, batch) {
      for (const { room_id, events } of batch) {
        for (const { entry: { seq } } of events) {
          if (fail?.(room_id, seq) === true) throw new Error('it cannot take this')
          await tx.query('INSERT INTO taken (room_id, seq) VALUES ($1, $2)', [room_id, seq])
        }
      }
    },
  }
}

async function taken (db: Queryable, room: string): Promise<number[]> {
  const { rows } = await db.query<{ seq: number }>('SELECT seq FROM taken WHERE room_id = $1 ORDER BY id', [room])
  return rows.map(({ seq }) => seq)
}

function lead (world: World, followers: Projector[], more: Parameters<World['project']>[1] = {}): Projector {
  return world.project(archive, { onApplied: rooms => { for (const follower of followers) follower.offer(rooms) }, ...more })
}

const dense = (to: number): number[] => Array.from({ length: to }, (_, i) => i + 1)

async function heads (world: World, rooms: readonly string[]): Promise<number[]> {
  const { heads } = await world.log.heads(rooms)
  return rooms.map(room => heads.get(room)!.seq)
}

async function holds (t: Test, world: World, rooms: readonly string[]): Promise<void> {
  await caughtUp(world, 'taker_v1', rooms, 20_000)
  const ends = await heads(world, rooms)
  for (const [i, room] of rooms.entries()) t.same(await taken(world.store, room), dense(ends[i]!), `room ${i}: each once and in order`)
}

t.test('what was archived before and what is archived meanwhile, in order and once, without a group in Redis', async t => {
  const world = await createWorld(t)
  const rooms = await Promise.all(dense(10).map(async () => await world.feed.room()))
  for (const room of rooms) await world.feed.say(room, 30)
  const followers: Projector[] = []
  const leader = lead(world, followers, { batchEvents: 50 })
  await caughtUp(world, 'archive_v1', rooms.slice(0, 5))
  followers.push(world.project(await taker(world), { follows: leader, batchEvents: 40 }))
  for (let i = 0; i < 20; i++) for (const room of rooms) await world.feed.say(room, 3)
  await holds(t, world, rooms)
  for (const room of rooms) t.same((await world.redis.xinfo('GROUPS', world.keys.log(room)) as string[][]).map(group => group[1]), ['archive_v1'], 'no group of its own')
  t.equal(followers[0]!.progress().partitions, world.keys.partitions, 'it serves the partitions of the archive')
})

t.test('what is handed on waits for no sweep', async t => {
  const world = await createWorld(t)
  const room = await world.feed.room()
  const followers: Projector[] = []
  const leader = lead(world, followers, { sweepMs: 60_000 })
  followers.push(world.project(await taker(world), { follows: leader, sweepMs: 60_000 }))
  await until(() => followers[0]!.progress().swept)
  await world.feed.say(room, 3)
  await caughtUp(world, 'taker_v1', [room], 5000)
  await world.feed.say(room, 3)
  await caughtUp(world, 'taker_v1', [room], 5000)
  await holds(t, world, [room])
})

t.test('more than it may hold is read from the archive later', async t => {
  const world = await createWorld(t)
  const rooms = await Promise.all(dense(3).map(async () => await world.feed.room()))
  for (const room of rooms) await world.feed.say(room, 10)
  const followers: Projector[] = []
  const leader = lead(world, followers, { batchEvents: 5000, sweepMs: 60_000 })
  const state = { slow: true }
  const slow: Projection = {
    ...await taker(world),
    apply: async (tx, batch) => {
      if (state.slow) await sleep(3000)
      const pairs = batch.flatMap(({ room_id, events }) => events.map(({ entry }) => [room_id, entry.seq] as const))
      await tx.query('INSERT INTO taken (room_id, seq) SELECT * FROM unnest($1::uuid[], $2::bigint[])', [pairs.map(([room]) => room), pairs.map(([, seq]) => seq)])
    }
  }
  followers.push(world.project(slow, { follows: leader, batchEvents: 300, sweepMs: 60_000 }))
  await until(() => followers[0]!.progress().swept)
  for (const room of rooms) await world.feed.say(room, 5000)
  await caughtUp(world, 'archive_v1', rooms, 20_000)
  state.slow = false
  await holds(t, world, rooms)
})

t.test('what it cannot apply parks the room for it alone; retried, it goes on in order [G10]', async t => {
  const world = await createWorld(t)
  const [bad, good] = [await world.feed.room(), await world.feed.room()]
  const state = { poisonous: true }
  const followers: Projector[] = []
  const leader = lead(world, followers)
  followers.push(world.project(await taker(world, { fail: (room, seq) => state.poisonous && room === bad && seq === 7 }), { follows: leader }))
  await world.feed.say(bad, 10)
  await world.feed.say(good, 10)
  await holds(t, world, [good])
  await until(() => followers[0]!.progress().parked_rooms === 1)
  await world.feed.say(bad, 5)
  await caughtUp(world, 'archive_v1', [bad, good])
  t.same(await taken(world.store, bad), dense(6), 'everything before it is applied')
  state.poisonous = false
  t.ok(await retryParked(world.store, 'taker_v1', bad))
  await holds(t, world, [bad, good])
})

t.test('a Postgres that crashes takes the end of what was committed with it, and all of it comes back, once and in order', async t => {
  const world = await createWorld(t)
  const rooms = await Promise.all(dense(10).map(async () => await world.feed.room()))
  const followers: Projector[] = []
  const leader = lead(world, followers, { batchEvents: 50, lingerMs: 0 })
  for (const projection of [await taker(world), history]) followers.push(world.project(projection, { follows: leader, batchEvents: 50, lingerMs: 0 }))
  const all = [leader, ...followers]
  for (let round = 0; round < 3; round++) {
    const before = followers.map(({ progress }) => progress().applied)
    for (const room of rooms) await world.feed.say(room, 40)
    await until(() => followers.every(({ progress }, i) => progress().applied > before[i]! + 100), { what: 'the projections to be in the middle of it' })
    await world.postgres.kill() // like those of whoever follows the archive, commits of the tests' Postgres do not wait for the disk
    await until(() => all.every(({ progress }) => progress().fault !== null), { what: 'the projectors to say that something is wrong' })
    await world.postgres.restart()
    await holds(t, world, rooms)
  }
  await caughtUp(world, 'history_v1', rooms, 20_000)
  const logs = new Map(await Promise.all(rooms.map(async room => [room, await wholeLog(world.log, room)] as const)))
  equal(t, await storedHistory(world.store), naiveHistory(logs), 'the history is the log folded')
})

t.test('the archive waits for those that have no room for what it hands on, but not for ever', async t => {
  const world = await createWorld(t)
  const room = await world.feed.room()
  await world.feed.say(room, 30)
  let asked = 0
  world.project(archive, { batchEvents: 10, isAhead: () => { asked++; return true } })
  await caughtUp(world, 'archive_v1', [room], 20_000)
  t.ok(asked > 30, 'it looked again and again after each batch')
})

t.test('two workers, one killed: the other one takes its partitions over, for the archive and what follows it', async t => {
  const world = await createWorld(t)
  const rooms = await Promise.all(dense(12).map(async () => await world.feed.room()))
  const projection = await taker(world)
  const workers = dense(2).map(() => {
    const followers: Projector[] = []
    const owner = `worker-${randomUUID()}`
    const leader = lead(world, followers, { owner, leaseMs: 800 })
    followers.push(world.project(projection, { follows: leader, owner, leaseMs: 800 }))
    return { leader, follower: followers[0]! }
  })
  const [first, second] = workers as [typeof workers[0], typeof workers[0]]
  await until(() => first.follower.progress().partitions > 0 && second.follower.progress().partitions > 0)
  for (const room of rooms) await world.feed.say(room, 20)
  await Promise.all([first.leader.stop(), first.follower.stop()])
  for (const room of rooms) await world.feed.say(room, 20)
  await holds(t, world, rooms)
  await until(() => second.follower.progress().partitions === world.keys.partitions)
})
