// Sessions as people see them: listing and ending them, changing the password, cookies, security events.
import t, { type Test } from 'tap'
import { deleteOldSecurityEvents } from '../../src/store/security-events.ts'
import { uuidv7 } from '../../src/ids.ts'
import type { Answer } from '../client.ts'
import { until } from '../until.ts'
import { testStack } from './stack.ts'

const stack = await testStack(t)
const { get, post, call, store, url } = stack
const second = await stack.gateway()

const PASSWORD = 'a password of these tests'
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/

function isProblem (t: Test, { status, body }: Answer, code: string, wanted: number, field?: string): void {
  t.match({ code: body.code, status, field: body.field }, { code, status: wanted, ...(field !== undefined && { field }) }, JSON.stringify(body))
}

const logIn = async (username: string, more: object = {}, headers: Record<string, string> = {}) => (await call('POST', '/auth/login', { body: { username, password: PASSWORD, ...more }, headers })).body

t.test('people see their sessions, newest first, page by page, and which one asks', async t => {
  const first = await stack.signup('lister', PASSWORD)
  const phone = await logIn('lister', { device_id: 'phone' }, { 'user-agent': 'Phone/1' })
  const { status, body } = await get('/auth/sessions', phone.access_token)
  t.equal(status, 200)
  t.match(body, { next: null, items: [{ id: UUID, device_id: 'phone', user_agent: 'Phone/1', address: '127.0.0.1', created_at: /Z$/, last_used_at: /Z$/, current: true }, { device_id: null, current: false }] })
  t.same(Object.keys(body.items[0]).sort(), ['address', 'created_at', 'current', 'device_id', 'id', 'last_used_at', 'user_agent'])
  const seen = []
  for (let after = ''; ;) {
    const page = (await get(`/auth/sessions?limit=1${after === '' ? '' : `&after=${after}`}`, first.access_token)).body
    seen.push(...page.items.map(({ id }: { id: string }) => id))
    if (page.next === null) break
    after = page.next
  }
  t.same(seen, body.items.map(({ id }: { id: string }) => id))
  t.same((await get('/auth/sessions', (await stack.signup('somebody else')).access_token)).body.items.length, 1)
})

t.test('a session that is ended is void at once on every gateway, and others go on', async t => {
  const laptop = await stack.signup('ender', PASSWORD)
  const phone = await logIn('ender')
  const { items } = (await get('/auth/sessions', laptop.access_token)).body
  const other = items.find(({ current }: { current: boolean }) => !current)
  t.equal((await second.get('/me', phone.access_token)).status, 200)
  t.equal((await call('DELETE', `/auth/sessions/${other.id}`, { token: laptop.access_token })).status, 204)
  isProblem(t, await get('/me', phone.access_token), 'unauthenticated', 401)
  await until(async () => (await second.get('/me', phone.access_token)).status === 401, { timeoutMs: 5_000, what: 'the other gateway' })
  isProblem(t, await post('/auth/refresh', { refresh_token: phone.refresh_token }), 'bad_refresh_token', 401)
  t.equal((await get('/me', laptop.access_token)).status, 200)
  t.same((await get('/auth/sessions', laptop.access_token)).body.items.length, 1)
  isProblem(t, await call('DELETE', `/auth/sessions/${other.id}`, { token: laptop.access_token }), 'not_found', 404)
  const third = await stack.gateway()
  t.equal((await third.get('/me', phone.access_token)).status, 401, 'a gateway that starts later knows')
})

t.test('nobody ends the sessions of others, or what is none', async t => {
  const victim = await stack.signup('victim')
  const { items: [{ id }] } = (await get('/auth/sessions', victim.access_token)).body
  const { access_token: token } = await stack.signup('villain')
  for (const session of [id, uuidv7()]) isProblem(t, await call('DELETE', `/auth/sessions/${session}`, { token }), 'not_found', 404)
  isProblem(t, await call('DELETE', '/auth/sessions/all', { token }), 'bad_request', 400, 'id')
  isProblem(t, await call('DELETE', `/auth/sessions/${id}`), 'unauthenticated', 401)
  t.equal((await get('/me', victim.access_token)).status, 200)
})

t.test('log-out and the reuse of a refresh token make access tokens void too', async t => {
  const leaver = await stack.signup('logged out')
  t.equal((await post('/auth/logout', undefined, leaver.access_token)).status, 204)
  isProblem(t, await get('/me', leaver.access_token), 'unauthenticated', 401)

  const robbed = await stack.signup('robbed of a token')
  const next = (await post('/auth/refresh', { refresh_token: robbed.refresh_token })).body
  t.equal((await get('/me', next.access_token)).status, 200)
  isProblem(t, await post('/auth/refresh', { refresh_token: robbed.refresh_token }), 'bad_refresh_token', 401)
  for (const { access_token } of [robbed, next]) isProblem(t, await get('/me', access_token), 'unauthenticated', 401)
})

