// The client against a server that does as it is told: what a connection says first, what a close code does, what is sent again and what
// is not, resets, gaps, readers of different speed, pages loaded anew.
import t from 'tap'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect, isReset, memoryStore, MillraceError, type ConnectOptions, type Reset, type RoomEvent, type Store } from '../../src/client/client.ts'
import { OUTBOX_COMMANDS_MAX } from '../../src/client/outbox.ts'
import { EVENTS_BUFFERED_MAX } from '../../src/client/reader.ts'
import type { Frame } from '../client.ts'
import type { Teardown } from '../e2e/world.ts'
import { until } from '../until.ts'
import { chainOf, message, startToldServer, type ToldServer } from './server.ts'

const ROOM = '01a1f9e1-d982-74c6-a894-9d02ed2c3054'
const OTHER = '01a1f9e1-d982-74c6-a894-9d02ed2c3055'

function open (t: Teardown, { url }: ToldServer, options: Partial<ConnectOptions> = {}) {
  const client = connect({ url, token: 'a token', backOff: { baseMs: 20, capMs: 100 }, ...options })
  t.teardown(async () => { await client.close() })
  return client
}

/** All events of a room from seq `from` to `to`, as after a subscription. */
const run = (from: number, to: number, branch = 'a'): Frame[] => Array.from({ length: to - from + 1 }, (_, i) => message(ROOM, from + i, branch))
const live = (seq: number, branch = 'a'): Frame => ({ type: 'live', room_id: ROOM, seq, chain: chainOf(seq, branch) })
const acks = ({ ref, room_id }: Frame, seq: number): Frame => ({ type: 'ack', ref, room_id, seq, chain: chainOf(seq), event_id: `a-${seq}`, duplicate: false, durability: 'fsync' })

t.test('it greets with token, device and the positions of all rooms, in one hello', async t => {
  const server = await startToldServer(t)
  const store = memoryStore()
  await store.set(`at:${ROOM}`, JSON.stringify({ seq: 9, chain: 'a9', also: [{ seq: 5, chain: 'a5' }], t: 1 }))
  await store.set(`at:${OTHER}`, JSON.stringify({ seq: 3, chain: 'a3', t: 1 }))
  const client = open(t, server, { store, deviceId: 'desk' })
  for (const id of [ROOM, OTHER]) client.room(id).on('event', () => {})
  client.room('01a1f9e1-d982-74c6-a894-9d02ed2c3056').on('event', () => {})
  t.same(await server.next('hello'), {
    type: 'hello',
    token: 'a token',
    device_id: 'desk',
    resume: { rooms: { [ROOM]: { seq: 9, chain: 'a9', also: [{ seq: 5, chain: 'a5' }] }, [OTHER]: { seq: 3, chain: 'a3' } } },
  })
  t.match(await server.next('subscribe'), { room_id: '01a1f9e1-d982-74c6-a894-9d02ed2c3056', after: undefined, ref: Number }, 'what has no position begins live')
  await until(() => client.userId === 'me')
})

t.test('more rooms than one hello may carry come in several, none larger than a frame may be', async t => {
  const server = await startToldServer(t)
  const store = memoryStore()
  const ids = Array.from({ length: 1500 }, (_, i) => `01a1f9e1-d982-74c6-a894-${String(i).padStart(12, '0')}`)
  const also = Array.from({ length: 30 }, (_, i) => ({ seq: 1000 - 2 ** i, chain: '0123456789abcdef' })).filter(({ seq }) => seq > 0)
  for (const id of ids) await store.set(`at:${id}`, JSON.stringify({ seq: 1_000_000, chain: '0123456789abcdef', also, t: 1 }))
  const client = open(t, server, { store })
  for (const id of ids) client.room(id).on('event', () => {})
  const named = (): string[] => server.frames.flatMap(({ resume }) => Object.keys(resume?.rooms ?? {}))
  await until(() => named().length === ids.length)
  t.same(named().sort(), ids)
  for (const frame of server.frames) t.ok(JSON.stringify(frame).length <= 65_536)
  t.same(server.frames.filter(({ token }) => token !== undefined).length, 1)
})

