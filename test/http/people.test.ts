// Profiles, contacts, blocks, and the names that people may have.
import t, { type Test } from 'tap'
import { uuidv7 } from '../../src/ids.ts'
import { blockedAmong, isBlocked } from '../../src/store/contacts.ts'
import { noteLastSeen } from '../../src/store/users.ts'
import type { Answer } from '../client.ts'
import { testStack } from './stack.ts'

const stack = await testStack(t)
const { get, post, call, store } = stack

function isProblem (t: Test, { status, body }: Answer, code: string, wanted: number, field?: string): void {
  t.match({ code: body.code, status, field: body.field }, { code, status: wanted, ...(field !== undefined && { field }) }, JSON.stringify(body))
}

const guest = async (username: string) => (await post('/auth/guest', { username })).body
const patch = async (token: string, body: unknown) => await call('PATCH', '/me', { token, body })

t.test('people say of themselves what they like, and others see it, but for the email address', async t => {
  const { user, access_token: token } = await stack.signup('ann')
  const other = await guest('onlooker')
  const profile = { display_name: 'Ann A.', avatar_url: 'https://example.org/ann.png?size=2', status_text: 'away ☕', email: 'ann@example.org' }
  const { status, body } = await patch(token, profile)
  t.equal(status, 200)
  t.same(body, { ...user, ...profile })
  t.same((await get('/me', token)).body, body)
  const { email, ...shown } = body
  t.same((await get(`/users/${user.id}`, other.access_token)).body, shown)
  t.same((await get('/users?query=ann', other.access_token)).body.items, [shown])
  t.match((await patch(token, { status_text: null })).body, { ...profile, status_text: null })
  t.match((await patch(token, { avatar_url: null, email: null })).body, { display_name: 'Ann A.', avatar_url: null, status_text: null, email: null })
})

t.test('what may not be in a profile is refused, and the field is named', async t => {
  const { access_token: token } = await guest('patched')
  const cases: Array<[unknown, string?]> = [
    [{ display_name: '' }, 'display_name'],
    [{ display_name: null }, 'display_name'],
    [{ display_name: 'x'.repeat(101) }, 'display_name'],
    [{ display_name: 'a\u0000' }, 'display_name'],
    [{ display_name: 'a\u202eb' }, 'display_name'],
    [{ display_name: '\u3164' }, 'display_name'],
    [{ avatar_url: 'javascript:alert(1)' }, 'avatar_url'],
    [{ avatar_url: 'data:image/png;base64,AAAA' }, 'avatar_url'],
    [{ avatar_url: '//example.org/x' }, 'avatar_url'],
    [{ avatar_url: 'https://' }, 'avatar_url'],
    [{ avatar_url: 'https://a b' }, 'avatar_url'],
    [{ avatar_url: 'https://a"onload=x\u0000' }, 'avatar_url'],
    [{ avatar_url: `https://example.org/${'x'.repeat(2000)}` }],
    [{ avatar_url: 7 }],
    [{ status_text: 'x'.repeat(201) }],
    [{ status_text: 'a\nb' }],
    [{ email: 'none' }],
    [{}],
    [[]],
    ['text'],
  ]
  for (const [body, field] of cases) isProblem(t, await patch(token, body), 'bad_request', 400, field)
  t.match((await get('/me', token)).body, { display_name: 'patched', avatar_url: null, status_text: null, email: null })
  isProblem(t, await call('PATCH', '/me', { body: { status_text: 'x' } }), 'unauthenticated', 401)
  isProblem(t, await post('/auth/signup', { username: 'rtl', password: 'a long password', display_name: 'a\u202eb' }), 'bad_request', 400, 'display_name')
})

t.test('names that pass for others are refused', async t => {
  for (const username of ['\u0430nn', 'p\u0430ypal', 'ann\u200b', 'a\u202enn', 'an\u0007n', '\u0391nn', 'ａnn\u043e']) {
    isProblem(t, await post('/auth/guest', { username }), 'bad_request', 400, 'username')
    isProblem(t, await post('/auth/signup', { username, password: 'a long password' }), 'bad_request', 400, 'username')
  }
  for (const username of ['Анна', 'Ελένη', 'José', '李雷 2']) t.equal((await post('/auth/guest', { username })).status, 201, username)
})

t.test('passwords of any size are refused or wrong, and nothing breaks', async t => {
  isProblem(t, await post('/auth/signup', { username: 'huge', password: 'x'.repeat(1_000_000) }), 'too_large', 413)
  isProblem(t, await post('/auth/login', { username: 'ann', password: 'x'.repeat(1_000_000) }), 'too_large', 413)
  isProblem(t, await post('/auth/login', { username: 'ann', password: 'x'.repeat(60_000) }), 'bad_request', 400, 'password')
})

t.test('when people were last seen only moves forward', async t => {
  const [one, two] = [await guest('seen'), await guest('seen too')]
  const seen = async (id: string) => (await get(`/users/${id}/presence`, one.access_token)).body.last_seen_at
  t.equal(await seen(one.user.id), null)
  t.notOk('last_seen_at' in (await get(`/users/${two.user.id}`, one.access_token)).body, 'presence tells it, and hides it from those who are blocked')
  const [early, late] = [new Date('2026-11-20T10:00:00.000Z'), new Date('2026-11-20T11:00:00.000Z')]
  await noteLastSeen(store, [[one.user.id, early], [one.user.id, late], [two.user.id, early], [uuidv7(), late]])
  t.equal(await seen(one.user.id), late.toISOString())
  t.equal(await seen(two.user.id), early.toISOString())
  await noteLastSeen(store, [[one.user.id, early], [two.user.id, late]])
  t.equal(await seen(one.user.id), late.toISOString())
  t.equal(await seen(two.user.id), late.toISOString())
  await noteLastSeen(store, [])
  const [a, b] = [one.user.id, two.user.id]
  await Promise.all(Array.from({ length: 20 }, async (_, i) => { await noteLastSeen(store, i % 2 === 0 ? [[a, new Date()], [b, new Date()]] : [[b, new Date()], [a, new Date()]]) }))
})

