// Making, changing and deleting rooms, direct conversations, and people in them, over HTTP. Who may do what is in matrix.test.ts.
import t from 'tap'
import { history } from '../../projections/history.ts'
import { uuidv7 } from '../../src/ids.ts'
import { roomPasswordOf } from '../../src/store/room-passwords.ts'
import { testStack } from './stack.ts'

const stack = await testStack(t)
const { get, post, call, project, store, redis, keys } = stack
const other = await stack.gateway()

async function person (username: string) {
  const { user, access_token } = (await post('/auth/guest', { username })).body
  return { id: user.id as string, token: access_token as string }
}
type Person = Awaited<ReturnType<typeof person>>

const [ann, bob, cy] = [await person('ann'), await person('bob'), await person('cy')]
const create = async (body: object, headers?: Record<string, string>) => await post('/rooms', { name: 'a room', kind: 'private', ...body }, ann.token, headers)
const room = async (body: object = {}): Promise<string> => (await create(body)).body.id
const patch = async (id: string, body: object, who: Person = ann, headers?: Record<string, string>) => await call('PATCH', `/rooms/${id}`, { token: who.token, body, headers })
const put = async (path: string, body?: object, who: Person = ann, headers?: Record<string, string>) => await call('PUT', path, { token: who.token, body, headers })
const remove = async (path: string, body?: object, who: Person = ann) => await call('DELETE', path, { token: who.token, body })
const eventsOf = async (id: string): Promise<any[]> => (await get(`/rooms/${id}/events`, ann.token)).body.items

t.test('a room is made with its settings and its first members', async t => {
  const made = await create({ name: '  Böoks\u3000', kind: 'group', topic: 'new', members: [bob.id.toUpperCase(), cy.id, ann.id, bob.id], history: 'joined', members_max: 5, message_chars_max: 100, slow_mode_s: 2 })
  t.equal(made.status, 201)
  t.match(made.body, { name: 'Böoks', kind: 'group', topic: 'new', history: 'joined', members_max: 5, message_chars_max: 100, slow_mode_s: 2, archived: false, members: 3, member: true, role: 'owner', head_seq: 3 })
  t.match((await get(`/rooms/${made.body.id}`, bob.token)).body, { member: true, role: 'member' })
  t.same((await eventsOf(made.body.id)).map(({ type, target }) => [type, target]), [['room', undefined], ['join', bob.id], ['join', cy.id]])
  const plain = (await create({})).body
  t.match(plain, { history: 'all', message_chars_max: 8000, slow_mode_s: 0, members: 1 })
  t.notOk('members_max' in plain)
})

t.test('bad rooms are refused with the field', async t => {
  const bad: Array<[body: object, field: string, status?: number]> = [
    [{ name: '' }, 'name'], [{ name: ' \u3000' }, 'name'], [{ name: '\u3164' }, 'name'], [{ name: 'a\u202eb' }, 'name'], [{ name: 'a\u0085b' }, 'name'], [{ name: 'a\nb' }, 'name'], [{ name: 'x'.repeat(101) }, 'name'], [{ name: undefined }, 'name'],
    [{ kind: 'dm' }, 'kind'], [{ kind: 'inbox' }, 'kind'], [{ kind: 'lobby' }, 'kind'], [{ kind: 'secret' }, 'kind'],
    [{ kind: 'protected' }, 'password'], [{ kind: 'protected', password: 'abc' }, 'password'], [{ kind: 'protected', password: 'x'.repeat(1025) }, 'password'], [{ kind: 'public', password: 'abcdef' }, 'password'],
    [{ members: ['nobody'] }, 'members.0'], [{ members: Array.from({ length: 101 }, () => bob.id) }, 'members'], [{ kind: 'public', members: [bob.id] }, 'members'],
    [{ members: [uuidv7()] }, 'members', 404], [{ members_max: 1, members: [bob.id] }, 'members_max', 403], [{ members_max: 0 }, 'members_max'], [{ message_chars_max: 8001 }, 'message_chars_max'], [{ slow_mode_s: -1 }, 'slow_mode_s'], [{ topic: 'x'.repeat(1001) }, 'topic'],
  ]
  for (const [body, field, status = 400] of bad) t.match(await create(body), { status, body: { field } }, JSON.stringify(body).slice(0, 80).replace(/[^ -~]/g, '?'))
  t.match(await create({ kind: 'protected', password: 'x'.repeat(1_000_000) }), { status: 413, body: { code: 'too_large' } })
})

