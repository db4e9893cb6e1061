// `resume.all`: all rooms that somebody is in, and those that they come into later, over two gateways.
import t from 'tap'
import { LOBBY_ID } from '../../src/domain/lobby.ts'
import { connect, http, type Account, type Client, type ConnectOptions, type Frame } from '../client.ts'
import { until } from '../until.ts'
import { liveWorld } from './live.ts'

const world = await liveWorld(t, { env: { SUBSCRIPTIONS_MAX: '30', HEARTBEAT_MS: '1000' } })
const other = await world.gateway()
const api = world.api(0)
const ann = await world.signup()
const token = ann.access_token

const all = async (user: Account, more: Partial<ConnectOptions['resume']> = {}, options: Partial<ConnectOptions> = {}): Promise<Client> => {
  const client = await connect({ url: world.url, token: user.access_token, resume: { all: true, ...more }, ...options })
  t.teardown(() => { client.cut() })
  return client
}
const live = (client: Client): string[] => client.frames.filter(({ type }) => type === 'live').map(({ room_id }) => room_id as string).sort()
const liveIn = async (client: Client, ...rooms: string[]): Promise<void> => {
  await until(() => rooms.every(room => live(client).includes(room)), { what: `live in ${rooms.length} rooms` })
}
const room = async (kind: string, user = ann, more = {}): Promise<string> => {
  const { id } = (await http(world.url).post('/rooms', { name: 'a room', kind, ...more }, user.access_token)).body
  world.rooms.add(id)
  return id
}
const say = async (id: string, content: string): Promise<number> => (await api.post(`/rooms/${id}/messages`, { content }, token)).body.seq
const contents = (client: Client, id: string): string[] => client.events(id).filter(({ type }) => type === 'message').map(({ content }) => content as string)

t.test('all rooms are subscribed, those that the read model does not know yet as well, and no other', async t => {
  const bob = await world.signup()
  const rooms = [await room('public', bob), await room('private', bob), await room('group', ann, { members: [bob.user.id] }), (await api.post('/dms', { user_id: bob.user.id }, token)).body.id]
  const [left, never, kicked] = [await room('public'), await room('public'), await room('group', ann, { members: [bob.user.id] })]
  await api.post(`/rooms/${left}/join`, {}, bob.access_token)
  await world.projected()
  await api.post(`/rooms/${left}/leave`, {}, bob.access_token)
  await api.call('DELETE', `/rooms/${kicked}/members/${bob.user.id}`, { token })
  const late = await room('public')
  await api.post(`/rooms/${late}/join`, {}, bob.access_token)
  const client = await all(bob)
  const wanted = [...rooms, late, LOBBY_ID, bob.user.id]
  await liveIn(client, ...wanted)
  await client.request({ type: 'ping' })
  t.same(live(client), wanted.sort())
  const joined = (frame: typeof client.frames[number]): boolean => frame.type === 'sync' && frame.room_id === late // may have come as news first, just then
  t.same(client.frames.filter(frame => (frame.type === 'error' || frame.type === 'sync') && !joined(frame)), [], 'each from its head')
  for (const id of [left, never, kicked, rooms[2]!]) await say(id, 'now')
  await client.next(({ content }) => content === 'now')
  t.same([left, never, kicked].flatMap(id => client.events(id)), [])
  await client.close()
})

t.test('rooms that are named begin where the client is, the others where its device was delivered', async t => {
  const bob = await world.signup()
  const [named, marked, fresh] = [await room('group', ann, { members: [bob.user.id] }), await room('group', ann, { members: [bob.user.id] }), await room('group', ann, { members: [bob.user.id] })]
  for (const id of [named, marked, fresh]) for (let i = 1; i <= 5; i++) await say(id, `m${i}`)
  const before = await all(bob, {}, { device_id: 'phone' })
  await liveIn(before, marked)
  const head = (await world.log.heads([marked])).heads.get(marked)!.seq
  t.match(await before.request({ type: 'delivered', rooms: { [marked]: head - 2 } }), { type: 'ack' })
  before.cut()
  const client = await all(bob, { rooms: { [named]: { seq: 3 } } }, { device_id: 'phone' })
  await liveIn(client, named, marked, fresh, LOBBY_ID, bob.user.id)
  t.same(client.events(named).map(({ seq }) => seq), Array.from({ length: head - 3 }, (_, i) => i + 4))
  t.same(contents(client, marked), ['m4', 'm5'])
  t.same(contents(client, fresh), [])
  client.cut()
  const tablet = await all(bob, {}, { device_id: 'tablet' })
  await liveIn(tablet, marked)
  t.same(contents(tablet, marked), [], 'of another device')
  tablet.cut()
})

