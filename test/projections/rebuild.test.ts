// Rebuilding a projection while everything goes on: what comes of it is what was there, row by row; whoever reads meanwhile never waits
// and never goes back in time; and it goes on from wherever it is cut off [G6].
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { eraseOld } from '../../projections/erase.ts'
import { mentions } from '../../projections/mentions.ts'
import { groupOf, type Projection } from '../../projections/projection.ts'
import { listHalfDone } from '../../projections/rebuild.ts'
import { search } from '../../projections/search.ts'
import { skipEvent } from '../../projections/skip.ts'
import { rebuildCommand } from '../../src/cli/rebuild.ts'
import { loadConfig } from '../../src/config.ts'
import { chainOf } from '../../src/log/chain.ts'
import { decodeEvent } from '../../src/log/codec.ts'
import { messagePage } from '../../src/store/history.ts'
import { asReader } from '../../src/store/reader.ts'
import { dropRetired, listRetired } from '../../src/store/retired.ts'
import { until } from '../until.ts'
import { archive, caughtUp, createWorld, history, wholeLog } from './feed.ts'
import { equal, naiveHistory, storedHistory } from './naive.ts'
import { createRooms, dressOf, fillSome, HOUR_MS, readAllTheTime, REBUILT, rebuilt, run, same, USERS } from './rebuilding.ts'

for (const projection of REBUILT) {
  t.test(`${projection.name} is rebuilt under load: row by row what it was, and nobody who reads waits or goes back in time`, async t => {
    const world = await createWorld(t)
    const scene = await createRooms(world, 8, 40)
    const group = groupOf(projection)
    for (const one of new Set([archive, history, projection])) world.project(one)
    for (const one of ['archive_v1', group]) await caughtUp(world, one, scene.rooms)
    const first = await rebuilt(world, projection)
    await same(t, world, projection, first!.retired, 'the live ones and those from the archive')

    const stopReading = readAllTheTime(world, scene.rooms[0]!, projection)
    const stopGoingOn = scene.goOn()
    await sleep(100)
    const second = await rebuilt(world, projection, { throttle: 500 })
    t.ok(second!.events > first!.events, 'events came while it was rebuilt')
    await sleep(500)
    await stopGoingOn()
    const seen = await stopReading()
    t.same(seen.back, [], 'nothing went back in time')
    t.ok(seen.longestMs < 5_000, `the slowest of ${seen.reads} reads took ${seen.longestMs.toFixed(0)} ms`)
    for (const one of ['archive_v1', 'history_v1', group]) await caughtUp(world, one, scene.rooms)
    const third = await rebuilt(world, projection)
    await same(t, world, projection, third!.retired, 'those rebuilt under load and gone on with, and those from the archive')
    if (projection === history) equal(t, await storedHistory(world.store), naiveHistory(new Map([...await scene.logs()].sort(([a], [b]) => a < b ? -1 : 1))), 'a naïve fold')
    t.same((await world.store.query('SELECT DISTINCT projection FROM checkpoints ORDER BY 1')).rows.map(row => row.projection), [...new Set(['archive_v1', 'history_v1', group])].sort(), 'nothing of it is left')
    t.equal((await listRetired(world.store)).length, 3)
    t.same(await dropRetired(world.store, () => Date.now() + HOUR_MS - 60_000), { dropped: [], kept: [] }, 'not before their time')
    t.same((await dropRetired(world.store, () => Date.now() + HOUR_MS + 1000)).dropped, [first, second, third].map(one => one!.retired))
    t.same((await world.store.query("SELECT nspname FROM pg_namespace WHERE nspname ~ '^(rebuild|retired)_'")).rows, [])
  })
}

