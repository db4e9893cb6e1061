// The second fence: whoever reads a page is told of no other room, whatever a statement asks for.
import t, { type Test } from 'tap'
import { randomUUID } from 'node:crypto'
import type { Command } from '../../src/domain/commands.ts'
import { chainOf } from '../../src/log/chain.ts'
import { decodeEvent } from '../../src/log/codec.ts'
import { archivedAt, chainsBetween, chainsOf, findByClientIds, readArchive } from '../../src/store/archive.ts'
import { auditPage } from '../../src/store/audit.ts'
import { editsPage } from '../../src/store/edits.ts'
import { messageAt, messagePage } from '../../src/store/history.ts'
import { membersPage } from '../../src/store/members.ts'
import { HAS } from '../../src/store/messages.ts'
import { migrate } from '../../src/store/migrate.ts'
import { pinsPage } from '../../src/store/pins.ts'
import { messagesAt } from '../../src/store/places.ts'
import { openStore, type Queryable, type Store } from '../../src/store/pool.ts'
import { emojiOn } from '../../src/store/reactions.ts'
import { asReader } from '../../src/store/reader.ts'
import type { LogReads } from '../../src/store/suffix.ts'
import { archive, caughtUp, createWorld, history, logger, type World } from '../projections/feed.ts'
import { testPostgres } from '../dev/servers.ts'
import { testStack } from '../http/stack.ts'

const FENCED = ['events', 'messages', 'message_edits', 'reactions', 'pins', 'members']

/** Two rooms, each with something in every table that pages are read from. */
async function twoRooms (world: World): Promise<{ mine: string, others: string, user: string }> {
  const user = randomUUID()
  const rooms = await Promise.all(['mine', 'others'].map(async name => {
    const room = await world.feed.room({ owner: user, name })
    await world.feed.put(room, user, [
      { type: 'message', content: `secret of ${name} https://x.y`, mentions: [user], attachments: [{ url: 'https://x.y' }] },
      { type: 'edit', message_seq: 2, content: `edited secret of ${name} https://x.y`, mentions: [user] },
      { type: 'reaction', message_seq: 2, emoji: '👍', added: true },
      { type: 'pin', message_seq: 2, added: true },
      { type: 'message', content: 'in a thread', thread: 2 },
    ], { clientIds: true })
    return room
  }))
  const projectors = [archive, history].map(projection => world.project(projection))
  for (const group of ['archive_v1', 'history_v1']) await caughtUp(world, group, rooms)
  await Promise.all(projectors.map(async projector => { await projector.stop() }))
  return { mine: rooms[0]!, others: rooms[1]!, user }
}

const readsOf = ({ log }: World, store: Queryable): LogReads => ({ store, log, decode: decodeEvent, chainOf })

/** Every function of `src/store` that pages of one room are made with: what it finds there. */
const FUNCTIONS: Record<string, (reads: LogReads, room: string, user: string) => Promise<unknown[]>> = {
  'messagePage, newest': async (reads, room_id) => (await messagePage(reads, { room_id, limit: 10 })).items,
  'messagePage, before': async (reads, room_id) => (await messagePage(reads, { room_id, limit: 10, before: 100 })).items,
  'messagePage, after': async (reads, room_id) => (await messagePage(reads, { room_id, limit: 10, after: 0 })).items,
  'messagePage, around': async (reads, room_id) => (await messagePage(reads, { room_id, limit: 10, around: 2 })).items,
  'messagePage, of a user': async (reads, room_id, user_id) => (await messagePage(reads, { room_id, limit: 10, user_id })).items,
  'messagePage, of a thread': async (reads, room_id) => (await messagePage(reads, { room_id, limit: 10, thread: 2 })).items,
  ...Object.fromEntries(HAS.map(has => [`messagePage, has ${has}`, async (reads: LogReads, room_id: string) => (await messagePage(reads, { room_id, limit: 10, has })).items])),
  messageAt: async (reads, room_id) => [(await messageAt(reads, { room_id, seq: 2 })).item].filter(item => item !== undefined),
  messagesAt: async (reads, room_id) => [...await messagesAt(reads, { room_id, from: 0, seqs: [2, 6] })],
  pinsPage: async (reads, room_id) => (await pinsPage(reads, { room_id, limit: 10 })).items,
  editsPage: async (reads, room_id) => (await editsPage(reads, { room_id, message: 2, limit: 10 })).items,
  membersPage: async (reads, room_id) => (await membersPage(reads, { room_id, kind: 'public', limit: 10, now: 0 })).items,
  'membersPage, of a role': async (reads, room_id) => (await membersPage(reads, { room_id, kind: 'public', limit: 10, role: 'owner', now: 0 })).items,
  auditPage: async (reads, room_id) => (await auditPage(reads, { room_id, limit: 10 })).items,
  emojiOn: async ({ store }, room) => await emojiOn(store, room, 2),
  readArchive: async ({ store }, room) => await readArchive(store, room, 0, 10),
  archivedAt: async ({ store }, room) => await archivedAt(store, room, [2]),
  chainsOf: async ({ store }, room) => [...await chainsOf(store, [{ room_id: room, seq: 2 }])],
  chainsBetween: async ({ store }, room) => [...await chainsBetween(store, room, 1, 10)],
  findByClientIds: async ({ store }, room, author) => {
    const { rows: [{ client_id } = { client_id: '' }] } = await store.query<{ client_id: string }>('SELECT client_id FROM events WHERE room_id = $1 AND seq = 2', [room])
    return (await findByClientIds(store, room, [{ author, client_id }])).hits
  },
}

