// The client against a server that does as it is told: what a connection says first, what a close code does, and what goes over it besides
// messages and events of rooms.
import t from 'tap'
import { setTimeout as sleep } from 'node:timers/promises'
import { memoryStore, type Store } from '../../src/client/client.ts'
import type { Frame } from '../client.ts'
import { until } from '../until.ts'
import { acks, chainOf, message, open, OTHER, ROOM, startToldServer } from './server.ts'

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
  // Its making is the log's first event and no news: taken for some, it made a room of the inbox, whose subscription nothing answered.
  const made = { type: 'room', change: 'created', kind: 'inbox', room_id: 'me', user_id: 'me', seq: 1, chain: chainOf(1), event_id: 'i1' }
  server.send(made, news(2), news(2), { type: 'live', room_id: 'me', seq: 2, chain: 'a2' }, news(4))
  t.match(await server.next('hello', asked), { resume: { inbox: { seq: 2, chain: 'a2' } } })
  server.send(news(3), news(4), { type: 'live', room_id: 'me', seq: 4, chain: 'a4' })
  await until(() => got.length === 3)
  t.same(got, [2, 3, 4])
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