t.test('a new password ends all other sessions, and the old one is no good', async t => {
  const here = await stack.signup('changer', PASSWORD)
  const there = await logIn('changer')
  const change = async (body: object) => await post('/auth/password', body, here.access_token)
  isProblem(t, await change({ new_password: 'another password' }), 'bad_request', 400, 'current_password')
  isProblem(t, await change({ current_password: 'wrong', new_password: 'another password' }), 'bad_credentials', 401)
  isProblem(t, await change({ current_password: PASSWORD, new_password: 'short' }), 'bad_request', 400, 'new_password')
  isProblem(t, await change({ current_password: PASSWORD, new_password: 'x'.repeat(1025) }), 'bad_request', 400, 'new_password')
  isProblem(t, await change({ current_password: PASSWORD, new_password: 'x'.repeat(1_000_000) }), 'too_large', 413)
  isProblem(t, await change({ current_password: 'x'.repeat(1_000_000), new_password: 'another password' }), 'too_large', 413)
  t.equal((await get('/me', there.access_token)).status, 200)
  t.equal((await change({ current_password: PASSWORD, new_password: 'another password' })).status, 204)
  isProblem(t, await get('/me', there.access_token), 'unauthenticated', 401)
  isProblem(t, await post('/auth/refresh', { refresh_token: there.refresh_token }), 'bad_refresh_token', 401)
  t.equal((await get('/me', here.access_token)).status, 200)
  isProblem(t, await post('/auth/login', { username: 'changer', password: PASSWORD }), 'bad_credentials', 401)
  t.equal((await post('/auth/login', { username: 'changer', password: 'another password' })).status, 200)
})

t.test('a guest becomes a person by a password', async t => {
  const { body: { access_token } } = await post('/auth/guest', { username: 'stayer' })
  isProblem(t, await post('/auth/login', { username: 'stayer', password: PASSWORD }), 'bad_credentials', 401)
  t.equal((await post('/auth/password', { new_password: PASSWORD }, access_token)).status, 204)
  t.equal((await get('/me', access_token)).body.kind, 'person')
  t.equal((await logIn('stayer')).user.kind, 'person')
  isProblem(t, await post('/auth/password', { new_password: 'another password' }, access_token), 'bad_request', 400, 'current_password')
})

t.test('no session is opened with the old password behind the back of its change', async t => {
  for (let i = 0; i < 5; i++) {
    const { access_token } = await stack.signup(`racer ${i}`, PASSWORD)
    const [changed, ...opened] = await Promise.all([
      post('/auth/password', { current_password: PASSWORD, new_password: 'another password' }, access_token),
      ...[stack, second, second].map(async ({ post }) => await post('/auth/login', { username: `racer ${i}`, password: PASSWORD })),
    ])
    t.equal(changed!.status, 204)
    for (const { status, body } of opened) if (status === 200) isProblem(t, await post('/auth/refresh', { refresh_token: body.refresh_token }), 'bad_refresh_token', 401)
    t.equal((await get('/auth/sessions', access_token)).body.items.length, 1)
  }
})

t.test('two changes of one password at once: one wins', async t => {
  const { access_token } = await stack.signup('two minds', PASSWORD)
  const answers = await Promise.all([stack, second].map(async ({ post }, i) => await post('/auth/password', { current_password: PASSWORD, new_password: `password number ${i}` }, access_token)))
  t.same(answers.map(({ status }) => status).sort(), [204, 409])
})

const TICKETS = '/auth/ws-ticket'

t.test('a ticket is given to who has a token, and is good once', async t => {
  const { access_token, user } = await stack.signup('ticketed')
  const { status, body, headers } = await post(TICKETS, undefined, access_token)
  t.equal(status, 200)
  t.match(body, { ticket: /^[\w-]{43}$/, expires_in: 30 })
  t.equal(headers.get('cache-control'), 'no-store')
  isProblem(t, await post(TICKETS), 'unauthenticated', 401)
  const keys = await stack.redis.keys('ticket:*')
  t.equal(keys.length, 1)
  t.notOk(keys[0]!.includes(body.ticket), 'Redis has its hash only')
  const ms = await stack.redis.pttl(keys[0]!)
  t.ok(ms > 0 && ms <= 30_000, 'for 30 s at most')
  t.match(await second.sessions.redeem(body.ticket), { user_id: user.id, expires_at: Number })
  t.equal(await stack.sessions.redeem(body.ticket), undefined)
  for (const bad of ['', 'x', 'A'.repeat(43), '\u0000'.repeat(43)]) t.equal(await stack.sessions.redeem(bad), undefined)
  const late = (await post(TICKETS, undefined, access_token)).body
  await post('/auth/logout', undefined, access_token)
  t.equal(await stack.sessions.redeem(late.ticket), undefined, 'of a session that is over')
})

