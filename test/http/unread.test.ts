// Unread counts, the offline queue, wishes for notifications and sync over HTTP; and frames that tell a person's other devices.
import t from 'tap'
import { randomUUID } from 'node:crypto'
import { history } from '../../projections/history.ts'
import { LOBBY_ID } from '../../src/domain/lobby.ts'
import { START } from '../../src/domain/position.ts'
import { connect } from '../client.ts'
import { liveWorld } from '../gateway/live.ts'
import { until } from '../until.ts'
import { testStack } from './stack.ts'

const stack = await testStack(t)
const { get, post, call, project } = stack

async function person (username: string) {
  const { user, access_token } = (await post('/auth/guest', { username })).body
  return { id: user.id as string, token: access_token as string }
}

const create = async (token: string, more: object = {}): Promise<string> => (await post('/rooms', { name: 'a room', kind: 'public', ...more }, token)).body.id
const say = async (token: string, room: string, content = 'hello'): Promise<number> => (await post(`/rooms/${room}/messages`, { content }, token)).body.seq
const put = async (token: string, path: string, body: object) => await call('PUT', path, { token, body })
const unread = async (token: string, room: string) => (await get('/unread', token)).body.items.find((item: { room_id: string }) => item.room_id === room)

t.test('messages by others count, from my mark on or from when I came in, at once and when they are projected', async t => {
  const [ann, bob] = [await person('ann'), await person('bob')]
  const room = await create(ann.token)
  await say(ann.token, room, 'before bob came')
  await post(`/rooms/${room}/join`, {}, bob.token)
  t.same(await unread(bob.token, room), { room_id: room, unread: 0, mentions: 0, read_seq: 0, head_seq: 3 })
  const first = await say(ann.token, room, 'one, @bob')
  const second = await say(ann.token, room, 'two')
  await say(bob.token, room, 'mine')
  t.same(await unread(bob.token, room), { room_id: room, unread: 2, mentions: 1, read_seq: 0, head_seq: 6 })
  t.match(await unread(ann.token, room), { unread: 1, mentions: 0 })
  await project(history, room)
  t.same(await unread(bob.token, room), { room_id: room, unread: 2, mentions: 1, read_seq: 0, head_seq: 6 })
  t.same((await put(bob.token, `/rooms/${room}/read`, { seq: first })).body, { room_id: room, seq: first })
  t.match(await unread(bob.token, room), { unread: 1, mentions: 0, read_seq: first })
  t.equal((await call('DELETE', `/rooms/${room}/messages/${second}`, { token: ann.token })).status, 200)
  t.match(await unread(bob.token, room), { unread: 0 }, 'a deleted message waits for nobody')
  await project(history, room)
  t.match(await unread(bob.token, room), { unread: 0 })
  await post(`/rooms/${room}/leave`, {}, bob.token)
  t.equal(await unread(bob.token, room), undefined)
  await say(ann.token, room)
  await post(`/rooms/${room}/join`, {}, bob.token)
  t.match(await unread(bob.token, room), { unread: 0, head_seq: 10 }, 'what was said while away')
  await say(ann.token, room)
  t.match(await unread(bob.token, room), { unread: 1 })
  t.equal((await get('/unread')).status, 401)
})

t.test('in the lobby what comes after the sign-up counts, without a join', async t => {
  const ann = await person('old hand')
  await say(ann.token, 'lobby', 'long ago')
  const bob = await person('newcomer')
  t.match(await unread(bob.token, LOBBY_ID), { unread: 0 })
  await say(ann.token, 'lobby', 'welcome')
  t.match(await unread(bob.token, LOBBY_ID), { unread: 1, read_seq: 0 })
  await project(history, LOBBY_ID)
  t.match(await unread(bob.token, LOBBY_ID), { unread: 1, read_seq: 0 })
  const { head_seq } = await unread(bob.token, LOBBY_ID)
  await put(bob.token, '/rooms/lobby/read', { seq: head_seq })
  await stack.store.query('INSERT INTO marks (room_id, user_id, kind, device, seq, at) VALUES ($1, $2, \'read\', \'\', $3, now())', [LOBBY_ID, bob.id, head_seq])
  t.match(await unread(bob.token, LOBBY_ID), { unread: 0, read_seq: head_seq }, 'the lobby keeps its marks in the read model')
})

