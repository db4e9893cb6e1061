// The projection `notifications`: one row for each room and batch, whoever is in it; and nothing of what is old.
import t from 'tap'
import { randomUUID } from 'node:crypto'
import { createApplier } from '../../projections/apply.ts'
import { openCheckpoints } from '../../projections/checkpoint.ts'
import { notifications } from '../../projections/notifications.ts'
import { groupOf } from '../../projections/projection.ts'
import { START } from '../../src/domain/position.ts'
import type { LogEvent } from '../../src/log/codec.ts'
import { logEventOf } from '../../src/log/entries.ts'
import type { Queryable } from '../../src/store/pool.ts'
import { createWorld, logger, type World } from './feed.ts'

const log = async (world: World, room: string): Promise<LogEvent[]> => (await world.redis.xrange(world.keys.log(room), '-', '+')).map(logEventOf)

/** In parts, each part twice, as after a commit whose answer was lost. */
async function apply (world: World, room: string, entries: readonly LogEvent[], { part = 10 } = {}): Promise<void> {
  const applier = createApplier({ projection: notifications, store: world.store, logger })
  const partition = world.keys.partitionOf(room)
  await openCheckpoints(world.store, groupOf(notifications), [{ id: room, partition }])
  for (let at = 0; at < entries.length; at += part) {
    const work = [{ room_id: room, partition, from: entries[at - 1] ?? START, entries: entries.slice(at, at + part), attempts: 0 }]
    for (const wanted of ['applied', 'elsewhere']) for (const { status } of await applier.apply(work)) if (status !== wanted) throw new Error(`${status}, not ${wanted}`)
  }
}

const rows = async ({ store }: World, room: string) => (await store.query('SELECT first_seq, last_seq FROM notification_rooms WHERE room_id = $1', [room])).rows

const world = await createWorld(t)
await world.store.query("UPDATE notification_start SET started_at = '2020-01-01'")
// The feed's clock is its own: what it stamps is made young.
const young = (entries: LogEvent[]): LogEvent[] => entries.map(entry => ({ ...entry, data: entry.data.replace(/"timestamp":"[^"]*"/, `"timestamp":"${new Date().toISOString()}"`) }))

t.test('a room waits from its first message to its last, in batches of any size', async t => {
  for (const part of [1, 7, 100]) {
    const room = await world.feed.room()
    await world.feed.join(room, randomUUID())
    await world.feed.say(room, 30)
    await apply(world, room, young(await log(world, room)), { part })
    t.same(await rows(world, room), [{ first_seq: 3, last_seq: 32 }])
  }
})

t.test('what is no message, and what was deleted, notifies nobody', async t => {
  const [room, ann] = [await world.feed.room(), randomUUID()]
  await world.feed.put(room, ann, [{ type: 'join' }, { type: 'message', content: 'x' }, { type: 'delete', message_seq: 3 }, { type: 'join', target: randomUUID() }])
  const entries = young(await log(world, room)).map(entry => entry.seq === 3 ? { ...entry, data: JSON.stringify({ ...JSON.parse(entry.data), content: '', deleted: true }) } : entry)
  await apply(world, room, entries)
  t.same(await rows(world, room), [])
})

t.test('a message costs one row, in a room of two and of ten thousand', async t => {
  const costs: Array<{ statements: number, rows: number }> = []
  for (const members of [2, 10_000]) {
    const room = await world.feed.room()
    await world.store.query("INSERT INTO members (room_id, user_id, role, joined_seq) SELECT $1, gen_random_uuid(), 'member', 1 FROM generate_series(1, $2)", [room, members])
    await world.feed.say(room, 1)
    const entries = young(await log(world, room)).map(entry => ({ entry, event: JSON.parse(entry.data) }))
    const cost = { statements: 0, rows: 0 }
    const counting = { query: async (...args: Parameters<Queryable['query']>) => { const result = await (world.store.query as (...args: unknown[]) => Promise<{ rowCount: number }>)(...args); cost.statements++; cost.rows += result.rowCount; return result } }
    await notifications.apply(counting as never, [{ room_id: room, partition: 0, events: entries }])
    costs.push(cost)
  }
  t.same(costs, [{ statements: 1, rows: 1 }, { statements: 1, rows: 1 }])
})

t.test('nothing from before the first start notifies anybody, nor what is older than a day', async t => {
  const room = await world.feed.room()
  await world.feed.say(room, 3)
  const entries = await log(world, room)
  const aged = (ms: number) => entries.map(entry => ({ ...entry, data: entry.data.replace(/"timestamp":"[^"]*"/, `"timestamp":"${new Date(Date.now() - ms).toISOString()}"`) }))
  await apply(world, room, aged(25 * 3_600_000))
  t.same(await rows(world, room), [])
  await world.store.query('UPDATE notification_start SET started_at = now()')
  const other = await world.feed.room()
  await world.feed.say(other, 3)
  await apply(world, other, aged(3_600_000).map((entry, i) => ({ ...entry, seq: i + 1 })))
  t.same(await rows(world, other), [])
  await world.store.query("UPDATE notification_start SET started_at = '2020-01-01'")
})

t.test('a room that is replayed waits again, and what was sent is not forgotten', async t => {
  const room = await world.feed.room()
  await world.feed.say(room, 3)
  const entries = young(await log(world, room))
  await apply(world, room, entries)
  await world.store.query("INSERT INTO users (id, username, username_key, display_name, kind, created_at) VALUES ($1, 'x', 'x', 'x', 'guest', now())", [room])
  await world.store.query("INSERT INTO notified (user_id, room_id, seq, chain, newest) VALUES ($1, $1, 4, 'x', now())", [room])
  await notifications.forget!(world.store, [room])
  t.same(await rows(world, room), [])
  t.equal((await world.store.query('SELECT FROM notified WHERE room_id = $1', [room])).rowCount, 1)
  t.equal(notifications.rebuildable, false)
})

t.test('every table and column is commented', async t => {
  const tables = [...notifications.tables, 'notification_start', 'notification_settings', 'vapid_keys', 'push_subscriptions', 'webhooks', 'notified', 'notifications', 'retention']
  const { rows } = await world.store.query(`
    SELECT c.relname || coalesce('.' || a.attname, '') AS name
      FROM pg_class c
      LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
     WHERE c.relkind IN ('r', 'p')
       AND c.relname = ANY ($1)
       AND (obj_description(c.oid) IS NULL OR col_description(c.oid, a.attnum) IS NULL)`, [tables])
  t.same(rows, [])
})