t.test('the password of a protected room is kept as a hash, in no event and in no answer', async t => {
  const { body } = await create({ kind: 'protected', password: 'open sesame' })
  t.match(await roomPasswordOf(store, body.id), /^\$argon2id\$v=19\$m=19456,t=2,p=1\$/)
  t.notMatch(JSON.stringify([body, await eventsOf(body.id), await redis.hgetall(keys.meta(body.id))]), /sesame|argon/)
  t.match(await post(`/rooms/${body.id}/join`, {}, bob.token), { status: 403, body: { code: 'wrong_password', field: 'password' } })
  t.match(await post(`/rooms/${body.id}/join`, { password: 'open sesam' }, bob.token), { status: 403, body: { code: 'wrong_password' } })
  t.match(await post(`/rooms/${body.id}/join`, { password: 'open sesame' }, bob.token), { status: 200, body: { changed: true, seq: 2 } })
  t.notMatch(JSON.stringify(await eventsOf(body.id)), 'sesame')
})

t.test('the password is changed by those who may change the room', async t => {
  const id = await room({ kind: 'protected', password: 'first one' })
  const join = async (password: string, who: Person) => (await post(`/rooms/${id}/join`, { password }, who.token)).status
  t.equal(await join('first one', bob), 200)
  t.match(await patch(id, { password: 'second one' }, bob), { status: 403, body: { code: 'forbidden' } })
  t.match(await patch(id, { password: 'second one' }, cy), { status: 403, body: { code: 'not_member' } })
  t.same((await patch(id, { password: 'second one' })).body, { room_id: id, changed: true })
  t.same([await join('first one', cy), await join('second one', cy)], [403, 200])
  t.match(await patch(id, { password: 'third one', topic: 'both' }), { status: 200, body: { changed: true, seq: 4 } })
  t.match((await get(`/rooms/${id}`, bob.token)).body, { topic: 'both' })
  t.match(await patch(id, { password: 'fourth one', name: '\u2800' }), { status: 400, body: { field: 'name' } })
  await post(`/rooms/${id}/leave`, {}, cy.token)
  t.equal(await join('third one', cy), 200, 'a request that is refused changes nothing')
  t.match(await patch(await room(), { password: 'for nothing' }), { status: 400, body: { code: 'bad_request', field: 'password' } })
})

t.test('the same key makes one protected room, with the password that it was made with', async t => {
  const headers = { 'idempotency-key': 'one protected' }
  const rooms = await Promise.all(['same', 'same'].map(async () => await create({ kind: 'protected', password: 'the first' }, headers)))
  t.same(rooms.map(({ status }) => status), [201, 201])
  const [{ body: { id } }] = rooms as [typeof rooms[0]]
  t.equal(rooms[1]!.body.id, id)
  t.equal((await create({ kind: 'protected', password: 'the second' }, headers)).body.id, id)
  t.equal((await post(`/rooms/${id}/join`, { password: 'the second' }, bob.token)).status, 403)
  t.equal((await post(`/rooms/${id}/join`, { password: 'the first' }, bob.token)).status, 200)
})

t.test('a room that is not made leaves no password', async t => {
  const headers = { 'idempotency-key': 'not made' }
  const count = async () => (await store.query<{ count: number }>('SELECT count(*) FROM room_passwords')).rows[0]!.count
  const before = await count()
  t.equal((await create({ kind: 'protected', password: 'the first', members: [uuidv7()] }, headers)).status, 404)
  t.equal(await count(), before)
  const { body: { id } } = await create({ kind: 'protected', password: 'the second' }, headers)
  t.equal((await post(`/rooms/${id}/join`, { password: 'the second' }, bob.token)).status, 200)
})

