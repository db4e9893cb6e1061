// Resuming over a real gateway, from any age: what is read where, who may read on, and what is done for clients that go.
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { connect, type Client, type Frame, type Position } from '../client.ts'
import { until } from '../until.ts'
import { liveWorld } from './live.ts'

const world = await liveWorld(t, { env: { HEADS_COMPARE_MS: '60000' } })
const api = world.api(0)
const [ann, bob] = [await world.signup(), await world.signup()]
const token = ann.access_token
const upTo = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i)
const seqs = (client: Client, room: string): number[] => client.events(room).map(({ seq }) => seq)
/** Without the checker: for positions that are lies. */
const liar = async (user = ann, more = {}): Promise<Client> => {
  const client = await connect({ url: world.url, token: user.access_token, ...more })
  t.teardown(() => { client.cut() })
  return client
}

async function fill (room: string, messages: number, chars = 10): Promise<void> {
  const writer = await liar()
  for (let i = 0; i < messages; i += 100) await Promise.all(Array.from({ length: Math.min(100, messages - i) }, async (_, j) => await writer.message(room, `${i + j} `.padEnd(chars, 'x'))))
  await writer.close()
}

async function roomWith (messages: number, chars?: number): Promise<string> {
  const room = await world.room(token)
  await fill(room, messages, chars)
  return room
}

t.test('from a position in the stream, Postgres is not asked', async t => {
  const room = await roomWith(300)
  const log = await world.logOf(room)
  await world.trim(room, 100) // 202 … 301
  const at = (seq: number) => ({ seq, chain: log[seq - 1]!.chain })
  const other = await world.gateway()
  for (const [claim, from] of [[at(301), 302], [at(300), 301], [at(202), 203], [{ seq: 202 }, 203], [at(201), 202], [{ ...at(250), also: [at(240), at(10)] }, 251], [{ seq: 260, chain: 'ffffffffffffffff', also: [at(230)] }, 231]] as Array<[Position, number]>) {
    other.queries()
    const client = await connect({ url: other.url, token, resume: { rooms: { [room]: claim } } })
    await client.next(({ type }) => type === 'live')
    t.same(other.queries(), [], JSON.stringify(claim))
    t.same(seqs(client, room), upTo(from, 301))
    for (const { source } of client.frames.filter(({ type }) => type === 'sync')) t.equal(source, 'log')
    await client.close()
  }
  const older = await connect({ url: other.url, token, resume: { rooms: { [room]: at(200) } } })
  t.match(await older.next(({ type }) => type === 'sync'), { from: 200, to: 301, source: 'archive' })
  await older.next(({ type }) => type === 'live')
  t.same(seqs(older, room), upTo(201, 301))
  await older.close()
  await other.stop()
})

t.test('a room whose stream is empty, or gone, is read from the archive', async t => {
  const room = await roomWith(1200)
  const log = await world.logOf(room)
  await world.trim(room)
  const resumed = async (after: object): Promise<Client> => {
    const client = await liar()
    await client.subscribe(room, after as never)
    return client
  }
  for (const gone of [false, true]) {
    if (gone) await world.redis.del(world.keys.log(room))
    for (const after of [0, 1, 600, 1199, 1200]) {
      const client = await resumed(after % 2 === 0 || after === 0 ? { seq: after } : { seq: after, chain: log[after - 1]!.chain })
      t.same(seqs(client, room), upTo(after + 1, 1201))
      t.match(client.frames.find(({ type }) => type === 'sync'), { from: after, to: 1201, source: 'archive' })
      client.cut()
    }
    const head = await resumed({ seq: 1201, chain: log[1200]!.chain })
    t.notOk(head.frames.some(({ type }) => type === 'sync' || type === 'reset'))
    head.cut()
    const parted = await resumed({ seq: 1000, chain: 'ffffffffffffffff', also: [{ seq: 900, chain: 'ffffffffffffffff' }, { seq: 512, chain: log[511]!.chain }] })
    t.match(parted.frames.find(({ type }) => type === 'reset'), { reason: 'parted', seq: 512, chain: log[511]!.chain })
    t.same(seqs(parted, room), upTo(513, 1201))
    parted.cut()
  }
})

t.test('a catch-up goes on in the archive and ends in the stream', async t => {
  const room = await roomWith(3000)
  await world.trim(room, 700)
  const client = await world.connect(0, token, { resume: { rooms: { [room]: { seq: 0 } } } })
  t.match(await client.next(({ type }) => type === 'sync'), { source: 'archive' })
  await client.next(({ type }) => type === 'live')
  t.same(seqs(client, room), upTo(1, 3001))
  await client.close()
})