t.test('a close code does what its range says', async t => {
  for (const code of [1001, 4001, 4002, 4003]) {
    const server = await startToldServer(t)
    let tokens = 0
    open(t, server, { token: async () => `token ${++tokens}` })
    await server.next('hello')
    server.close(code, code > 4000 ? {} : undefined)
    t.match(await server.next('hello'), { token: 'token 1' }, `${code}: again, with the same token`)
  }
  const server = await startToldServer(t)
  let tokens = 0
  const client = open(t, server, { token: async () => `token ${++tokens}` })
  await server.next('hello')
  server.close(4101, {})
  t.match(await server.next('hello'), { token: 'token 2' }, '4101: with a new one')
  server.close(4203, {})
  await until(() => client.state.name === 'stopped')
  await sleep(150)
  t.equal(server.connections(), 2, '4203: never again')

  const asked = await startToldServer(t)
  open(t, asked)
  await asked.next('hello')
  const before = Date.now()
  asked.close(4001, { retry_after_ms: 300 })
  await asked.next('hello')
  t.ok(Date.now() - before >= 299, 'not before the server said')
})

t.test('a token that is refused, with nothing to get another, is the end', async t => {
  const server = await startToldServer(t)
  const client = open(t, server)
  await server.next('hello')
  server.close(4100, {})
  await until(() => client.state.name === 'stopped')
  t.match(client.state, { reason: { code: 'unauthenticated' } })

  const busy = await startToldServer(t)
  open(t, busy)
  await busy.next('hello')
  busy.close(4100, { retry_after_ms: 50 })
  t.match(await busy.next('hello'), { token: 'a token' }, 'but one that could not be checked is shown again')
})

t.test('a fresh token is shown before the old one runs out', async t => {
  const server = await startToldServer(t)
  const jwt = (n: number): string => `e.${Buffer.from(JSON.stringify({ exp: Date.now() / 1000 + 0.5, n })).toString('base64url')}.s`
  let tokens = 0
  open(t, server, { token: () => jwt(++tokens) })
  const first = await server.next('hello')
  const second = await server.next('hello')
  t.not(second.token, first.token)
  t.equal(second.resume, undefined, 'nothing is subscribed anew')
  t.equal(server.connections(), 1)
})

t.test('without any frame for two heartbeats it goes and comes again', async t => {
  const server = await startToldServer(t, { welcome: { heartbeat_ms: 60 } })
  open(t, server)
  await until(() => server.connections() >= 2)
  t.pass()
})

t.test('what is sent is acked, refused, or tried again, in order', async t => {
  const server = await startToldServer(t)
  const codes = ['unavailable', 'rate_limited', 'slow_mode', 'overloaded', 'busy']
  let seq = 0
  server.answer = frame => {
    if (frame.type !== 'message') return undefined
    if (frame.content === 'bad') return { type: 'error', ref: frame.ref, code: 'muted', message: 'no' }
    const code = frame.content === 'first' ? codes.shift() : undefined
    return code === undefined ? acks(frame, ++seq) : { type: 'error', ref: frame.ref, code, message: 'later', retry_after_ms: 10 }
  }
  const client = open(t, server)
  const room = client.room(ROOM)
  const first = room.send('first', { reply_to: 4 })
  const bad = room.send('bad')
  const last = room.send('last')
  t.match(await first, { seq: 1, durability: 'fsync' })
  await t.rejects(bad, { name: 'MillraceError', code: 'muted' })
  t.match(await last, { seq: 2 })
  const sent = server.frames.filter(({ type }) => type === 'message')
  t.same(sent.map(({ content }) => content), ['first', 'first', 'first', 'first', 'first', 'first', 'bad', 'last'], 'what waits is not overtaken')
  t.equal(new Set(sent.map(({ client_id }) => client_id)).size, 3, 'one client_id for all tries')
  t.same(sent.map(({ resend }) => resend === true), [false, true, true, true, true, true, false, false])
  t.match(sent[0], { room_id: ROOM, reply_to: 4 })
  t.equal(client.state.queued, 0)
})

t.test('what was on its way when the connection ended is sent again, as a resend, before what came after', async t => {
  const server = await startToldServer(t)
  const client = open(t, server)
  const first = client.room(ROOM).send('first')
  const second = client.room(ROOM).send('second')
  const { client_id } = await server.next('message')
  server.close(1011)
  const again = await server.next('message')
  t.match(again, { content: 'first', client_id, resend: true })
  server.answer = frame => frame.type === 'message' ? acks(frame, 2) : undefined
  server.send(acks(again, 1))
  t.match([await first, await second], [{ seq: 1 }, { seq: 2 }])
})

