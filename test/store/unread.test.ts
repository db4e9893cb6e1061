// Counts against naïve ones from the log, whatever happened and however far the projector is; what a message costs; what a count costs.
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import t from 'tap'
import { startCursors } from '../../projections/cursors.ts'
import { createAccess } from '../../src/commands/access.ts'
import { createCounts } from '../../src/commands/counts.ts'
import { LOBBY_ID } from '../../src/domain/lobby.ts'
import { START } from '../../src/domain/position.ts'
import { chainOf } from '../../src/log/chain.ts'
import { decodeEvent, type LogEvent } from '../../src/log/codec.ts'
import { createMarkStreams } from '../../src/log/mark-streams.ts'
import { createMarks } from '../../src/log/marks.ts'
import { createPeopleKeys } from '../../src/log/people-keys.ts'
import type { Queryable } from '../../src/store/pool.ts'
import { countsAfter } from '../../src/store/unread.ts'
import { anyEvent } from '../projections/any-event.ts'
import { caughtUp, createWorld, history, logger, wholeLog } from '../projections/feed.ts'
import { naiveCounts, type Naive } from '../projections/naive-counts.ts'
import { until } from '../until.ts'

type Test = Parameters<typeof createWorld>[0]

/** @param roomMax members up to which Redis keeps marks; of larger rooms the read model alone does */
async function countsWorld (t: Test, { cursors = true, roomMax = 500 } = {}) {
  const world = await createWorld(t)
  const peopleKeys = createPeopleKeys(world.keys)
  const { store, log, redis, keys, metrics } = world
  const marks = createMarks({ redis, keys, peopleKeys, publisher: { toRoom: () => {}, toUser: () => {} }, roomMax, clock: Date.now })
  const counts = createCounts({ access: createAccess({ log, clock: Date.now }), marks, log, store })
  const streams = createMarkStreams({ redis, peopleKeys })
  if (cursors) {
    const worker = startCursors({ store, streams, partitions: keys.partitions, owner: randomUUID(), leaseMs: 2000, idleMs: 20, metrics, logger })
    t.teardown(async () => { await worker.stop() })
  }
  return {
    ...world,
    marks,
    counts,
    async user (id: string, created: string): Promise<void> {
      await store.query('INSERT INTO users (id, username, username_key, display_name, kind, created_at) VALUES ($1::uuid, $1::text, $1::text, $1::text, $2, $3)', [id, 'guest', created])
    },
    /** Until all marks are in Postgres. */
    marksFolded: async () => await until(async () => (await streams.read(Array.from({ length: keys.partitions }, (_, p) => p), 1)).size === 0, { what: 'marks to be folded' }),
  }
}

/** Marks in the lobby, which all runs share. */
const marked = new Map<string, number>()