t.test('a room is changed by what is given, and unchanged by what it is already', async t => {
  const id = await room({ topic: 'old' })
  t.match(await patch(id, { name: ' New ', slow_mode_s: 3 }), { status: 200, body: { room_id: id, changed: true, seq: 2, event_id: String } })
  t.match((await get(`/rooms/${id}`, ann.token)).body, { name: 'New', topic: 'old', slow_mode_s: 3 })
  t.match((await eventsOf(id)).at(-1), { type: 'room', change: 'updated', name: 'New', slow_mode_s: 3, user_id: ann.id })
  t.same((await patch(id, { name: 'New' })).body, { room_id: id, changed: false })
  t.same((await patch(id, {})).body, { room_id: id, changed: false })
  t.same((await patch(id, { message_chars_max: 8000 })).body, { room_id: id, changed: false })
  const keyed = await Promise.all([stack, other].map(async ({ call }) => (await call('PATCH', `/rooms/${id}`, { token: ann.token, body: { topic: 'once' }, headers: { 'idempotency-key': 'p' } })).body))
  t.same(keyed.map(({ seq }) => seq), [3, 3])
  t.same(keyed.map(({ duplicate }) => duplicate).sort(), [false, true])
  for (const [body, field] of [[{ name: '' }, 'name'], [{ name: '\u200d' }, 'name'], [{ archived: 'yes' }, 'archived'], [{ history: 'none' }, 'history'], [{ members_max: 1.5 }, 'members_max']] as const) t.match(await patch(id, body), { status: 400, body: { code: 'bad_request', field } })
})

t.test('a room keeps its messages for so many days, as an owner of it or an operator says', async t => {
  const id = await room({ members: [bob.id] })
  t.equal((await get(`/rooms/${id}`, ann.token)).body.retention_days, undefined)
  t.match(await patch(id, { retention_days: 30 }), { status: 200, body: { changed: true } })
  t.match((await get(`/rooms/${id}`, bob.token)).body, { retention_days: 30 }, 'everybody in it can see it')
  t.match((await eventsOf(id)).at(-1), { type: 'room', change: 'updated', retention_days: 30, user_id: ann.id })
  await call('PUT', `/rooms/${id}/members/${bob.id}`, { token: ann.token, body: { role: 'admin' } })
  t.match(await call('PATCH', `/rooms/${id}`, { token: bob.token, body: { retention_days: 0 } }), { status: 403, body: { code: 'forbidden' } }, 'an admin does not')
  for (const retention_days of [-1, 1.5, 36_501, '30', null]) t.match(await patch(id, { retention_days }), { status: 400, body: { code: 'bad_request', field: 'retention_days' } })
  t.match(await patch(id, { retention_days: 0 }), { status: 200, body: { changed: true } })
  t.equal((await get(`/rooms/${id}`, ann.token)).body.retention_days, undefined)
  const made = await create({ kind: 'private', retention_days: 7 })
  t.match(made, { status: 201, body: { retention_days: 7 } }, 'or from the beginning')
})

t.test('an archived room can be read, and nothing is written into it but what takes something back', async t => {
  const id = await room({ members: [bob.id] })
  const said = async (content: string) => await post(`/rooms/${id}/messages`, { content }, bob.token)
  const { body: { seq } } = await said('before')
  t.match(await patch(id, { archived: true }), { status: 200, body: { changed: true } })
  for (const answer of [
    await said('after'), await call('PATCH', `/rooms/${id}/messages/${seq}`, { token: bob.token, body: { content: 'x' } }),
    await put(`/rooms/${id}/messages/${seq}/reactions/%F0%9F%91%8D`), await put(`/rooms/${id}/pins/${seq}`),
  ]) t.match(answer, { status: 403, body: { code: 'room_archived' } })
  t.equal((await get(`/rooms/${id}/messages`, bob.token)).status, 200)
  t.match((await get('/rooms', bob.token)).body.items.find((item: { id: string }) => item.id === id), { archived: true })
  t.equal((await remove(`/rooms/${id}/messages/${seq}`, undefined, bob)).status, 200)
  t.match(await patch(id, { archived: false }), { status: 200, body: { changed: true } })
  t.equal((await said('again')).status, 201)
})

t.test('a full room lets nobody in, not under a race either', async t => {
  const id = await room({ kind: 'public', members_max: 4 })
  const crowd = await Promise.all(Array.from({ length: 20 }, async (_, i) => await person(`crowd ${i}`)))
  const answers = await Promise.all(crowd.map(async ({ token }, i) => await (i % 2 === 0 ? stack : other).post(`/rooms/${id}/join`, {}, token)))
  t.equal(answers.filter(({ status }) => status === 200).length, 3)
  t.ok(answers.every(({ status, body }) => status === 200 || body.code === 'room_full'))
  t.equal((await get(`/rooms/${id}`, ann.token)).body.members, 4)
})

