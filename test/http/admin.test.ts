// What operators may ask and do over HTTP, and that nobody else may: to them there is nothing under /admin. Each act has the effect of
// the command it stands for, is marked where it is an event, and is written down.
import { randomUUID } from 'node:crypto'
import t from 'tap'
import { archive } from '../../projections/archive.ts'
import { history } from '../../projections/history.ts'
import { usernameKey } from '../../src/auth/usernames.ts'
import { LOBBY_ID } from '../../src/domain/lobby.ts'
import { checkRedisPartitions } from '../../src/log/deployment.ts'
import { checkPostgresPartitions } from '../../src/store/deployment.ts'
import { setOperator } from '../../src/store/operators.ts'
import { run } from '../cli/run.ts'
import { describeServer } from '../described.ts'
import { until } from '../until.ts'
import { testStack } from './stack.ts'

const stack = await testStack(t)
const { call, get, post, signup, login, store, project, log } = stack
const name = (): string => `u-${randomUUID().slice(0, 8)}`
const person = async (): Promise<{ id: string, name: string, token: string }> => {
  const { user, access_token } = await signup(name())
  return { id: user.id, name: user.username, token: access_token }
}
await checkRedisPartitions(stack.redis, 8)
await checkPostgresPartitions(store, 8)
const op = await person()
await setOperator(store, usernameKey(op.name), true)
const admin = async (method: string, path: string, body?: unknown) => await call(method, `/admin${path}`, { token: op.token, body })
const roomOf = async (token: string, kind = 'private'): Promise<string> => (await post('/rooms', { name: 'Engines', kind }, token)).body.id
const acts = async (): Promise<Array<Record<string, any>>> => (await admin('GET', '/acts?limit=200')).body.items
const eventsOf = async (room: string): Promise<any[]> => (await log.read(room, 0, 100)).map(({ data }) => JSON.parse(data))

t.test('to everybody else there is nothing here, on any route', async t => {
  const other = await person()
  const { routes } = await describeServer()
  const mine = routes.filter(({ url }) => url.startsWith('/admin/'))
  t.ok(mine.length >= 20, `${mine.length} routes`)
  const id = randomUUID()
  for (const { method, url } of mine) {
    const path = url.replace(':projection', 'history_v1').replace(/:(id|user|room)/g, id).replace(':seq', '1')
    t.match(await call(method, path, { token: other.token }), { status: 404, body: { code: 'not_found', detail: 'There is nothing here' } }, `${method} ${path}`)
    t.match(await call(method, path, {}), { status: 401, body: { code: 'unauthenticated' } })
  }
  t.match(await call('GET', '/admin/users/x', { token: other.token }), { status: 404, body: { code: 'not_found' } }, 'nor does a wrong path show that there is something')
})

t.test('who is an operator is said by the command line, and holds from that moment', async t => {
  const env = { REDIS_URL: stack.redisServer.url, DATABASE_URL: (await store.query('SELECT current_database() AS name')).rows.map(({ name }) => stack.postgres.urlOf(name))[0]! }
  const boss = await person()
  t.match(await run(env, 'operator', 'add', boss.name.toUpperCase()), { code: 0, out: / is an operator\.\n/ })
  t.match(await run(env, 'operator', 'add', boss.name), { code: 0, out: / is an operator already\.\n/ })
  t.equal((await get('/admin/acts', boss.token)).status, 200)
  t.match((await run(env, 'operator', 'list')).out, new RegExp(`^${boss.name} ${boss.id}$`, 'm'))
  t.match(await run(env, 'operator', 'remove', boss.name), { code: 0, out: / is no operator\.\n/ })
  t.equal((await get('/admin/acts', boss.token)).status, 404)
  t.match(await run(env, 'operator', 'add', 'nobody at all'), { code: 1, err: /There is no user "nobody at all"/ })
  for (const args of [[], ['add'], ['list', 'x'], ['make', 'x']]) t.match(await run(env, 'operator', ...args), { code: 2, err: /Usage: millrace operator/ })
  t.match((await acts()).filter(({ user_id }) => user_id === boss.id).map(({ action, operator_id }) => [action, operator_id]), [['operator remove', null], ['operator add', null]])
})