t.test('no function that serves pages reads across rooms, and each reads what is allowed as without the fence', async t => {
  const world = await createWorld(t)
  const { mine, others, user } = await twoRooms(world)
  const plain = readsOf(world, world.store)
  const fenced = readsOf(world, asReader(world.store, [mine]))
  for (const [name, read] of Object.entries(FUNCTIONS)) {
    const found = await read(plain, mine, user)
    t.not(found.length, 0, `${name}: there is something`)
    t.same(await read(fenced, mine, user), found, `${name}: my room`)
    t.not((await read(plain, others, user)).length, 0)
    t.same(await read(fenced, others, user), [], `${name}: the other room is empty`)
    t.same(await read(readsOf(world, asReader(world.store, [])), mine, user), [], `${name}: where no room is allowed, none is read`)
    t.same(await read(readsOf(world, asReader(world.store, [others, mine])), mine, user), found, `${name}: one of several`)
  }
})

t.test('a statement that forgets its room finds the rows of the room that was allowed, in every table', async t => {
  const world = await createWorld(t)
  const { mine, others } = await twoRooms(world)
  for (const table of FENCED) {
    const text = `SELECT DISTINCT room_id FROM ${table}`
    t.same(new Set((await world.store.query(text)).rows.map(({ room_id }) => room_id)), new Set([mine, others]), `${table}: the owner is not hindered`)
    t.same((await asReader(world.store, [mine]).query(text)).rows, [{ room_id: mine }], `${table}: the reader sees one`)
  }
  const all = asReader(world.store, [mine])
  t.same((await all.query('SELECT count(*) AS n FROM messages WHERE room_id = $1 OR content LIKE $2', [others, '%secret%'])).rows, [{ n: 1 }])
})

t.test('the reader writes nothing, and reads no hash, no address and no part of a table by its own name', async t => {
  const world = await createWorld(t)
  const { mine } = await twoRooms(world)
  const reader = asReader(world.store, [mine])
  for (const text of [
    'SELECT password_hash FROM users', 'SELECT email FROM users', 'SELECT * FROM users', 'SELECT refresh_hash FROM sessions', 'SELECT address FROM sessions',
    'SELECT * FROM room_passwords', 'SELECT * FROM invites', 'SELECT * FROM security_events', 'SELECT * FROM room_state', 'SELECT * FROM messages_0', 'SELECT * FROM events_0',
    'DELETE FROM messages', "UPDATE members SET role = 'owner'", 'INSERT INTO pins SELECT * FROM pins', 'CREATE TABLE mine (a integer)', 'TRUNCATE messages', 'SELECT fence_reads()',
  ]) await t.rejects(reader.query(text), { code: '42501' }, text)
  await t.rejects(reader.query('SELECT 1; SELECT 2'), { code: '42601' }, 'one statement at a time')
})