t.test('after anything that happens, counts equal naïve ones, while the projector follows and when it has', async t => {
  const users = Array.from({ length: 3 }, () => randomUUID())
  for (const roomMax of [500, 0]) {
    const world = await countsWorld(t, { roomMax })
    const { feed, log, marks, counts } = world
    world.project(history)
    const created = new Map(users.map((user, i) => [user, new Date(Date.UTC(2026, 10, 20, 10) + i * 25_000).toISOString()]))
    for (const [user, at] of created) await world.user(user, at)
    await feed.room({ id: LOBBY_ID, kind: 'lobby' })
    const anyMark = fc.record({ user: fc.constantFrom(...users), kind: fc.constantFrom('read' as const, 'delivered' as const), device: fc.constantFrom('phone', 'laptop'), seq: fc.nat(60) })
    const anyHistory = fc.record({ lobby: fc.boolean(), steps: fc.array(anyEvent(users, 30), { maxLength: 60 }), early: fc.array(anyMark, { maxLength: 4 }), late: fc.array(anyMark, { maxLength: 4 }) })

    await fc.assert(fc.asyncProperty(anyHistory, async ({ lobby, steps, early, late }) => {
      const room = lobby ? LOBBY_ID : await feed.room({ owner: users[0]! })
      const offset = (await log.heads([room])).heads.get(room)!.seq
      const given = new Map<string, number>()
      const move = async (some: typeof early): Promise<void> => {
        await Promise.all(some.map(async ({ user, kind, device, seq }) => {
          const at = await marks.move({ room_id: room, user_id: user, kind, device: kind === 'read' ? '' : device, seq: offset + seq, member: true })
          const key = kind === 'read' ? `read ${user}` : `delivered ${user} ${device}`
          given.set(key, Math.max(at, given.get(key) ?? 0))
        }))
      }
      const check = async (exact: boolean): Promise<void> => {
        const whole = await wholeLog(log, room)
        for (const user of users) {
          const of = (key: string): Naive | undefined => naiveCounts(whole, user, { lobby, mark: lobby ? marked.get(key) ?? 0 : given.get(key) ?? 0, created: created.get(user)! })
          const [unread] = await counts.unread([{ room_id: room, user_id: user }])
          const wanted = of(`read ${user}`)
          if (exact && unread !== undefined) assert.equal(unread.applied_seq, unread.head_seq)
          if (unread === undefined || unread.applied_seq === unread.head_seq) assert.deepEqual(unread && { unread: unread.unread, mentions: unread.mentions }, wanted && { unread: wanted.unread, mentions: wanted.mentions })
          for (const device of ['phone', 'laptop']) {
            const [missing] = await counts.undelivered(user, device, [room])
            if (missing === undefined || missing.applied_seq === missing.to_seq) assert.equal(missing?.count ?? 0, of(`delivered ${user} ${device}`)?.standing ?? 0)
          }
        }
      }
      const messages = new Set<number>()
      const half = Math.floor(steps.length / 2)
      let moving = Promise.resolve()
      for (const [i, { by, body }] of steps.entries()) {
        if (lobby && (body.type === 'room' || body.type === 'ban')) continue // it goes on through all runs
        const shifted = 'message_seq' in body ? { ...body, message_seq: offset + body.message_seq - 1 } : body
        if (shifted.type === 'delete' && !messages.has(shifted.message_seq)) continue // as the rules have it
        await feed.put(room, by, [shifted])
        if (body.type === 'message') messages.add((await log.heads([room])).heads.get(room)!.seq)
        if (i === half) moving = move(early)
      }
      await Promise.all([moving, move(late)])
      for (const [key, seq] of given) if (lobby) marked.set(key, Math.max(seq, marked.get(key) ?? 0))
      if (roomMax === 0 || lobby) await world.marksFolded()
      await check(false)
      await caughtUp(world, 'history_v1', [room])
      await check(true)
      await world.marksFolded()
      await check(true)
    }), { numRuns: 20 })
    marked.clear()
  }
  t.pass('40 histories')
})
t.test('what the read model lacks counts at once, as far as that is cheap; else it is said how far the counts go', async t => {
  const { feed, counts, project, marks, store, log } = await countsWorld(t)
  const [ann, bob] = [randomUUID(), randomUUID()]
  const room = await feed.room({ owner: ann })
  await feed.join(room, bob)
  await feed.put(room, ann, [{ type: 'message', content: 'hello @bob', mentions: [bob] }, { type: 'message', content: 'and all', mentions_room: true }])
  const ofBob = async () => (await counts.unread([{ room_id: room, user_id: bob }]))[0]
  t.match(await ofBob(), { unread: 2, mentions: 2, read_seq: 0, head_seq: 4, applied_seq: 4 })
  const projector = project(history)
  await caughtUp({ store, log }, 'history_v1', [room])
  await projector.stop()
  await feed.put(room, ann, [{ type: 'delete', message_seq: 3 }, { type: 'edit', message_seq: 4, content: 'nobody' }])
  t.match(await ofBob(), { unread: 1, mentions: 0, applied_seq: 6 }, 'a delete and an edit of what is projected')
  const next = project(history)
  await caughtUp({ store, log }, 'history_v1', [room])
  await next.stop()
  t.match(await ofBob(), { unread: 1, mentions: 0, applied_seq: 6 }, 'the same when they are projected')
  await feed.put(room, ann, [{ type: 'delete', message_seq: 3 }])
  t.match(await ofBob(), { unread: 1 }, 'deleted twice is deleted once')
  const last = project(history)
  await caughtUp({ store, log }, 'history_v1', [room])
  await last.stop()
  t.match(await ofBob(), { unread: 1, applied_seq: 7 }, 'in the read model, too')
  await feed.say(room, 200, ann)
  t.match(await ofBob(), { unread: 1, head_seq: 207, applied_seq: 7 }, 'too far behind')
  t.match((await counts.unread([{ room_id: room, user_id: bob, moved_to: 207 }]))[0], { unread: 0, read_seq: 207 }, 'a mark that has moved counts before it is folded: other devices were told that nothing had been read')
  await marks.move({ room_id: room, user_id: bob, kind: 'read', device: '', seq: 207, member: true })
  t.match(await ofBob(), { unread: 0, read_seq: 207 })
  const again = project(history)
  await caughtUp({ store, log }, 'history_v1', [room])
  t.match(await ofBob(), { unread: 0, applied_seq: 207 })
  await feed.leave(room, bob)
  t.same(await counts.unread([{ room_id: room, user_id: bob }]), [], 'who left is told nothing')
  await feed.say(room, 5, ann)
  await feed.join(room, bob)
  t.match(await ofBob(), { unread: 0, head_seq: 214 }, 'what was said while away is not unread')
  await store.query('UPDATE marks SET seq = 1000 WHERE user_id = $1', [bob])
  await feed.say(room, 1, ann)
  t.match(await ofBob(), { unread: 1, read_seq: 207 }, 'a mark beyond the head counts for nothing')
  await again.stop()
})

