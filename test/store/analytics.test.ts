// What analysts get: views that agree with the log folded naïvely, a role that reads them and nothing else, and a page of questions that run.
import t, { type Test } from 'tap'
import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { EventBody } from '../../src/domain/events.ts'
import { archive, caughtUp, createWorld, history, wholeLog, type World } from '../projections/feed.ts'

const MILLRACE = fileURLToPath(new URL('../../bin/millrace.js', import.meta.url))
const PAGE = readFileSync(new URL('../../docs/ANALYTICS.md', import.meta.url), 'utf8')
const DAY_MS = 86_400_000
const VIEWS = ['daily_active_users', 'delivery_latency', 'members', 'messages', 'response_times', 'retention_cohorts', 'room_activity_hourly', 'rooms']

type Row = Record<string, unknown>
interface Said { room: string, seq: number, user: string, at: number, content: string, reply_to?: number, deleted: boolean }

/** Days of a channel: people come, ask, answer each other and go; some stay for weeks, some for a day. */
function channel (days: readonly string[]): Record<string, string> {
  const files: Record<string, string> = {}
  let random = 7
  const upTo = (n: number): number => (random = (random * 48271) % 2147483647) % n
  for (const [nth, day] of days.entries()) {
    const people = ['ubotu', 'Hobbsee', ...nth < 5 ? ['gone_quiet', '=cmd'] : ['late[] one', `visitor${nth}`], `daily${nth % 3}`]
    const lines = people.map(nick => `=== ${nick} [n=${nick.replace(/\W/g, '')}@10.0.0.1]  has joined #ubuntu`)
    for (let minute = 480 + upTo(60); minute < 1000; minute += upTo(20) === 0 ? 45 : upTo(4)) {
      const nick = people[upTo(people.length)]!
      const time = `${String(Math.floor(minute / 60)).padStart(2, '0')}:${String(minute % 60).padStart(2, '0')}`
      lines.push(upTo(10) === 0 ? `[${time}]  * ${nick} waves` : `[${time}] <${nick}> ${upTo(4) === 0 ? 'does anybody know how?' : `try apt-get update, "${minute}" 😀`}`)
    }
    lines.push(`=== ${people[2]} [n=x@10.0.0.1]  has left #ubuntu ["bye"]`, '[23:50] <Hobbsee> is anybody still there?')
    files[`${day}.txt`] = `${lines.join('\n')}\n`
  }
  return files
}

/** Through the real import, as people run it, into a world whose projectors run. */
async function importChannel (world: World & { redisUrl: string, databaseUrl: string }): Promise<string> {
  const directory = mkdtempSync(join(tmpdir(), 'millrace-analytics-'))
  try {
    const days = Array.from({ length: 12 }, (_, i) => new Date(Date.UTC(2026, 9, 1) + i * 3 * DAY_MS).toISOString().slice(0, 10))
    const files = Object.entries(channel(days)).map(([name, text]) => {
      writeFileSync(join(directory, name), text)
      return join(directory, name)
    })
    const child = spawn(process.execPath, [MILLRACE, 'import', 'irc', '--room', 'ubuntu', ...files], { env: { PATH: process.env.PATH, REDIS_URL: world.redisUrl, DATABASE_URL: world.databaseUrl, PARTITIONS: '8' } })
    let said = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', data => { said += String(data) })
    const [code] = await once(child, 'close')
    if (code !== 0) throw new Error(`the import ended with ${code}: ${said}`)
  } finally {
    rmSync(directory, { recursive: true })
  }
  return (await world.store.query<{ id: string }>("SELECT id FROM rooms WHERE name = 'ubuntu'")).rows[0]!.id
}