t.test('the status is that of the command', async t => {
  const { status, body } = await admin('GET', '/status')
  t.equal(status, 200)
  t.match(body, { partitions: 8, redis: { master: true, partitions_fenced: 0 }, postgres: { connections: Number }, projections: [{ projection: 'archive_v1' }, { projection: 'history_v1' }] })
  t.ok(body.troubles.some(({ text }: { text: string }) => text.startsWith('projector: none alive')), 'no projector runs here')
  t.notMatch(JSON.stringify(body), 'test@')
})

t.test('accounts are found, shut and opened', async t => {
  const who = await person()
  t.match((await admin('GET', `/users?query=${who.name.slice(0, 6)}`)).body.items.find(({ id }: { id: string }) => id === who.id), { username: who.name, operator: false, disabled_at: null, email: null })
  t.match(await admin('GET', `/users/${who.id.toUpperCase()}`), { status: 200, body: { id: who.id } })
  t.match(await admin('GET', `/users/${randomUUID()}`), { status: 404, body: { code: 'user_not_found' } })

  const ticket = (await post('/auth/ws-ticket', undefined, who.token)).body.ticket
  t.equal((await admin('PUT', `/users/${who.id}/disabled`, { reason: 'spam' })).status, 204)
  t.equal((await admin('PUT', `/users/${who.id}/disabled`)).status, 204, 'again')
  t.match(await get('/me', who.token), { status: 401 }, 'their tokens are void at once')
  t.equal(await stack.sessions.redeem(ticket), undefined)
  t.match(await post('/auth/login', { username: who.name, password: 'a password of the tests' }), { status: 403, body: { code: 'forbidden', detail: 'This account is shut' } })
  t.match(await post('/auth/login', { username: who.name, password: 'a wrong password' }), { status: 401 }, 'who does not know the password learns nothing')
  t.match((await admin('GET', `/users/${who.id}`)).body.disabled_at, /^\d{4}-/)
  t.equal((await admin('DELETE', `/users/${who.id}/disabled`)).status, 204)
  const { access_token } = await login(who.name)
  await stack.security.written()
  t.match((await get('/auth/events', access_token)).body.items.map(({ type }: { type: string }) => type), ['login', 'enabled', 'login_failed', 'login_failed', 'disabled', 'signup'], 'they find it among what happened to their account')
  t.match((await acts()).filter(({ user_id }) => user_id === who.id).map(({ action, operator, operator_id, detail, address }) => [action, operator, operator_id, detail, address]), [['enable', op.name, op.id, {}, '127.0.0.1'], ['disable', op.name, op.id, { reason: 'spam' }, '127.0.0.1']], 'each once')
  t.match(await admin('PUT', `/users/${op.id}/disabled`), { status: 422, body: { code: 'not_yourself' } })
  t.match(await admin('PUT', `/users/${randomUUID()}/disabled`), { status: 404, body: { code: 'user_not_found' } })
})

t.test('an operator whose account is shut is none', async t => {
  const boss = await person()
  await setOperator(store, usernameKey(boss.name), true)
  await store.query('UPDATE users SET disabled_at = now() WHERE id = $1', [boss.id])
  t.equal((await get('/admin/users', boss.token)).status, 404)
})

t.test('a log-in that is under way while the account is shut opens no session', async t => {
  const who = await person()
  await Promise.all([admin('PUT', `/users/${who.id}/disabled`), ...Array.from({ length: 10 }, async () => await post('/auth/login', { username: who.name, password: 'a password of the tests' }))])
  t.same((await store.query('SELECT FROM sessions WHERE user_id = $1 AND revoked_at IS NULL', [who.id])).rowCount, 0)
})