for (const path of ['/contacts', '/blocks']) {
  t.test(`${path}: users are put on the list, listed by name, and taken off`, async t => {
    const me = await guest(`me ${path.slice(1)}`)
    const others = await Promise.all(['cleo', 'Bert', 'anton'].map(async name => await guest(`${name} ${path.slice(1)}`)))
    const put = async (id: string, token = me.access_token) => await call('PUT', `${path}/${id}`, { token })
    t.same((await get(path, me.access_token)).body, { items: [], next: null })
    for (const { user } of [...others, others[0]!]) t.equal((await put(user.id)).status, 204)
    const { items } = (await get(path, me.access_token)).body
    t.same(items.map(({ user }: { user: { username: string } }) => user.username.split(' ')[0]), ['anton', 'Bert', 'cleo'])
    t.match(items[0], { user: others[2]!.user, created_at: /Z$/ })
    const first = (await get(`${path}?limit=2`, me.access_token)).body
    t.same([...first.items, ...(await get(`${path}?limit=2&after=${encodeURIComponent(first.next)}`, me.access_token)).body.items], items)
    t.same((await get(path, others[0]!.access_token)).body.items, [], 'it is my list, not theirs')
    for (let i = 0; i < 2; i++) t.equal((await call('DELETE', `${path}/${others[0]!.user.id}`, { token: me.access_token })).status, 204)
    t.same((await get(path, me.access_token)).body.items.length, 2)

    isProblem(t, await put(me.user.id), 'not_yourself', 422)
    isProblem(t, await put(me.user.id.toUpperCase()), 'not_yourself', 422)
    isProblem(t, await put(uuidv7()), 'user_not_found', 404)
    for (const bad of ['me', '%00', "'"]) isProblem(t, await put(bad), 'bad_request', 400, 'user')
    for (const method of ['PUT', 'DELETE']) isProblem(t, await call(method, `${path}/${others[1]!.user.id}`), 'unauthenticated', 401)
    isProblem(t, await get(`${path}?after=%00`, me.access_token), 'bad_request', 400, 'after')
  })

  t.test(`${path}: the list is bounded, whoever adds at the same time`, async t => {
    const [table, column] = path === '/contacts' ? ['contacts', 'contact_id'] : ['blocks', 'blocked_id']
    const me = await guest(`collector ${table}`)
    await store.query("INSERT INTO users (id, username, username_key, display_name, kind, created_at) SELECT gen_random_uuid(), $1 || n, $1 || n, 'x', 'imported', now() FROM generate_series(1, 1005) AS n", [`bulk ${table} `])
    const { rows } = await store.query<{ id: string }>('SELECT id FROM users WHERE username_key LIKE $1', [`bulk ${table} %`])
    await store.query(`INSERT INTO ${table} (user_id, ${column}, created_at) SELECT $1, id, now() FROM unnest($2::uuid[]) AS id`, [me.user.id, rows.slice(0, 997).map(({ id }) => id)])
    const answers = await Promise.all(rows.slice(997).map(async ({ id }) => await call('PUT', `${path}/${id}`, { token: me.access_token })))
    t.equal(answers.filter(({ status }) => status === 204).length, 3)
    for (const answer of answers.filter(({ status }) => status !== 204)) isProblem(t, answer, 'too_many', 422)
    t.equal((await call('PUT', `${path}/${rows[0]!.id}`, { token: me.access_token })).status, 204, 'who is on it already')
    isProblem(t, await call('PUT', `${path}/${uuidv7()}`, { token: me.access_token }), 'user_not_found', 404)
    let seen = 0
    for (let after = ''; ;) {
      const { items, next } = (await get(`${path}?limit=200&after=${encodeURIComponent(after)}`, me.access_token)).body
      seen += items.length
      if (next === null) break
      after = next
    }
    t.equal(seen, 1000)
  })
}

t.test('others ask who blocks whom', async t => {
  const [a, b, c] = (await Promise.all(['asked a', 'asked b', 'asked c'].map(guest))).map(({ user, access_token }) => ({ id: user.id as string, token: access_token as string })) as [{ id: string, token: string }, { id: string, token: string }, { id: string, token: string }]
  await call('PUT', `/blocks/${b.id}`, { token: a.token })
  t.equal(await isBlocked(store, { by: a.id, user: b.id }), true)
  t.equal(await isBlocked(store, { by: b.id, user: a.id }), false)
  t.same(await blockedAmong(store, a.id, [b.id, c.id]), [b.id], 'who blocks')
  t.same(await blockedAmong(store, b.id, [a.id, c.id]), [a.id], 'and who is blocked')
  t.same(await blockedAmong(store, b.id, [c.id]), [])
})

t.test('every column of these tables has a comment', async t => {
  const { rows } = await store.query(`
    SELECT c.relname || '.' || a.attname AS column
      FROM pg_class c
      JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
     WHERE c.relname = ANY ($1)
       AND c.relkind = 'r'
       AND col_description(c.oid, a.attnum) IS NULL`, [['users', 'sessions', 'contacts', 'blocks', 'security_events']])
  t.same(rows, [])
})