/** A room of today, with everything that logs of IRC do not have; a direct conversation; and one where nothing happens any more. */
async function live (world: World): Promise<string[]> {
  const [ann, bea, cy] = [randomUUID(), randomUUID(), randomUUID()]
  for (const [id, name] of [[ann, 'ann'], [bea, 'bea'], [cy, 'cy']]) await world.store.query("INSERT INTO users (id, username, username_key, display_name, kind, created_at) VALUES ($1, $2, $2, $2, 'guest', '2026-11-02')", [id, name])
  const still = await world.feed.room({ owner: cy, name: 'still' })
  const room = await world.feed.room({ owner: ann, name: 'today' })
  const dm = randomUUID()
  await world.feed.put(dm, ann, [{ type: 'room', change: 'created', name: '', kind: 'dm', history: 'all', members: [ann, bea] }], { create: true })
  await world.feed.put(dm, ann, [{ type: 'message', content: 'between us' }])
  const inbox = await world.feed.room({ owner: ann, kind: 'inbox', id: ann })
  const each = async (user: string, ...bodies: EventBody[]): Promise<void> => { await world.feed.put(room, user, bodies) }
  await world.feed.join(room, bea)
  await each(ann, { type: 'message', content: 'who is here?' }, { type: 'message', content: 'hello?' })
  await each(bea, { type: 'message', content: 'me', reply_to: 3 }, { type: 'message', content: 'and again', reply_to: 3 })
  await each(ann, { type: 'message', content: 'myself', reply_to: 3 }, { type: 'message', content: 'a secret' }, { type: 'message', content: 'files', attachments: [{ url: 'https://x.y' }, { url: 'https://x.z' }], mentions: [bea], thread: 3 })
  await each(bea, { type: 'reaction', message_seq: 9, emoji: '👍', added: true }, { type: 'reaction', message_seq: 9, emoji: '🎉', added: true }, { type: 'message', content: 'yes, @room', mentions_room: true })
  await each(ann, { type: 'delete', message_seq: 8 }, { type: 'edit', message_seq: 4, content: 'hello!' })
  await world.feed.leave(room, bea)
  return [still, room, dm, inbox]
}

async function createAnalysts (t: Test) {
  const world = await createWorld(t)
  for (const projection of [archive, history]) world.project(projection)
  const ubuntu = await importChannel(world)
  const rooms = [ubuntu, ...await live(world)]
  for (const group of ['archive_v1', 'history_v1']) await caughtUp(world, group, rooms)
  /** Asks as an analyst does. */
  const ask = async (text: string): Promise<Row[]> => await world.store.transaction(async tx => {
    await tx.query('SET LOCAL ROLE millrace_analyst')
    return (await tx.query(text)).rows
  })
  return { ...world, ubuntu, today: rooms[2]!, rooms, ask }
}

/** All messages, as the logs have them. */
async function everythingSaid (world: World, rooms: readonly string[]): Promise<Said[]> {
  const all: Said[] = []
  for (const room of rooms) {
    const events = (await wholeLog(world.log, room)).map(({ seq, data }) => ({ seq, event: JSON.parse(data) }))
    const deleted = new Set(events.filter(({ event }) => event.type === 'delete').map(({ event }) => event.message_seq))
    for (const { seq, event } of events) if (event.type === 'message') all.push({ room, seq, user: event.user_id, at: Date.parse(event.timestamp), content: event.content, reply_to: event.reply_to, deleted: deleted.has(seq) })
  }
  return all
}

function grouped<T> (items: readonly T[], key: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>()
  for (const item of items) groups.set(key(item), [...groups.get(key(item)) ?? [], item])
  return groups
}

const dayOf = (at: number): string => new Date(at).toISOString().slice(0, 10)
const mondayOf = (at: number): number => Math.floor((Math.floor(at / DAY_MS) - 4) / 7) * 7 + 4 // 5 January 1970 was a Monday
const people = (said: readonly Said[]): number => new Set(said.map(({ user }) => user)).size