// It came back until the job of the next hour.
t.test('what is erased while a read model is rebuilt does not come back with the new tables', async t => {
  for (const projection of [history, search, mentions]) {
    const world = await createWorld(t)
    const [ann, bob] = USERS as [string, string]
    const rooms = await Promise.all([1, 2, 3].map(async () => await world.feed.room({ owner: ann })))
    for (let i = 0; i < 30; i++) {
      for (const room of rooms) {
        const seq = (await world.log.heads([room])).heads.get(room)!.seq + 1
        await world.feed.put(room, ann, [{ type: 'message', content: `secret ${i}`, mentions: [bob] }, { type: 'reaction', message_seq: seq, emoji: '👍', added: true }])
        if (i % 3 === 0) await world.feed.put(room, ann, [{ type: 'edit', message_seq: seq, content: `another secret ${i}`, mentions_room: true }])
        if (i % 7 === 0) await world.feed.put(room, ann, [{ type: 'delete', message_seq: seq }])
      }
    }
    const projectors = [archive, history, search, mentions].map(one => world.project(one))
    for (const one of [archive, history, search, mentions]) await caughtUp(world, groupOf(one), rooms)
    const logs = await Promise.all(rooms.map(async room => await wholeLog(world.log, room)))
    const times = logs.flat().map(({ data }) => JSON.parse(data).timestamp as string).sort()
    const erase = async (share: number) => await eraseOld(world, { days: 1, now: new Date(Date.parse(times[Math.floor(times.length * share)]!) + 24 * HOUR_MS) }, new AbortController().signal)
    await erase(0.2) // before it begins
    await fillSome(t, world, projection)
    t.ok((await erase(0.6)).events > 0, 'while it is filled')
    await Promise.all(projectors.map(async projector => { await projector.stop() }))
    const { retired } = (await rebuilt(world, projection))!
    await same(t, world, projection, retired, 'the live ones, and those that had read it before')
  }
})

t.test('killed in the middle it goes on from there, and only one rebuilds at a time', async t => {
  const world = await createWorld(t)
  const scene = await createRooms(world, 8, 150)
  for (const one of [archive, history]) world.project(one)
  for (const group of ['archive_v1', 'history_v1']) await caughtUp(world, group, scene.rooms)
  const half = async (): Promise<number> => (await listHalfDone(world.store))[0]?.done ?? 0
  // A room of many events, so that there is more than one batch.
  await world.feed.say(scene.rooms[0]!, 9000)
  for (const group of ['archive_v1', 'history_v1']) await caughtUp(world, group, scene.rooms)

  const first = run(world, 'history', '--throttle', '1000')
  await until(async () => await half() > 0, { what: 'a first batch' })
  const other = await run(world, 'history').done
  t.match(other, { code: 1, err: 'Somebody else is rebuilding history.\n' })
  first.child.kill('SIGKILL')
  await first.done
  const done = await half()
  t.ok(done > 0 && done < 9000, `${done} events were in`)
  t.match((await run(world).done).out, /^archive: version 1, since .*; not to be rebuilt\nhistory: version 1, [^]*^half done: history, version 1, .* of [\d,]+ events/m)

  const stopped = run(world, 'history', '--throttle', '1000')
  await until(async () => await half() > done, { what: 'another batch' })
  stopped.child.kill('SIGINT')
  t.match(await stopped.done, { code: 130, out: 'Interrupted: npx millrace rebuild history goes on from here.\n', err: /Going on with what was begun at/ })

  const finished = await run(world, 'history', '--grace', '0s').done
  t.match(finished, { code: 0, out: /history is served from new tables, version 1: ([\d,]+) events/, err: /Going on with what was begun at/ })
  t.ok(Number(/: ([\d,]+) events/.exec(finished.out)![1]!.replaceAll(',', '')) <= 9000, 'what was in was not filled again')
  const [retired] = await listRetired(world.store)
  await same(t, world, history, retired!.schema, 'row by row')
  t.match((await run(world).done).out, /retired: retired_history_\d+, of history version 1, dropped after/)
})

t.test('the command line is checked', async t => {
  const config = loadConfig({ DATA_DIR: '/nowhere' })
  for (const [args, message] of [
    [['history', '--grace', '1w'], /--grace takes a time like/],
    [['history', '--throttle', 'fast'], /--throttle takes events per second/],
    [['history', '--loud'], /loud/],
    [['history', 'search'], /One projection at a time/],
    [['--restart'], /Say which projection/],
    [['herstory'], /There is no projection "herstory"; there are history, mentions, search/],
  ] as const) await t.rejects(rebuildCommand([...args], config), { name: 'UsageError', message })
  await t.rejects(rebuildCommand(['archive'], config), { name: 'CommandFailed', message: /^archive is not to be rebuilt/ })
  await t.rejects(rebuildCommand(['history'], config), { name: 'CommandFailed', message: /No running Millrace was found/ })
})

