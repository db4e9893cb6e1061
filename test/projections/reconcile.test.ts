// The fence: lifted after the log was compared with the archive, and what Redis lost is told loudly [G8].
import t from 'tap'
import { createReconciler, startReconciling } from '../../projections/reconcile.ts'
import { checkRedisPartitions } from '../../src/log/deployment.ts'
import { LogFault } from '../../src/log/log.ts'
import { checkPostgresPartitions } from '../../src/store/deployment.ts'
import { migrate } from '../../src/store/migrate.ts'
import { testServers } from '../dev/servers.ts'
import { until } from '../until.ts'
import { archive, caughtUp, createWorld, history, logger, openWorld, wholeLog } from './feed.ts'
import { branch, projectedAll } from './loss.ts'
import { equal } from './naive.ts'

t.test('a fresh deployment of 128 partitions takes appends at once', async t => {
  const { redisUrl, databaseUrl } = await testServers(t)
  const world = await openWorld({ redisUrl, databaseUrl, partitions: 128 })
  t.teardown(async () => { await world.close() })
  await migrate({ store: world.store, log: logger })
  await t.rejects(world.feed.room(), { code: 'fenced' })
  t.equal((await world.fence.fencedPartitions()).size, 128)
  const began = performance.now()
  t.match(await world.reconciler.reconcile(), { left: [], events_missing: 0, rooms_parted: 0 })
  const took = performance.now() - began
  t.ok(took < 10_000, `in ${took.toFixed(0)} ms`)
  t.comment(`128 partitions reconciled in ${took.toFixed(0)} ms`)
  t.equal((await world.fence.fencedPartitions()).size, 0)
  await world.feed.room()
  t.match(await world.reconciler.reconcile(), { lifted: [], left: [], events_missing: 0, rooms_missing: 0, rooms_parted: 0 }, 'again: nothing to do')
})

t.test('a Redis that restarts is fenced until it is compared, and with all its data nothing is missing', async t => {
  const world = await createWorld(t, { redisArgs: ['--appendonly', 'yes', '--appendfsync', 'always'] })
  const room = await world.feed.room()
  await world.feed.say(room, 20)
  const projector = world.project(archive)
  await caughtUp(world, 'archive_v1', [room])
  await projector.stop()
  await world.feed.say(room, 5) // Redis is ahead of the archive
  await world.redisServer.kill()
  await world.redisServer.restart()
  await until(() => world.redis.status === 'ready')
  await t.rejects(world.feed.say(room, 1), { code: 'fenced' })
  t.match(await world.reconciler.reconcile(), { left: [], events_missing: 0, rooms_missing: 0, rooms_parted: 0 })
  await world.feed.say(room, 1)
})

t.test('a log that lost events, one that has others, and one that is gone are told of and put right, and then the fence is lifted', async t => {
  const world = await createWorld(t)
  const [cut, parted, gone, grown, whole] = await Promise.all(Array.from({ length: 5 }, async () => {
    const room = await world.feed.room({ partition: 1 })
    await world.feed.say(room, 20)
    return room
  })) as [string, string, string, string, string]
  const rooms = [cut, parted, gone, grown, whole]
  const projectors = [archive, history].map(projection => world.project(projection))
  for (const group of ['archive_v1', 'history_v1']) await caughtUp(world, group, rooms)
  await Promise.all(projectors.map(async projector => { await projector.stop() }))
  const before = new Map(await Promise.all(rooms.map(async room => [room, await wholeLog(world.log, room)] as const)))
  const { redis, keys, log } = world
  await redis.xdel(keys.log(cut), ...[16, 17, 18, 19, 20, 21].map(seq => `${seq}-0`))
  await redis.hset(keys.meta(cut), 'seq', 15, 'chain', before.get(cut)![14]!.chain)
  await branch(world, parted, 21, ['other'])
  await redis.del(keys.meta(gone), keys.log(gone))
  await branch(world, grown, 18, ['a', 'b', 'c', 'd', 'e', 'f'])
  await redis.del(keys.epoch(1))

  const lines: Array<Record<string, unknown>> = []
  const loud = createReconciler({ ...world.reconciling, logger: { ...logger, info: () => {}, error: (line: Record<string, unknown>) => { lines.push(line) } } as never })
  const found = { events_missing: 6 + 21, rooms_missing: 2, rooms_parted: 2, events_parted: 1 + 4, rooms_replayed: 2, rooms_holed: 0 }
  t.match(await loud.reconcile(), { lifted: [1], left: [], ...found })
  t.match(lines, [{ partition: 1, ...found }])
  t.same(new Set(lines[0]?.rooms as string[]), new Set([cut, parted, gone, grown]))
  t.equal((await world.metrics.eventsMissing.get()).values[0]?.value, 27)
  t.equal((await world.metrics.frozen.get()).values[0]?.value, 2)
  t.match(await world.reconciler.reconcile(), { lifted: [], rooms_missing: 0, rooms_parted: 0 }, 'again: nothing to do')

  t.same((await redis.hgetall(keys.meta(gone))).cold, '1', 'it is cold')
  for (const room of [cut, gone]) {
    await world.restorer.restore(room)
    equal(t, await wholeLog(log, room), before.get(room), 'what was archived is back under its own seqs')
  }
  const { rows } = await world.store.query('SELECT room_id, seq, chain, event_id FROM events_parted ORDER BY id')
  const lost = [...before.get(parted)!.slice(20), ...before.get(grown)!.slice(17)]
  t.same(new Set(rows.map(row => `${row.seq} ${row.chain} ${row.event_id}`)), new Set(lost.map(event => `${event.seq} ${event.chain} ${event.event_id}`)), 'the other branch is kept aside')
  await world.feed.say(whole, 1)
  await projectedAll(t, world, rooms)
})