t.test('offline it says how much is queued, and there is a limit to that', async t => {
  const client = connect({ url: 'http://127.0.0.1:9', token: 'a token', backOff: { baseMs: 20, capMs: 50 } })
  const sent = Array.from({ length: OUTBOX_COMMANDS_MAX }, async (_, i) => await client.room(ROOM).send(String(i)))
  await until(() => client.state.name === 'offline')
  t.match(client.state, { name: 'offline', queued: OUTBOX_COMMANDS_MAX, reason: { code: 'unreachable' } })
  await t.rejects(client.room(ROOM).send('one more'), { code: 'outbox_full' })
  await t.rejects(client.room(OTHER).send('x'.repeat(70_000)), { code: 'outbox_full' })
  await client.close()
  for (const { status, reason } of await Promise.allSettled(sent) as PromiseRejectedResult[]) if (status !== 'rejected' || reason.code !== 'closed') t.fail('should be closed')
  await t.rejects(client.room(ROOM).send('after the end'), { code: 'closed' })
})

t.test('a command that is larger than a frame may be is not sent at all', async t => {
  const server = await startToldServer(t)
  await t.rejects(open(t, server).room(ROOM).send('x'.repeat(70_000)), { code: 'too_large' })
})

t.test('a page that is loaded anew sends what the last one left, in order, and goes on where it was', async t => {
  const server = await startToldServer(t)
  const store = memoryStore()
  const before = open(t, server, { store })
  const got: RoomEvent[] = []
  server.head = { seq: 4, chain: 'a4' }
  before.room(ROOM).on('event', event => got.push(event))
  await server.next('subscribe')
  server.send(...run(5, 9))
  const sent = ['one', 'two'].map(async text => await before.room(ROOM).send(text))
  await server.next('message')
  await until(() => got.length === 5)
  const neighbour = open(t, server, { store })
  await until(() => neighbour.state.name === 'live')
  t.equal(neighbour.state.queued, 0, 'a tab does not take from one that lives')
  await neighbour.close()
  await before.close()
  for (const promise of sent) await t.rejects(promise, { code: 'closed' })

  server.answer = frame => frame.type === 'message' ? acks(frame, 10) : undefined
  const after = open(t, server, { store })
  t.equal(after.room(ROOM).position, undefined, 'not known before the store was read')
  after.room(ROOM).on('event', () => {})
  t.match(await server.next('hello', ({ resume }) => resume?.rooms !== undefined), { resume: { rooms: { [ROOM]: { seq: 9, chain: 'a9' } } } })
  await server.next('message', ({ content, resend }) => content === 'one' && resend === true)
  await server.next('message', ({ content }) => content === 'two')
  await until(() => after.state.queued === 0)
  t.same(await store.list('outbox:'), [])
  t.same(after.room(ROOM).position, { seq: 9, chain: 'a9' })
})

t.test('what somebody else wrote in this browser is not sent in my name, and kept for them', async t => {
  const server = await startToldServer(t)
  const store = memoryStore()
  await store.set('user', 'somebody')
  await store.set('outbox:x', JSON.stringify({ client_id: 'x', lane: ROOM, frame: { type: 'message', room_id: ROOM, content: 'theirs' }, n: 1, user: 'somebody', resend: true, owner: 'gone' }))
  const client = open(t, server, { store })
  await until(() => client.state.name === 'live')
  await until(() => client.state.queued === 0)
  await client.close()
  t.notOk(server.frames.some(({ type }) => type === 'message'))
  t.equal((await store.list('outbox:')).length, 1)
})

t.test('a gap is asked for again from the position, doubles are dropped, and nothing comes out of order', async t => {
  const server = await startToldServer(t)
  const client = open(t, server)
  const got: number[] = []
  client.room(ROOM).on('event', ({ seq }) => got.push(seq))
  server.head = { seq: 4, chain: 'a4' }
  await server.next('subscribe')
  server.send(live(4), ...run(5, 6), message(ROOM, 8), message(ROOM, 9))
  t.match(await server.next('subscribe'), { room_id: ROOM, after: { seq: 6, chain: 'a6' } })
  server.send(message(ROOM, 10), ...run(5, 10), live(10), message(ROOM, 10), message(ROOM, 11))
  await until(() => got.length === 7)
  t.same(got, [5, 6, 7, 8, 9, 10, 11])
  t.same(client.room(ROOM).position, { seq: 11, chain: 'a11' })
  await until(() => client.state.name === 'live')
})

