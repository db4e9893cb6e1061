// The export as people run it: the command as a process of its own, with a small heap.
import t, { type Test } from 'tap'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { migrate } from '../../src/store/migrate.ts'
import { openStore, type Store } from '../../src/store/pool.ts'
import { createLogger } from '../../src/telemetry/logging.ts'
import { testPostgres } from '../dev/servers.ts'
import { until } from '../until.ts'

const MILLRACE = fileURLToPath(new URL('../../bin/millrace.js', import.meta.url))
const HEAP_MB = 48
const ROWS = 50_000
const [A, B] = ['00000000-0000-7000-8000-00000000000a', '00000000-0000-7000-8000-00000000000b']
const USER = '00000000-0000-7000-8000-0000000000c1'

interface Run { code: number | null, out: string, err: string }
interface World { store: Store, env: Record<string, string>, cwd: string }

async function createWorld (t: Test): Promise<World> {
  const postgres = await testPostgres(t)
  const DATABASE_URL = await postgres.createDatabase()
  const log = createLogger({ level: 'silent', role: 'test' })
  const store = await openStore({ url: DATABASE_URL, max: 2, name: 'test', log })
  t.teardown(async () => { await store.close() })
  await migrate({ store, log })
  await store.query("INSERT INTO users (id, username, username_key, display_name, kind, created_at) VALUES ($1, '=Ann', '=ann', 'Ann', 'guest', now())", [USER])
  return { store, cwd: mkdtempSync(join(tmpdir(), 'millrace-export-')), env: { DATABASE_URL, NODE_OPTIONS: `--max-old-space-size=${HEAP_MB}` } }
}

