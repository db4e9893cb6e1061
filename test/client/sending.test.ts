// What the client sends, against a server that does as it is told: what is sent again and what is not, in which order, by a page that is
// loaded anew, and after the server has lost it.
import t from 'tap'
import { connect, memoryStore, type Reset, type RoomEvent } from '../../src/client/client.ts'
import { OUTBOX_COMMANDS_MAX } from '../../src/client/outbox.ts'
import { until } from '../until.ts'
import { acks, live, message, open, OTHER, ROOM, run, startToldServer } from './server.ts'

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

t.test('an own message that was acked and never came is asked about, and has vanished if it is not there', async t => {
  // A gateway can ack what its tail has not heard of yet. If it is lost right then, nobody was ever at that place: there is nothing to reset.
  const server = await startToldServer(t)
  const client = open(t, server)
  const room = client.room(ROOM)
  const events: string[] = []
  room.on('event', ({ event_id }) => events.push(event_id))
  await server.next('subscribe')
  server.send(...run(1, 3), live(3))
  await until(() => events.length === 3)
  server.answer = frame => frame.type === 'message' ? acks(frame, 4) : undefined
  await room.send('mine', { reply_to: 2 })
  server.answer = () => undefined
  t.match(await server.next('subscribe'), { after: { seq: 3, chain: 'a3' } }, 'after a while')
  server.send(live(3))
  const again = await server.next('message', ({ resend }) => resend === true)
  t.match(again, { content: 'mine', reply_to: 2 })
  server.send(acks(again, 4), message(ROOM, 4))
  await until(() => events.length === 4)
})
