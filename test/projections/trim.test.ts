// Trimming and evicting: a hot window stays, the archive has the rest, nothing goes that the archive does not have, and whoever
// is behind reads the archive [G5].
import t, { type Test } from 'tap'
import { keepFrom, startTrimming, type TrimOptions } from '../../projections/trim.ts'
import { readArchive } from '../../src/store/archive.ts'
import { until } from '../until.ts'
import { archive, caughtUp, createWorld, history, logger, wholeLog, type World } from './feed.ts'
import { projectedAll } from './loss.ts'
import { equal, naiveHistory, storedHistory } from './naive.ts'

const WINDOW = { events: 20, eventsMax: 200, ms: 0 }

/** An archive whose progress is told to a trimmer. */
function trimming (t: Test, world: World, more: Partial<TrimOptions> = {}) {
  const trimmer = startTrimming({ store: world.store, cold: world.cold, groups: world.groups, partitions: 8, window: WINDOW, evictMs: 3_600_000, archiveFault: () => null, clock: Date.now, metrics: world.metrics, logger, ...more })
  t.teardown(async () => { await trimmer.stop() })
  return { trimmer, projector: world.project(archive, { onApplied: trimmer.archived }) }
}

const firstOf = async (world: World, room: string): Promise<number> => (await world.log.read(room, 0, 1))[0]?.seq ?? 0

t.test('what stays: the newest by count; older ones while they are young, up to a limit', async t => {
  const window = { events: 100, eventsMax: 1000, ms: 1 }
  t.equal(keepFrom(50, window, 50), 1, 'all of a small room')
  t.equal(keepFrom(500, window, 500), 401, 'when all are old')
  t.equal(keepFrom(500, window, 0), 1, 'when all are young')
  t.equal(keepFrom(5000, window, 0), 4001, 'but no more than so many')
  t.equal(keepFrom(5000, window, 4950), 4901)
  t.equal(keepFrom(5, { events: 0, eventsMax: 0, ms: 0 }, 5), 6, 'nothing at all')
})

t.test('streams are trimmed behind the archive, whether or not other projections are there; those read the archive', async t => {
  const world = await createWorld(t)
  const [big, small] = [await world.feed.room(), await world.feed.room()]
  const { trimmer, projector } = trimming(t, world)
  for (let i = 0; i < 5; i++) await world.feed.say(big, 100)
  await world.feed.say(small, 10)
  const log = await wholeLog(world.log, big)
  await until(async () => await firstOf(world, big) > 300, { what: 'the stream to be trimmed' })
  t.equal(await firstOf(world, small), 1, 'a small room stays')
  t.ok((await wholeLog(world.log, big)).length >= WINDOW.events, 'a window stays')
  await caughtUp(world, 'archive_v1', [big, small])
  equal(t, (await readArchive(world.store, big, 0, 1000)).slice(0, log.length), log, 'the archive has everything')
  await projector.stop()
  await trimmer.stop()
  await projectedAll(t, world, [big, small])
})

t.test('while the archive cannot be written nothing is trimmed, and a metric says so', async t => {
  const world = await createWorld(t)
  const room = await world.feed.room()
  let fault: string | null = 'Postgres is away'
  const { trimmer } = trimming(t, world, { archiveFault: () => fault })
  await world.feed.say(room, 300)
  await caughtUp(world, 'archive_v1', [room])
  const stopped = async (): Promise<number> => (await world.metrics.trimStopped.get()).values[0]!.value
  await until(async () => await stopped() === 1)
  t.equal(await firstOf(world, room), 1)
  fault = null
  await until(async () => await firstOf(world, room) > 1)
  t.equal(await stopped(), 0)
  await trimmer.stop()
})

t.test('a room that is idle is let go of, one that is parked is not, and one with news is not', async t => {
  const world = await createWorld(t)
  const [idle, parked, busy] = [await world.feed.room(), await world.feed.room(), await world.feed.room()]
  for (const room of [idle, parked, busy]) await world.feed.say(room, 30)
  const { projector } = trimming(t, world, { evictMs: 700, evictEveryMs: 300 })
  const live = world.project(history)
  await caughtUp(world, 'archive_v1', [idle, parked, busy])
  await caughtUp(world, 'history_v1', [idle, parked, busy])
  await world.store.query("INSERT INTO parked_rooms (projection, room_id, partition, seq, error, error_code) VALUES ('history_v1', $1, $2, 40, 'a test', 'bug')", [parked, world.keys.partitionOf(parked)])
  const talking = setInterval(() => { void world.feed.say(busy, 1).catch(() => {}) }, 100)
  const coldOf = async (room: string): Promise<string | null> => await world.redis.hget(world.keys.meta(room), 'cold')
  await until(async () => await coldOf(idle) !== null, { what: 'the idle room to be let go of' })
  clearInterval(talking)
  t.equal(await coldOf(parked), null)
  t.equal(await coldOf(busy), null)
  t.ok((await world.metrics.evicted.get()).values[0]!.value >= 1)
  await until(async () => await coldOf(busy) !== null, { what: 'the other to be idle too' })
  await world.store.query('DELETE FROM parked_rooms')
  await Promise.all([projector.stop(), live.stop()])
  await projectedAll(t, world, [idle, parked, busy])
})

t.test('a projection that begins when the room is cold reads the archive', async t => {
  const world = await createWorld(t)
  const room = await world.feed.room()
  await world.feed.say(room, 50)
  const log = await wholeLog(world.log, room)
  const projector = world.project(archive)
  await caughtUp(world, 'archive_v1', [room])
  await projector.stop()
  const { heads } = await world.log.heads([room])
  t.equal(await world.cold.evict(room, heads.get(room)!), true)
  world.project(history)
  await world.store.query("INSERT INTO checkpoints (projection, room_id, partition, seq, chain) VALUES ('history_v1', $1, $2, 0, '0000000000000000')", [room, world.keys.partitionOf(room)])
  await caughtUp(world, 'history_v1', [room])
  equal(t, await storedHistory(world.store), naiveHistory(new Map([[room, log]])), 'the history is the log folded')
  t.equal(await world.redis.hget(world.keys.meta(room), 'cold'), '1', 'and it stays cold')
})
