import t, { type Test } from 'tap'
import { ensureUsers } from '../../src/auth/imported-users.ts'
import { uuidv7 } from '../../src/ids.ts'
import { signingKey, testStack } from './stack.ts'
import { gatewayTokens } from '../auth/gateway-tokens.ts'
import type { Answer } from '../client.ts'

const stack = await testStack(t)
const { get, post, store } = stack

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/
const PASSWORD = 'a password of these tests'

function isProblem (t: Test, { status, headers, body }: Answer, code: string, wanted: number, field?: string): void {
  t.equal(body.code, code, JSON.stringify(body))
  t.equal(status, wanted)
  t.equal(body.status, wanted)
  t.equal(headers.get('content-type'), 'application/problem+json; charset=utf-8')
  t.match(body, { type: `urn:millrace:problem:${code}`, title: String, detail: String })
  if (field !== undefined) t.equal(body.field, field)
  if (wanted === 401) t.match(headers.get('www-authenticate'), /^Bearer/)
}

t.test('who signs up gets a user, tokens, and can ask who they are', async t => {
  const { status, headers, body } = await post('/auth/signup', { username: 'Ann', password: PASSWORD, email: 'ann@example.org', display_name: 'Ann A.' })
  t.equal(status, 201)
  t.equal(headers.get('cache-control'), 'no-store')
  t.equal(headers.get('x-content-type-options'), 'nosniff')
  t.match(body, { user: { id: UUID, username: 'Ann', display_name: 'Ann A.', kind: 'person', created_at: /Z$/ }, access_token: /^ey/, refresh_token: /^[\w-]{64}$/, expires_in: 900 })
  t.notOk('email' in body.user, 'the email address is for its owner only')
  t.same((await get('/me', body.access_token)).body, { ...body.user, email: 'ann@example.org' })
  t.same((await get(`/users/${body.user.id.toUpperCase()}`, body.access_token)).body, body.user)
})

t.test('the password is stored as Argon2id, tokens as hashes', async t => {
  const { refresh_token } = await stack.signup('hidden', PASSWORD)
  const { rows: [user] } = await store.query("SELECT password_hash FROM users WHERE username_key = 'hidden'")
  t.match(user.password_hash, /^\$argon2id\$v=19\$m=19456,t=2,p=1\$/)
  const { rows } = await store.query('SELECT * FROM sessions')
  t.notOk(JSON.stringify(rows).includes(refresh_token))
})

t.test('a name is taken in every way of writing it', async t => {
  await stack.signup('Jörg Müller')
  for (const username of ['Jörg Müller', 'jörg müller', 'JÖRG MÜLLER', 'Jo\u0308rg  Müller', 'Ｊörg Mü\u200dller']) {
    isProblem(t, await post('/auth/signup', { username, password: PASSWORD }), 'username_taken', 409)
    isProblem(t, await post('/auth/guest', { username }), 'username_taken', 409)
  }
})

t.test('of many who want one name at once, one gets it', async t => {
  const answers = await Promise.all(Array.from({ length: 8 }, async (_, i) => await post(i % 2 === 0 ? '/auth/signup' : '/auth/guest', { username: i % 3 === 0 ? 'Wanted' : 'wanted', password: PASSWORD })))
  t.equal(answers.filter(({ status }) => status === 201).length, 1)
  t.equal(answers.filter(({ body }) => body.code === 'username_taken').length, 7)
})

t.test('bad sign-ups are refused and say which field', async t => {
  const good = { username: 'somebody', password: PASSWORD }
  const cases: Array<[unknown, string]> = [
    [{ password: PASSWORD }, 'username'],
    [{ username: 'somebody' }, 'password'],
    [{ ...good, username: 7 }, 'username'],
    [{ ...good, username: '' }, 'username'],
    [{ ...good, username: 'x'.repeat(65) }, 'username'],
    [{ ...good, username: ' somebody' }, 'username'],
    [{ ...good, username: 'some\u0000body' }, 'username'],
    [{ ...good, username: '\u3164' }, 'username'],
    [{ ...good, username: 'ann (imported)' }, 'username'],
    [{ ...good, password: '1234567' }, 'password'],
    [{ ...good, password: 'x'.repeat(1025) }, 'password'],
    [{ ...good, password: ['12345678'] }, 'password'],
    [{ ...good, email: 'no address' }, 'email'],
    [{ ...good, display_name: '' }, 'display_name'],
    [{ ...good, display_name: 'a\u0000' }, 'display_name'],
    [{ ...good, device_id: 'x'.repeat(201) }, 'device_id'],
  ]
  for (const [body, field] of cases) isProblem(t, await post('/auth/signup', body), 'bad_request', 400, field)
  for (const body of [[], 'text', 7, null, true]) isProblem(t, await post('/auth/signup', body), 'bad_request', 400)
  isProblem(t, await post('/auth/signup'), 'bad_request', 400)
  isProblem(t, await post('/auth/signup', { ...good, password: 'x'.repeat(1_000_000) }), 'too_large', 413)
})

