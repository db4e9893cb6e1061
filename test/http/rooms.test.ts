import t, { type Test } from 'tap'
import { history } from '../../projections/history.ts'
import { LOBBY_ID } from '../../src/domain/lobby.ts'
import { roomIdOfKey } from '../../src/http/room-commands.ts'
import { until } from '../until.ts'
import { testStack } from './stack.ts'

const stack = await testStack(t)
const { get, post, call, project, recentRooms } = stack
const other = await stack.gateway()

async function person (username: string) {
  const { user, access_token } = (await post('/auth/guest', { username })).body
  return { id: user.id as string, token: access_token as string }
}

const create = async (token: string, name: string, headers?: Record<string, string>) => (await post('/rooms', { name, kind: 'public' }, token, headers)).body
const ids = (answer: { body: { items: Array<{ id: string }> } }): string[] => answer.body.items.map(({ id }) => id)

/** The ids of all pages, which must be full and ascend. */
async function allPages (t: Test, path: string, token: string, limit: number): Promise<string[]> {
  const found: string[] = []
  for (let after = ''; ;) {
    const answer = await get(`${path}${path.includes('?') ? '&' : '?'}limit=${limit}${after}`, token)
    t.ok(answer.body.items.length <= limit)
    found.push(...ids(answer))
    if (answer.body.next === null) break
    after = `&after=${answer.body.next}`
  }
  t.same(found, [...new Set(found)].sort(), 'each once, in order')
  return found
}

t.test('whoever makes a room owns it and is in it', async t => {
  const ann = await person('maker')
  const { status, headers, body } = await post('/rooms', { name: 'Tea & cake', kind: 'public', topic: 'both' }, ann.token)
  t.equal(status, 201)
  t.match(body, { id: /^[0-9a-f-]{36}$/, name: 'Tea & cake', kind: 'public', topic: 'both', history: 'all', head_seq: 1, messages: 0, member: true, role: 'owner' })
  t.equal(headers.get('location'), `/rooms/${body.id}`)
  t.same((await get(`/rooms/${body.id}`, ann.token)).body, body)
  t.same((await other.get(`/rooms/${body.id.toUpperCase()}`, ann.token)).body, body)
  t.match((await get(`/rooms/${body.id}`, (await person('onlooker')).token)).body, { member: false, role: 'none' })
})

t.test('the same key makes one room, however often and wherever it is sent', async t => {
  const [ann, bob] = [await person('keyed 1'), await person('keyed 2')]
  const headers = { 'idempotency-key': 'my first room' }
  const rooms = await Promise.all([post('/rooms', { name: 'one', kind: 'public' }, ann.token, headers), other.post('/rooms', { name: 'one', kind: 'public' }, ann.token, headers)])
  t.same(rooms.map(({ status }) => status), [201, 201])
  t.equal(rooms[0].body.id, rooms[1].body.id)
  t.equal(rooms[0].body.id, roomIdOfKey(ann.id, 'my first room'))
  for (const key of await stack.redis.keys('*:once:*')) await stack.redis.del(key) // ten minutes later
  const late = await post('/rooms', { name: 'another name', kind: 'public' }, ann.token, headers)
  t.match([late.status, late.body], [201, { id: rooms[0].body.id, name: 'one' }])
  t.not((await create(bob.token, 'one', headers)).id, rooms[0].body.id, 'the same key of somebody else is another')
  t.not((await create(ann.token, 'one')).id, (await create(ann.token, 'one')).id, 'names are not unique')
})

t.test('people join and leave, once each', async t => {
  const [ann, bob] = [await person('host'), await person('joiner')]
  const { id } = await create(ann.token, 'open house')
  t.match(await post(`/rooms/${id}/leave`, {}, bob.token), { status: 403, body: { code: 'not_member' } })
  const joined = await post(`/rooms/${id}/join`, undefined, bob.token, { 'idempotency-key': 'j1' })
  t.match([joined.status, joined.body], [200, { room_id: id, changed: true, seq: 2, chain: /^[0-9a-f]{16}$/, event_id: String, duplicate: false }])
  t.match(await other.post(`/rooms/${id}/join`, undefined, bob.token, { 'idempotency-key': 'j1' }), { status: 200, body: { changed: true, seq: 2, duplicate: true } })
  t.same((await post(`/rooms/${id}/join`, {}, bob.token)).body, { room_id: id, changed: false })
  t.match((await get(`/rooms/${id}`, bob.token)).body, { member: true, role: 'member', head_seq: 2 })
  t.match(await post(`/rooms/${id}/leave`, undefined, bob.token), { status: 200, body: { changed: true, seq: 3 } })
  t.match((await get(`/rooms/${id}`, bob.token)).body, { member: false, role: 'none', head_seq: 3 })
})

t.test('everyone is in the lobby, under its alias too, and nobody leaves it', async t => {
  const ann = await person('lobbyist')
  t.match((await get('/rooms/lobby', ann.token)).body, { id: LOBBY_ID, name: 'lobby', kind: 'lobby', member: true, role: 'member' })
  t.same((await get(`/rooms/${LOBBY_ID}`, ann.token)).body, (await get('/rooms/lobby', ann.token)).body)
  t.match((await get('/rooms', ann.token)).body, { items: [{ id: LOBBY_ID, role: 'member' }], next: null })
  t.same((await post('/rooms/lobby/join', {}, ann.token)).body, { room_id: LOBBY_ID, changed: false })
  t.match(await post('/rooms/lobby/leave', {}, ann.token), { status: 403, body: { code: 'forbidden' } })
  await project(history, LOBBY_ID)
  t.match((await get('/rooms', ann.token)).body, { items: [{ id: LOBBY_ID, role: 'member' }], next: null })
})