t.test('role and rooms end with the statement, on the same connection, whether it succeeds or not', async t => {
  const { store, mine } = await oneConnection(t)
  const who = async (db: Queryable) => (await db.query("SELECT current_user AS who, coalesce(current_setting('millrace.rooms', true), '') AS rooms")).rows[0]
  const owner = await who(store)
  t.equal(owner.rooms, '')
  t.same(await who(asReader(store, [mine])), { who: 'millrace_reader', rooms: `{${mine}}` })
  t.same(await who(store), owner)
  for (const bad of ['SELEC', 'SELECT 1 / 0', 'SELECT * FROM invites']) {
    await t.rejects(asReader(store, [mine]).query(bad))
    t.same(await who(store), owner, bad)
  }
  await t.rejects(asReader(store, ['no ID']).query('SELECT count(*) FROM messages'), { code: '22P02' })
  t.same(await who(store), owner)
})

t.test('a statement of one name gives to each what is theirs, one after the other and at once', async t => {
  const world = await createWorld(t)
  const { mine, others } = await twoRooms(world)
  const named = (room: string) => ({ name: 'of_room', text: 'SELECT count(*) AS n FROM messages WHERE room_id = $1', values: [room] })
  const count = async (db: Queryable, room: string): Promise<number> => (await db.query<{ n: number }>(named(room))).rows[0]!.n
  const asked = Array.from({ length: 300 }, (_, i) => i % 3)
  const wanted = [2, 0, 2]
  const answers = await Promise.all(asked.map(async i => await count([world.store, asReader(world.store, [mine]), asReader(world.store, [others])][i]!, others)))
  t.same(answers, asked.map(i => wanted[i]))
  t.equal(world.store.stats().waiting, 0)
  // A statement that fails to be parsed is parsed again the next time, not taken as known.
  const reader = asReader(world.store, [mine])
  for (let i = 0; i < 3; i++) await t.rejects(reader.query({ name: 'wrong', text: 'SELECT nothing FROM messages' }), { code: '42703' })
})

t.test('the routes of a room read behind the fence: shut, it hides everything', async t => {
  const { get, post, project, commands, redis, keys, store } = await testStack(t)
  const { user, access_token } = (await post('/auth/guest', { username: 'ann' })).body as { user: { id: string }, access_token: string }
  const room_id = '019abc00-0000-7000-8000-000000000001'
  for (const wish of [{ type: 'create', name: 'a room', kind: 'public' }, { type: 'message', content: 'hello' }, { type: 'edit', message_seq: 2, content: 'hi' }, { type: 'pin', message_seq: 2 }, { type: 'message', content: 'more', thread: 2 }, { type: 'kick', target: randomUUID() }]) {
    await commands.execute({ user_id: user.id, session: user.id, by: user.id, command: { room_id, ...wish } as unknown as Command })
  }
  await project(history, room_id)
  await project(archive, room_id)
  const paths = ['messages', 'messages?has=pin', 'pins', 'threads/2', 'messages/2/edits', 'members', 'audit', 'events']
  const ask = async () => await Promise.all(paths.map(async path => {
    const { status, body } = await get(`/rooms/${room_id}/${path}`, access_token)
    return { path, status, count: body.items?.length ?? 0 }
  }))
  await redis.xtrim(keys.log(room_id), 'MINID', '1000-0')
  const open = await ask()
  for (const { path, status, count } of open) t.ok(status === 200 && count > 0, path)
  for (const table of FENCED) await store.query(`ALTER POLICY rooms_allowed ON ${table} USING (false)`)
  for (const { path, count } of await ask()) t.equal(count, 0, path)
  await store.query('SELECT fence_reads()')
  t.same(await ask(), open)
})

t.test('a statement that is not answered in time fails, and its connection is not used again', async t => {
  const postgres = await testPostgres(t)
  const store = await openStore({ url: `${await postgres.createDatabase()}?query_timeout=400`, max: 1, name: 'test', log: logger })
  t.teardown(async () => { await store.close() })
  const reader = asReader(store, [])
  await t.rejects(reader.query('SELECT pg_sleep(3)'), { message: 'Query read timeout' })
  t.same((await reader.query('SELECT 1 AS one')).rows, [{ one: 1 }])
})