t.test('log-in takes the right password, whatever the case of the name', async t => {
  await stack.signup('Bob', PASSWORD)
  const { status, body, headers } = await post('/auth/login', { username: 'bOB', password: PASSWORD, device_id: 'phone' })
  t.equal(status, 200)
  t.equal(headers.get('cache-control'), 'no-store')
  t.match(body, { user: { username: 'Bob' }, access_token: String, refresh_token: String, expires_in: 900 })
  t.equal((await get('/me', body.access_token)).body.username, 'Bob')
  for (const [username, password] of [['Bob', 'another password'], ['Bob', ''], ['nobody at all', PASSWORD], ['\u0000', PASSWORD], ['%', PASSWORD]]) {
    isProblem(t, await post('/auth/login', { username, password }), 'bad_credentials', 401)
  }
  isProblem(t, await post('/auth/login', { username: 'Bob' }), 'bad_request', 400, 'password')
})

t.test('a guest gets in without a password and never by log-in', async t => {
  const { status, body } = await post('/auth/guest', { username: 'visitor' })
  t.equal(status, 201)
  t.match(body, { user: { username: 'visitor', kind: 'guest' }, access_token: String, refresh_token: String })
  t.equal((await get('/me', body.access_token)).status, 200)
  for (const password of ['', 'null', PASSWORD]) isProblem(t, await post('/auth/login', { username: 'visitor', password }), 'bad_credentials', 401)
})

t.test('a refresh token works once and is followed by another', async t => {
  const first = (await post('/auth/guest', { username: 'refresher' })).body
  const second = await post('/auth/refresh', { refresh_token: first.refresh_token })
  t.equal(second.status, 200)
  t.match(second.body, { user: { username: 'refresher' }, access_token: String, expires_in: 900 })
  t.not(second.body.refresh_token, first.refresh_token)
  const third = await post('/auth/refresh', { refresh_token: second.body.refresh_token })
  t.equal(third.status, 200)
  t.equal((await get('/me', third.body.access_token)).status, 200)
})

t.test('an old refresh token used again ends its session, and no other', async t => {
  const username = 'robbed'
  await stack.signup(username, PASSWORD)
  const phone = (await post('/auth/login', { username, password: PASSWORD })).body
  const laptop = (await post('/auth/login', { username, password: PASSWORD })).body
  const second = (await post('/auth/refresh', { refresh_token: phone.refresh_token })).body
  const third = (await post('/auth/refresh', { refresh_token: second.refresh_token })).body
  isProblem(t, await post('/auth/refresh', { refresh_token: phone.refresh_token }), 'bad_refresh_token', 401)
  isProblem(t, await post('/auth/refresh', { refresh_token: third.refresh_token }), 'bad_refresh_token', 401)
  t.equal((await post('/auth/refresh', { refresh_token: laptop.refresh_token })).status, 200)
  const { rows } = await store.query("SELECT revoked_for FROM sessions WHERE revoked_for = 'reuse'")
  t.equal(rows.length, 1)
})

t.test('of two refreshes with one token at the same time at most one succeeds, and the session ends', async t => {
  const second = await stack.gateway()
  const { refresh_token } = (await post('/auth/guest', { username: 'twin' })).body
  const answers = await Promise.all([post('/auth/refresh', { refresh_token }), second.post('/auth/refresh', { refresh_token })])
  const [won] = answers.filter(({ status }) => status === 200)
  t.same(answers.map(({ status }) => status).sort(), [200, 401])
  t.equal((await post('/auth/refresh', { refresh_token: won!.body.refresh_token })).status, 401)
})

