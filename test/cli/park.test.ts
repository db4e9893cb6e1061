// A room that a projection cannot go on with, as operators meet it: found, looked into, tried again, and gone on behind the one event,
// on the record. What was skipped stays skipped when the room is replayed.
import { randomUUID } from 'node:crypto'
import t from 'tap'
import { beginAnew } from '../../projections/checkpoint.ts'
import { listParked } from '../../projections/park.ts'
import { NotSkipped, skipEvent } from '../../projections/skip.ts'
import { chainOf } from '../../src/log/chain.ts'
import { listActs } from '../../src/store/operators.ts'
import { readArchive } from '../../src/store/archive.ts'
import { archive, caughtUp, createWorld, history, type World } from '../projections/feed.ts'
import { until } from '../until.ts'
import { run } from './run.ts'

const envOf = (world: { redisUrl: string, databaseUrl: string }): Record<string, string> => ({ REDIS_URL: world.redisUrl, DATABASE_URL: world.databaseUrl, PARTITIONS: '8' })

/** A message that the archive takes and history cannot: it replies to what is no number. */
async function poison (world: World, room: string, seq: number): Promise<string> {
  const id = randomUUID()
  const before = (await world.log.chainsAt(room, [seq - 1])).get(seq - 1)!
  const chain = chainOf(before, id)
  const data = JSON.stringify({ type: 'message', content: 'a secret', reply_to: 'the one above', user_id: '00000000-0000-7000-8000-000000000009', timestamp: '2026-11-20T12:00:00.000Z' })
  await world.redis.xadd(world.keys.log(room), `${seq}-0`, 'id', id, 'chain', chain, 'v', 1, 'data', data)
  await world.redis.hset(world.keys.meta(room), 'seq', seq, 'chain', chain)
  return id
}

const isParked = async (world: World, attempts: number) => await until(async () => (await listParked(world.store)).some(parked => parked.attempts === attempts), { what: `it to be parked ${attempts} times` })

t.test('a poisonous event is looked into, tried again, and skipped by hand', async t => {
  const world = await createWorld(t)
  const env = envOf(world)
  const room = await world.feed.room()
  await world.feed.say(room, 9)
  const id = await poison(world, room, 11)
  await world.feed.say(room, 4)
  t.match(await run(env, 'park', 'list'), { code: 0, out: /^No room is parked\.\n$/ })
  for (const projection of [archive, history]) world.project(projection)
  await isParked(world, 1)

  t.match(await run(env, 'park', 'list'), { code: 0, out: new RegExp(`^history_v1 ${room} at seq 11, 1 attempts, since \\S+Z: 22P02: `) })
  const shown = await run(env, 'park', 'show', 'history_v1', room.toUpperCase())
  t.equal(shown.code, 0)
  t.match(shown.out, new RegExp(`event ${id}: message by 00000000-0000-7000-8000-000000000009 at 2026-11-20T12:00:00.000Z`))
  t.match(shown.out, /5 events wait, this one included; the log ends at seq 15/)
  t.notMatch(shown.out, 'a secret')
  t.match(await run(env, 'park', 'show', 'history_v1', room, '--content'), { code: 0, out: /"content":"a secret"/ })
  t.match(JSON.parse((await run(env, 'park', 'show', '--json', 'history_v1', room)).out), { projection: 'history_v1', seq: 11, event_id: id, error_code: '22P02', attempts: 1, waiting: 5, event: { type: 'message' } })

  t.match(await run(env, 'park', 'retry', 'history_v1', room), { code: 0, out: /^Put back/ })
  await isParked(world, 2)
  t.match(await run(env, 'park', 'skip', 'history_v1', room, '--reason', 'a client of 2019'), { code: 0, out: /^Skipped seq 11 in history_v1, and noted it/ })
  await caughtUp(world, 'history_v1', [room])
  const seqs = async (): Promise<number[]> => (await world.store.query<{ seq: number }>('SELECT seq FROM messages WHERE room_id = $1 ORDER BY seq', [room])).rows.map(({ seq }) => seq)
  t.same(await seqs(), [2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 13, 14, 15], 'all but the one are there')
  t.equal((await readArchive(world.store, room, 10, 1))[0]?.event_id, id, 'it stays in the archive')
  const verified = await run(env, 'verify', '--room', room)
  t.match(verified, { code: 0, out: new RegExp(`skipped: room ${room}: seq 11 \\(event ${id}\\) was skipped in history_v1 by hand on \\S+ by \\S+@\\S+: a client of 2019`) })
  t.match((await listActs(world.store, { limit: 10 })).map(({ action, operator_id, operator, room_id }) => [action, operator_id, /@/.test(operator), room_id]), [['park skip', null, true, room], ['park retry', null, true, room], ['park show content', null, true, room]])

  // All of the room is thrown away and replayed, as after a loss.
  await world.store.transaction(async tx => {
    await history.forget!(tx, [room])
    await beginAnew(tx, 'history_v1', [room])
  })
  await caughtUp(world, 'history_v1', [room])
  t.equal((await seqs()).length, 13, 'what was skipped stays skipped')
  t.same(await listParked(world.store), [])
})