t.test('passwords are set, and sessions ended', async t => {
  const who = await person()
  const given = await admin('POST', `/users/${who.id}/password`, { new_password: 'chosen by an operator' })
  t.match(given, { status: 200, body: { new_password: 'chosen by an operator' } })
  t.equal((await get('/me', who.token)).status, 401)
  t.match(await post('/auth/login', { username: who.name, password: 'a password of the tests' }), { status: 401 })
  const made = (await admin('POST', `/users/${who.id}/password`)).body.new_password
  t.ok(made.length >= 20)
  const [one, other] = [await login(who.name, made), await login(who.name, made)]
  const { body: { items } } = await admin('GET', `/users/${who.id}/sessions`)
  t.equal(items.length, 2)
  t.equal((await admin('DELETE', `/sessions/${items[0].id}`)).status, 204)
  t.match(await admin('DELETE', `/sessions/${items[0].id}`), { status: 404, body: { code: 'not_found' } })
  t.same([(await get('/me', one.access_token)).status, (await get('/me', other.access_token)).status].sort(), [200, 401])
  t.match(await admin('DELETE', `/users/${who.id}/sessions`), { status: 200, body: { ended: 1 } })
  t.equal((await get('/me', one.access_token)).status, 401)
  t.notMatch(JSON.stringify(await acts()), made, 'no password is written down')
  t.match(await admin('POST', `/users/${op.id}/password`), { status: 422 })
  t.match(await admin('POST', `/users/${who.id}/password`, { new_password: 'short' }), { status: 400 })
})

t.test('any room is moderated, as by somebody above its owners, and its events say so', async t => {
  const [ada, bob] = [await person(), await person()]
  const room = await roomOf(ada.token)
  await call('PUT', `/rooms/${room}/members/${bob.id}`, { token: ada.token, body: { role: 'admin' } })
  const { seq } = (await post(`/rooms/${room}/messages`, { content: 'abuse' }, ada.token)).body
  await project(archive, room)
  await project(history, room)
  t.match(await admin('GET', `/rooms/${room}`), { status: 200, body: { name: 'Engines', kind: 'private', members: 2, head: { seq }, checkpoints: [{ projection: 'archive_v1', seq }, { projection: 'history_v1', seq }], parked: [] } })
  t.same((await admin('GET', `/rooms?query=${room}`)).body.items.map(({ id }: { id: string }) => id), [room])
  t.match(await get(`/rooms/${room}`, op.token), { status: 404 }, 'it does not make a member of anybody')

  const cleared = await admin('DELETE', `/rooms/${room}/messages/${seq}`)
  t.match(cleared, { status: 200, body: { changed: true } })
  t.match(await admin('PUT', `/rooms/${room}/bans/${bob.id}`, { reason: 'abuse' }), { status: 200, body: { changed: true } })
  t.match(await admin('PUT', `/rooms/${room}/mutes/${ada.id}`, { until: '2100-01-01T00:00:00Z' }), { status: 200 })
  t.match(await post(`/rooms/${room}/messages`, { content: 'x' }, ada.token), { status: 403, body: { code: 'muted' } })
  t.match(await admin('PUT', `/rooms/${room}/bans/${ada.id}`), { status: 409, body: { code: 'last_owner' } }, 'a room keeps an owner')
  t.match(await admin('PATCH', `/rooms/${room}`, { archived: true, name: 'Closed' }), { status: 200 })
  t.match(await admin('DELETE', `/rooms/${room}/bans/${bob.id}`), { status: 200 })
  const marked = (await eventsOf(room)).filter(({ operator }) => operator === true)
  t.match(marked.map(({ type, user_id }) => [type, user_id]), [['delete', op.id], ['ban', op.id], ['mute', op.id], ['room', op.id], ['ban', op.id]])
  t.match((await get(`/rooms/${room}/audit`, ada.token)).body.items.slice(0, 2), [{ type: 'ban', user_id: op.id, operator: true }, { type: 'room', user_id: op.id, operator: true }], 'its moderators see it')
  t.same((await acts()).filter(({ room_id }) => room_id === room).map(({ action }) => action), ['unban', 'update', 'mute', 'ban', 'delete'])
  t.match(await admin('PUT', `/rooms/${room}/mutes/${op.id}`), { status: 403 }, 'not over oneself')
  t.match(await admin('PUT', `/rooms/${room}/bans/${randomUUID()}`), { status: 404, body: { code: 'user_not_found' } })

  t.equal((await admin('DELETE', `/rooms/${room}`)).status, 204)
  t.match(await get(`/rooms/${room}`, ada.token), { status: 404 })
  t.match(await admin('DELETE', `/rooms/${room}`), { status: 404, body: { code: 'room_not_found' } })
})