function start ({ env, cwd }: World, args: string[]) {
  const child = spawn(process.execPath, [MILLRACE, 'export', ...args], { cwd, env: { PATH: process.env.PATH, TMPDIR: cwd, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
  child.stdout.setEncoding('utf8')
  const said = { err: '' }
  child.stderr.on('data', data => { said.err += String(data) })
  return { child, said, ended: once(child, 'close').then(([code]) => code as number | null) }
}

async function run (world: World, ...args: string[]): Promise<Run> {
  const { child, said, ended } = start(world, args)
  let out = ''
  child.stdout.on('data', data => { out += String(data) })
  return { code: await ended, out, err: said.err }
}

/** Messages with these contents, a minute apart from 10:00 on 20 November 2026. */
async function say ({ store }: World, room: string, contents: Array<string | null>): Promise<void> {
  await store.query(`
    INSERT INTO messages (room_id, seq, message_no, author_no, event_id, user_id, content, timestamp, deleted, mentions, attachments)
    SELECT $1, n + 1, n, n, gen_random_uuid(), $2, coalesce(content, ''), '2026-11-20T10:00:00Z'::timestamptz + n * interval '1 minute', content IS NULL,
           CASE WHEN n = 1 THEN ARRAY[$2::uuid] END, CASE WHEN n = 1 THEN E'[{"url":\\n"https://x.y"}]'::json END
      FROM unnest($3::text[]) WITH ORDINALITY AS said (content, n)`, [room, USER, contents])
}

/** CSV of RFC 4180, read by its letter. */
function parseCsv (text: string): string[][] {
  const rows: string[][] = [[]]
  for (const [, quoted, plain = '', end] of text.matchAll(/(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r\n)/g)) {
    rows.at(-1)!.push(quoted === undefined ? plain : quoted.replaceAll('""', '"'))
    if (end === '\r\n') rows.push([])
  }
  return rows.slice(0, -1)
}

t.test('messages as lines of JSON and as CSV, in the order of room and seq', async t => {
  const world = await createWorld(t)
  const contents = ['plain', 'a "quoted", one\r\nand a line', '=HYPERLINK("https://x.y")', '-1', '@all', '+1', '\tx', ' =1', null, "it's 😀 ünïcode, ,", '{"a":1}']
  await say(world, B, ['in the other room'])
  await say(world, A, contents)

  const json = await run(world, '--format', 'ndjson', '--since', '2026-11-20')
  t.equal(json.code, 0)
  const rows = json.out.trimEnd().split('\n').map(line => JSON.parse(line))
  t.same(rows.map(({ room_id, seq }) => [room_id, seq]), [...contents.map((_, i) => [A, i + 2]), [B, 2]])
  t.same(rows.map(({ content }) => content), [...contents, 'in the other room'], 'JSON is exact, and a deleted message has no content')
  t.match(rows[0], { user_id: USER, username: '=Ann', sent_at: '2026-11-20T10:01:00.000Z', deleted: false, edited_at: null, reply_to: null, mentions: [USER], attachments: [{ url: 'https://x.y' }] })
  t.match(rows[8], { deleted: true, content: null, mentions: [], attachments: [] })
  t.match(json.err, /\[={30}\] 12\/12 messages/)

  const csv = await run(world, '--format', 'csv', '--since', '2026-11-20T00:00:00Z', '--room', A.toUpperCase())
  t.equal(csv.code, 0)
  const [header, ...lines] = parseCsv(csv.out)
  t.same(header, Object.keys(rows[0]))
  t.ok(lines.every(({ length }) => length === header!.length))
  const column = (name: string): string[] => lines.map(line => line[header!.indexOf(name)]!)
  t.same(column('content'), contents.map(text => text === null ? '' : /^[=+\-@\t]/.test(text) ? `'${text}` : text), 'what a spreadsheet would run has a quote before it')
  t.equal(column('username')[0], "'=Ann")
  t.equal(column('sent_at')[0], '2026-11-20T10:01:00.000Z')
  t.equal((await run(world, '--format', 'csv', '--since', '2026-11-20T00:00:00Z', '--room', A)).out, csv.out, 'again, it is the same')

  const some = await run(world, '--since', '2026-11-20T10:02:00Z', '--until', '2026-11-20T11:04:00+01:00', '--room', A)
  t.same(some.out.trimEnd().split('\n').map(line => JSON.parse(line).seq), [3, 4], 'from --since on, before --until')
  const none = await run(world, '--since', '2027-01-01')
  t.same([none.code, none.out], [0, ''])
  t.same((await run(world, '--format', 'csv', '--since', '2027-01-01')).out, `${header!.join(',')}\r\n`, 'a header at least')
})

t.test('events come as they are archived, byte for byte', async t => {
  const world = await createWorld(t)
  const data = '{"type":"message",  "content":"=1, \\"x\\"","n":1.0}'
  await world.store.query("INSERT INTO events (room_id, seq, chain, event_id, user_id, type, v, timestamp, data) VALUES ($1, 1, '0123456789abcdef', gen_random_uuid(), $2, 'message', 1, '2026-11-20', $3)", [A, USER, data])
  const { code, out } = await run(world, '--what', 'events', '--since', '2026-11-20')
  t.equal(code, 0)
  t.ok(out.endsWith(`"data":${data}}\n`), out)
  t.match(JSON.parse(out), { room_id: A, seq: 1, chain: '0123456789abcdef', type: 'message', v: 1, timestamp: '2026-11-20T00:00:00.000Z', data: { n: 1 } })
  t.equal(parseCsv((await run(world, '--what', 'events', '--format', 'csv', '--since', '2026-11-20')).out)[1]!.at(-1), data)
})

t.test('a wrong command line is exit code 2 and says what is wrong, and one that cannot be done is 1', async t => {
  const world = await createWorld(t)
  for (const [args, why] of [
    [[], /--since 2026-11-20/], [['--since', 'yesterday'], /--since must be a date/], [['--since', '2026-02-30'], /--since must be a date/], [['--since', '2026-11-20T25:00'], /must be a date/],
    [['--since', '2026-11-20', '--until', '2026-11-20'], /after --since/], [['--since', '2026-11-20', '--format', 'xml'], /ndjson or csv/],
    [['--since', '2026-11-20', '--what', 'constructor'], /messages or events/], [['--since', '2026-11-20', '--room', 'lobby'], /ID of a room/], [['--since', '2026-11-20', '--all'], /--all/],
  ] as const) {
    const { code, out, err } = await run(world, ...args)
    t.same([code, out], [2, ''], args.join(' '))
    t.match(err, why)
    t.match(err, /Usage: millrace export/)
  }
  const { code, err } = await run({ ...world, env: { DATABASE_URL: 'postgres://x:y@127.0.0.1:1/none' } }, '--since', '2026-11-20')
  t.equal(code, 1)
  t.match(err, /cannot be used/)
})

t.test(`${ROWS} long messages pass through a heap of ${HEAP_MB} MB, which shows how far it is; cut off, it ends after a whole line and leaves nothing`, async t => {
  const world = await createWorld(t)
  const CHARS = 3000
  await world.store.query(`
    INSERT INTO messages (room_id, seq, message_no, author_no, event_id, user_id, content, timestamp)
    SELECT CASE WHEN n % 2 = 0 THEN $1::uuid ELSE $2::uuid END, n, n, n, gen_random_uuid(), $3, repeat('0123456789', ${CHARS / 10}), '2026-11-20'
      FROM generate_series(1, ${ROWS}) AS n`, [A, B, USER])

  const { child, said, ended } = start(world, ['--since', '2026-11-20'])
  let [bytes, lines, last, ordered, rest] = [0, 0, '', true, '']
  child.stdout.on('data', (text: string) => {
    bytes += text.length
    const whole = (rest + text).split('\n')
    rest = whole.pop()!
    for (const line of whole) {
      const place = line.slice(12, 48) + line.slice(55, line.indexOf(',', 50)).padStart(8, '0')
      ordered &&= place > last
      last = place
      lines++
    }
  })
  t.equal(await ended, 0, said.err)
  t.equal(lines, ROWS)
  t.ok(ordered && rest === '')
  t.ok(bytes > HEAP_MB * 1024 * 1024 * 3, 'several times the heap')
  t.equal(said.err.trimEnd().split('\n').length, 11, 'a line for each tenth')

  const cut = start(world, ['--since', '2026-11-20'])
  let [out, stopped] = ['', false]
  cut.child.stdout.on('data', (text: string) => {
    out += text
    if (!stopped && out.length > 5_000_000) stopped = cut.child.kill('SIGINT')
  })
  t.equal(await cut.ended, 130)
  const got = out.split('\n')
  t.equal(got.pop(), '', 'the last line is whole')
  t.ok(got.length > 1000 && got.length < ROWS)
  t.match(cut.said.err, new RegExp(`Interrupted after ${got.length} messages`))

  // Somebody who is not reading: it waits, and an interrupt ends it all the same.
  const stuck = start(world, ['--since', '2026-11-20'])
  await until(() => stuck.child.stdout.readableLength > 0, { what: 'a first piece' })
  stuck.child.kill('SIGINT')
  await until(() => /Interrupted/.test(stuck.said.err), { what: 'an end' })
  stuck.child.stdout.resume()
  t.equal(await stuck.ended, 130)

  const gone = start(world, ['--since', '2026-11-20'])
  gone.child.stdout.once('data', () => { gone.child.stdout.destroy() })
  t.equal(await gone.ended, 1)
  t.match(gone.said.err, /went away/)

  t.same(readdirSync(world.cwd), [], 'no file')
  await until(async () => (await world.store.query("SELECT FROM pg_stat_activity WHERE application_name = 'millrace-export'")).rowCount === 0, { what: 'no session' })
})

t.test('an interrupt ends a statement that takes long', async t => {
  const world = await createWorld(t)
  const client = await world.store.connect()
  await client.query('BEGIN; LOCK messages')
  const { child, said, ended } = start(world, ['--since', '2026-11-20'])
  t.teardown(() => { child.kill('SIGKILL') })
  await until(async () => (await world.store.query("SELECT FROM pg_stat_activity WHERE application_name = 'millrace-export' AND wait_event_type = 'Lock'")).rowCount === 1, { what: 'it to wait' })
  child.kill('SIGINT')
  t.equal(await ended, 130, said.err)
  await client.query('ROLLBACK')
  client.release()
})