t.test('what is no refresh token is refused', async t => {
  const { refresh_token } = (await post('/auth/guest', { username: 'careful' })).body
  for (const text of ['', 'x', 'A'.repeat(64), 'A'.repeat(63) + '=', refresh_token + 'A', refresh_token.toLowerCase() + '!', '\u0000'.repeat(64)]) {
    isProblem(t, await post('/auth/refresh', { refresh_token: text }), 'bad_refresh_token', 401)
  }
  isProblem(t, await post('/auth/refresh', {}), 'bad_request', 400, 'refresh_token')
  isProblem(t, await post('/auth/refresh', { refresh_token: 7 }), 'bad_request', 400, 'refresh_token')
  t.equal((await post('/auth/refresh', { refresh_token })).status, 200, 'none of that ended the session')
})

t.test('a refresh token expires', async t => {
  const { refresh_token } = (await post('/auth/guest', { username: 'sleeper' })).body
  await store.query("UPDATE sessions SET expires_at = now() - interval '1 second' WHERE user_id = (SELECT id FROM users WHERE username_key = 'sleeper')")
  isProblem(t, await post('/auth/refresh', { refresh_token }), 'bad_refresh_token', 401)
})

t.test('log-out ends the session, by either token, and twice does no harm', async t => {
  const byAccess = (await post('/auth/guest', { username: 'leaver 1' })).body
  t.equal((await post('/auth/logout', undefined, byAccess.access_token)).status, 204)
  isProblem(t, await post('/auth/refresh', { refresh_token: byAccess.refresh_token }), 'bad_refresh_token', 401)
  t.equal((await post('/auth/logout', {}, byAccess.access_token)).status, 204)

  const byRefresh = (await post('/auth/guest', { username: 'leaver 2' })).body
  t.equal((await post('/auth/logout', { refresh_token: byRefresh.refresh_token })).status, 204)
  isProblem(t, await post('/auth/refresh', { refresh_token: byRefresh.refresh_token }), 'bad_refresh_token', 401)

  isProblem(t, await post('/auth/logout'), 'unauthenticated', 401)
  isProblem(t, await post('/auth/logout', {}, 'garbage'), 'unauthenticated', 401)
})

t.test('routes for users refuse those without a valid token', async t => {
  const { user, access_token } = (await post('/auth/guest', { username: 'holder' })).body
  const foreign = (await gatewayTokens(signingKey())).sign({ user_id: user.id, session_id: user.id })
  const unsigned = `${Buffer.from('{"alg":"none"}').toString('base64url')}.${access_token.split('.')[1]}.`
  for (const path of ['/me', '/users', `/users/${user.id}`, '/rooms', '/rooms/public', '/rooms/lobby', '/rooms/lobby/messages', '/rooms/lobby/events']) {
    isProblem(t, await get(path), 'unauthenticated', 401)
    isProblem(t, await get(path, foreign), 'unauthenticated', 401)
  }
  for (const authorization of [unsigned, `Basic ${access_token}`, access_token, 'Bearer', `Bearer ${access_token} x`, `Bearer ${unsigned}`]) {
    isProblem(t, await get('/me', undefined, { authorization }), 'unauthenticated', 401)
  }
  t.equal((await get('/me', undefined, { authorization: `bearer ${access_token}` })).status, 200, 'the scheme may be in lower case')
  for (const path of ['/rooms', '/rooms/lobby/join', '/rooms/lobby/leave', '/rooms/lobby/messages']) {
    isProblem(t, await post(path, { anything: true }), 'unauthenticated', 401)
  }
})

t.test('another gateway verifies with the key that is published', async t => {
  const second = await stack.gateway()
  const { access_token } = (await post('/auth/guest', { username: 'traveller' })).body
  t.equal((await second.get('/me', access_token)).body.username, 'traveller')
  const { status, body } = await get('/.well-known/jwks.json')
  t.equal(status, 200)
  t.match(body, { keys: [{ kty: 'OKP', crv: 'Ed25519', x: /^[\w-]{43}$/, kid: String, use: 'sig', alg: 'EdDSA' }] })
  t.same(body, (await second.get('/.well-known/jwks.json')).body)
})

const imports = { store: stack.store, newId: uuidv7, clock: Date.now }

