// What a loss can leave between the log, the archive and the projections: each is told apart from the others, and put right [G8].
import { randomUUID } from 'node:crypto'
import t from 'tap'
import { createApplier } from '../../projections/apply.ts'
import { raiseGeneration } from '../../projections/checkpoint.ts'
import { compareRooms } from '../../projections/compare.ts'
import { foldMarks } from '../../projections/cursors.ts'
import { startReconciling } from '../../projections/reconcile.ts'
import { START } from '../../src/domain/position.ts'
import { createMarkStreams } from '../../src/log/mark-streams.ts'
import { createMarks } from '../../src/log/marks.ts'
import { readArchive } from '../../src/store/archive.ts'
import { until } from '../until.ts'
import { archive, caughtUp, createFeed, createWorld, history, logger, wholeLog, type World } from './feed.ts'
import { projectedAll, remember } from './loss.ts'
import { equal } from './naive.ts'

type Room = Awaited<ReturnType<typeof roomsOf>>[number]

/** Rooms with 20 messages each, archived and in the history. */
async function roomsOf (world: World, count: number) {
  const rooms = await Promise.all(Array.from({ length: count }, async () => {
    const [owner, member] = [randomUUID(), randomUUID()]
    const id = await world.feed.room({ owner })
    await world.feed.join(id, member)
    await world.feed.say(id, 20, member)
    return { id, owner, member }
  }))
  await project(world, rooms)
  return rooms
}

/** Until both projections have everything. */
async function project (world: World, rooms: readonly Room[], projections = [archive, history]): Promise<void> {
  const projectors = projections.map(projection => world.project(projection))
  for (const { name, version } of projections) await caughtUp(world, `${name}_v${version}`, rooms.map(({ id }) => id))
  await Promise.all(projectors.map(async projector => { await projector.stop() }))
}

async function fenceAll ({ fence, keys }: World): Promise<void> {
  for (let p = 0; p < keys.partitions; p++) await fence.raise(p)
}

const statusOf = async (world: World, room: string): Promise<string | undefined> => {
  const { rows } = await world.store.query("SELECT room_id, partition, seq, chain FROM checkpoints WHERE projection = 'archive_v1' AND room_id = $1", [room])
  return (await compareRooms({ db: world.store, log: world.log }, rows))[0]?.status
}

t.test('a history that parted: the log stands; bans, joins and deletes of the other branch are undone', async t => {
  const world = await createWorld(t)
  const [room] = await roomsOf(world, 1) as [Room]
  const { id, owner, member } = room
  await world.feed.put(id, member, [{ type: 'edit', message_seq: 5, content: 'edited' }])
  const kept = await wholeLog(world.log, id) // up to seq 23
  const putBack = await remember(world, id)
  const put = randomUUID()
  await world.feed.put(id, owner, [{ type: 'ban', target: member }, { type: 'join', target: put }, { type: 'delete', message_seq: 5 }, { type: 'delete', message_seq: 6 }])
  const gone = (await wholeLog(world.log, id)).slice(23)
  await project(world, [room])
  t.match((await readArchive(world.store, id, 4, 1))[0]?.data, /"deleted":true/)
  await world.store.query("INSERT INTO inbox_pending (user_id, room_id, seq, event, by) VALUES ($1, $2, 25, 'added', $3), ($1, $2, 20, 'mentioned', $3)", [put, id, owner])

  await putBack()
  const other = createFeed(world)
  await other.say(id, 6, member, 'on the branch that stands')
  t.equal(await statusOf(world, id), 'parted')
  await fenceAll(world)
  t.match(await world.reconciler.reconcile(), { rooms_parted: 1, events_parted: 4, rooms_replayed: 1, rooms_missing: 0, events_missing: 0 })
  equal(t, await readArchive(world.store, id, 0, 100), kept, 'the archive is back at the fork, with the texts that were deleted')
  t.same((await world.store.query('SELECT seq::int, chain, event_id, type FROM events_parted ORDER BY id')).rows.map(({ seq, chain, event_id }) => ({ seq, chain, event_id })), gone.map(({ seq, chain, event_id }) => ({ seq, chain, event_id })))
  t.same((await world.store.query('SELECT seq FROM inbox_pending WHERE room_id = $1', [id])).rows, [{ seq: 20 }], 'nobody is told of what never was')
  t.equal(await statusOf(world, id), undefined)
  await projectedAll(t, world, [id])
})