t.test('a heartbeat that names a head we are behind, and an event of another history, are reasons to ask again', async t => {
  const server = await startToldServer(t)
  const client = open(t, server)
  client.room(ROOM).on('event', () => {})
  await server.next('subscribe')
  server.send(...run(1, 5), live(5))
  await until(() => client.room(ROOM).position?.seq === 5)
  server.send({ type: 'heartbeat', heads: { [ROOM]: 7 } })
  t.match(await server.next('subscribe'), { after: { seq: 5 } })
  server.send(...run(6, 7), live(7))
  await until(() => client.room(ROOM).position?.seq === 7)
  server.send(message(ROOM, 6, 'b'))
  t.match(await server.next('subscribe'), { after: { seq: 7, chain: 'a7', also: [{ seq: 6, chain: 'a6' }, { seq: 5, chain: 'a5' }] } })
})

t.test('busy is tried again after the time named; a refusal is told, ends loops, and is asked again after a join', async t => {
  const server = await startToldServer(t)
  const client = open(t, server)
  const room = client.room(ROOM)
  const errors: MillraceError[] = []
  room.on('error', error => errors.push(error))
  const loop = room.events()
  const next = loop.next()
  next.catch(() => {})
  const { ref } = await server.next('subscribe')
  server.send({ type: 'error', ref, room_id: ROOM, code: 'conflict', message: 'the one before' }, { type: 'error', room_id: ROOM, code: 'busy', message: 'later', retry_after_ms: 30 })
  await server.next('subscribe')
  server.send({ type: 'error', room_id: ROOM, code: 'not_member', message: 'no' })
  await t.rejects(next, { code: 'not_member' })
  t.same(await loop.next(), { done: true, value: undefined })
  t.match(errors, [{ code: 'not_member' }])
  server.answer = frame => frame.type === 'join' ? acks(frame, 3) : undefined
  await room.join()
  t.ok(await server.next('subscribe'))
})

t.test('after a reset what lies beyond is dropped, and own messages that vanished are sent again', async t => {
  const server = await startToldServer(t)
  const client = open(t, server)
  const room = client.room(ROOM)
  const events: string[] = []
  const resets: Reset[] = []
  room.on('event', ({ event_id }) => events.push(event_id))
  room.on('reset', reset => resets.push(reset))
  await server.next('subscribe')
  server.send(...run(1, 3), live(3))
  let seq = 3
  server.answer = frame => frame.type === 'message' ? [acks(frame, ++seq), message(ROOM, seq)] : undefined
  for (const text of ['kept', 'lost one', 'lost two']) await room.send(text, { reply_to: text === 'lost two' ? 5 : 2 })
  await until(() => events.length === 6)
  server.answer = () => undefined
  server.close(4001, {})
  t.match(await server.next('hello', ({ resume }) => resume?.rooms !== undefined), { resume: { rooms: { [ROOM]: { seq: 6, chain: 'a6', also: [{ seq: 5 }, { seq: 4 }] } } } })
  await until(() => client.state.name === 'catching up')
  const reset = { type: 'reset', room_id: ROOM, reason: 'parted', seq: 4, chain: 'a4' }
  server.send(reset, message(ROOM, 5, 'b'), live(5, 'b'))
  const one = await server.next('message', ({ content, resend }) => content === 'lost one' && resend === true)
  t.equal(one.reply_to, 2)
  server.send(acks(one, 6))
  const two = await server.next('message', ({ content, resend }) => content === 'lost two' && resend === true)
  t.equal(two.reply_to, undefined, 'what it answered has vanished as well')
  server.send(acks(two, 7), message(ROOM, 6, 'b'), message(ROOM, 7, 'b'))
  await until(() => events.length === 9)
  t.same(events, ['a-1', 'a-2', 'a-3', 'a-4', 'a-5', 'a-6', 'b-5', 'b-6', 'b-7'])
  t.same(resets, [reset])
  t.notOk(server.frames.some(({ content, resend }) => content === 'kept' && resend === true))
})