t.test('what was answered shows in the lists at once, on any gateway, before and after the projection', async t => {
  const [ann, bob] = [await person('eager'), await person('visitor')]
  const { id } = await create(ann.token, 'Brand New')
  const mine = async (token: string): Promise<string[]> => ids(await other.get('/rooms', token)).filter(room => room !== LOBBY_ID)
  t.same(await mine(ann.token), [id])
  t.match((await other.get('/rooms', ann.token)).body.items[1], { id, name: 'Brand New', kind: 'public', topic: '', role: 'owner', head_seq: 1 })
  t.same(ids(await other.get('/rooms/public?query=brand', ann.token)), [id])
  t.same(ids(await other.get('/rooms/public?query=elsewhere', ann.token)), [])
  await post(`/rooms/${id}/join`, {}, bob.token)
  t.same(await mine(bob.token), [id])

  await project(history, id)
  t.same(await mine(ann.token), [id])
  t.same(await mine(bob.token), [id])
  await until(async () => (await recentRooms.of(bob.id)).length === 0, { what: 'what the projection has to be forgotten' })

  await post(`/rooms/${id}/leave`, {}, bob.token)
  t.same(await mine(bob.token), [], 'the projection still has bob inside')
  t.same(ids(await other.get('/rooms/public?query=brand', bob.token)), [id], 'who left still finds it')
  await post(`/rooms/${id}/join`, {}, bob.token)
  await post(`/rooms/${id}/leave`, {}, bob.token)
  await post(`/rooms/${id}/join`, {}, bob.token)
  t.same(await mine(bob.token), [id])
  await project(history, id)
  t.same(await mine(bob.token), [id])
  await until(async () => (await recentRooms.of(bob.id)).length === 0)
})

t.test('lists page through what is projected and what is not, each room once', async t => {
  const ann = await person('collector')
  const rooms: string[] = []
  for (let i = 0; i < 12; i++) rooms.push((await create(ann.token, `shelf ${i}`, i % 4 === 0 ? { 'idempotency-key': `shelf ${i}` } : undefined)).id)
  rooms.sort()
  const [projected, late] = [rooms.filter((_, i) => i % 3 !== 0), rooms.filter((_, i) => i % 3 === 0)]
  await project(history, ...projected)
  const heir = await person('heir')
  for (const id of [rooms[4], rooms[6]]) {
    await post(`/rooms/${id}/join`, {}, heir.token)
    await call('PUT', `/rooms/${id}/members/${heir.id}`, { token: ann.token, body: { role: 'owner' } })
    t.equal((await post(`/rooms/${id}/leave`, {}, ann.token)).status, 200)
  }
  const expected = rooms.filter(id => id !== rooms[4] && id !== rooms[6])
  for (const limit of [1, 2, 3, 5, 12, 13, 200]) {
    t.same((await allPages(t, '/rooms', ann.token, limit)).filter(id => id !== LOBBY_ID), expected, `${limit} at a time`)
    t.same(await allPages(t, '/rooms/public?query=SHELF', ann.token, limit), rooms)
  }
  await project(history, ...late, rooms[4]!)
  t.same((await allPages(t, '/rooms', ann.token, 3)).filter(id => id !== LOBBY_ID), expected)
  t.same(await allPages(t, '/rooms/public?query=shelf', (await person('browser')).token, 5), rooms)
  await until(async () => (await recentRooms.of(ann.id)).length === 0)
})

t.test('a list of rooms tells of the last message', async t => {
  const ann = await person('talker')
  const { id } = await create(ann.token, 'talk')
  await post(`/rooms/${id}/messages`, { content: 'the last word' }, ann.token)
  await project(history, id)
  t.match((await get('/rooms', ann.token)).body.items.at(-1), { id, head_seq: 2, members: 1, last_message: { seq: 2, content: 'the last word', user_id: ann.id, timestamp: /Z$/ } })
  const found = (await get('/rooms/public?query=talk', ann.token)).body.items[0]
  t.match(found, { id, last_message: { content: 'the last word' } })
  t.notOk('role' in found)
})

t.test('recent rooms are bounded, and forgetting one change keeps a newer one', async t => {
  const user = 'somebody'
  for (let i = 1; i <= 230; i++) await recentRooms.note(user, `room-${i % 210}`, i)
  const recent = await recentRooms.of(user)
  t.ok(recent.length <= 200)
  t.equal(recent.find(({ room_id }) => room_id === 'room-5')?.seq, 215, 'the newest of each')
  await recentRooms.note(user, 'room-5', 300)
  await recentRooms.forget(user, recent)
  t.same(await recentRooms.of(user), [{ room_id: 'room-5', seq: 300 }])
  t.ok(await stack.redis.ttl(`user:{${user}}:recent`) > 86_000)
})