t.test('a room is deleted once, with its password', async t => {
  const id = await room({ kind: 'protected', password: 'open sesame' })
  const headers = { 'idempotency-key': 'gone' }
  t.equal((await call('DELETE', `/rooms/${id}`, { token: ann.token, headers })).status, 204)
  t.equal((await call('DELETE', `/rooms/${id}`, { token: ann.token, headers })).status, 204, 'the same request again')
  t.match(await remove(`/rooms/${id}`), { status: 404, body: { code: 'room_not_found' } })
  t.equal(await roomPasswordOf(store, id), undefined)
  t.equal((await get(`/rooms/${id}`, ann.token)).status, 404)
})

t.test('somebody is put in with a role by one request, and with its key once', async t => {
  const id = await room()
  const headers = { 'idempotency-key': 'welcome' }
  const first = await put(`/rooms/${id}/members/${bob.id.toUpperCase()}`, { role: 'moderator' }, ann, headers)
  t.match(first, { status: 200, body: { changed: true, seq: 3, duplicate: false } })
  t.match(await put(`/rooms/${id}/members/${bob.id}`, { role: 'moderator' }, ann, headers), { status: 200, body: { changed: true, seq: 3, duplicate: true } })
  t.match(await eventsOf(id), [{ type: 'room' }, { type: 'join', target: bob.id, user_id: ann.id }, { type: 'role', target: bob.id, role: 'moderator', client_id: 'welcome' }])
  t.same((await put(`/rooms/${id}/members/${bob.id}`, { role: 'moderator' })).body, { room_id: id, changed: false })
  t.same((await put(`/rooms/${id}/members/${bob.id}`)).body, { room_id: id, changed: false })
  t.match(await put(`/rooms/${id}/members/${cy.id}`, { role: 'member' }), { status: 200, body: { changed: true, seq: 4 } })
  t.match(await put(`/rooms/${id}/members/${cy.id}`, { role: 'king' }), { status: 400, body: { code: 'bad_request', field: 'role' } })
  t.match(await put(`/rooms/${id}/members/${uuidv7()}`), { status: 404, body: { code: 'user_not_found', field: 'user' } })
  t.match(await put(`/rooms/${id}/members/me`), { status: 400, body: { code: 'bad_request', field: 'user' } })
})

t.test('half of a request that cannot be done whole is not done', async t => {
  const id = await room({ members: [bob.id] })
  await put(`/rooms/${id}/members/${bob.id}`, { role: 'moderator' })
  t.match(await put(`/rooms/${id}/members/${cy.id}`, { role: 'admin' }, bob), { status: 403, body: { code: 'forbidden' } })
  t.equal((await get(`/rooms/${id}`, cy.token)).status, 404, 'a moderator puts people in, and makes nobody admin')
  t.equal((await put(`/rooms/${id}/members/${cy.id}`, {}, bob)).status, 200)
})

t.test('ownership is handed over', async t => {
  const id = await room({ members: [bob.id] })
  t.match(await post(`/rooms/${id}/leave`, {}, ann.token), { status: 409, body: { code: 'last_owner' } })
  t.match(await remove(`/rooms/${id}/members/${ann.id}`), { status: 409, body: { code: 'last_owner' } })
  t.match(await put(`/rooms/${id}/members/${ann.id}`, { role: 'member' }), { status: 409, body: { code: 'last_owner' } })
  t.equal((await put(`/rooms/${id}/members/${bob.id}`, { role: 'owner' })).status, 200)
  t.equal((await remove(`/rooms/${id}/members/${ann.id}`)).status, 200)
  t.match((await get(`/rooms/${id}`, bob.token)).body, { role: 'owner', members: 1 })
})