t.test('the lobby gets moderators, and what talks between two is not an operator’s', async t => {
  const [ada, bob] = [await person(), await person()]
  t.match(await admin('PUT', `/rooms/lobby/members/${ada.id}`, { role: 'moderator' }), { status: 200, body: { room_id: LOBBY_ID, changed: true } })
  t.match(await call('PUT', `/rooms/lobby/mutes/${bob.id}`, { token: ada.token }), { status: 200 })
  t.match(await admin('DELETE', '/rooms/lobby'), { status: 403, body: { code: 'forbidden' } })
  const dm = (await post('/dms', { user_id: bob.id }, ada.token)).body.id
  const { seq } = (await post(`/rooms/${dm}/messages`, { content: 'between us' }, ada.token)).body
  t.match(await admin('DELETE', `/rooms/${dm}/messages/${seq}`), { status: 403, body: { code: 'forbidden' } })
  t.match(await admin('DELETE', `/rooms/${bob.id}`), { status: 404 }, 'nor are inboxes')
  t.match(await admin('GET', `/rooms/${randomUUID()}`), { status: 404, body: { code: 'room_not_found' } })
})

t.test('the same key is the same act', async t => {
  const ada = await person()
  const room = await roomOf(ada.token, 'public')
  const bob = await person()
  const mute = async () => await call('PUT', `/admin/rooms/${room}/mutes/${bob.id}`, { token: op.token, headers: { 'idempotency-key': 'once' } })
  t.same([(await mute()).body.duplicate, (await mute()).body.duplicate], [false, true])
  t.equal((await acts()).filter(({ room_id }) => room_id === room).length, 1)
})

t.test('parked rooms are listed, looked into, put back and gone past', async t => {
  const ada = await person()
  const room = await roomOf(ada.token)
  const { seq, event_id } = (await post(`/rooms/${room}/messages`, { content: 'a secret' }, ada.token)).body
  const parkIt = async () => await store.query("INSERT INTO parked_rooms (projection, room_id, partition, seq, event_id, error, error_code) VALUES ('history_v1', $1, 1, $2, $3, 'no such column', '42703')", [room, seq, event_id])
  await parkIt()
  t.match((await admin('GET', '/parks')).body.items, [{ projection: 'history_v1', room_id: room, seq, error_code: '42703' }])
  const shown = await admin('GET', `/parks/history_v1/${room}`)
  t.match(shown, { status: 200, body: { waiting: 1, head_seq: seq, event: { type: 'message', user_id: ada.id } } })
  t.notMatch(JSON.stringify(shown.body), 'a secret')
  t.match((await admin('GET', `/parks/history_v1/${room}?content=true`)).body.content, /a secret/)
  t.match((await admin('GET', `/rooms/${room}`)).body.parked, [{ projection: 'history_v1', seq }])
  t.equal((await admin('POST', `/parks/history_v1/${room}/retry`)).status, 204)
  t.match(await admin('POST', `/parks/history_v1/${room}/retry`), { status: 404, body: { code: 'not_found' } })
  await parkIt()
  t.match(await admin('POST', `/parks/history_v1/${room}/skip`, { reason: 'no use' }), { status: 200, body: { from: seq, to: seq } })
  t.match(await admin('POST', `/parks/archive_v1/${room}/skip`), { status: 403, body: { code: 'forbidden', detail: /is not parked at a hole/ } })
  t.match((await store.query('SELECT skipped_by, reason, event_id FROM skipped WHERE room_id = $1', [room])).rows, [{ skipped_by: op.name, reason: 'no use', event_id }])
  t.match((await acts()).filter(({ room_id }) => room_id === room).map(({ action }) => action), ['park skip', 'park retry', 'park show content'])
})