t.test('an own message whose place another event has taken has vanished, though nobody said so', async t => {
  const server = await startToldServer(t)
  const client = open(t, server)
  const room = client.room(ROOM)
  server.answer = frame => frame.type === 'message' ? acks(frame, 6) : undefined
  await room.send('mine')
  server.answer = () => undefined
  server.head = { seq: 4, chain: 'a4' }
  room.on('event', () => {})
  await server.next('subscribe')
  server.send(message(ROOM, 5), message(ROOM, 6, 'b'))
  t.match(await server.next('message', ({ resend }) => resend === true), { content: 'mine' })
})

t.test('a loop that does not keep up pauses the room, keeps no more than its buffer, and misses nothing', async t => {
  const server = await startToldServer(t)
  const client = open(t, server)
  const room = client.room(ROOM)
  const total = EVENTS_BUFFERED_MAX * 2 + 500
  server.answer = frame => frame.type === 'subscribe' ? [{ type: 'sync', room_id: ROOM, from: frame.after.seq, to: total, source: 'log' }, ...run(frame.after.seq + 1, total), live(total)] : undefined
  await until(() => client.state.name === 'live')
  const loop = room.events({ after: 0 })
  t.match(await loop.next(), { value: { seq: 1 } })
  await server.next('unsubscribe')
  t.match(client.state, { name: 'catching up' })
  for (let seq = 2; seq <= total; seq++) {
    const { value } = await loop.next()
    if (value?.seq !== seq) return t.fail(`${value?.seq} instead of ${seq}`)
  }
  t.ok(server.frames.filter(({ type }) => type === 'subscribe').length < 10, 'and does not begin anew for each event taken')
  await until(() => client.state.name === 'live')
  await loop.return!()
  await server.next('unsubscribe')
})

t.test('each reader has a cursor of its own: one from the start beside listeners and a second loop', async t => {
  const server = await startToldServer(t)
  const client = open(t, server)
  const room = client.room(ROOM)
  server.answer = frame => frame.type === 'subscribe' && frame.after !== undefined ? [...run(frame.after.seq + 1, 20), live(20)] : undefined
  const heard: number[] = []
  room.on('event', ({ seq }) => heard.push(seq))
  server.head = { seq: 10, chain: 'a10' }
  await server.next('subscribe')
  server.send(live(10), ...run(11, 15))
  await until(() => heard.length === 5)
  const all: number[] = []
  for await (const { seq } of room.events({ after: 0 })) {
    all.push(seq)
    if (seq === 20) break
  }
  const some: number[] = []
  for await (const { seq } of room.events({ after: { seq: 17, chain: 'a17' } })) {
    some.push(seq)
    if (seq === 20) break
  }
  t.same(all, Array.from({ length: 20 }, (_, i) => i + 1))
  t.same(some, [18, 19, 20])
  t.same(heard, [11, 12, 13, 14, 15, 16, 17, 18, 19, 20])
  server.send(message(ROOM, 21))
  await until(() => heard.at(-1) === 21)
  t.same(room.position, { seq: 21, chain: 'a21' })
})

t.test('a reader from the start finds out that the listeners are in another history', async t => {
  const server = await startToldServer(t)
  const client = open(t, server)
  const room = client.room(ROOM)
  const heard: string[] = []
  room.on('event', ({ event_id }) => heard.push(event_id))
  room.on('reset', ({ seq }) => heard.push(`reset ${seq}`))
  await server.next('subscribe')
  server.send(...run(1, 4), live(4))
  await until(() => heard.length === 4)
  const loop = room.events({ after: 0 })
  const taken: string[] = []
  const reading = (async () => { for await (const item of loop) taken.push(isReset(item) ? `reset ${item.seq}` : item.event_id) })()
  await server.next('subscribe')
  server.send(message(ROOM, 1), message(ROOM, 2), message(ROOM, 3, 'b'), message(ROOM, 4, 'b'))
  t.match(await server.next('subscribe'), { after: { seq: 4, chain: 'a4' } }, 'the server is asked where they part')
  server.send({ type: 'reset', room_id: ROOM, reason: 'parted', seq: 2, chain: 'a2' }, message(ROOM, 3, 'b'), message(ROOM, 4, 'b'), live(4, 'b'))
  await until(() => heard.length === 7 && taken.length === 7)
  t.same(heard, ['a-1', 'a-2', 'a-3', 'a-4', 'reset 2', 'b-3', 'b-4'])
  t.same(taken, ['a-1', 'a-2', 'b-3', 'b-4', 'reset 2', 'b-3', 'b-4'])
  await loop.return!()
  await reading
})