t.test('a muted room is counted, and says that it is muted', async t => {
  const [ann, bob, eve] = [await person('mute 1'), await person('mute 2'), await person('mute 3')]
  const room = await create(ann.token)
  await post(`/rooms/${room}/join`, {}, bob.token)
  await say(ann.token, room)
  t.same((await put(bob.token, `/rooms/${room}/notifications`, { level: 'none' })).body, { room_id: room, level: 'none' })
  t.match(await unread(bob.token, room), { unread: 1, muted: true, notifications: 'none' })
  await put(bob.token, `/rooms/${room}/notifications`, { level: 'mentions' })
  t.match(await unread(bob.token, room), { unread: 1, muted: undefined, notifications: 'mentions' })
  await put(bob.token, `/rooms/${room}/notifications`, { level: 'all' })
  t.notOk('notifications' in await unread(bob.token, room))
  t.match(await put(eve.token, `/rooms/${room}/notifications`, { level: 'none' }), { status: 403, body: { code: 'not_member' } })
  t.match(await put(eve.token, `/rooms/${randomUUID()}/notifications`, { level: 'none' }), { status: 404, body: { code: 'room_not_found' } })
  t.match(await put(bob.token, `/rooms/${room}/notifications`, { level: 'loud' }), { status: 400, body: { field: 'level' } })
})

t.test('a read model that is far behind says how far the counts go', async t => {
  const [ann, bob] = [await person('far 1'), await person('far 2')]
  const room = await create(ann.token)
  await post(`/rooms/${room}/join`, {}, bob.token)
  await say(ann.token, room)
  await project(history, room)
  for (let i = 0; i < 101; i++) await say(ann.token, room)
  const { body } = await get('/unread', bob.token)
  t.match(body.as_of, { [room]: 3 })
  t.match(body.items.find((item: { room_id: string }) => item.room_id === room), { unread: 1, head_seq: 104 })
  await project(history, room)
  t.notOk((await get('/unread', bob.token)).body.as_of?.[room])
  t.match(await unread(bob.token, room), { unread: 102 })
})

t.test('the offline queue is of one device', async t => {
  const [ann, bob] = [await person('offline 1'), await person('offline 2')]
  const room = await create(ann.token)
  await say(ann.token, room)
  await post(`/rooms/${room}/join`, {}, bob.token)
  const seqs = [await say(ann.token, room), await say(ann.token, room), await say(bob.token, room)] as const
  const missing = async (device: string) => (await get(`/offline?device_id=${device}`, bob.token)).body.items.find((item: { room_id: string }) => item.room_id === room)
  t.same(await missing('phone'), { room_id: room, from_seq: 4, to_seq: 6, count: 3 }, 'from when they came in')
  await stack.store.query('INSERT INTO marks (room_id, user_id, kind, device, seq, at) VALUES ($1, $2, \'delivered\', \'phone\', $3, now())', [room, bob.id, seqs[0]])
  t.same(await missing('phone'), { room_id: room, from_seq: 5, to_seq: 6, count: 2 })
  t.match(await missing('laptop'), { from_seq: 4 })
  await call('DELETE', `/rooms/${room}/messages/${seqs[1]}`, { token: ann.token })
  t.same(await missing('phone'), { room_id: room, from_seq: 5, to_seq: 7, count: 1 })
  await stack.store.query('UPDATE marks SET seq = 7 WHERE room_id = $1', [room])
  t.equal(await missing('phone'), undefined)
  t.equal((await get('/offline', bob.token)).status, 400)
  t.equal((await get('/offline?device_id=', bob.token)).status, 400)
})