t.test('who is kicked or banned is told why, and a ban ends', async t => {
  const id = await room({ kind: 'public' })
  for (const { token } of [bob, cy]) await post(`/rooms/${id}/join`, {}, token)
  t.match(await remove(`/rooms/${id}/members/${bob.id}`, { reason: 'enough' }), { status: 200, body: { changed: true } })
  t.match((await eventsOf(id)).at(-1), { type: 'kick', target: bob.id, reason: 'enough' })
  t.match(await remove(`/rooms/${id}/members/${bob.id}`), { status: 404, body: { code: 'target_not_member' } })
  const until = new Date(Date.now() + 1500).toISOString()
  t.match(await put(`/rooms/${id}/bans/${cy.id}`, { until, reason: 'a break' }), { status: 200, body: { changed: true } })
  t.match((await eventsOf(id)).at(-1), { type: 'ban', target: cy.id, until, reason: 'a break' })
  t.match(await post(`/rooms/${id}/join`, {}, cy.token), { status: 403, body: { code: 'banned' } })
  await new Promise(resolve => setTimeout(resolve, Date.parse(until) - Date.now() + 20))
  t.equal((await post(`/rooms/${id}/join`, {}, cy.token)).status, 200)
  t.equal((await put(`/rooms/${id}/bans/${cy.id}`)).status, 200)
  t.match(await remove(`/rooms/${id}/bans/${cy.id}`), { status: 200, body: { changed: true } })
  t.same((await remove(`/rooms/${id}/bans/${cy.id}`)).body, { room_id: id, changed: false })
  t.equal((await post(`/rooms/${id}/join`, {}, cy.token)).status, 200)
})

t.test('moderators list who is banned, page by page, as it is now', async t => {
  const id = await room({ kind: 'public' })
  const list = async (query = '', who: Person = ann) => await get(`/rooms/${id}/bans${query}`, who.token)
  t.match(await list(), { status: 200, body: { items: [], next: null, as_of: { seq: 1 } } })
  const until = '2100-01-01T00:00:00.000Z'
  await put(`/rooms/${id}/bans/${bob.id}`, { until: '2100-01-01T00:00:00Z' })
  await put(`/rooms/${id}/bans/${cy.id}`)
  const bans = [{ user_id: bob.id, username: 'bob', display_name: 'bob', until }, { user_id: cy.id, username: 'cy', display_name: 'cy' }]
  t.same((await list()).body.items, bans)
  const first = (await list('?limit=1')).body
  t.same([first.items, first.next], [bans.slice(0, 1), bob.id])
  t.same((await list(`?limit=1&after=${first.next.toUpperCase()}`)).body.items, bans.slice(1))
  await project(history, id)
  t.same((await list()).body.items, bans)
  await remove(`/rooms/${id}/bans/${bob.id}`)
  t.same((await list()).body.items, bans.slice(1))
  t.match(await list('', bob), { status: 403, body: { code: 'not_member' } })
})

t.test('a time that is past or none, a reason that is too long, and a user who is none are refused', async t => {
  const id = await room({ members: [bob.id] })
  for (const what of ['bans', 'mutes']) {
    for (const until of ['2020-01-01T00:00:00Z', '2026-13-45T00:00:00Z', '2100-02-30T25:00:00Z', 'tomorrow', '2100-01-01', '2100-01-01T00:00:00+02:00', '', 7, null]) {
      t.match(await put(`/rooms/${id}/${what}/${bob.id}`, { until }), { status: 400, body: { code: 'bad_request', field: 'until' } }, `${what} until ${until}`)
    }
    for (const reason of ['', 'x'.repeat(501), 'a\u0000b', 7]) t.match(await put(`/rooms/${id}/${what}/${bob.id}`, { reason }), { status: 400, body: { code: 'bad_request', field: 'reason' } })
    t.match(await put(`/rooms/${id}/${what}/${uuidv7()}`), { status: 404, body: { code: 'user_not_found', field: 'user' } })
    t.match(await put(`/rooms/${id}/${what}/bob`), { status: 400, body: { code: 'bad_request', field: 'user' } })
  }
  t.match(await remove(`/rooms/${id}/members/${bob.id}`, { reason: 'x'.repeat(501) }), { status: 400, body: { field: 'reason' } })
  t.equal((await get(`/rooms/${id}`, ann.token)).body.head_seq, 2)
})

