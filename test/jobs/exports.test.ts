// Exports in the background: what they hold, who may have them, what becomes of them when a process is killed, when they are cancelled,
// when their time is over. That nobody but operators finds these routes is held by test/http/admin.test.ts.
import t from 'tap'
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { usernameKey } from '../../src/auth/usernames.ts'
import { OPEN_MAX } from '../../src/store/exports.ts'
import { setOperator } from '../../src/store/operators.ts'
import { run } from '../cli/run.ts'
import { environment, startRole } from '../e2e/world.ts'
import { until } from '../until.ts'
import { ENV, jobsWorld } from './stand.ts'

const dir = mkdtempSync(join(tmpdir(), 'millrace-exports-'))
t.teardown(() => { rmSync(dir, { recursive: true, force: true }) })
const EXPORTS = { EXPORT_DIR: dir }
const world = await jobsWorld(t, EXPORTS)
const { http, person, store } = world
const op = await person('op')
await setOperator(store, usernameKey('op'), true)
const ann = await person('ann')
const kitchen = await world.room(ann.token, 'the kitchen')
const other = await world.room(ann.token)
for (const text of ['one', 'a, "quoted" one', '=1+1']) await ann.say(kitchen, text)
await ann.say(other, 'elsewhere')
await world.projected()

const SINCE = '2020-01-01T00:00:00Z'
const admin = async (method: string, path: string, body?: unknown) => await http.call(method, `/admin/exports${path}`, { token: op.token, body })
const ask = async (body: object = {}): Promise<string> => {
  const { status, body: made } = await admin('POST', '', { since: SINCE, ...body })
  if (status !== 202) throw new Error(JSON.stringify(made))
  return made.id
}
const of = async (id: string) => (await admin('GET', `/${id}`)).body
const reaches = async (id: string, state: string, timeoutMs = 60_000) => await until(async () => { const now = await of(id); return now.state === state && now }, { timeoutMs, everyMs: 100, what: `the export to be ${state}` })
const fetchFile = async (id: string) => {
  const answer = await fetch(`${world.url}/admin/exports/${id}/file`, { headers: { authorization: `Bearer ${op.token}` } })
  return { status: answer.status, type: answer.headers.get('content-type'), disposition: answer.headers.get('content-disposition'), text: await answer.text() }
}
/** As the command has it. */
const byHand = async (...args: string[]): Promise<string> => (await run({ REDIS_URL: world.redisUrl, DATABASE_URL: world.databaseUrl }, 'export', '--since', SINCE, ...args)).out
const acts = async (id: string): Promise<string[]> => (await store.query<{ action: string }>("SELECT action FROM operator_acts WHERE detail->>'export_id' = $1 ORDER BY at, id", [id])).rows.map(({ action }) => action)

t.test('an export holds what the command writes, of all or of a room, and is readable by nobody else on the host', async t => {
  const jobs = await world.jobs()
  const asked: Array<[object, string[]]> = [[{}, []], [{ format: 'csv', room_id: kitchen.toUpperCase() }, ['--format', 'csv', '--room', kitchen]], [{ what: 'events', until: '2100-01-01T00:00:00Z' }, ['--what', 'events', '--until', '2100-01-01']]]
  for (const [body, args] of asked) {
    const id = await ask(body)
    const { rows, total, bytes, expires_at } = await reaches(id, 'done')
    const { status, type, disposition, text } = await fetchFile(id)
    t.equal(status, 200)
    t.match(type, 'csv' in body || args.includes('csv') ? /^text\/csv/ : /^application\/x-ndjson/)
    t.match(disposition, `attachment; filename="${id}.`)
    t.equal(text, await byHand(...args))
    t.ok(rows > 0 && rows === total)
    t.equal(bytes, Buffer.byteLength(text))
    t.ok(new Date(expires_at) > new Date())
    t.same(await acts(id), ['export', 'export fetch'], 'each time it is fetched is written down')
  }
  for (const name of readdirSync(dir)) t.equal(statSync(join(dir, name)).mode & 0o077, 0, name)
  const list = (await admin('GET', '?limit=2')).body
  t.equal(list.items.length, 2)
  t.equal((await admin('GET', `?after=${list.next}`)).body.items.length, 1)
  await jobs.stop()
})