t.test('a loop that is left early has not had what it holds: the next one begins with it', async t => {
  const server = await startToldServer(t)
  const room = open(t, server).room(ROOM)
  server.answer = frame => frame.type === 'subscribe' ? [...run((frame.after?.seq ?? 0) + 1, 9), live(9)] : undefined
  for await (const { seq } of room.events()) if (seq === 4) break
  t.same(room.position, { seq: 3, chain: 'a3' })
  const next = room.events()
  t.match(await next.next(), { value: { seq: 4 } })
  await next.return!()
  const stopping = new AbortController()
  const loop = room.events({ signal: stopping.signal })
  await loop.next()
  const rest = (async () => { for await (const item of loop) if (item.seq > 9) t.fail('there is no such event') })()
  stopping.abort()
  await rest
  t.pass('and a signal ends it')
})

t.test('typing is sent now or never, a read mark until it is answered, forward only', async t => {
  const server = await startToldServer(t)
  const client = open(t, server)
  const room = client.room(ROOM)
  room.typing()
  room.read(7)
  const { ref } = await server.next('read')
  t.notOk(server.frames.some(({ type }) => type === 'typing'))
  room.typing()
  room.typing()
  room.typing(false)
  t.match([await server.next('typing'), await server.next('typing')], [{ active: true }, { active: false }])
  server.close(1011)
  const again = await server.next('read')
  t.match(again, { seq: 7 })
  t.not(again.ref, ref)
  server.send({ type: 'ack', ref: again.ref })
  room.read(5)
  client.presence('dnd')
  await server.next('presence')
  server.close(1011)
  t.match(await server.next('presence'), { status: 'dnd' })
  t.equal(server.frames.filter(({ type }) => type === 'read').length, 2)
})

t.test('the inbox is followed while somebody listens: from its position, each once, in order', async t => {
  const server = await startToldServer(t)
  const store = memoryStore()
  const client = open(t, server, { store })
  const news = (seq: number): Frame => ({ type: 'inbox', seq, chain: chainOf(seq), event_id: `i${seq}`, event: 'mentioned', room_id: ROOM })
  const got: number[] = []
  client.on('inbox', ({ seq }) => got.push(seq))
  const asked = ({ resume }: Frame): boolean => resume?.inbox !== undefined
  t.same((await server.next('hello', asked)).resume, { inbox: { seq: 0 } })
  server.send(news(1), news(2), news(2), { type: 'live', room_id: 'me', seq: 2, chain: 'a2' }, news(4))
  t.match(await server.next('hello', asked), { resume: { inbox: { seq: 2, chain: 'a2' } } })
  server.send(news(3), news(4), { type: 'live', room_id: 'me', seq: 4, chain: 'a4' })
  await until(() => got.length === 4)
  t.same(got, [1, 2, 3, 4])
  await until(() => client.state.name === 'live')
  await client.close()
  t.match(JSON.parse((await store.get('at:inbox'))!), { seq: 4 })
})

t.test('a store that fails is told, and everything goes on in memory', async t => {
  const server = await startToldServer(t)
  const fail = async (): Promise<never> => { throw new Error('quota') }
  const broken: Store = { get: fail, set: fail, delete: fail, list: fail }
  const client = open(t, server, { store: broken })
  const faults: unknown[] = []
  client.on('error', error => faults.push(error))
  server.answer = frame => frame.type === 'message' ? acks(frame, 1) : undefined
  t.match(await client.room(ROOM).send('still'), { seq: 1 })
  await until(() => faults.length > 0)
})

t.test('a listener that throws keeps nobody from going on', async t => {
  const server = await startToldServer(t)
  const client = open(t, server)
  const thrown: unknown[] = []
  const before = process.listeners('uncaughtException')
  process.removeAllListeners('uncaughtException')
  process.once('uncaughtException', error => thrown.push(error))
  const got: number[] = []
  client.room(ROOM).on('event', () => { throw new Error('a bug of the application') })
  client.room(ROOM).on('event', ({ seq }) => got.push(seq))
  await server.next('subscribe')
  server.send(message(ROOM, 1))
  await until(() => got.length === 1 && thrown.length === 1)
  t.match(thrown, [{ message: 'a bug of the application' }])
  for (const listener of before) process.on('uncaughtException', listener)
})