t.test('of rooms that are read to their ends nothing is asked, and the others keep their order', async t => {
  const { feed, store, log, project } = await countsWorld(t, { cursors: false })
  const [ann, bob] = [randomUUID(), randomUUID()]
  const rooms = await Promise.all(Array.from({ length: 4 }, async () => await feed.room({ owner: ann })))
  for (const [i, room] of rooms.entries()) await feed.say(room, i + 1, ann)
  const projector = project(history)
  await caughtUp({ store, log }, 'history_v1', rooms)
  await projector.stop()
  const reads = (store: Queryable) => ({ store, log, decode: decodeEvent, chainOf })
  const asked = rooms.map((room_id, i) => ({ room_id, user_id: bob, place: i % 2 === 0 ? i + 2 : 1, head: i + 2, at: START }))
  t.match(await countsAfter(reads(store), asked), [{ unread: 0, applied_seq: 2 }, { room_id: rooms[1], unread: 2 }, { unread: 0, applied_seq: 4 }, { room_id: rooms[3], unread: 4 }])
  const nobody = { query: async () => { throw new Error('something was asked') } } as never
  t.match(await countsAfter(reads(nobody), asked.filter(({ place, head }) => place === head)), [{ room_id: rooms[0], place: 2, standing: 0, unread: 0, mentions: 0 }, { room_id: rooms[2], place: 4 }])
})

t.test('a message costs the same writes in a room of 2 and of 10,000', async t => {
  const { feed, log, store, keys } = await countsWorld(t, { cursors: false })
  const written: number[] = []
  for (const members of [2, 10_000]) {
    const owner = randomUUID()
    const room = await feed.room({ owner })
    for (let left = members - 1; left > 0; left -= 500) await feed.put(room, owner, Array.from({ length: Math.min(left, 500) }, () => ({ type: 'join' as const, target: randomUUID() })))
    await feed.put(room, owner, [{ type: 'message', content: 'hello everyone', mentions_room: true }])
    const entries = await wholeLog(log, room)
    const batch = (some: readonly LogEvent[]) => [{ room_id: room, partition: keys.partitionOf(room), events: some.map(entry => ({ entry, event: decodeEvent(entry) })) }]
    await store.transaction(async tx => { await history.apply(tx, batch(entries.slice(0, -1))) })
    written.push(await store.transaction(async tx => {
      const writes = async (): Promise<number> => (await tx.query<{ n: number }>('SELECT sum(n_tup_ins + n_tup_upd + n_tup_del)::int AS n FROM pg_stat_xact_user_tables')).rows[0]!.n
      const before = await writes()
      await history.apply(tx, batch(entries.slice(-1)))
      return await writes() - before
    }))
  }
  t.same(written, [3, 3], 'the message, its room, and that it names everyone')
})