t.test('pages are read by their indexes behind the fence, too', async t => {
  const { store, mine } = await oneConnection(t)
  await store.query(`
    INSERT INTO messages (room_id, seq, message_no, author_no, event_id, user_id, content, timestamp)
    SELECT room, n, n, n, gen_random_uuid(), gen_random_uuid(), CASE WHEN n % 100 = 0 THEN 'https://x.y' ELSE 'hello' END, now()
      FROM unnest($1::uuid[]) AS room, generate_series(1, 2000) AS n`, [[mine, ...Array.from({ length: 20 }, () => randomUUID())]])
  await store.query('ANALYZE messages')
  for (const also of ['', "AND content ~ '[hH][tT][tT][pP][sS]?://[^ \\t\\r\\n]'", 'AND (mentions IS NOT NULL OR mentions_room)', `AND user_id = '${mine}'`, 'AND thread = 3']) {
    const { rows } = await asReader(store, [mine]).query({ text: `EXPLAIN SELECT * FROM messages WHERE room_id = $1 AND seq < $2 ${also} ORDER BY seq DESC LIMIT 50`, values: [mine, 1900] })
    const plan = rows.map(row => row['QUERY PLAN']).join('\n')
    t.match(plan, /Index Scan Backward/, also)
    t.notMatch(plan, /Seq Scan|Sort/, also)
  }
})

t.test('a user of Postgres who may not make roles migrates all the same, and reads without the fence until somebody makes them', async t => {
  const { store, admin, warned, user } = await asLogin(t, '')
  t.same(warned.map(({ roles }) => roles), [['millrace_analyst', 'millrace_reader']], 'it says which are missing')
  t.match((await store.query("SELECT obj_description('analytics'::regnamespace) AS said")).rows[0].said, /where that role could not be made/)
  t.same((await store.query('SELECT * FROM analytics.messages')).rows, [])
  const who = async () => (await asReader(store, []).query('SELECT current_user AS who')).rows
  t.same(await who(), [{ who: user }])
  for (const role of ['millrace_analyst', 'millrace_reader']) await admin.query(`CREATE ROLE ${role} NOLOGIN`)
  await admin.query(`GRANT millrace_reader TO ${user}`)
  await store.query('SELECT fence_reads()')
  await store.query('SELECT define_analytics()')
  const later = await openStore({ url: store.url, max: 1, name: 'test', log: logger })
  t.teardown(async () => { await later.close() })
  t.same((await asReader(later, []).query('SELECT current_user AS who')).rows, [{ who: 'millrace_reader' }])
  t.same(await migrate({ store: later, log: logger }), [])
})

t.test('a user of Postgres who may make roles, but is no superuser, takes on the one that it made; a second database of the cluster finds it', async t => {
  const { store, warned, admin, urlOf, user } = await asLogin(t, 'CREATEROLE')
  t.same(warned, [])
  t.same((await asReader(store, []).query('SELECT current_user AS who')).rows, [{ who: 'millrace_reader' }])
  await admin.query(`CREATE DATABASE second OWNER ${user}`)
  const second = await openStore({ url: urlOf('second'), max: 1, name: 'test', log: logger })
  t.teardown(async () => { await second.close() })
  await migrate({ store: second, log: logger })
  t.same((await asReader(second, []).query('SELECT current_user AS who, (SELECT count(*) FROM messages) AS n')).rows, [{ who: 'millrace_reader', n: 0 }])
})

async function oneConnection (t: Test): Promise<{ store: Store, mine: string }> {
  const postgres = await testPostgres(t)
  const store = await openStore({ url: await postgres.createDatabase(), max: 1, name: 'test', log: logger })
  t.teardown(async () => { await store.close() })
  await migrate({ store, log: logger })
  return { store, mine: randomUUID() }
}

/** A database of a user who is no superuser, migrated by them, in a cluster that had none of our roles. */
async function asLogin (t: Test, attributes: string) {
  const postgres = await testPostgres(t)
  const admin = await openStore({ url: postgres.urlOf('postgres'), max: 1, name: 'test', log: logger })
  t.teardown(async () => { await admin.close() })
  await admin.query(`CREATE ROLE app LOGIN PASSWORD 'app' ${attributes}`)
  await admin.query('CREATE DATABASE first OWNER app')
  const urlOf = (database: string): string => {
    const url = new URL(postgres.urlOf(database))
    url.username = url.password = 'app'
    return url.href
  }
  const url = urlOf('first')
  const store = await openStore({ url, max: 2, name: 'test', log: logger })
  t.teardown(async () => { await store.close() })
  const warned: Array<{ roles: string[] }> = []
  const log = logger.child({}, {})
  log.warn = ((facts: { roles: string[] }) => { if (facts?.roles !== undefined) warned.push(facts) }) as typeof log.warn
  await migrate({ store, log })
  return { store: { ...store, url }, admin, warned, urlOf, user: 'app' }
}
