// What readers of a room get, against a server that does as it is told: gaps, doubles, other histories, refusals, and readers of different
// speed.
import t from 'tap'
import { isReset, type MillraceError } from '../../src/client/client.ts'
import { EVENTS_BUFFERED_MAX } from '../../src/client/reader.ts'
import { until } from '../until.ts'
import { acks, live, message, open, ROOM, run, startToldServer } from './server.ts'

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
