import t from 'tap'
import { archive } from '../../projections/archive.ts'
import { history } from '../../projections/history.ts'
import { startLagWatch } from '../../projections/lag-watch.ts'
import { createMarkStreams } from '../../src/log/mark-streams.ts'
import { createPeopleKeys } from '../../src/log/people-keys.ts'
import { createMetrics } from '../../src/telemetry/metrics.ts'
import { createWorld, logger } from '../projections/feed.ts'
import { until } from '../until.ts'

const EVERY_MS = 50

/** A watch as a process without a projector has it, whose clock the test may put forward. */
async function watched (t: Parameters<typeof createWorld>[0]) {
  const world = await createWorld(t)
  const { store, log, groups, keys, redis } = world
  const peopleKeys = createPeopleKeys(keys)
  const begin = () => {
    const metrics = createMetrics('gateway')
    const clock = { aheadMs: 0 }
    const watch = startLagWatch({ store, log, groups, marks: createMarkStreams({ redis, peopleKeys }), partitions: keys.partitions, projections: [archive, history], everyMs: EVERY_MS, clock: () => Date.now() + clock.aheadMs, metrics, logger })
    t.teardown(async () => { await watch.stop() })
    const of = async (metric: 'projectionLag' | 'projectionLagSeconds' | 'projectionWorkers' | 'parked', projection: string): Promise<number | undefined> => (await metrics[metric].get()).values.find(({ labels }) => labels.projection === projection)?.value
    return {
      clock,
      of,
      unknown: async () => (await metrics.lagUnknown.get()).values[0]?.value,
      /** Resolves when the metric is that. */
      is: async (metric: Parameters<typeof of>[0], projection: string, value: number | ((value: number) => boolean)) => await until(async () => {
        const now = await of(metric, projection)
        return typeof value === 'number' ? now === value : now !== undefined && value(now)
      }, { what: `${metric} of ${projection}: ${String(value)}` }),
    }
  }
  return { ...world, peopleKeys, begin }
}

t.test('lag is the age of the oldest event not applied, grows while nobody applies it, and is 0 when all is', async t => {
  const world = await watched(t)
  const rooms = [await world.feed.room({ partition: 1 }), await world.feed.room({ partition: 5 })]
  for (const room of rooms) await world.feed.say(room, 20)
  const { rows: [head] } = { rows: [await world.log.heads(rooms)] }
  const total = [...head!.heads.values()].reduce((sum, { seq }) => sum + seq, 0)
  const watch = world.begin()
  await watch.is('projectionLag', 'history_v1', total)
  t.equal(await watch.of('projectionWorkers', 'history_v1'), 0, 'nobody is there')
  const first = Date.parse(JSON.parse((await world.log.read(rooms[0]!, 0, 1))[0]!.data).timestamp)
  const second = Date.parse(JSON.parse((await world.log.read(rooms[1]!, 0, 1))[0]!.data).timestamp)
  const age = () => (Date.now() + watch.clock.aheadMs - Math.min(first, second)) / 1000
  await watch.is('projectionLagSeconds', 'history_v1', value => Math.abs(value - age()) < 1)
  watch.clock.aheadMs = 600_000
  await watch.is('projectionLagSeconds', 'history_v1', value => Math.abs(value - age()) < 1)

  const projector = world.project(archive)
  await watch.is('projectionLag', 'archive_v1', 0)
  t.equal(await watch.of('projectionLagSeconds', 'archive_v1'), 0)
  await watch.is('projectionWorkers', 'archive_v1', 1)
  t.equal(await watch.of('projectionLag', 'history_v1'), total, 'the other one still stands')
  await projector.stop()
  await watch.is('projectionWorkers', 'archive_v1', 0)

  await world.feed.say(rooms[0]!, 3)
  await watch.is('projectionLag', 'archive_v1', 3)
  const later = world.begin()
  await later.is('projectionLag', 'archive_v1', 3)
  await later.is('projectionLag', 'history_v1', total + 3)
})

t.test('what is trimmed from the stream is dated from the archive', async t => {
  const world = await watched(t)
  const room = await world.feed.room({ partition: 2 })
  await world.feed.say(room, 30)
  world.project(archive)
  const watch = world.begin()
  await watch.is('projectionLag', 'archive_v1', 0)
  const oldest = Date.parse(JSON.parse((await world.log.read(room, 0, 1))[0]!.data).timestamp)
  await world.redis.xtrim(world.keys.log(room), 'MAXLEN', 5)
  const again = world.begin()
  await again.is('projectionLagSeconds', 'history_v1', value => Math.abs(value - (Date.now() - oldest) / 1000) < 1)
})

t.test('a parked room is behind, and is counted', async t => {
  const world = await watched(t)
  const [bad, good] = [await world.feed.room({ partition: 3 }), await world.feed.room({ partition: 3 })]
  await world.feed.say(good, 10)
  await world.feed.say(bad, 10, undefined, 'poison')
  world.project({
    ...history,
    async apply (tx, batch) {
      if (batch.some(({ events }) => events.some(({ event }) => event.type === 'message' && event.content.includes('poison')))) throw new TypeError('poisoned')
      await history.apply(tx, batch)
    },
  })
  world.project(archive)
  const watch = world.begin()
  await watch.is('parked', 'history_v1', 1)
  await watch.is('projectionLag', 'history_v1', 10)
  await watch.is('projectionLagSeconds', 'history_v1', value => value > 0)
  t.equal(await watch.of('parked', 'archive_v1'), 0)
  await watch.is('projectionLag', 'archive_v1', 0)
})

t.test('while Postgres is away the lag grows from when something was appended, and not before', async t => {
  const world = await watched(t)
  const room = await world.feed.room({ partition: 4 })
  world.project(archive)
  const watch = world.begin()
  await watch.is('projectionLag', 'archive_v1', 0)
  await world.postgres.kill()
  await until(async () => await watch.unknown() === 1, { what: 'it to be said that nothing is known' })
  watch.clock.aheadMs = 60_000
  t.equal(await watch.of('projectionLagSeconds', 'archive_v1'), 0, 'nothing was appended')
  await world.feed.say(room, 1)
  await watch.is('projectionLagSeconds', 'archive_v1', value => value > 0)
  watch.clock.aheadMs = 300_000
  await watch.is('projectionLagSeconds', 'archive_v1', value => value > 200)
  await world.postgres.restart()
  await until(async () => await watch.unknown() === 0, { what: 'it to be known again' })
  await watch.is('projectionLagSeconds', 'archive_v1', 0)
})

t.test('marks and news for inboxes that wait are counted too', async t => {
  const world = await watched(t)
  const watch = world.begin()
  await watch.is('projectionLag', 'cursors_v1', 0)
  await world.redis.xadd(world.peopleKeys.marks(1), '*', 'room', 'r', 'user', 'u', 'device', '', 'kind', 'read', 'seq', '1')
  await watch.is('projectionLag', 'cursors_v1', 1)
  const id = '019abc00-0000-7000-8000-000000000001'
  await world.store.query("INSERT INTO inbox_pending (user_id, room_id, seq, event, by, created_at) VALUES ($1, $1, 1, 'added', $1, now() - interval '1 minute')", [id])
  await watch.is('projectionLag', 'inbox', 1)
  await watch.is('projectionLagSeconds', 'inbox', value => value > 59)
})