t.test('more parked rooms than fit on a page are listed all the same, each once', async t => {
  const ids = Array.from({ length: 7 }, () => randomUUID())
  // Parked in the same millisecond, or nearly: the page ends within it.
  for (const [i, id] of ids.entries()) await store.query("INSERT INTO parked_rooms (projection, room_id, partition, seq, error, error_code, parked_at) VALUES ('search_v1', $1, 1, 1, 'x', 'bug', timestamptz '2026-11-20' + $2 * interval '200 microseconds')", [id, i])
  const found: string[] = []
  let [path, pages] = ['/parks?limit=2', 0]
  for (let next: string | null = ''; next !== null; pages++) {
    const { body } = await admin('GET', path)
    found.push(...body.items.map(({ room_id }: { room_id: string }) => room_id))
    next = body.next
    path = `/parks?limit=2&after=${next}`
  }
  t.same(found.toSorted(), ids.toSorted())
  t.equal(pages, 4)
  for (const after of ['x', Buffer.from('{"at":1}').toString('base64url'), Buffer.from('{"at":1,"projection":"x y","room_id":"x"}').toString('base64url')]) t.match(await admin('GET', `/parks?after=${after}`), { status: 400, body: { code: 'bad_request', detail: /after must be/ } })
  t.match(await admin('GET', '/parks?limit=0'), { status: 400, body: { code: 'bad_request' } })
  await store.query("DELETE FROM parked_rooms WHERE projection = 'search_v1'")
})

// A gateway that died between the two left the tokens valid at all others, and asking again told nobody.
t.test('sessions that were ended by a gateway that died before it said so are announced when it is asked again', async t => {
  for (const [method, path, undo] of [['PUT', 'disabled', 'UPDATE users SET disabled_at = now() WHERE id = $1'], ['DELETE', 'sessions', ''], ['POST', 'password', '']] as const) {
    const who = await person()
    t.equal((await get('/me', who.token)).status, 200)
    if (undo !== '') await store.query(undo, [who.id])
    await store.query("UPDATE sessions SET revoked_at = now(), revoked_for = 'operator' WHERE user_id = $1", [who.id])
    t.equal((await get('/me', who.token)).status, 200, 'nobody knows of it')
    t.match((await admin(method, `/users/${who.id}/${path}`)).status, /^20/)
    t.equal((await get('/me', who.token)).status, 401, path)
  }
})

t.test('acts are paged, newest first', async t => {
  const all = await acts()
  const first = (await admin('GET', '/acts?limit=2')).body
  const second = (await admin('GET', `/acts?limit=2&after=${first.next}`)).body
  t.same([...first.items, ...second.items], all.slice(0, 4))
})

t.test('while Postgres is away nobody is let in', async t => {
  await stack.postgres.kill()
  t.match(await admin('GET', '/status'), { status: 503, body: { code: 'unavailable' } })
  await stack.postgres.restart()
  await until(async () => (await admin('GET', '/status')).status === 200, { what: 'Postgres to be back' })
})

t.test('every table and column has a comment', async t => {
  const { rows } = await store.query(`
    SELECT c.relname, a.attname
      FROM pg_class AS c
      LEFT JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
     WHERE c.relname = ANY ($1)
       AND c.relkind = 'r'
       AND (obj_description(c.oid) IS NULL OR col_description(c.oid, a.attnum) IS NULL)`, [['operator_acts', 'skipped', 'users', 'parked_rooms']])
  t.same(rows, [])
})