t.test('where the stream begins behind the fork, it must chain on; else it stands alone, behind a hole', async t => {
  const world = await createWorld(t)
  const [chained, alone] = await roomsOf(world, 2) as [Room, Room]
  const putBack = await Promise.all([chained, alone].map(async ({ id }) => await remember(world, id)))
  for (const { id } of [chained, alone]) await world.feed.say(id, 5, randomUUID(), 'on the branch that is gone')
  await project(world, [chained, alone])
  for (const back of putBack) await back()
  for (const { id } of [chained, alone]) await createFeed(world).say(id, 12, randomUUID(), 'on the branch that stands')
  await world.redis.xtrim(world.keys.log(chained.id), 'MINID', '23-0') // the fork is at 22
  await world.redis.xtrim(world.keys.log(alone.id), 'MINID', '25-0')
  await fenceAll(world)
  t.match(await world.reconciler.reconcile(), { rooms_parted: 2, events_parted: 5 + 27 })
  t.match((await world.store.query("SELECT seq FROM checkpoints WHERE projection = 'archive_v1' AND room_id = $1", [chained.id])).rows, [{ seq: 22 }])
  t.match((await world.store.query("SELECT seq, chain FROM checkpoints WHERE projection = 'archive_v1' AND room_id = $1", [alone.id])).rows, [START])
  t.equal(await statusOf(world, chained.id), undefined)
  const projector = world.project(archive)
  await caughtUp(world, 'archive_v1', [chained.id])
  await until(async () => (await world.store.query("SELECT FROM parked_rooms WHERE room_id = $1 AND error_code = 'hole' AND seq = 1", [alone.id])).rowCount === 1, { what: 'the hole to be seen' })
  await projector.stop()
})

t.test('a projection that applied what neither log nor archive has begins again; one that is only behind goes on', async t => {
  const world = await createWorld(t)
  const [off, behind] = await roomsOf(world, 2) as [Room, Room]
  for (const { id } of [off, behind]) {
    const putBack = await remember(world, id)
    await world.feed.say(id, 5, randomUUID(), 'lost before it was archived')
    if (id === off.id) await project(world, [off], [history])
    await putBack()
  }
  await fenceAll(world)
  t.match(await world.reconciler.reconcile(), { rooms_missing: 0, rooms_parted: 0, rooms_replayed: 1 })
  const at = async (room: Room): Promise<number> => (await world.store.query("SELECT seq FROM checkpoints WHERE projection = 'history_v1' AND room_id = $1", [room.id])).rows[0].seq
  t.same([await at(off), await at(behind)], [0, 22])
  for (const { id } of [off, behind]) await createFeed(world).say(id, 8, randomUUID(), 'instead')
  await projectedAll(t, world, [off.id, behind.id])
})

t.test('what was read of the log before a reconciliation is not applied after it', async t => {
  const world = await createWorld(t)
  const [room] = await roomsOf(world, 1) as [Room]
  const partition = world.keys.partitionOf(room.id)
  const from = (await world.log.heads([room.id])).heads.get(room.id)!
  const putBack = await remember(world, room.id)
  await world.feed.say(room.id, 3, randomUUID(), 'lost')
  const entries = await world.log.read(room.id, from.seq, 10)
  await putBack()
  const { rows: [{ generation }] } = await world.store.query('SELECT generation FROM reconciliations WHERE partition = $1', [partition])
  await raiseGeneration(world.store, partition)
  const applier = createApplier({ projection: archive, store: world.store, logger })
  t.same(await applier.apply([{ room_id: room.id, partition, from, entries, attempts: 0, generation }]), [{ room_id: room.id, status: 'elsewhere' }])
  t.equal((await readArchive(world.store, room.id, from.seq, 10)).length, 0)
  t.match(await applier.apply([{ room_id: room.id, partition, from, entries, attempts: 0, generation: generation + 1 }]), [{ status: 'applied', count: 3 }])
})