t.test('what is no single event that could be left out is not skipped', async t => {
  const world = await createWorld(t)
  const env = envOf(world)
  const [room, torn] = [await world.feed.room(), await world.feed.room()]
  for (const id of [room, torn]) await world.feed.say(id, 3)
  t.match(await run(env, 'park', 'skip', 'history_v1', room), { code: 1, err: /is not parked in history_v1/ })
  t.match(await run(env, 'park', 'show', 'history_v1', room), { code: 1, err: /is not parked in history_v1/ })
  t.match(await run(env, 'park', 'retry', 'history_v1', room), { code: 1, err: /is not parked in history_v1/ })
  t.match(await run(env, 'park', 'skip', 'archive_v1', room), { code: 1, err: /is not parked at a hole/ })
  await world.redis.xdel(world.keys.log(room), '3-0')
  await world.redis.hset(world.keys.meta(torn), 'chain', 'abcdef0123456789')
  world.project(archive)
  world.project(history)
  await until(async () => (await listParked(world.store)).filter(({ room_id }) => room_id === room).length === 2, { what: 'the hole to be found' })
  await t.rejects(skipEvent(world.store, 'archive_v1', room, { by: 'me' }), NotSkipped)
  t.match(await run(env, 'park', 'skip', 'history_v1', room), { code: 1, err: /at a hole: skip it in archive_v1/ })
  t.match(await run(env, 'park', 'skip', 'archive_v1', room, '--reason', 'an old backup'), { code: 0, out: /^Skipped seq 3 to 3/ })
  await caughtUp(world, 'history_v1', [room])
  t.match((await run(env, 'verify')).out, /seq 3 to 3 were skipped by hand on \S+ by \S+@\S+: an old backup/)
})

t.test('a command line that is wrong is answered with its usage', async t => {
  const room = randomUUID()
  const env = { REDIS_URL: 'redis://127.0.0.1:1', DATABASE_URL: 'postgres://127.0.0.1:1/none' }
  for (const args of [[], ['show'], ['skip', 'history_v1'], ['drop', 'history_v1', room], ['list', 'history_v1'], ['retry', 'history_v1', room, '--content'], ['show', 'history_v1', room, '--reason', 'x'], ['list', '--all']]) {
    t.match(await run(env, 'park', ...args), { code: 2, err: /Usage: millrace park list \| park show/ }, args.join(' '))
  }
  t.match(await run(env, 'park', 'show', 'history', room), { code: 1, err: /history is no projection with its version: such as archive_v1/ })
  t.match(await run(env, 'park', 'show', 'history_v1', 'lobby'), { code: 1, err: /lobby is no ID/ })
  t.match(await run(env, 'park', 'list'), { code: 1, err: /^Postgres at 127\.0\.0\.1:1\/none cannot be used/ })
})