/** The cookie of an answer, and its attributes. */
function cookieOf ({ headers }: { headers: Headers }): { pair: string, attributes: string[] } {
  const [pair = '', ...attributes] = (headers.get('set-cookie') ?? '').split('; ')
  return { pair, attributes: attributes.sort() }
}

t.test('a browser has its refresh token in a cookie, and nowhere else', async t => {
  const AJAX = { 'x-requested-with': 'fetch' }
  const signedUp = await post('/auth/signup', { username: 'browser', password: PASSWORD, cookie: true })
  t.notOk('refresh_token' in signedUp.body)
  t.match(signedUp.body, { user: { username: 'browser' }, access_token: String })
  const { pair, attributes } = cookieOf(signedUp)
  t.match(pair, /^millrace_refresh=[\w-]{64}$/)
  t.same(attributes, ['HttpOnly', 'Max-Age=3600', 'Path=/auth', 'SameSite=Strict'])
  for (const [path, body] of [['/auth/guest', { username: 'browsing guest' }], ['/auth/login', { username: 'browser', password: PASSWORD }]] as const) {
    const answer = await post(path, { ...body, cookie: true })
    t.notOk('refresh_token' in answer.body)
    t.match(cookieOf(answer).pair, /^millrace_refresh=/)
    t.equal((await post('/auth/guest', { username: `plain ${path}`, cookie: false })).headers.get('set-cookie'), null)
  }

  const refresh = async (headers: Record<string, string>, body?: object) => await call('POST', '/auth/refresh', { headers, body })
  const { host, origin } = new URL(url)
  isProblem(t, await refresh({ cookie: pair }), 'forbidden', 403)
  for (const bad of [{ origin: 'https://evil.example' }, { origin: 'null' }, { origin: `http://${host}.evil.example` }, { origin: 'nonsense' }, { 'sec-fetch-site': 'cross-site' }, { 'sec-fetch-site': 'same-site' }, { 'sec-fetch-site': 'none' }, { origin, 'sec-fetch-site': 'cross-site' }]) {
    isProblem(t, await refresh({ cookie: pair, ...AJAX, ...bad as Record<string, string> }), 'forbidden', 403)
  }
  isProblem(t, await refresh(AJAX), 'bad_request', 400, 'refresh_token')
  isProblem(t, await refresh({ ...AJAX, cookie: 'millrace_refresh=forged' }), 'bad_refresh_token', 401)
  isProblem(t, await refresh({ ...AJAX, cookie: `millrace_refresh=${'A'.repeat(64)}` }), 'bad_refresh_token', 401)
  isProblem(t, await refresh({ ...AJAX, cookie: `other=${pair.split('=')[1]}` }), 'bad_request', 400, 'refresh_token')

  const refreshed = await refresh({ ...AJAX, cookie: pair, origin, 'sec-fetch-site': 'same-origin' })
  t.equal(refreshed.status, 200, JSON.stringify(refreshed.body))
  t.notOk('refresh_token' in refreshed.body)
  const next = cookieOf(refreshed)
  t.not(next.pair, pair)
  t.same(next.attributes, attributes)
  isProblem(t, await call('POST', '/auth/logout', { headers: { cookie: next.pair } }), 'forbidden', 403)
  const loggedOut = await call('POST', '/auth/logout', { headers: { ...AJAX, cookie: next.pair } })
  t.equal(loggedOut.status, 204)
  t.match(cookieOf(loggedOut), { pair: 'millrace_refresh=', attributes: ['Expires=Thu, 01 Jan 1970 00:00:00 GMT', 'HttpOnly', 'Max-Age=0', 'Path=/auth', 'SameSite=Strict'] })
  isProblem(t, await refresh({ ...AJAX, cookie: next.pair }), 'bad_refresh_token', 401)
  isProblem(t, await get('/me', refreshed.body.access_token), 'unauthenticated', 401)
})

t.test('over https the cookie is for https only, and addresses are those behind the load balancer', async t => {
  const behind = await stack.gateway({ trustProxy: ['127.0.0.1'] })
  const forwarded = { 'x-forwarded-proto': 'https', 'x-forwarded-for': '203.0.113.7' }
  const answer = await behind.post('/auth/guest', { username: 'far away', cookie: true }, undefined, forwarded)
  t.ok(cookieOf(answer).attributes.includes('Secure'))
  t.match((await behind.get('/auth/sessions', answer.body.access_token)).body.items, [{ address: '203.0.113.7' }])
  t.notOk(cookieOf(await post('/auth/guest', { username: 'pretender', cookie: true }, undefined, forwarded)).attributes.includes('Secure'), 'who is not trusted says nothing of it')
})