t.test('what was half done begins again where it does not stand any more, or when that is asked for', async t => {
  const world = await createWorld(t)
  const scene = await createRooms(world, 6, 80)
  for (const one of [archive, history]) world.project(one)
  for (const group of ['archive_v1', 'history_v1']) await caughtUp(world, group, scene.rooms)
  const said: string[] = []
  const say = (line: string): void => { said.push(line) }

  await fillSome(t, world, history)
  // Of a history that has parted since: applied, and not in the archive.
  await world.store.query("UPDATE checkpoints SET chain = 'ffffffffffffffff', seq = seq - 1 WHERE projection = 'history_rebuild_v1' AND room_id = $1", [scene.rooms[0]])
  await world.store.query("UPDATE checkpoints SET chain = 'ffffffffffffffff', seq = seq + 7 WHERE projection = 'history_rebuild_v1' AND room_id = $1", [scene.rooms[1]])
  await world.store.query("UPDATE rebuild_history.messages SET content = 'what nobody said' WHERE room_id = ANY ($1)", [scene.rooms.slice(0, 2)])
  const first = await rebuilt(world, history, { say })
  t.match(said[0], /^Going on with/)
  await same(t, world, history, first!.retired, 'rooms that parted')

  await fillSome(t, world, history)
  await world.store.query('ALTER TABLE pins ADD COLUMN why text')
  t.match(await rebuilt(world, history, { say }), { parked: 0 })
  t.match(said.filter(line => /thrown away/.test(line)), [/the live tables were altered since/])
  t.equal((await world.store.query("SELECT count(*) AS n FROM information_schema.columns WHERE table_schema = 'public' AND table_name = 'pins' AND column_name = 'why'")).rows[0].n, 1)

  await fillSome(t, world, history)
  await world.store.query("UPDATE rebuild_history.messages SET content = 'what nobody said'")
  const last = await rebuilt(world, history, { say, restart: true })
  t.match(said.filter(line => /thrown away/.test(line)), [/altered/, /as asked for/])
  await same(t, world, history, last!.retired, 'asked for')
})

t.test('a room that cannot be applied holds the switch up, unless it stands there in the live tables too', async t => {
  const world = await createWorld(t)
  const [bad, good] = [await world.feed.room(), await world.feed.room()]
  for (const room of [bad, good]) await world.feed.say(room, 20)
  await world.feed.say(bad, 1, undefined, 'poison')
  await world.feed.say(bad, 20)
  const poisoned: Projection = {
    ...history,
    async apply (tx, batch) {
      if (batch.some(({ events }) => events.some(({ event }) => event.type === 'message' && event.content.startsWith('poison')))) throw new TypeError('a bug')
      await history.apply(tx, batch)
    },
  }
  world.project(archive)
  const live = world.project(history)
  for (const group of ['archive_v1', 'history_v1']) await caughtUp(world, group, [bad, good])
  await t.rejects(rebuilt(world, poisoned), { message: new RegExp(`room ${bad}: the new tables stop before seq 22 \\(a bug\\), the live ones are at 42.*it goes on from there`) })
  t.equal((await world.store.query('SELECT count(*) AS n FROM messages')).rows[0].n, 61, 'nothing has happened to the live ones')
  const mended = await rebuilt(world, history)
  t.equal(mended!.events, 21, 'only that room was left')
  await same(t, world, history, mended!.retired, 'mended')

  // Now the live one stands there, too.
  await live.stop()
  await world.store.query('DELETE FROM messages WHERE room_id = $1', [bad])
  await history.forget!(world.store, [bad])
  await world.store.query("UPDATE checkpoints SET seq = 0, chain = '0000000000000000' WHERE projection = 'history_v1' AND room_id = $1", [bad])
  const again = world.project(poisoned)
  await until(async () => (await world.store.query("SELECT FROM parked_rooms WHERE projection = 'history_v1'")).rowCount === 1, { what: 'the live room to be parked' })
  t.match(await rebuilt(world, poisoned), { parked: 1 })
  t.match((await world.store.query('SELECT projection, seq FROM parked_rooms')).rows, [{ projection: 'history_v1', seq: 22 }])
  await world.feed.say(good, 5)
  await caughtUp(world, 'history_v1', [good])

  // What somebody has skipped by hand in this version is left out by its rebuild as well.
  await skipEvent(world.store, 'history_v1', bad, { by: 'a test' })
  await caughtUp(world, 'history_v1', [bad])
  const skipped = await rebuilt(world, poisoned)
  t.equal(skipped!.parked, 0)
  await same(t, world, history, skipped!.retired, 'skipped')
  t.same((await world.store.query('SELECT projection, from_seq FROM skipped')).rows, [{ projection: 'history_v1', from_seq: 22 }])
  await again.stop()
})

