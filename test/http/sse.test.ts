// Server-sent events over a real gateway: one room and several, live and from any age, and what ends a stream.
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { placesIdOf, readPlacesId } from '../../src/domain/event-ids.ts'
import { liveWorld } from '../gateway/live.ts'
import { until } from '../until.ts'
import { listen } from './event-stream.ts'

const world = await liveWorld(t)
const api = world.api(0)
const [ann, bob] = [await world.signup(), await world.signup()]
const token = ann.access_token
const upTo = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i)
const say = async (room: string, content: string): Promise<any> => (await api.post(`/rooms/${room}/messages`, { content }, token)).body

async function roomWith (messages: number): Promise<string> {
  const room = await world.room(token)
  for (let i = 1; i <= messages; i++) await say(room, `message ${i}`)
  return room
}

t.test('one room, from its head on: frames as over a socket, with the position as ID', async t => {
  const room = await roomWith(2)
  const socket = await world.connect(0, token)
  await socket.subscribe(room)
  const stream = await listen(world.url, `/rooms/${room}/events`, { token })
  t.match(stream.headers, { 'content-type': 'text/event-stream', 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' })
  const live = await stream.next(({ type }) => type === 'live')
  t.match(live, { id: `3:${live.data.chain}`, data: { room_id: room, seq: 3 } })
  await say(room, 'to both: ä 😀 \u2028 "\\\n')
  const { data, id } = await stream.next(({ type }) => type === 'message')
  t.same(data, await socket.next(({ seq, type }) => seq === 4 && type === 'message'))
  t.equal(id, `4:${data.chain}`)
  t.same(stream.retries, [2000])
  stream.cut()
  await socket.close()
})

t.test('who comes back with the last ID gets exactly what was missed, then what is live', async t => {
  const room = await roomWith(1)
  const first = await listen(world.url, `/rooms/${room}/events?after=0`, { token })
  await first.next(({ type }) => type === 'live')
  t.same(first.seqs(), [1, 2])
  first.cut()
  for (let i = 0; i < 5; i++) await say(room, `missed ${i}`)
  const second = await listen(world.url, `/rooms/${room}/events?after=0`, { token, headers: { 'last-event-id': first.lastId() } })
  t.match(await second.next(({ type }) => type === 'sync'), { id: '', data: { from: 2, to: 7, source: 'log' } })
  await second.next(({ type }) => type === 'live')
  await say(room, 'live')
  await second.next(({ data }) => data.content === 'live')
  t.same(second.seqs(), upTo(3, 8), 'the ID counts, not the URL')
  second.cut()
  const parted = await listen(world.url, `/rooms/${room}/events`, { token, headers: { 'last-event-id': '5:ffffffffffffffff' } })
  t.match(await parted.next(({ type }) => type === 'reset'), { data: { reason: 'parted', seq: 0 } })
  await parted.next(({ type }) => type === 'live')
  t.same(parted.seqs(), upTo(1, 8))
  parted.cut()
})

t.test('what is in the archive alone comes over the same frames', async t => {
  const room = await roomWith(40)
  await world.trim(room)
  const stream = await listen(world.url, `/rooms/${room}/events?after=0`, { token })
  t.match(await stream.next(({ type }) => type === 'sync'), { data: { from: 0, to: 41, source: 'archive' } })
  await stream.next(({ type }) => type === 'live')
  t.same(stream.seqs(), upTo(1, 41))
  stream.cut()
})

t.test('several rooms in one stream: the ID is where the client is in all of them', async t => {
  const [a, b, c] = [await roomWith(3), await roomWith(3), await roomWith(1)]
  const first = await listen(world.url, `/events?rooms=${a},${b.toUpperCase()},lobby`, { token })
  for (let i = 0; i < 3; i++) await first.next(({ type }) => type === 'live')
  await say(a, 'one more')
  await first.next(({ data }) => data.content === 'one more')
  const id = first.lastId()
  t.same([...readPlacesId(id, 100)!].map(([room, { seq }]) => [room, seq]).sort(), [[a, 5], [b, 4], ['00000000-0000-7000-8000-000000000001', (await world.log.heads(['00000000-0000-7000-8000-000000000001'])).heads.get('00000000-0000-7000-8000-000000000001')!.seq]].sort())
  first.cut()
  for (const room of [a, b, b, c]) await say(room, 'missed')
  const second = await listen(world.url, `/events?rooms=${a},${b},${c}`, { token, headers: { 'last-event-id': id } })
  for (let i = 0; i < 3; i++) await second.next(({ type }) => type === 'live')
  t.same([second.seqs(a), second.seqs(b), second.seqs(c)], [[6], [5, 6], []], 'a room that is new begins at its head')
  t.notOk(second.events.some(({ data }) => data.room_id?.endsWith('000001')))
  const third = await listen(world.url, `/events?rooms=${a},${b},${c}&after=${second.lastId()}`, { token })
  for (let i = 0; i < 3; i++) await third.next(({ type }) => type === 'live')
  t.same(third.seqs(), [])
  for (const stream of [second, third]) stream.cut()
})

t.test('an inbox is followed like a room', async t => {
  t.equal((await listen(world.url, `/events?rooms=${bob.user.id}`, { token })).status, 404, 'by nobody else')
  const again = await listen(world.url, `/events?rooms=${bob.user.id}`, { token: bob.access_token })
  await again.next(({ type }) => type === 'live')
  const room = (await api.post('/rooms', { name: 'ours', kind: 'group', members: [bob.user.id] }, token)).body.id
  const { data, id } = await again.next(({ type }) => type === 'inbox')
  t.match(data, { event: 'added', room_id: room })
  t.same([...readPlacesId(id, 1)!].map(([of, { seq }]) => [of, seq]), [[bob.user.id, data.seq]])
  again.cut()
  const eve = await world.signup()
  const alone = await listen(world.url, `/rooms/${eve.user.id}/events`, { token: eve.access_token })
  t.match(await alone.next(({ type }) => type === 'live'), { data: { room_id: eve.user.id } })
  alone.cut()
})

t.test('what cannot be read is refused before the stream begins', async t => {
  const room = await roomWith(1)
  const place = placesIdOf(new Map([[room, { seq: 1, chain: '0123456789abcdef' }]]))
  for (const id of ['x', '-1', '1.5', '1:', '1:xyz', '1:0123456789ABCDEF', '9007199254740993', '99999999999999999', '1:0123456789abcdef0', '٣', place]) {
    t.match(await listen(world.url, `/rooms/${room}/events`, { token, headers: { 'last-event-id': Buffer.from(id).toString('latin1') } }), { status: 400, body: { code: 'bad_request', field: 'last-event-id' } }, id)
    t.match(await listen(world.url, `/rooms/${room}/events?after=${encodeURIComponent(id)}`, { token }), { status: 400, body: { code: 'bad_request', field: 'after' } }, id)
  }
  for (const id of ['x', '1:0123456789abcdef', '12', place.slice(1), `${place}=`, `${place}AAAA`, Buffer.alloc(32, 255).toString('base64url'), 'A'.repeat(43 * 120)]) {
    t.match(await listen(world.url, `/events?rooms=${room}`, { token, headers: { 'last-event-id': id } }), { status: 400, body: { code: 'bad_request', field: 'last-event-id' } }, id.slice(0, 60))
    t.match(await listen(world.url, `/events?rooms=${room}&after=${id}`, { token }), { status: 400, body: { code: 'bad_request', field: 'after' } }, id.slice(0, 60))
  }
  for (const rooms of ['', ',', 'nonsense', `${room},`, Array.from({ length: 101 }, () => crypto.randomUUID()).join(',')]) t.match(await listen(world.url, `/events?rooms=${rooms}`, { token }), { status: 400, body: { code: 'bad_request', field: 'rooms' } })
  t.match(await listen(world.url, '/events', { token }), { status: 400, body: { field: 'rooms' } })
  t.equal((await api.call('HEAD', '/events?rooms=lobby', { token })).status, 404)
  t.match((await api.call('HEAD', `/rooms/${room}/events`, { token, headers: { accept: 'text/event-stream' } })).headers.get('content-type'), 'application/json', 'a head is not kept open')
  const empty = await listen(world.url, `/rooms/${room}/events`, { token, headers: { 'last-event-id': '' } })
  await empty.next(({ type }) => type === 'live')
  empty.cut()
})

t.test('only those hear a room who may read it, and for as long', async t => {
  const secret = (await api.post('/rooms', { name: 'secret', kind: 'group', members: [bob.user.id] }, token)).body.id
  world.rooms.add(secret)
  const open = await roomWith(1)
  const eve = await world.signup()
  t.match(await listen(world.url, `/rooms/${secret}/events`, { token: eve.access_token }), { status: 404, body: { code: 'room_not_found' } })
  t.match(await listen(world.url, `/events?rooms=${secret}`, { token: eve.access_token }), { status: 404, body: { code: 'room_not_found' } })
  const some = await listen(world.url, `/events?rooms=${secret},${open}`, { token: eve.access_token })
  t.match(await some.next(({ type }) => type === 'error'), { data: { code: 'room_not_found', room_id: secret } })
  await some.next(({ type }) => type === 'live')
  t.notOk(some.ended(), 'the other room goes on')
  some.cut()

  const [one, both] = [await listen(world.url, `/rooms/${secret}/events`, { token: bob.access_token }), await listen(world.url, `/events?rooms=${secret},${open}`, { token: bob.access_token })]
  await one.next(({ type }) => type === 'live')
  for (let i = 0; i < 2; i++) await both.next(({ type }) => type === 'live')
  await api.call('DELETE', `/rooms/${secret}/members/${bob.user.id}`, { token })
  await say(secret, 'not for bob')
  for (const stream of [one, both]) {
    t.match(await stream.next(({ type }) => type === 'kick'), { data: { target: bob.user.id } })
    t.match(await stream.next(({ type }) => type === 'error'), { data: { room_id: secret, code: 'room_not_found' } })
  }
  await one.closed
  await say(open, 'for all')
  await both.next(({ data }) => data.content === 'for all')
  t.notOk([...one.events, ...both.events].some(({ data }) => data.content === 'not for bob'))
  both.cut()
})

t.test('the token: in the header, or a ticket in its place, once', async t => {
  const room = await roomWith(1)
  t.match(await listen(world.url, `/rooms/${room}/events`), { status: 401, body: { code: 'unauthenticated' } })
  t.match(await listen(world.url, `/events?rooms=${room}`, { token: 'nonsense' }), { status: 401 })
  for (const path of [`/rooms/${room}/events?after=0`, `/events?rooms=${room}`]) {
    const { ticket } = (await api.post('/auth/ws-ticket', undefined, token)).body
    const stream = await listen(world.url, `${path}${path.includes('?') ? '&' : '?'}ticket=${ticket}`)
    await stream.next(({ type }) => type === 'live')
    stream.cut()
    t.match(await listen(world.url, `${path}&ticket=${ticket}`), { status: 401, body: { code: 'unauthenticated' } })
  }
  const { ticket } = (await api.post('/auth/ws-ticket', undefined, token)).body
  t.equal((await api.get(`/me?ticket=${ticket}`)).status, 401, 'for streams alone')
})

t.test('a stream ends with its session, and with its token', async t => {
  const room = await roomWith(1)
  const short = await world.gateway({ ACCESS_TOKEN_S: '5' })
  const user = await (await import('../client.ts')).http(short.url).signup('shortlived')
  const from = Date.now()
  const expiring = await listen(short.url, `/rooms/${room}/events`, { token: user.access_token })
  const eve = await world.signup()
  const streams = [await listen(world.url, `/rooms/${room}/events`, { token: eve.access_token }), await listen(short.url, `/events?rooms=${room}`, { token: eve.access_token })]
  for (const stream of streams) await stream.next(({ type }) => type === 'live')
  await api.post('/auth/logout', undefined, eve.access_token)
  for (const stream of streams) {
    t.match(await stream.next(({ type }) => type === 'bye'), { data: { code: 4101, resume: true } })
    await stream.closed
  }
  t.match(await expiring.next(({ type }) => type === 'bye'), { data: { code: 4100, resume: true } })
  t.ok(Date.now() - from > 3500)
  await expiring.closed
  await short.stop()
})

t.test('streams count as connections, and a server that stops ends them', async t => {
  const room = await roomWith(1)
  const small = await world.gateway({ RATE_LIMITS: 'on', CONNECTIONS_PER_USER_MAX: '3', CONNECTIONS_MAX: '4' })
  const { connect } = await import('../client.ts')
  const mine = [await listen(small.url, `/rooms/${room}/events`, { token }), await listen(small.url, `/rooms/${room}/events`, { token })]
  const socket = await connect({ url: small.url, token })
  t.match(await listen(small.url, `/rooms/${room}/events`, { token }), { status: 422, body: { code: 'too_many' } })
  const theirs = await listen(small.url, `/rooms/${room}/events`, { token: bob.access_token })
  t.match(await listen(small.url, `/events?rooms=${room}`, { token: bob.access_token }), { status: 503, body: { code: 'overloaded', retry_after_ms: Number } })
  t.equal(await small.value('streams'), 3)
  theirs.cut()
  await until(async () => await small.value('streams') === 2)
  const again = await listen(small.url, `/events?rooms=${room}`, { token: bob.access_token })
  await again.next(({ type }) => type === 'live')
  const stopped = small.stop()
  for (const stream of [...mine, again]) {
    t.match(await stream.next(({ type }) => type === 'bye'), { data: { code: 4001, resume: true } })
    await stream.closed
    t.equal(stream.retries.length, 2, 'it says when to come back')
  }
  await socket.closed
  t.equal(await stopped, true, 'cleanly')
})

t.test('a slow reader of what is live is ended and comes back; one that catches up is served at its pace', async t => {
  const room = await world.room(token)
  const small = await world.gateway({ OUTBOX_BYTES_MAX: '65536' })
  const slow = await listen(small.url, `/rooms/${room}/events`, { token })
  await slow.next(({ type }) => type === 'live')
  slow.pause()
  const socket = await world.connect(0, token)
  let sent = 0
  for (; await small.value('streams') > 0 && sent < 4000; sent += 50) await Promise.all(Array.from({ length: 50 }, async () => await socket.message(room, 'x'.repeat(8000))))
  t.equal(await small.value('streams'), 0)
  slow.resume()
  await slow.closed
  t.same(slow.seqs(), upTo(2, slow.seqs().length + 1), 'no gap in what it got')

  const back = await listen(small.url, `/rooms/${room}/events`, { token, headers: { 'last-event-id': slow.lastId() } })
  back.pause()
  await sleep(300)
  t.equal(await small.value('streams'), 1, 'it may take its time')
  const reading = setInterval(() => { back.resume(); setTimeout(() => { back.pause() }, 5) }, 10)
  await back.next(({ type }) => type === 'live', 30_000)
  clearInterval(reading)
  t.same([...slow.seqs(), ...back.seqs()], upTo(2, sent + 1))
  back.cut()
  await socket.close()
})

t.test('who reads a stream is online for the others, and offline when it ends', async t => {
  const cat = await world.signup()
  const room = await roomWith(1)
  t.equal((await api.post(`/rooms/${room}/join`, {}, cat.access_token)).status, 200)
  const statusOf = async (): Promise<string> => (await api.get(`/users/${cat.user.id}/presence`, bob.access_token)).body.status
  const watcher = await world.connect(0, token)
  await watcher.subscribe(room)
  const told = async (status: string): Promise<unknown> => await watcher.next(frame => frame.type === 'presence' && frame.user_id === cat.user.id && frame.status === status)
  t.equal(await statusOf(), 'offline')
  const [first, second] = [await listen(world.url, `/rooms/${room}/events`, { token: cat.access_token }), await listen(world.url, `/events?rooms=${room},lobby`, { token: cat.access_token })]
  await told('online')
  const socket = await world.connect(0, cat.access_token)
  await socket.request({ type: 'presence', status: 'away' })
  first.cut()
  await sleep(300)
  t.equal(await statusOf(), 'online', 'with another stream, whatever is said on another device')
  second.cut()
  await told('away')
  t.match(await api.get(`/users/${cat.user.id}/presence`, bob.access_token), { body: { status: 'away' } })
  await socket.close()
  await told('offline')
  await watcher.close()
})

t.test('nothing is left of streams that are gone', async t => {
  const room = await roomWith(5)
  for (let i = 0; i < 50; i++) (await listen(world.url, i % 2 === 0 ? `/rooms/${room}/events?after=0` : `/events?rooms=${room},lobby`, { token })).cut()
  await world.quiet()
  t.pass()
})
