// The projector against everything that can be killed, lost or deleted beneath it: nothing is lost, doubled or reordered [G6].
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { readArchive } from '../../src/store/archive.ts'
import { until } from '../until.ts'
import { archive, caughtUp, createWorld, history, NO_BELLS, wholeLog, type World } from './feed.ts'
import { equal, naiveHistory, storedHistory } from './naive.ts'

/** Every room's archive is its stream, byte for byte, and the history is what a naïve fold of it gives. */
async function holds (t: Test, world: World, rooms: readonly string[]): Promise<void> {
  await caughtUp(world, 'archive_v1', rooms, 20000)
  await caughtUp(world, 'history_v1', rooms, 20000)
  const logs = new Map(await Promise.all(rooms.map(async room => [room, await wholeLog(world.log, room)] as const)))
  for (const [room, log] of logs) equal(t, await readArchive(world.store, room, 0, 1_000_000), log, 'the archive is the log')
  equal(t, await storedHistory(world.store), naiveHistory(logs), 'the history is the log folded')
  t.same((await world.store.query('SELECT * FROM parked_rooms')).rows, [], 'nothing is parked')
}

async function rooms (world: World, count: number, messages: number): Promise<string[]> {
  return await Promise.all(Array.from({ length: count }, async () => {
    const room = await world.feed.room()
    await world.feed.say(room, messages)
    return room
  }))
}

/** Says something in every room, again and again, until it is stopped. */
function feedOn (world: World, rooms: readonly string[]): { stop: () => Promise<void> } {
  const state = { on: true }
  const done = (async () => {
    while (state.on) {
      await Promise.all(rooms.map(async room => { await world.feed.say(room, 3) }))
      await sleep(50) // no faster than a busy machine projects it
    }
  })()
  return { async stop () { state.on = false; await done } }
}

t.test('what was there before and what is appended meanwhile is applied, in order and once', async t => {
  const world = await createWorld(t)
  const all = await rooms(world, 12, 130)
  world.project(archive, { batchEvents: 70 })
  world.project(history)
  await caughtUp(world, 'history_v1', all)
  for (const [i, room] of all.entries()) {
    await world.feed.join(room, '00000000-0000-7000-8000-000000000001')
    await world.feed.say(room, i * 3)
    await world.feed.leave(room, '00000000-0000-7000-8000-000000000001')
  }
  await holds(t, world, all)
})

t.test('a bell is answered at once, and Redis keeps no list of what was read', async t => {
  const world = await createWorld(t)
  const [room] = await rooms(world, 1, 5) as [string]
  world.project(archive, { sweepMs: 60_000 })
  await caughtUp(world, 'archive_v1', [room])
  const began = performance.now()
  await world.feed.say(room, 1)
  await caughtUp(world, 'archive_v1', [room])
  t.ok(performance.now() - began < 15_000)
  t.equal((await world.redis.xpending(world.keys.log(room), 'archive_v1') as [number])[0], 0)
})