t.test('counting takes as long in a room of 200,000 messages as in a small one, and one query for 500 rooms', async t => {
  const { store, log, counts, feed, keys, redis } = await countsWorld(t, { cursors: false })
  const [reader, other] = [randomUUID(), randomUUID()]
  const MESSAGES = 200_000
  const rooms = await Promise.all(Array.from({ length: 500 }, async () => await feed.room({ owner: reader })))
  const large = rooms[0]!
  // As the projection would write them: half of the messages are the reader's own; in some rooms every tenth is deleted.
  for (const [room, messages] of rooms.map(room => [room, room === large ? MESSAGES : 100] as const)) {
    await store.query(`
      INSERT INTO messages (room_id, seq, message_no, author_no, event_id, user_id, content, timestamp, deleted)
      SELECT $1, 1 + n, n, (n + 1) / 2, gen_random_uuid(), CASE WHEN n % 2 = 0 THEN $2::uuid ELSE $3::uuid END, 'hello', now(), $5::boolean AND n % 10 = 0
        FROM generate_series(1, $4::bigint) AS n`, [room, reader, other, messages, room === large || room.startsWith('0')])
    await redis.hset(keys.meta(room), 'seq', String(messages + 1))
  }
  await store.query(`
    INSERT INTO deleted_tallies (room_id, author_id, shift, block, deleted)
    SELECT room_id, author_id, shift, seq >> shift, count(*)
      FROM messages
     CROSS JOIN (VALUES (0), (8), (16), (24)) AS size (shift)
     CROSS JOIN LATERAL (VALUES (user_id), ('00000000-0000-0000-0000-000000000000'::uuid)) AS who (author_id)
     WHERE deleted
     GROUP BY 1, 2, 3, 4`)
  await store.query("INSERT INTO rooms (id, kind, name, topic, history, last_seq, messages, member_count) SELECT room_id, 'public', '', '', 'all', max(seq), max(message_no), 1 FROM messages GROUP BY room_id")
  await store.query('INSERT INTO checkpoints (projection, room_id, partition, seq, chain) SELECT $1, room_id, 0, max(seq), $2 FROM messages GROUP BY room_id', ['history_v1', '0'.repeat(16)])
  await store.query('ANALYZE')

  const naive = async (room: string, place: number): Promise<number> => (await store.query<{ n: number }>('SELECT count(*) AS n FROM messages WHERE room_id = $1 AND seq > $2 AND user_id <> $3 AND NOT deleted', [room, place, reader])).rows[0]!.n
  for (const mark of [0, 1, 255, 256, 257, 65_535, 65_536, 65_537, 123_456, 199_999, 200_000, 200_001]) {
    await store.query('INSERT INTO marks (room_id, user_id, kind, device, seq, at) VALUES ($1, $2, \'read\', \'\', $3, now()) ON CONFLICT (user_id, room_id, kind, device) DO UPDATE SET seq = $3', [large, reader, mark])
    const [counted] = await counts.unread([{ room_id: large, user_id: reader }])
    t.equal(counted?.unread, await naive(large, Math.max(1, mark)), `after ${mark}`)
  }

  const asked: string[] = []
  const spied = createCounts({
    access: createAccess({ log, clock: Date.now }),
    marks: { readBy: async () => new Map(), deliveredTo: async () => new Map() },
    log,
    store: { query: (async (query: { name: string }) => { asked.push(query.name); return await store.query(query as never) }) as never },
  })
  const pairs = rooms.map(room_id => ({ room_id, user_id: reader }))
  await spied.unread(pairs)
  t.same(asked, ['marks_of', 'counts_after'])

  const median = async (work: () => Promise<unknown>): Promise<number> => {
    const times: number[] = []
    for (let i = 0; i < 21; i++) {
      const began = performance.now()
      await work()
      times.push(performance.now() - began)
    }
    return times.sort((a, b) => a - b)[10]!
  }
  await store.query('DELETE FROM marks')
  const one = await median(async () => await spied.unread([pairs[0]!]))
  const small = await median(async () => await spied.unread([pairs[1]!]))
  const all = await median(async () => await spied.unread(pairs))
  t.comment(`median ms: a room of 200,000 messages ${one.toFixed(1)}, of 100 ${small.toFixed(1)}, 500 rooms ${all.toFixed(1)}`)
  t.ok(one < small + 100, 'a large room')
  t.ok(all < 2_000, '500 rooms')
})