t.test('imported names become users that nobody can log in as, the same ones each time', async t => {
  const { accounts } = stack
  const odd = ['|QuaD-', '`anthony', '[]\\^{}', '李雷', 'naïve', 'x'.repeat(300), ' spaced ', '\u200b', 'a\0b', 'half \ud800', '%_\\', "'; DROP TABLE users; --"]
  const first = await ensureUsers(imports, [...odd, ...odd, '|quad-'])
  t.equal(first.size, odd.length + 1)
  t.equal(first.get('|QuaD-'), first.get('|quad-'), 'one user in both cases')
  t.equal(new Set(first.values()).size, odd.length)
  t.same(await ensureUsers(imports, [...odd, '|quad-'].reverse()), new Map([...first].sort(([a], [b]) => [...odd, '|quad-'].indexOf(b) - [...odd, '|quad-'].indexOf(a))))
  t.match(await accounts.user(first.get('`anthony')!), { username: '`anthony', kind: 'imported', email: null })
  for (const password of ['', 'null', PASSWORD]) isProblem(t, await post('/auth/login', { username: '|QuaD-', password }), 'bad_credentials', 401)
  isProblem(t, await post('/auth/signup', { username: '|QUAD-', password: PASSWORD }), 'username_taken', 409)
  await t.rejects(ensureUsers(imports, ['']), RangeError)
  t.equal((await ensureUsers(imports, [])).size, 0)
})

t.test('an import does not put words into the mouth of somebody who signed up', async t => {
  const { accounts } = stack
  const { user } = (await post('/auth/guest', { username: 'Victim' })).body
  const ids = await ensureUsers(imports, ['victim', 'VICTIM', 'bystander'])
  t.not(ids.get('victim'), user.id)
  t.equal(ids.get('victim'), ids.get('VICTIM'))
  t.match(await accounts.user(ids.get('victim')!), { username: 'victim (imported)', kind: 'imported' })
  t.same(await ensureUsers(imports, ['victim', 'VICTIM', 'bystander']), ids)
})

t.test('many names at once, from two imports, give the same users', async t => {
  const names = Array.from({ length: 5000 }, (_, i) => `nick${i}`)
  const [one, two] = await Promise.all([ensureUsers(imports, names), ensureUsers(imports, names.toReversed())])
  t.equal(one.size, 5000)
  t.ok(names.every(name => one.get(name) === two.get(name)))
})

t.test('users are found by the beginning of their names, page by page', async t => {
  const { access_token } = (await post('/auth/guest', { username: 'searcher' })).body
  await ensureUsers(imports, ['Zoe', 'zoë', 'zora', 'z%', 'z_x', 'zz'])
  const names = async (path: string): Promise<string[]> => (await get(path, access_token)).body.items.map(({ username }: { username: string }) => username)
  t.same(await names('/users?query=ZO'), ['Zoe', 'zora', 'zoë'])
  t.same(await names(`/users?query=${encodeURIComponent('z%')}`), ['z%'])
  t.same(await names('/users?query=z_'), ['z_x'])
  t.same(await names('/users?query=nobody+like+this'), [])
  const { body: { items, next } } = await get('/users?query=zo&limit=2', access_token)
  t.same(items.map(({ username }: { username: string }) => username), ['Zoe', 'zora'])
  t.match(items[0], { id: UUID, username: 'Zoe', display_name: 'Zoe', kind: 'imported' })
  const page = await get(`/users?query=zo&limit=2&after=${encodeURIComponent(next)}`, access_token)
  t.match(page.body, { items: [{ username: 'zoë' }], next: null })
})

t.test('bad questions about users are refused', async t => {
  const { access_token } = (await post('/auth/guest', { username: 'asker' })).body
  isProblem(t, await get('/users/00000000-0000-7000-8000-00000000ffff', access_token), 'user_not_found', 404)
  for (const id of ['me', '123', '00000000-0000-7000-8000-00000000fff', '00000000-0000-7000-8000-00000000ffff0', "'", '%00']) isProblem(t, await get(`/users/${id}`, access_token), 'bad_request', 400, 'id')
  for (const limit of ['0', '201', '-1', '1.5', 'x', '', '1e2', ' 5']) isProblem(t, await get(`/users?limit=${encodeURIComponent(limit)}`, access_token), 'bad_request', 400, 'limit')
  isProblem(t, await get('/users?query=%00', access_token), 'bad_request', 400, 'query')
  isProblem(t, await get(`/users?query=${'x'.repeat(65)}`, access_token), 'bad_request', 400, 'query')
})

t.test('guests can be switched off', async t => {
  const closed = await testStack(t, { guests: false })
  isProblem(t, await closed.post('/auth/guest', { username: 'visitor' }), 'forbidden', 403)
  t.equal((await closed.post('/auth/signup', { username: 'visitor', password: PASSWORD })).status, 201)
})