t.test('there is one direct conversation of two people, whoever asks, and both have it in their lists', async t => {
  const [dee, eve] = [await person('dee'), await person('eve')]
  const answers = await Promise.all([[stack, dee, eve], [other, eve, dee], [other, dee, eve]].map(async ([gateway, one, two]) => await (gateway as typeof stack).post('/dms', { user_id: (two as Person).id }, (one as Person).token)))
  t.equal(new Set(answers.map(({ body }) => body.id)).size, 1)
  t.same(answers.map(({ status }) => status).sort(), [200, 200, 201])
  const { body } = answers[0]!
  t.match(body, { kind: 'dm', name: '', members: 2, member: true, role: 'member' })
  t.same(new Set(body.peers), new Set([dee.id, eve.id]))
  for (const who of [dee, eve]) t.same((await get('/rooms', who.token)).body.items.find((item: { id: string }) => item.id === body.id)?.peers, body.peers)
  t.equal((await post(`/rooms/${body.id}/messages`, { content: 'hi' }, eve.token)).status, 201)
  t.equal((await get(`/rooms/${body.id}`, ann.token)).status, 404)
  t.match(await post('/dms', { user_id: uuidv7() }, dee.token), { status: 404, body: { code: 'user_not_found', field: 'user_id' } })
  t.match(await post('/dms', { user_id: 'eve' }, dee.token), { status: 400, body: { code: 'bad_request', field: 'user_id' } })
})

t.test('a direct conversation with oneself keeps notes', async t => {
  const dee = await person('dee 2')
  const { status, body } = await post('/dms', { user_id: dee.id }, dee.token)
  t.match([status, body], [201, { kind: 'dm', members: 1, peers: [dee.id] }])
  t.equal((await post(`/rooms/${body.id}/messages`, { content: 'milk' }, dee.token)).status, 201)
  t.match(await post('/dms', { user_id: dee.id }, dee.token), { status: 200, body: { id: body.id } })
})

t.test('where one has blocked the other, nothing is begun or said, and what was said stays', async t => {
  const [dee, eve, fay] = [await person('dee 3'), await person('eve 3'), await person('fay 3')]
  t.equal((await put(`/blocks/${eve.id}`, undefined, dee)).status, 204)
  for (const [one, two] of [[dee, eve], [eve, dee]] as const) t.match(await post('/dms', { user_id: two.id }, one.token), { status: 403, body: { code: 'blocked' } })
  const { body: { id } } = await post('/dms', { user_id: fay.id }, dee.token)
  t.equal((await post(`/rooms/${id}/messages`, { content: 'hi' }, fay.token)).status, 201)
  await put(`/blocks/${fay.id}`, undefined, dee)
  for (const who of [dee, fay]) {
    t.match(await post(`/rooms/${id}/messages`, { content: 'hi' }, who.token), { status: 403, body: { code: 'blocked' } })
    t.equal((await get(`/rooms/${id}/messages`, who.token)).status, 200)
  }
})

t.test('a list of rooms shows each as it is now, however far behind the read model is', async t => {
  const dee = await person('dee 4')
  const id = await room({ kind: 'group', name: 'before', members: [dee.id] })
  await patch(id, { name: 'after', topic: 'new' })
  await put(`/rooms/${id}/members/${dee.id}`, { role: 'admin' })
  t.match((await other.get('/rooms', dee.token)).body.items.at(-1), { id, name: 'after', topic: 'new', role: 'admin', head_seq: 4 })
  await remove(`/rooms/${id}/members/${dee.id}`)
  t.notMatch(JSON.stringify((await other.get('/rooms', dee.token)).body), id)
})

t.test('however many rooms a user came into lately, a list takes the same number of round trips', async t => {
  const dee = await person('dee 5')
  const trips = async (path: string): Promise<number> => {
    let queries = 0
    const measured = await stack.gateway({ change: deps => ({ ...deps, access: { ...deps.access, reading: async () => { throw new Error('one by one') }, readings: async (...args) => { queries += 1; return await deps.access.readings(...args) } } }) })
    t.equal((await measured.get(path, dee.token)).status, 200)
    return queries
  }
  for (const n of [1, 30]) {
    for (let i = 0; i < n; i++) await post('/rooms', { name: `deep ${i}`, kind: 'public' }, dee.token)
    t.same([await trips('/rooms'), await trips('/rooms/public?query=deep')], [1, 1])
  }
})