t.test('one call gives a client what it needs to start: positions, then state', async t => {
  const [ann, bob] = [await person('sync 1'), await person('sync 2')]
  const rooms = [await create(ann.token), await create(ann.token, { kind: 'private' })]
  await post(`/rooms/${rooms[0]!}/join`, {}, bob.token)
  await say(ann.token, rooms[0]!, 'hello')
  const { status, body } = await get('/sync', bob.token)
  t.equal(status, 200)
  t.same(body.me, (await get('/me', bob.token)).body)
  const list = (await get('/rooms', bob.token)).body
  t.same(body.rooms, { ...list, items: list.items.map(({ unread: _, mentions: __, ...room }: Record<string, unknown>) => room) })
  t.match(list.items.find(({ id }: { id: string }) => id === rooms[0]), { unread: 1, mentions: 0 }, 'the list of rooms has what waits in them')
  t.same(body.unread, (await get('/unread', bob.token)).body.items)
  t.same(Object.keys(body.positions.rooms).sort(), [LOBBY_ID, rooms[0]].sort())
  t.same(body.positions.inbox, START)
  const log = (await get(`/rooms/${rooms[0]!}/events?after=0`, bob.token)).body
  t.same(body.positions.rooms[rooms[0]!], log.as_of)
})

t.test('the queries of unread, sync and the list of rooms are as many for one room as for 60', async t => {
  const ann = await person('many rooms')
  await create(ann.token)
  const { query } = stack.store
  let asked = 0
  stack.store.query = (async (...args: unknown[]) => { asked++; return await (query as (...args: unknown[]) => Promise<unknown>)(...args) }) as never
  t.teardown(() => { stack.store.query = query })
  const queries = async (path: string): Promise<number> => {
    asked = 0
    t.equal((await get(path, ann.token)).status, 200)
    return asked
  }
  const few = [await queries('/unread'), await queries('/sync'), await queries('/offline?device_id=phone'), await queries('/rooms?limit=200')]
  for (let i = 0; i < 60; i++) await create(ann.token)
  t.same([await queries('/unread'), await queries('/sync'), await queries('/offline?device_id=phone'), await queries('/rooms?limit=200')], few)
})

t.test('when a device has read, the other ones are told what is left, on all nodes; of new messages they are not', async t => {
  const world = await liveWorld(t as never)
  const other = await world.gateway()
  const post = async (path: string, body: object, token?: string) => {
    const answer = await fetch(`${world.url}${path}`, { method: 'POST', headers: { 'content-type': 'application/json', ...(token === undefined ? {} : { authorization: `Bearer ${token}` }) }, body: JSON.stringify(body) })
    return await answer.json() as any
  }
  const [ann, bob] = [await post('/auth/guest', { username: 'ann' }), await post('/auth/guest', { username: 'bob' })]
  const { id: room } = await post('/rooms', { name: 'a room', kind: 'public' }, ann.access_token)
  await post(`/rooms/${room}/join`, {}, bob.access_token)
  const seqs: number[] = []
  for (const content of ['one', 'two @bob', 'three']) seqs.push((await post(`/rooms/${room}/messages`, { content }, ann.access_token)).seq)
  const [phone, laptop] = await Promise.all([connect({ url: world.url, token: bob.access_token }), connect({ url: other.url, token: bob.access_token })])
  t.teardown(async () => { await Promise.all([phone.close(), laptop.close()]) })
  await phone.request({ type: 'read', room_id: room, seq: seqs[0]! })
  t.same(await laptop.next(frame => frame.type === 'unread'), { type: 'unread', room_id: room, unread: 2, mentions: 1 })
  await Promise.all([phone.request({ type: 'read', room_id: room, seq: seqs[1]! }), phone.request({ type: 'read', room_id: room, seq: seqs[2]! })])
  t.same(await laptop.next(frame => frame.type === 'unread'), { type: 'unread', room_id: room, unread: 0, mentions: 0 })
  t.notOk(phone.frames.some(({ type }) => type === 'unread'), 'the device that reads knows')
  t.equal(laptop.frames.filter(({ type }) => type === 'unread').length, 2, 'messages themselves are no such frames, and marks that come together are one')
  await until(async () => (await (await fetch(`${world.url}/unread`, { headers: { authorization: `Bearer ${bob.access_token}` } })).json() as any).items.some((item: any) => item.room_id === room && item.unread === 0 && item.read_seq === seqs[2]))
})