t.test('bad input is told, and who is no operator finds nothing', async t => {
  for (const [body, code] of [
    [{}, 'bad_request'], [{ since: 'yesterday' }, 'bad_request'], [{ since: '2026-13-40T00:00:00Z' }, 'bad_request'], [{ since: SINCE, until: SINCE }, 'bad_request'],
    [{ since: SINCE, what: 'passwords' }, 'bad_request'], [{ since: SINCE, format: 'xml' }, 'bad_request'], [{ since: SINCE, room_id: 'lobby' }, 'bad_request'],
    [{ since: SINCE, room_id: '00000000-0000-7000-8000-00000000dead' }, 'room_not_found'],
  ] as const) t.match((await admin('POST', '', body)).body, { code }, JSON.stringify(body))
  for (const method of ['GET', 'DELETE']) t.match(await admin(method, '/00000000-0000-7000-8000-00000000dead'), { status: 404, body: { code: 'not_found' } })
  t.match(await admin('GET', '/../etc/file'), { status: 404 })
  t.match(await http.call('POST', '/admin/exports', { token: ann.token, body: { since: SINCE } }), { status: 404, body: { code: 'not_found' } })
  t.match(await http.call('GET', '/admin/exports', {}), { status: 401 })
  const { url } = await world.gateway({ EXPORT_DIR: '' })
  const answer = await fetch(`${url}/admin/exports`, { method: 'POST', headers: { authorization: `Bearer ${op.token}`, 'content-type': 'application/json' }, body: JSON.stringify({ since: SINCE }) })
  t.match([answer.status, await answer.json()], [403, { code: 'forbidden', detail: /EXPORT_DIR/ }])
})

t.test('so many may be asked for and not done; cancelled, they give their place back', async t => {
  const ids = await Promise.all(Array.from({ length: OPEN_MAX }, async () => await ask()))
  t.match(await admin('POST', '', { since: SINCE }), { status: 422, body: { code: 'too_many' } })
  t.match(await fetchFile(ids[0]!), { status: 409 })
  for (const id of ids) t.equal((await admin('DELETE', `/${id}`)).status, 204)
  t.match(await of(ids[0]!), { state: 'cancelled' })
  t.match(await fetchFile(ids[0]!), { status: 404 })
  t.same(await acts(ids[0]!), ['export', 'export cancel'])
  t.equal((await admin('DELETE', `/${ids[0]}`)).status, 204, 'again')
  t.same(await acts(ids[0]!), ['export', 'export cancel'], 'which does nothing')
})

t.test('cancelled while it is written, it ends and leaves no file; so does one whose time is over, and what a process left that died', async t => {
  const jobs = await world.jobs()
  const held = await store.connect()
  await held.query('BEGIN; LOCK TABLE messages IN ACCESS EXCLUSIVE MODE')
  const id = await ask()
  await reaches(id, 'running')
  t.equal((await admin('DELETE', `/${id}`)).status, 204)
  await until(async () => (await store.query("SELECT FROM pg_stat_activity WHERE query LIKE 'SELECT count(*) AS total%' AND state = 'active'")).rowCount === 0, { what: 'its query to be given up' })
  await held.query('ROLLBACK')
  held.release()
  const done = await ask()
  await reaches(done, 'done')
  writeFileSync(join(dir, `${done}.7.ndjson.part`), 'left over')
  await store.query("UPDATE exports SET expires_at = now() WHERE state = 'done'")
  await reaches(done, 'expired')
  await until(() => readdirSync(dir).length === 0, { what: 'the files to be removed' })
  t.match(await fetchFile(done), { status: 404 })
  t.match(await of(id), { state: 'cancelled' })
  await jobs.stop()
})

t.test('killed while it writes, another process does it from the beginning; what fails each time is given up, visibly', async t => {
  const role = await startRole(t, ['jobs'], { ...environment(world), ...ENV, ...EXPORTS })
  const held = await store.connect()
  await held.query('BEGIN; LOCK TABLE messages IN ACCESS EXCLUSIVE MODE')
  const id = await ask()
  await reaches(id, 'running')
  await role.kill()
  await held.query('ROLLBACK')
  held.release()
  await role.restart()
  t.match(await reaches(id, 'done', 120_000), { attempts: 2, error: null })
  t.equal((await fetchFile(id)).text, await byHand())
  const files = () => readdirSync(dir).filter(name => name.startsWith(id)).join()
  await until(() => files() === `${id}.2.ndjson`, { what: 'what the first left to be removed' })
  t.equal(await role.stop(), 0)

  rmSync(dir, { recursive: true })
  writeFileSync(dir, 'in the way') // as a disk that is full
  const jobs = await world.jobs()
  const failing = await ask()
  const { error, attempts } = await reaches(failing, 'failed', 120_000)
  t.match(error, /EEXIST|ENOTDIR/)
  t.equal(attempts, 4)
  t.match(await fetchFile(id), { status: 404 }, 'a file that is not there any more')
  await jobs.stop()
})