t.test('deleted content comes out of stream and archive as tombstones', async t => {
  const room = await roomWith(20)
  const edit = await api.call('PATCH', `/rooms/${room}/messages/5`, { token, body: { content: 'a secret' } })
  t.equal(edit.status, 200)
  for (const kept of [1000, 0]) {
    if (kept === 0) {
      await world.trim(room)
      await world.store.query('UPDATE events SET data = replace(data::text, \'"content":""\', \'"content":"a secret"\')::json WHERE room_id = $1 AND seq = 5', [room]) // as if the archive had not applied the delete
      await world.redis.zadd(world.keys.deleted(room), 23, '5')
    } else await api.call('DELETE', `/rooms/${room}/messages/5`, { token })
    const client = await liar()
    await client.subscribe(room, { seq: 0 })
    const [message, edited] = [client.events(room).find(({ seq }) => seq === 5)!, client.events(room).find(({ type }) => type === 'edit')!]
    t.match(message, { type: 'message', content: '', deleted: true }, `${kept} in the stream`)
    t.match(edited, { content: '', deleted: true })
    client.cut()
  }
})

t.test('access is asked again throughout a long catch-up', async t => {
  const room = (await api.post('/rooms', { name: 'big', kind: 'group', members: [bob.user.id] }, token)).body.id
  world.rooms.add(room)
  await fill(room, 2500, 8000) // the kernel takes a thousand of them before the client's pause is felt
  const head = (await world.log.heads([room])).heads.get(room)!.seq
  const slow = async (): Promise<Client> => {
    const client = await liar(bob, { resume: { rooms: { [room]: { seq: 0 } } } })
    client.pause()
    await sleep(1100) // longer than access is taken for granted
    return client
  }
  const record = await world.redis.hget(world.keys.members(room), bob.user.id)
  const out = await slow()
  await world.redis.hdel(world.keys.members(room), bob.user.id) // without a word to the tail
  out.resume()
  t.match(await out.next(({ type }) => type === 'error'), { room_id: room, code: 'room_not_found' })
  t.ok(seqs(out, room).length < head - 550, `${seqs(out, room).length} of ${head} were sent before: not asked near the head only`)
  t.match(await out.request({ type: 'ping' }), { type: 'pong' })
  out.cut()
  await world.redis.hset(world.keys.members(room), bob.user.id, record!)

  const kicked = await slow()
  t.equal((await api.call('DELETE', `/rooms/${room}/members/${bob.user.id}`, { token })).status, 200)
  kicked.resume()
  t.match(await kicked.next(({ type }) => type === 'error'), { room_id: room, code: 'room_not_found' })
  t.ok(seqs(kicked, room).length < head)
  kicked.cut()
})

t.test('who comes in anew where newcomers see nothing of before is taken past it, in the midst of a catch-up as well', async t => {
  const room = (await api.post('/rooms', { name: 'joined', kind: 'group', history: 'joined', members: [bob.user.id] }, token)).body.id
  world.rooms.add(room)
  await fill(room, 1500, 8000)
  const client = await liar(bob, { resume: { rooms: { [room]: { seq: 0 } } } })
  t.match(await client.next(({ type }) => type === 'reset'), { reason: 'membership', seq: 1 })
  client.pause()
  await sleep(1100)
  const [role] = (await world.redis.hget(world.keys.members(room), bob.user.id))!.split('|')
  await world.redis.hset(world.keys.members(room), bob.user.id, `${role}|0|0|1400`) // as after a leave and a join that nobody told of
  client.resume()
  const reset = await client.next(({ type, seq }) => type === 'reset' && seq > 1)
  t.match(reset, { reason: 'membership', seq: 1399 })
  await client.next(({ type }) => type === 'live')
  const before = seqs(client, room).filter(seq => seq <= 1399).length
  t.ok(before < 1300, `${before} of before`)
  t.same(seqs(client, room).filter(seq => seq > 1399), upTo(1400, 1502))
  client.cut()
})

t.test('positions that are not of this room, not there yet, or not anybody\'s any more', async t => {
  const [room, other] = [await roomWith(10), await roomWith(10)]
  const place = (await world.logOf(other))[4]!
  const client = await liar()
  const answerTo = async (room_id: string, after: object): Promise<Frame> => {
    await client.request({ type: 'subscribe', room_id, after })
    return await client.next(frame => ['reset', 'live', 'error'].includes(frame.type) && frame.room_id === room_id)
  }
  t.match(await answerTo(room, { seq: 5, chain: place.chain }), { type: 'reset', reason: 'parted', seq: 0 }, 'of another room')
  await client.next(({ type }) => type === 'live')
  t.match(await answerTo(room, { seq: 10_000 }), { type: 'reset', reason: 'parted', seq: 0 }, 'beyond the head')
  await client.next(({ type }) => type === 'live')
  t.match(await answerTo(room, { seq: Number.MAX_SAFE_INTEGER, chain: place.chain, also: Array.from({ length: 64 }, (_, i) => ({ seq: 1e9 + i })) }), { type: 'reset', seq: 0 })
  await client.next(({ type }) => type === 'live')

  const mine = (await api.post('/rooms', { name: 'left', kind: 'group', members: [bob.user.id] }, token)).body.id
  await api.post(`/rooms/${mine}/leave`, {}, bob.access_token)
  const left = await liar(bob)
  const refusal = async (room_id: string): Promise<Frame> => await left.request({ type: 'subscribe', room_id, after: { seq: 1 } })
  t.match(await refusal(mine), { type: 'error', code: 'room_not_found' }, 'a room that was left')
  await api.call('DELETE', `/rooms/${mine}`, { token })
  t.match(await refusal(mine), { type: 'error', code: 'room_not_found' }, 'a room that was deleted')
  t.match(await refusal(randomUUID()), { type: 'error', code: 'room_not_found' })
  for (const one of [client, left]) await one.close()
})