t.test('a token in the body goes before the cookie, and needs no header', async t => {
  const byBody = (await post('/auth/guest', { username: 'bodily' })).body
  const { pair } = cookieOf(await post('/auth/guest', { username: 'with a cookie', cookie: true }))
  const { status, body, headers } = await call('POST', '/auth/refresh', { body: { refresh_token: byBody.refresh_token }, headers: { cookie: pair } })
  t.equal(status, 200)
  t.match(body, { user: { username: 'bodily' }, refresh_token: /^[\w-]{64}$/ })
  t.equal(headers.get('set-cookie'), null)
})

async function eventsOf (token: string, query = '') {
  await Promise.all([stack, second].map(async ({ security }) => { await security.written() }))
  return (await get(`/auth/events${query}`, token)).body
}

t.test('people see what happened to their account, newest first, and nobody else does', async t => {
  const { access_token: token } = await stack.signup('watched', PASSWORD)
  await post('/auth/login', { username: 'watched', password: 'wrong' }, undefined, { 'user-agent': 'Thief/1' })
  const phone = await logIn('watched')
  await post('/auth/refresh', { refresh_token: phone.refresh_token })
  await post('/auth/refresh', { refresh_token: phone.refresh_token })
  const third = await logIn('watched')
  await post('/auth/logout', undefined, third.access_token)
  await logIn('watched')
  const { items } = (await get('/auth/sessions', token)).body
  await call('DELETE', `/auth/sessions/${items[0].id}`, { token })
  await logIn('watched')
  await post('/auth/password', { current_password: PASSWORD, new_password: 'another password' }, token)
  const { items: events, next } = await eventsOf(token)
  const types = events.map(({ type }: { type: string }) => type)
  t.same(types.toReversed(), ['signup', 'login_failed', 'login', 'refresh_reuse', 'login', 'logout', 'login', 'session_revoked', 'login', 'session_revoked', 'password_changed'])
  t.equal(next, null)
  t.match(events.at(-1), { id: UUID, type: 'signup', at: /Z$/, address: '127.0.0.1', session_id: UUID, detail: { kind: 'person' } })
  t.match(events.at(-2), { type: 'login_failed', user_agent: 'Thief/1', session_id: null, detail: { at: 'login' } })
  const { rows } = await store.query('SELECT * FROM security_events')
  for (const secret of [PASSWORD, 'wrong', 'another password', token, phone.refresh_token]) t.notOk(JSON.stringify(rows).includes(secret))
  const one = await eventsOf(token, '?limit=4')
  t.same([...one.items, ...(await eventsOf(token, `?after=${one.next}&limit=200`)).items], events)
  const stranger = (await stack.signup('stranger')).access_token
  t.same((await eventsOf(stranger, `?after=${events[0].id}`)).items, [])
  t.same((await eventsOf(stranger)).items.length, 1)
  isProblem(t, await get('/auth/events'), 'unauthenticated', 401)
})

t.test('a log-in that names nobody leaves an event of nobody', async t => {
  const before = await store.query("SELECT FROM security_events WHERE user_id IS NULL AND type = 'login_failed'")
  await post('/auth/login', { username: 'there is no such user', password: PASSWORD })
  await stack.security.written()
  const after = await store.query("SELECT * FROM security_events WHERE user_id IS NULL AND type = 'login_failed'")
  t.equal(after.rows.length, (before.rowCount ?? 0) + 1)
  t.notOk(JSON.stringify(after.rows).includes('no such user'), 'what was typed there may be a password')
})

t.test('events that are too old go', async t => {
  const { access_token: token } = await stack.signup('historic')
  await stack.security.written()
  await store.query("UPDATE security_events SET at = at - interval '91 days' WHERE user_id = (SELECT id FROM users WHERE username_key = 'historic')")
  t.equal(await deleteOldSecurityEvents(store, new Date(Date.now() - 90 * 86_400_000)), 1)
  t.same((await eventsOf(token)).items, [])
})

t.test('a log-in is as good when its event cannot be written', async t => {
  await stack.signup('unlogged', PASSWORD)
  await stack.security.written()
  await store.query('ALTER TABLE security_events RENAME TO gone')
  t.teardown(async () => { await store.query('ALTER TABLE IF EXISTS gone RENAME TO security_events') })
  t.equal((await post('/auth/login', { username: 'unlogged', password: PASSWORD })).status, 200)
  await stack.security.written()
  t.match(await stack.metrics.registry.getSingleMetricAsString('millrace_security_events_lost_total'), /\} 1$/m)
  await store.query('ALTER TABLE gone RENAME TO security_events')
})