t.test('a new version takes over with a rebuild; code of the other one leaves the tables alone, and reads go on', async t => {
  const world = await createWorld(t)
  const scene = await createRooms(world, 5, 50)
  const [room] = scene.rooms as [string]
  const next: Projection = {
    ...history,
    version: 2,
    async apply (tx, batch) {
      await history.apply(tx, batch)
      await tx.query("UPDATE rooms SET topic = 'version 2' WHERE id = ANY ($1)", [batch.map(({ room_id }) => room_id)])
    },
  }
  world.project(archive)
  const old = world.project(history)
  for (const group of ['archive_v1', 'history_v1']) await caughtUp(world, group, scene.rooms)
  const projector = world.project(next)
  await until(() => projector.progress().fault !== null, { what: 'the new code to look' })
  t.equal(projector.progress().fault, 'the tables of history are of version 1, and this code writes version 2: run npx millrace rebuild history')
  t.same((await world.store.query("SELECT FROM checkpoints WHERE projection = 'history_v2'")).rowCount, 0)
  const reads = { store: asReader(world.store, [room]), log: world.log, decode: decodeEvent, chainOf }
  const before = await messagePage(reads, { room_id: room, limit: 50 })

  await fillSome(t, world, history)
  const said: string[] = []
  const first = await rebuilt(world, next, { say: line => { said.push(line) } })
  t.match(said[0], /thrown away: it was of version 1/)
  t.match(first, { parked: 0, retired: /^retired_history_/ })
  t.same((await messagePage(reads, { room_id: room, limit: 50 })), before, 'a page is what it was')
  t.same((await world.store.query('SELECT version FROM projection_versions WHERE name = $1', ['history'])).rows, [{ version: 2 }])
  for (const room of scene.rooms) await scene.happen(room, 10)
  await caughtUp(world, 'history_v2', scene.rooms)
  await until(() => old.progress().fault !== null, { what: 'the old code to notice' })
  t.match(old.progress().fault, /are of version 2, and this code writes version 1: this is older code/)
  t.equal(projector.progress().fault, null)
  t.same((await world.store.query("SELECT FROM checkpoints WHERE projection = 'history_v1'")).rowCount, 0, 'the old checkpoints are gone')
  t.notMatch(await world.redis.xinfo('GROUPS', world.keys.log(room)), [['name', 'history_v1']], 'and its group')
  t.same((await world.store.query("SELECT FROM rooms WHERE topic <> 'version 2'")).rowCount, 0)
  t.ok((await messagePage(reads, { room_id: room, limit: 50 })).as_of.seq > before.as_of.seq)
  await t.rejects(rebuilt(world, history), { message: /are of version 2, and this code would make version 1/ })
  t.same((await world.store.query('SELECT projection FROM leases WHERE projection = $1', ['history_rebuild_v1'])).rows, [])
})