t.test('on an imported channel and a room of today', async t => {
  const world = await createAnalysts(t)
  const { ask, ubuntu, today, rooms, store } = world
  const said = await everythingSaid(world, rooms)
  t.ok(said.length > 1000, `${said.length} messages`)

  await t.test('each of the twenty questions has an answer', async t => {
    const questions = [...PAGE.matchAll(/^### (\d+)\. (.+)$\s+```sql\n([^]*?)```/gm)]
    t.same(questions.map(([, nth]) => Number(nth)), Array.from({ length: 20 }, (_, i) => i + 1))
    t.equal([...PAGE.matchAll(/```sql/g)].length, 20, 'no block is left out')
    const answers: Row[][] = []
    for (const [, nth, title, sql] of questions) {
      const rows = await ask(sql!)
      t.not(rows.length, 0, `${nth}. ${title}`)
      t.ok(rows.every(row => Object.values(row)[0] !== null), `${nth}: whom or what each row is about`)
      answers.push(rows)
    }
    const answer = (nth: number): Row[] => answers[nth - 1]!
    const byDay = grouped(said, ({ at }) => dayOf(at))
    t.same(answer(1).map(({ active_users, messages }) => [active_users, messages]), [...byDay].sort(([a], [b]) => a < b ? 1 : -1).map(([, of]) => [people(of), of.length]))
    t.same(answer(2).map(({ monthly_active_users }) => monthly_active_users), [...grouped(said, ({ at }) => dayOf(at).slice(0, 7))].sort(([a], [b]) => a < b ? 1 : -1).map(([, of]) => people(of)))
    t.match(answer(4)[0], { name: 'ubuntu', messages: said.filter(({ room }) => room === ubuntu).length })
    t.equal(answer(5).reduce((sum, { messages }) => sum + Number(messages), 0), said.filter(({ room }) => room === ubuntu).length)
    t.ok(answer(5).every(({ weekday }) => /^[1-7] (Mon|Tue|Wed|Thu|Fri|Sat|Sun)$/.test(String(weekday))))
    t.equal(answer(6)[0]!.messages, Math.max(...[...grouped(said, ({ user }) => user).values()].map(({ length }) => length)))
    t.equal(answer(7).reduce((sum, { messages }) => sum + Number(messages), 0), said.length)
    t.match(answer(9), [{ name: 'today', answered: 1 }])
    t.ok(answer(10).some(({ content }) => content === 'is anybody still there?'), 'questions into the night')
    t.equal(answer(15).reduce((sum, { new_authors }) => sum + Number(new_authors), 0), people(said))
    t.ok(answer(16).some(({ username }) => username === 'gone_quiet'))
    t.notOk(answer(16).some(({ username }) => username === 'ann'))
    t.match(answer(17).map(({ name }) => name), ['ubuntu', 'still'])
    t.match(answer(19).find(({ name }) => name === 'today'), { messages: 8, edited: 1, deleted: 1, replies: 3, in_threads: 1, with_mentions: 2, attachments: 2, reactions: 2 })
    t.ok(answer(20).every(({ median_seconds, longest_seconds }) => Number(median_seconds) <= Number(longest_seconds)))
  })

  await t.test('messages are the log as it is now, and nothing is left of a deleted one', async t => {
    const rows = await ask('SELECT * FROM analytics.messages ORDER BY room_id, seq')
    const wanted = said.sort((a, b) => a.room === b.room ? a.seq - b.seq : a.room < b.room ? -1 : 1)
    t.same(rows.map(({ room_id, seq, user_id, sent_at, deleted }) => ({ room_id, seq, user_id, at: (sent_at as Date).getTime(), deleted })), wanted.map(({ room, seq, user, at, deleted }) => ({ room_id: room, seq, user_id: user, at, deleted })))
    t.ok(rows.every(({ username }) => username !== null))
    t.match(rows.find(({ room_id, seq }) => room_id === today && seq === 8), { content: null, content_chars: null, deleted: true, attachment_count: 0, reaction_count: 0 })
    t.match(rows.find(({ room_id, seq }) => room_id === today && seq === 4), { content: 'hello!', content_chars: 6, deleted: false })
    t.match(rows.find(({ room_id, seq }) => room_id === today && seq === 9), { attachment_count: 2, reaction_count: 2, mention_count: 1, thread: 3 })
    for (const view of VIEWS) t.notMatch(JSON.stringify(await ask(`SELECT * FROM analytics.${view}`)), /a secret/, view)
  })

  await t.test('hours, response times and cohorts are those of the naïve fold', async t => {
    const hours = grouped(said, ({ room, at }) => `${room} ${Math.floor(at / 3_600_000)}`)
    const rows = await ask('SELECT room_id, hour, messages, active_users FROM analytics.room_activity_hourly')
    t.equal(rows.length, hours.size)
    t.ok(rows.every(({ room_id, hour, messages, active_users }) => {
      const of = hours.get(`${String(room_id)} ${(hour as Date).getTime() / 3_600_000}`) ?? []
      return of.length === messages && people(of) === active_users
    }))

    const byRoom = grouped(said, ({ room }) => room)
    const times = said.map(({ room, seq, user, at }) => {
      const others = byRoom.get(room)!.filter(other => other.user !== user && other.seq > seq)
      const next = others.reduce<Said | undefined>((least, other) => least === undefined || other.seq < least.seq ? other : least, undefined)
      const reply = others.filter(({ reply_to }) => reply_to === seq).reduce<Said | undefined>((least, other) => least === undefined || other.seq < least.seq ? other : least, undefined)
      return { room_id: room, seq, next_seq: next?.seq ?? null, next_user_id: next?.user ?? null, next_seconds: next === undefined ? null : (next.at - at) / 1000, reply_seq: reply?.seq ?? null, reply_seconds: reply === undefined ? null : (reply.at - at) / 1000 }
    })
    t.same(await ask('SELECT room_id, seq, next_seq, next_user_id, next_seconds, reply_seq, reply_seconds FROM analytics.response_times ORDER BY room_id, seq'), times)

    const weeksOf = new Map([...grouped(said, ({ user }) => user)].map(([user, of]) => [user, new Set(of.map(({ at }) => mondayOf(at)))]))
    const { rows: accounts } = await store.query<{ id: string, at: Date }>("SELECT id, created_at AS at FROM users WHERE kind <> 'imported'")
    const cohortOf = new Map([...weeksOf].map(([user, weeks]) => [user, Math.min(...weeks)]))
    for (const { id, at } of accounts) cohortOf.set(id, Math.min(cohortOf.get(id) ?? Infinity, mondayOf(at.getTime())))
    const last = Math.max(...[...weeksOf.values()].flatMap(weeks => [...weeks]))
    const cohorts = [...new Set(cohortOf.values())].sort((a, b) => a - b).flatMap(cohort => {
      const users = [...cohortOf].filter(([, week]) => week === cohort).map(([user]) => user)
      return Array.from({ length: (last - cohort) / 7 + 1 }, (_, n) => ({ cohort: dayOf(cohort * DAY_MS), week_no: n, users: users.length, active_users: users.filter(user => weeksOf.get(user)?.has(cohort + n * 7) === true).length }))
    })
    const found = await ask('SELECT cohort_week::text AS cohort, week_no, users, active_users FROM analytics.retention_cohorts ORDER BY cohort_week, week_no')
    t.same(found, cohorts)
    t.ok(found.some(({ week_no, active_users }) => Number(week_no) >= 3 && Number(active_users) > 0), 'some came back weeks later')
  })

  await t.test('rooms and members are there without inboxes, and latency is told of what is not imported', async t => {
    t.same((await ask('SELECT name, kind, message_count FROM analytics.rooms ORDER BY message_count DESC')).map(({ name, kind }) => [name, kind]), [['ubuntu', 'public'], ['today', 'public'], ['', 'dm'], ['still', 'public']])
    t.same(await ask(`SELECT username, role, is_member, left_at IS NULL AS inside, is_muted, is_banned FROM analytics.members WHERE room_id = '${today}' ORDER BY username`), [
      { username: 'ann', role: 'owner', is_member: true, inside: true, is_muted: false, is_banned: false },
      { username: 'bea', role: 'none', is_member: false, inside: false, is_muted: false, is_banned: false },
    ])
    const latency = await ask('SELECT room_id, seq, archived_at FROM analytics.delivery_latency')
    for (const room of rooms.filter(room => room !== ubuntu)) t.equal(latency.filter(({ room_id }) => room_id === room).length, (await wholeLog(world.log, room)).length, 'every event of a room that is not imported')
    t.ok(latency.every(({ archived_at }) => Math.abs((archived_at as Date).getTime() - Date.now()) < 600_000))
    t.notOk(latency.some(({ room_id, seq }) => said.some(message => message.room === ubuntu && room_id === ubuntu && message.seq === seq)), 'a time out of an old log is no time of delivery')
  })

  await t.test('an analyst reads the views and nothing else', async t => {
    const { rows: tables } = await store.query<{ name: string }>("SELECT oid::regclass::text AS name FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v')")
    t.ok(tables.length > 30)
    for (const { name } of tables) await t.rejects(ask(`SELECT * FROM ${name} LIMIT 1`), { code: '42501' }, name)
    for (const view of VIEWS) {
      t.ok(Array.isArray(await ask(`SELECT * FROM analytics.${view} LIMIT 1`)), view)
      await t.rejects(ask(`DELETE FROM analytics.${view}`), { code: /42501|55000/ })
    }
    for (const text of ['CREATE VIEW analytics.mine AS SELECT 1', 'CREATE TABLE mine (a integer)', 'SELECT define_analytics()', 'SET ROLE millrace_reader; SELECT * FROM users']) await t.rejects(ask(text), { code: '42501' }, text)
    t.same((await store.query("SELECT rolcanlogin, rolsuper, rolbypassrls FROM pg_roles WHERE rolname IN ('millrace_analyst', 'millrace_reader')")).rows, Array(2).fill({ rolcanlogin: false, rolsuper: false, rolbypassrls: false }))
  })

  await t.test('every view and column is described, in the database and in the picture', async t => {
    const { rows } = await store.query<{ view: string, column: string | null, said: string | null }>(`
      SELECT c.relname AS view, a.attname AS column, col_description(c.oid, coalesce(a.attnum, 0)) AS said
        FROM pg_class c
        LEFT JOIN LATERAL (SELECT NULL::name AS attname, NULL::smallint AS attnum UNION ALL SELECT attname, attnum FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0) AS a ON true
       WHERE c.relnamespace = 'analytics'::regnamespace
       ORDER BY c.relname, a.attnum NULLS FIRST`)
    t.same(rows.filter(({ column }) => column === null).map(({ view }) => view), VIEWS)
    for (const { view, column } of rows.filter(({ column, said }) => column !== null && said === null)) t.fail(`${view}.${column} has no comment`)
    t.same((await store.query("SELECT relname FROM pg_class WHERE relnamespace = 'analytics'::regnamespace AND obj_description(oid) IS NULL")).rows, [])
    for (const view of VIEWS) {
      const drawn = [...(new RegExp(`^ {2}${view} \\{\\n([^}]*)\\}`, 'm').exec(PAGE)?.[1] ?? '').matchAll(/^ {4}\w+ (\w+)/gm)].map(([, name]) => name)
      t.same(drawn, rows.filter(row => row.view === view && row.column !== null).map(({ column }) => column), `the picture of ${view}`)
    }
    t.same((await store.query("SELECT proname FROM pg_proc WHERE proname IN ('fence_reads', 'define_analytics') AND obj_description(oid) IS NULL")).rows, [])
  })

  await t.test('after a table was replaced, views and fence are put on the new one, and the old one can go', async t => {
    await store.transaction(async tx => {
      await tx.query('CREATE TABLE messages_new (LIKE messages INCLUDING ALL); ALTER TABLE messages RENAME TO messages_old; ALTER TABLE messages_new RENAME TO messages')
      t.not((await tx.query('SELECT count(*) AS n FROM analytics.messages')).rows[0].n, 0, 'a view holds on to its table')
      await tx.query('SELECT fence_reads(), define_analytics()')
      t.equal((await tx.query('SELECT count(*) AS n FROM analytics.messages')).rows[0].n, 0)
      t.equal((await tx.query("SELECT relrowsecurity FROM pg_class WHERE oid = 'messages'::regclass")).rows[0].relrowsecurity, true)
      await tx.query('DROP TABLE messages_old')
      await tx.query('SET LOCAL ROLE millrace_analyst; SELECT * FROM analytics.messages; RESET ROLE; SET LOCAL ROLE millrace_reader; SELECT * FROM messages; RESET ROLE')
      throw new Error('undone')
    }).catch((error: Error) => { t.equal(error.message, 'undone') })
  })
})