t.test('rooms into which they come later are there by themselves, from the moment on, whoever does it and wherever', async t => {
  const bob = await world.signup()
  const [first, second, plain] = [await all(bob), await all(bob, {}, { url: other.url }), await connect({ url: world.url, token: bob.access_token })]
  for (const client of [first, second]) await liveIn(client, LOBBY_ID)
  const open = await room('public')
  await say(open, 'before')
  await api.post(`/rooms/${open}/join`, {}, bob.access_token)
  const group = await room('group', ann, { members: [bob.user.id] })
  const own = await room('private', bob)
  for (const client of [first, second]) {
    await liveIn(client, open, group, own)
    t.match(client.events(open), [{ type: 'join', user_id: bob.user.id }], 'their own coming is the first')
    t.match(client.events(group)[0], { type: 'room', change: 'created' })
  }
  await say(open, 'after')
  for (const client of [first, second]) await client.next(({ content }) => content === 'after')
  t.notOk(plain.frames.some(({ type, room_id: id }) => type !== 'inbox' && [open, group, own].includes(id)), 'who has not asked for all is not given any; news of it comes into the inbox')

  await api.call('DELETE', `/rooms/${group}/members/${bob.user.id}`, { token })
  t.match(await first.next(({ type }) => type === 'error'), { room_id: group, code: 'room_not_found' })
  await first.request({ type: 'ping' })
  t.equal(first.frames.filter(({ type }) => type === 'error').length, 1, 'it is said once')
  await api.call('PUT', `/rooms/${group}/members/${bob.user.id}`, { token, body: {} })
  await until(() => live(first).filter(id => id === group).length === 2, { what: 'the room to come back' })

  await first.unsubscribe(open)
  await new Promise(resolve => setTimeout(resolve, 1500)) // more than a heartbeat
  await say(open, 'unheard')
  await second.next(({ content }) => content === 'unheard')
  t.notOk(contents(first, open).includes('unheard'), 'what was unsubscribed from stays so')
  for (const client of [first, second, plain]) client.cut()
})

t.test('a signal that is lost costs one heartbeat', async t => {
  const bob = await world.signup()
  const client = await all(bob)
  await liveIn(client, LOBBY_ID)
  const id = await room('public')
  const { seq } = (await http(world.url).post(`/rooms/${id}/join`, {}, bob.access_token)).body
  await liveIn(client, id)
  await client.unsubscribe(id)
  const later = await room('public')
  // As a command would, without the signal: in Redis, and among what has changed lately.
  await world.shared.redis.zadd(`user:{${bob.user.id}}:recent`, Date.now(), `${later} 2`)
  await world.shared.redis.hset(world.keys.members(later), bob.user.id, 'member|0|0|2')
  await liveIn(client, later)
  t.equal(live(client).filter(room => room === id).length, 1, `not again what was acted upon at ${seq}`)
  client.cut()
})

t.test('more rooms than a socket may have: as many as it may, and one answer', async t => {
  const bob = await world.signup()
  const rooms: string[] = []
  for (let i = 0; i < 40; i++) rooms.push(await room('private', bob))
  await world.projected()
  const client = await all(bob, { rooms: { [rooms[0]!]: { seq: 0 } } })
  await until(() => live(client).length === 30, { what: 'as many as may be' })
  await client.request({ type: 'ping' })
  t.match(client.frames.filter(({ type }) => type === 'error'), [{ code: 'too_many_subscriptions', room_id: undefined }])
  t.ok(live(client).includes(rooms[0]!), 'the named one among them')
  client.cut()
})

t.test('it takes the same number of queries for two rooms as for twenty, and none for what was named', async t => {
  const counts: number[] = []
  for (const many of [2, 20]) {
    const user = await world.signup()
    for (let i = 0; i < many; i++) await room('private', user)
    await (await all(user)).close() // its inbox is there from here on
    await world.projected()
    other.queries()
    const client = await all(user, {}, { url: other.url })
    await until(() => live(client).length === many + 2)
    counts.push(other.queries().filter(query => !/last_seen|audience|contacts/.test(query)).length) // presence is told of in its own time
    client.cut()
  }
  t.same(counts[0], counts[1])
  t.equal(counts[0], 1)
})

t.test('cold rooms cost no query each', async t => {
  const user = await world.signup()
  const rooms: string[] = []
  for (let i = 0; i < 20; i++) rooms.push(await room('private', user))
  await (await all(user)).close()
  await world.projected()
  const { heads } = await world.log.heads(rooms)
  for (const id of rooms) t.equal(await world.shared.cold.evict(id, heads.get(id)!), true)
  world.queries()
  const client = await all(user, {}, { url: world.url })
  await until(() => live(client).length === 22)
  const asked = world.queries().filter(query => /^room/.test(query))
  t.same(asked, ['room_ids_of', 'room_states_for'], 'one query for all of them')
  client.cut()
})

t.test('while Postgres is away the named rooms are resumed, and the client learns to ask again', async t => {
  const bob = await world.signup()
  const named = await room('group', ann, { members: [bob.user.id] })
  await say(named, 'hot')
  await world.postgres.freeze()
  t.teardown(() => { world.postgres.thaw() })
  const client = await connect({ url: world.url, token: bob.access_token, resume: { all: true, rooms: { [named]: { seq: 0 } } } })
  await liveIn(client, named)
  t.match(contents(client, named), ['hot'])
  await world.postgres.kill()
  t.match(await client.next(({ type }) => type === 'error', 20_000) as Frame, { code: 'unavailable', retry_after_ms: Number })
  await world.postgres.restart()
  await until(async () => (await api.get('/rooms', bob.access_token)).status === 200)
  client.send({ type: 'hello', resume: { all: true } })
  await liveIn(client, LOBBY_ID)
  client.cut()
})