t.test('indexes, comments, grants, row-level security and views are those of the tables that were replaced', async t => {
  const world = await createWorld(t)
  const { store } = world
  const rooms = [await world.feed.room({ owner: USERS[0] }), await world.feed.room({ owner: USERS[1] })]
  await world.store.query('CREATE ROLE somebody')
  await store.query('GRANT SELECT, UPDATE ON messages TO somebody; GRANT SELECT (id, name) ON rooms TO somebody')
  await store.query('CREATE SCHEMA theirs; CREATE VIEW theirs.talk WITH (security_barrier = true) AS SELECT room_id, count(*) AS messages FROM messages GROUP BY 1')
  for (const one of [archive, ...REBUILT]) world.project(one)
  for (const room of rooms) await world.feed.put(room, USERS[2]!, [{ type: 'message', content: 'hello you', mentions: [USERS[3]!] }])
  for (const one of [archive, ...REBUILT]) await caughtUp(world, groupOf(one), rooms)
  for (const projection of REBUILT) {
    const before = await dressOf(world, projection, 'public')
    const { retired, views } = (await rebuilt(world, projection))!
    equal(t, await dressOf(world, projection, 'public'), before, projection.name)
    t.same(views, [])
    await store.query("UPDATE retired_tables SET drop_after = now() - interval '1 hour'")
    t.same(await dropRetired(store, Date.now), { dropped: [retired], kept: [] }, 'no view hangs on them')
  }
  for (const room of rooms) await world.feed.put(room, USERS[2]!, [{ type: 'message', content: 'hello again' }])
  await caughtUp(world, 'history_v1', rooms)
  t.same((await store.query('SELECT messages FROM theirs.talk')).rows, [{ messages: 2 }, { messages: 2 }])
  t.equal((await store.query('SELECT count(*) AS n FROM analytics.messages')).rows[0].n, 4)
  t.equal((await store.query('SELECT count(*) AS n FROM unread_counts')).rows[0].n, 2)
  const mine = asReader(store, [rooms[0]!])
  t.same((await mine.query('SELECT DISTINCT room_id FROM messages')).rows, [{ room_id: rooms[0] }], 'no row of another room')
  t.equal((await asReader(store, []).query('SELECT FROM members')).rowCount, 0)

  await store.query('CREATE MATERIALIZED VIEW theirs.counted AS SELECT count(*) FROM pins')
  const last = (await rebuilt(world, history, { graceMs: 0 }))!
  t.same(last.views, ['theirs.counted'])
  t.match(await dropRetired(store, () => Date.now() + 1), { dropped: [], kept: [{ schema: last.retired, reason: /depend.*theirs\.counted/ }] }, 'what somebody made of them is not dropped')
  await store.query('DROP MATERIALIZED VIEW theirs.counted')
  t.same((await dropRetired(store, () => Date.now() + 1)).dropped, [last.retired])
})

t.test('a read that takes long is not waited for in front of others, and the switch comes after it', async t => {
  const world = await createWorld(t)
  const scene = await createRooms(world, 4, 30)
  for (const one of [archive, history]) world.project(one)
  for (const group of ['archive_v1', 'history_v1']) await caughtUp(world, group, scene.rooms)
  const analyst = await world.store.connect()
  await analyst.query('BEGIN')
  await analyst.query('SELECT count(*) FROM messages')
  const stopReading = readAllTheTime(world, scene.rooms[0]!, history)
  const said: string[] = []
  let done = false
  const rebuilding = rebuilt(world, history, { say: line => { said.push(line) } }).finally(() => { done = true })
  await until(() => said.some(line => /^Waiting for others/.test(line)), { what: 'it to wait' })
  await scene.happen(scene.rooms[0]!, 20)
  await caughtUp(world, 'history_v1', [scene.rooms[0]!])
  await sleep(1500)
  t.equal(done, false)
  // Cut off in the middle of it, nothing has happened.
  const cut = t.rejects(rebuilding)
  await world.store.query("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND pid IN (SELECT pid FROM pg_stat_activity WHERE datname = current_database())")
  await cut
  t.equal((await listHalfDone(world.store)).length, 1)
  const again = rebuilt(world, history)
  await sleep(500)
  await analyst.query('COMMIT')
  analyst.release()
  t.match(await again, { parked: 0 })
  const seen = await stopReading()
  t.same(seen.back, [])
  t.ok(seen.longestMs < 5_000, `the slowest of ${seen.reads} reads took ${seen.longestMs.toFixed(0)} ms`)
})