t.test('a projector process that is killed with SIGKILL again and again loses, doubles and reorders nothing', async t => {
  const world = await createWorld(t, { partitions: 16 })
  const children: ChildProcess[] = []
  t.teardown(() => { for (const child of children) child.kill('SIGKILL') })
  const start = async (): Promise<ChildProcess> => {
    const child = spawn(process.execPath, [fileURLToPath(new URL('worker.ts', import.meta.url))], {
      env: { ...process.env, TEST_REDIS: world.redisUrl, TEST_DATABASE: world.databaseUrl, TEST_PARTITIONS: '16' },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    children.push(child)
    await once(child.stdout!, 'data')
    return child
  }
  const all = await rooms(world, 20, 100)
  const fed = feedOn(world, all)
  let archived = 0
  for (let kill = 0; kill < 4; kill++) {
    const child = await start()
    const before = archived
    // Killed in the middle of its work: it has done something, and there is more to do.
    await until(async () => (archived = (await world.store.query('SELECT count(*) AS n FROM events')).rows[0].n) > before + 200, { what: 'some progress' })
    child.kill('SIGKILL')
    await once(child, 'exit')
  }
  await fed.stop()
  const last = await start()
  await holds(t, world, all)
  last.kill('SIGTERM')
  const [code] = await once(last, 'exit')
  t.equal(code, 0, 'SIGTERM ends it properly')
  t.same((await world.store.query('SELECT * FROM leases WHERE owner LIKE $1', [`worker-${last.pid}-%`])).rows, [], 'and its leases are given up')
})

t.test('two workers that serve the same partitions at the same time do no harm', async t => {
  const world = await createWorld(t)
  const all = await rooms(world, 8, 50)
  // Each believes that it is alone: leases of different names, as after a pause longer than the lease.
  const alone = { ...archive, apply: archive.apply }
  const workers = ['a', 'b'].map(name => {
    const store = {
      ...world.store,
      query: ((...args: [string | { text: string }, unknown[]?]) => {
        const [first, values] = args
        return typeof first === 'string' && /\b(leases|workers)\b/.test(first)
          ? world.store.query(first, (values ?? []).map(value => value === 'archive_v1' ? `archive_v1_${name}` : value))
          : (world.store.query as (...args: unknown[]) => unknown)(...args)
      }) as typeof world.store.query
    }
    return world.project(alone, { store, batchEvents: 40, lingerMs: 0 })
  })
  world.project(history)
  await until(() => workers.every(worker => worker.progress().partitions === 8), { what: 'both to serve everything' })
  for (let round = 0; round < 20; round++) await Promise.all(all.map(async room => { await world.feed.say(room, 10) }))
  await holds(t, world, all)
})

t.test('partitions move to a new worker and back without a loss', async t => {
  const world = await createWorld(t)
  const all = await rooms(world, 16, 30)
  const first = world.project(archive)
  world.project(history)
  await until(() => first.progress().partitions === 8)
  const fed = feedOn(world, all)
  const second = world.project(archive)
  await until(() => first.progress().partitions === 4 && second.progress().partitions === 4, { what: 'the partitions to be divided' })
  await until(() => second.progress().applied > 0, { what: 'the second to do its share' })
  await first.stop()
  await until(() => second.progress().partitions === 8, { what: 'the second to take over' })
  await fed.stop()
  await holds(t, world, all)
})

t.test('with every bell lost, a sweep finds what came', async t => {
  const world = await createWorld(t)
  for (const projection of [archive, history]) world.project(projection, { bells: NO_BELLS })
  const all = await rooms(world, 5, 20)
  await holds(t, world, all)
  for (const room of all) await world.feed.say(room, 3)
  await holds(t, world, all)
})

t.test('with entries of `active` lost and the bells too, a sweep finds known and new rooms', async t => {
  const world = await createWorld(t)
  const old = await rooms(world, 5, 20)
  for (const projection of [archive, history]) world.project(projection, { bells: NO_BELLS })
  await holds(t, world, old)
  for (const room of old) await world.feed.say(room, 3)
  const fresh = await world.feed.room()
  for (let p = 0; p < 8; p++) await world.redis.del(world.keys.active(p))
  await holds(t, world, [...old, fresh])
})

t.test('a group that is gone is made again at its checkpoint, and other rooms go on', async t => {
  const world = await createWorld(t)
  const all = await rooms(world, 6, 20)
  for (const projection of [archive, history]) world.project(projection)
  await holds(t, world, all)
  for (const room of all.slice(0, 3)) await world.redis.xgroup('DESTROY', world.keys.log(room), 'archive_v1')
  for (const room of all) await world.feed.say(room, 10)
  await holds(t, world, all)
})

t.test('entries that another consumer took and never applied are fetched, and it is dropped with what it has pending', async t => {
  const world = await createWorld(t)
  const [room] = await rooms(world, 1, 10) as [string]
  for (const projection of [archive, history]) world.project(projection, { bells: NO_BELLS, sweepMs: 1000 })
  await holds(t, world, [room])
  await world.feed.say(room, 10)
  await world.redis.xreadgroup('GROUP', 'archive_v1', 'a thief', 'COUNT', 7, 'STREAMS', world.keys.log(room), '>')
  t.equal((await world.redis.xpending(world.keys.log(room), 'archive_v1') as [number])[0], 7)
  await holds(t, world, [room])
  await world.feed.say(room, 1)
  await holds(t, world, [room])
  t.equal((await world.redis.xpending(world.keys.log(room), 'archive_v1') as [number])[0], 0)
})

t.test('a Postgres that is killed and comes back in the middle costs nothing but time', async t => {
  const world = await createWorld(t)
  const all = await rooms(world, 10, 100)
  const projectors = [archive, history].map(projection => world.project(projection, { batchEvents: 50, lingerMs: 0 }))
  const fed = feedOn(world, all)
  await until(() => projectors.every(({ progress }) => progress().applied > 300))
  await world.postgres.kill() // which also loses what it committed in the last half second: the tests' Postgres does not wait for the disk
  await until(() => projectors.every(({ progress }) => progress().fault !== null), { what: 'the projectors to say that something is wrong' })
  await world.postgres.restart()
  await fed.stop()
  await holds(t, world, all)
  t.same(projectors.map(({ progress }) => progress().fault), [null, null])
})

t.test('a Redis that is frozen for longer than its commands may take costs nothing but time', async t => {
  const world = await createWorld(t)
  const all = await rooms(world, 10, 200)
  const projectors = [archive, history].map(projection => world.project(projection, { batchEvents: 50, lingerMs: 0 }))
  await until(() => projectors.some(({ progress }) => progress().applied > 100))
  world.redisServer.freeze()
  await until(() => projectors.some(({ progress }) => progress().fault !== null), { what: 'a fault' })
  world.redisServer.thaw()
  await until(() => world.redis.status === 'ready')
  for (const room of all) await world.feed.say(room, 5)
  await holds(t, world, all)
})