t.test('a hello with more rooms than one may have is answered for each, and the others are served', async t => {
  const room = await roomWith(3)
  const many = await world.gateway({ SUBSCRIPTIONS_MAX: '50', FRAME_BYTES_MAX: '1048576' })
  const rooms = Object.fromEntries([[room, { seq: 0 }], ...Array.from({ length: 9999 }, () => [randomUUID(), { seq: 0 }])])
  const client = await connect({ url: many.url, token, resume: { rooms } })
  await client.next(({ type }) => type === 'live')
  await until(() => client.frames.filter(({ type }) => type === 'error').length === 9999, { what: 'an answer for each' })
  const codes = Map.groupBy(client.frames.filter(({ type }) => type === 'error'), ({ code }) => code as string)
  t.same([...codes.keys()].sort(), ['room_not_found', 'too_many_subscriptions'])
  t.ok(codes.get('room_not_found')!.length >= 49)
  t.same(seqs(client, room), upTo(1, 4))
  await client.close()
  await many.stop()
  const small = await liar(ann, { wait: 'open' })
  small.raw(JSON.stringify({ type: 'hello', token, resume: { rooms } }))
  t.match(await small.closed, { code: 1009 }, 'as the frame is bounded')
})

t.test('for clients that resume and hang up, over and over, nothing piles up', async t => {
  const rooms = await Promise.all(Array.from({ length: 20 }, async () => await world.room(token)))
  for (const room of rooms) await fill(room, 200, 2000)
  await world.quiet()
  const few = await world.gateway({ RESUMES_MAX: '2', RESUMES_QUEUED_MAX: '40' })
  const resume = { rooms: Object.fromEntries(rooms.map(room => [room, { seq: 0 }])) }
  for (let i = 0; i < 40; i++) {
    const client = await connect({ url: few.url, token, resume })
    if (i % 2 === 0) client.pause()
    if (i % 3 === 0) await sleep(5)
    client.cut()
  }
  // What they had waiting would fill the line; it is gone with them.
  const last = await connect({ url: few.url, token, resume })
  await until(() => last.frames.filter(({ type }) => type === 'live').length === rooms.length, { what: 'all to be live' })
  t.notOk(last.frames.some(({ type }) => type === 'error'))
  for (const room of rooms) t.same(seqs(last, room), upTo(1, 201))
  await last.close()
  await until(async () => await few.value('roomsTailed') === 0 && await few.value('connections') === 0)
  await few.stop()
})

t.test('one who has a hundred rooms to catch up does not keep waiting one who has a single room', async t => {
  const rooms = await Promise.all(Array.from({ length: 100 }, async () => await world.room(token)))
  const writer = await liar()
  for (const room of rooms) await Promise.all(Array.from({ length: 60 }, async (_, i) => await writer.message(room, `message ${i}`)))
  await writer.close()
  const few = await world.gateway({ RESUMES_MAX: '2' })
  const [crowd, one] = [await connect({ url: few.url, token }), await connect({ url: few.url, token: bob.access_token })]
  const lives = (client: Client): number => client.frames.filter(({ type }) => type === 'live').length
  crowd.send({ type: 'hello', resume: { rooms: Object.fromEntries(rooms.map(room => [room, { seq: 0 }])) } })
  await until(() => lives(crowd) > 0, { everyMs: 1 })
  const before = lives(crowd)
  await one.subscribe(rooms[99]!, { seq: 0 })
  const meanwhile = lives(crowd) - before
  t.ok(meanwhile < 40, `${meanwhile} of its rooms came first`)
  await until(() => lives(crowd) === 100)
  t.same(seqs(one, rooms[99]!), upTo(1, 61))
  for (const client of [crowd, one]) await client.close()
  await few.stop()
})

t.test('many rooms that catch up for one slow client never have more waiting for it than one room would', async t => {
  const rooms = await Promise.all(Array.from({ length: 40 }, async () => await world.room(token)))
  for (const room of rooms) await fill(room, 60, 8000)
  const small = await world.gateway({ OUTBOX_BYTES_MAX: '131072' })
  const client = await connect({ url: small.url, token, resume: { rooms: Object.fromEntries(rooms.map(room => [room, { seq: 0 }])) } })
  client.pause()
  await sleep(500)
  const reading = setInterval(() => { client.resume(); setTimeout(() => { client.pause() }, 5) }, 10)
  await until(() => client.frames.filter(({ type }) => type === 'live').length === rooms.length, { what: 'all to be live' })
  clearInterval(reading)
  client.resume()
  for (const room of rooms) t.same(seqs(client, room), upTo(1, 61))
  await client.close()
  await small.stop()
})