t.test('several processes at once lift every fence once, and one that finds the server changed leaves it', async t => {
  const world = await createWorld(t)
  for (let p = 0; p < 8; p++) await world.redis.del(world.keys.epoch(p))
  const results = await Promise.all(Array.from({ length: 4 }, async () => await world.reconciler.reconcile()))
  const lifted = results.flatMap(result => result.lifted)
  t.equal(new Set(lifted).size, 8)
  t.equal((await world.fence.fencedPartitions()).size, 0)

  await world.redis.del(world.keys.epoch(0))
  const changed = createReconciler({ ...world.reconciling, fence: { ...world.fence, fencedPartitions: async () => new Map([[0, 'a replid of yesterday']]) } })
  t.match(await changed.reconcile(), { lifted: [], left: [0] })
  t.ok((await world.fence.fencedPartitions()).has(0))

  const { rows } = await world.store.query("SELECT * FROM pg_locks WHERE locktype = 'advisory'")
  t.same(rows, [], 'no lock is left behind')
})

t.test('a Redis that is flushed while it is compared stays fenced, and everything is looked at again', async t => {
  // FLUSHALL leaves the master_replid as it is: the fence was lifted over rooms that were compared before it and were not there any more.
  const world = await createWorld(t)
  const rooms = await Promise.all(Array.from({ length: 4 }, async () => await world.feed.room({ partition: 2 })))
  const projector = world.project(archive)
  await caughtUp(world, 'archive_v1', rooms)
  await projector.stop()
  await world.fence.raise(2)
  let flushed = false
  const heads: typeof world.log.heads = async ids => {
    const answer = await world.log.heads(ids)
    if (!flushed && ids.includes(rooms[0]!)) {
      flushed = true
      await world.redis.flushall()
    }
    return answer
  }
  const unlucky = createReconciler({ ...world.reconciling, log: { ...world.log, heads } })
  t.match(await unlucky.reconcile(), { lifted: [], left: [2] })
  t.ok((await world.fence.fencedPartitions()).has(2))
  t.match(await world.reconciler.reconcile(), { left: [], rooms_missing: 4 })
  for (const room of rooms) await world.restorer.restore(room)
  t.equal((await world.log.heads(rooms)).heads.size, 4)
})

t.test('the loop lifts fences as they come, and waits out a Redis that is away', async t => {
  const world = await createWorld(t)
  const loop = startReconciling({ reconciler: world.reconciler, everyMs: 100, logger })
  t.teardown(async () => { await loop.stop() })
  const room = await world.feed.room()
  await world.redisServer.kill()
  await world.redisServer.restart()
  await until(async () => await world.feed.room().catch((error: unknown) => {
    if (!(error instanceof LogFault)) throw error
    return undefined
  }), { what: 'appends to be taken again' })
  t.ok(room)
  await world.redis.del(world.keys.epoch(5))
  loop.now()
  await until(async () => (await world.fence.fencedPartitions()).size === 0)
})

t.test('another number of partitions than at the first start is refused in one line', async t => {
  const world = await createWorld(t)
  await checkPostgresPartitions(world.store, 8)
  await checkRedisPartitions(world.redis, 8)
  await checkPostgresPartitions(world.store, 8)
  await checkRedisPartitions(world.redis, 8)
  await t.rejects(checkPostgresPartitions(world.store, 16), { name: 'PostgresUnfit', message: /^The database holds a deployment with 8 partitions, and PARTITIONS is 16\. Set PARTITIONS=8/ })
  await t.rejects(checkRedisPartitions(world.redis, 16), { name: 'RedisUnfit', message: /^Redis holds a deployment with 8 partitions, and PARTITIONS is 16\. Set PARTITIONS=8/ })
})