t.test('a projector that is alive during it all goes on from where the archive was taken back to', async t => {
  const world = await createWorld(t)
  const rooms = await roomsOf(world, 3)
  for (const projection of [archive, history]) world.project(projection)
  const loop = startReconciling({ reconciler: world.reconciler, everyMs: 200, logger })
  t.teardown(async () => { await loop.stop() })
  for (const { id } of rooms) {
    const putBack = await remember(world, id)
    await world.feed.say(id, 10, randomUUID(), 'on the branch that is gone')
    await caughtUp(world, 'archive_v1', [id])
    await caughtUp(world, 'history_v1', [id])
    await putBack()
  }
  // Without a fence, as when a frozen master wakes: one shorter, one of the same length, one longer than what was archived.
  for (const [i, { id }] of rooms.entries()) await createFeed(world).say(id, [4, 10, 16][i]!, randomUUID(), 'on the branch that stands')
  for (const group of ['archive_v1', 'history_v1']) await caughtUp(world, group, rooms.map(({ id }) => id), 30_000)
  t.equal((await world.store.query('SELECT FROM events_parted')).rowCount, 30)
  await projectedAll(t, world, rooms.map(({ id }) => id))
  t.equal((await world.fence.fencedPartitions()).size, 0)
})

t.test('a key that holds no stream does not keep its partition fenced', async t => {
  const world = await createWorld(t)
  const [bad, good] = await roomsOf(world, 2) as [Room, Room]
  await world.redis.set(world.keys.log(bad.id), 'not a stream')
  await world.redis.hset(world.keys.meta(bad.id), 'seq', 99)
  await world.redis.del(world.keys.meta(good.id))
  await fenceAll(world)
  t.match(await world.reconciler.reconcile(), { left: [], rooms_missing: 1 })
})

t.test('marks beyond the end are taken back to it, in Redis and in Postgres: what comes there now nobody has read', async t => {
  const world = await createWorld(t)
  const { redis, keys, peopleKeys, store } = world
  const [same, lacking, parted, whole] = await roomsOf(world, 4) as [Room, Room, Room, Room]
  const all = [same, lacking, parted, whole]
  const marks = createMarks({ redis, keys, peopleKeys, publisher: { toRoom () {}, toUser () {} }, roomMax: 10, clock: Date.now })
  const putBack = await Promise.all([same, lacking, parted].map(async ({ id }) => await remember(world, id)))
  for (const { id } of [lacking, parted, whole]) await world.feed.say(id, 8, randomUUID(), 'read, and then lost but in one room') // up to seq 30
  const early = (await world.log.at(lacking.id, [26])).get(26)!
  await project(world, [lacking, parted, whole], [archive])
  await world.feed.say(same.id, 8, randomUUID(), 'read, and lost before it was archived')
  await store.query('DELETE FROM events WHERE room_id = $1 AND seq > 26', [lacking.id])
  await store.query("UPDATE checkpoints SET seq = 26, chain = $2 WHERE projection = 'archive_v1' AND room_id = $1", [lacking.id, early.chain])
  const move = async (room: Room, user_id: string, seq: number, more: object = {}): Promise<void> => { await marks.move({ room_id: room.id, user_id, kind: 'read', device: '', seq, member: true, ...more }) }
  for (const room of all) await Promise.all([move(room, room.member, 30), move(room, room.owner, 12), move(room, room.owner, 29, { kind: 'delivered', device: 'phone' })])
  for (const partition of new Set(all.map(({ id }) => keys.partitionOf(id)))) {
    await foldMarks(store, (await createMarkStreams({ redis, peopleKeys }).read([partition], 1000)).get(partition)!)
  }
  for (const back of putBack) await back()
  const other = createFeed(world)
  await other.say(parted.id, 6, parted.member, 'on the branch that stands') // up to seq 28

  await fenceAll(world)
  t.match(await world.reconciler.reconcile(), { rooms_missing: 1, rooms_parted: 1 })
  for (const [room, inRedis, inPostgres] of [[same, 22, 22], [lacking, 26, 26], [parted, 28, 22], [whole, 30, 30]] as const) {
    const fields = await redis.hgetall(peopleKeys.roomMarks(room.id))
    t.same(fields, Object.fromEntries([[`read:${room.member}`, inRedis], [`read:${room.owner}`, 12], [`delivered:${room.owner}`, Math.min(29, inRedis)], [`delivered:${room.owner}:phone`, Math.min(29, inRedis)]].map(([field, seq]) => [field, String(seq)])))
    const { rows } = await store.query<{ user_id: string, kind: string, seq: number }>('SELECT user_id, kind, seq FROM marks WHERE room_id = $1', [room.id])
    t.same(new Map(rows.map(({ user_id, kind, seq }) => [`${kind} ${user_id}`, seq])), new Map([[`read ${room.member}`, inPostgres], [`read ${room.owner}`, 12], [`delivered ${room.owner}`, Math.min(29, inPostgres)]]))
  }
})
