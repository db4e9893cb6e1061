// What is not in the log, over two gateways: who is typing, who is there, and how far people have read.
import t from 'tap'
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { createPeopleKeys } from '../../src/log/people-keys.ts'
import { createKeys } from '../../src/log/keys.ts'
import type { Client, Frame } from '../client.ts'
import { until } from '../until.ts'
import { millrace } from './world.ts'

const LEASE_MS = 1500
const ROOM_MAX = 3
/** In which it would have come, if it were to come. */
const NOTHING_COMES_MS = 1500

/** What came of a type, without what the socket of this test has looked at before. */
const those = (client: Client, type: string, about: (frame: Frame) => boolean = () => true): Frame[] => client.frames.filter(frame => frame.type === type && about(frame))

t.test('ephemeral things and marks over two gateways', async t => {
  const world = await millrace(t, { env: { PRESENCE_LEASE_MS: String(LEASE_MS), PRESENCE_ROOM_MAX: String(ROOM_MAX), MARKS_ROOM_MAX: String(ROOM_MAX) } })
  const api = world.api(0)
  const signup = async () => await world.signup()
  type User = Awaited<ReturnType<typeof signup>>
  const presenceOf = async (user: User, by: User): Promise<Record<string, unknown>> => (await api.get(`/users/${user.user.id}/presence`, by.access_token)).body
  const statusOf = async (user: User, by: User): Promise<unknown> => (await presenceOf(user, by)).status
  const join = async (room: string, ...users: User[]): Promise<void> => { for (const { access_token } of users) await api.post(`/rooms/${room}/join`, {}, access_token) }

  await t.test('typing', async t => {
    const [ada, bob, eve] = [await signup(), await signup(), await signup()]
    const room = await world.room(ada.access_token)
    await join(room, bob)
    const [a, a2, b] = [await world.connect(0, ada.access_token), await world.connect(1, ada.access_token), await world.connect(1, bob.access_token)]
    for (const client of [a, a2, b]) await client.subscribe(room)
    const head = async (): Promise<number> => (await world.log.heads([room])).heads.get(room)!.seq
    const before = await head()

    await t.test('reaches the others, on any node, and the person\'s other devices; not the socket that said it', async t => {
      t.match(await a.request({ type: 'typing', room_id: room, active: true }), { type: 'ack', room_id: room })
      for (const client of [a2, b]) t.same(await client.next(({ type }) => type === 'typing'), { type: 'typing', room_id: room, user_id: ada.user.id, active: true })
      t.same(those(a, 'typing'), [])
    })

    await t.test('is told at most once in two seconds, and expires by itself', async t => {
      for (let i = 0; i < 15; i++) {
        a.send({ type: 'typing', room_id: room, active: true })
        await sleep(100)
      }
      t.equal(those(b, 'typing').length, 1)
      const from = Date.now()
      t.match(await b.next(({ type, active }) => type === 'typing' && active === false, 9000), { user_id: ada.user.id })
      t.ok(Date.now() - from > 5000)
    })

    await t.test('ends with the message, and with the socket', async t => {
      const ended = async (act: () => Promise<unknown>, client: Client): Promise<void> => {
        await until(async () => (await client.request({ type: 'typing', room_id: room, active: true })).type === 'ack')
        await b.next(({ type, active }) => type === 'typing' && active === true)
        const from = Date.now()
        await act()
        await b.next(({ type, active }) => type === 'typing' && active === false)
        t.ok(Date.now() - from < 15_000)
      }
      await ended(async () => await a.message(room, 'there'), a)
      await ended(async () => { a2.cut() }, a2)
    })

    await t.test('is for those who may write', async t => {
      const e = await world.connect(0, eve.access_token)
      t.match(await e.request({ type: 'typing', room_id: room, active: true }), { type: 'error', code: 'not_member' })
      t.match(await e.request({ type: 'typing', room_id: randomUUID(), active: true }), { type: 'error', code: 'room_not_found' })
      await e.close()
    })

    t.equal(await head(), before + 1, 'the message alone is in the log')
    await Promise.all([a.close(), b.close()])
  })

  await t.test('presence', async t => {
    const [ada, bob, carol, eve] = [await signup(), await signup(), await signup(), await signup()]
    await api.call('PUT', `/contacts/${ada.user.id}`, { token: bob.access_token })
    await api.call('PUT', `/contacts/${ada.user.id}`, { token: eve.access_token })
    await api.call('PUT', `/blocks/${eve.user.id}`, { token: ada.access_token })
    const room = await world.room(ada.access_token)
    await join(room, carol, eve)
    await world.projected()
    const [b, c, e] = [await world.connect(0, bob.access_token), await world.connect(1, carol.access_token), await world.connect(1, eve.access_token)]
    await c.subscribe(room)
    await e.subscribe(room)
    const ofAda = (frame: Frame): boolean => frame.type === 'presence' && frame.user_id === ada.user.id
    const say = async (status: string): Promise<void> => { for (const client of [b, c]) t.match(await client.next(ofAda), { status }, status) }
    t.same(await presenceOf(ada, bob), { user_id: ada.user.id, status: 'offline', last_seen_at: null })
    let one = await world.connect(0, ada.access_token)

    await t.test('those who list somebody are told, and small rooms; the blocked are not', async t => {
      await say('online')
      t.equal(await statusOf(ada, bob), 'online')
      t.same(await presenceOf(ada, eve), { user_id: ada.user.id, status: 'offline', last_seen_at: null })
    })

    await t.test('online on any device is online, else what was set; closing one of two is no going', async t => {
      const two = await world.connect(1, ada.access_token)
      t.match(await one.request({ type: 'presence', status: 'dnd' }), { type: 'ack' })
      await sleep(NOTHING_COMES_MS)
      t.equal(await statusOf(ada, bob), 'online')
      await two.request({ type: 'presence', status: 'away' })
      await say('dnd')
      await one.close()
      await say('away')
      one = await world.connect(0, ada.access_token)
      await say('online')
      await two.close()
      await sleep(NOTHING_COMES_MS)
      t.equal(await statusOf(ada, bob), 'online')
      for (const client of [b, c]) t.same(those(client, 'presence', ofAda).map(({ status }) => status), ['online', 'dnd', 'away', 'online'])
    })

    await t.test('a reconnect is no going and coming', async t => {
      one.cut()
      one = await world.connect(1, ada.access_token)
      await sleep(NOTHING_COMES_MS)
      t.equal(those(b, 'presence', ofAda).length, 4)
    })

    await t.test('the last one closed is offline, with the time; it is kept', async t => {
      const from = Date.now()
      await one.close()
      const { status, last_seen_at } = await b.next(frame => ofAda(frame) && frame.status === 'offline')
      t.equal(status, 'offline')
      t.ok(Math.abs(Date.parse(last_seen_at) - from) < 10_000)
      await until(async () => (await presenceOf(ada, bob)).last_seen_at === last_seen_at)
      const { rows: [row] } = await world.store.query<{ last_seen_at: Date }>('SELECT last_seen_at FROM users WHERE id = $1', [ada.user.id])
      t.equal(row!.last_seen_at.toISOString(), last_seen_at)
    })

    await t.test('who was on a gateway that is killed is offline within a lease and a sweep', async t => {
      one = await world.connect(1, ada.access_token)
      await b.next(frame => ofAda(frame) && frame.status === 'online')
      await world.gateways[1]!.kill()
      const from = Date.now()
      t.match(await b.next(frame => ofAda(frame) && frame.status === 'offline'), { last_seen_at: String })
      t.ok(Date.now() - from < LEASE_MS * 1.2 + 500, `${Date.now() - from} ms`)
      t.equal(await statusOf(ada, bob), 'offline')
      await world.gateways[1]!.restart()
    })

    t.same([...those(b, 'presence', frame => frame.user_id === bob.user.id), ...those(e, 'presence', ofAda)], [], 'nothing for whom it is not')
    await b.close()
  })

  await t.test('marks', async t => {
    const [ada, bob, eve] = [await signup(), await signup(), await signup()]
    const room = await world.room(ada.access_token)
    await join(room, bob)
    const connect = async (gateway: number, user: User, device: string): Promise<Client> => {
      const client = await world.connect(gateway, user.access_token, { device_id: device })
      await client.subscribe(room)
      return client
    }
    const [a, phone] = [await connect(0, ada, 'desk'), await connect(1, bob, 'phone')]
    const laptop = await world.connect(0, bob.access_token, { device_id: 'laptop' })
    for (let i = 0; i < 5; i++) await a.message(room, `message ${i}`)
    const { seq: head } = (await world.log.heads([room])).heads.get(room)!
    const marks = (client: Client) => client.frames.filter(({ type, room_id }) => type === 'marks' && room_id === room)

    await t.test('read on one device arrives at the other, subscribed or not, and at the sender; it never goes back', async t => {
      t.match(await phone.request({ type: 'read', room_id: room, seq: 4 }), { type: 'ack', room_id: room, seq: 4 })
      for (const client of [a, laptop]) t.same(await client.next(({ type }) => type === 'marks'), { type: 'marks', room_id: room, read: { [bob.user.id]: 4 }, delivered: {} })
      t.match(await laptop.request({ type: 'read', room_id: room, seq: 2 }), { type: 'ack', seq: 4 })
      t.match(await laptop.request({ type: 'read', room_id: room, message_id: head + 100 }), { type: 'ack', seq: head })
      await a.next(({ type, read }) => type === 'marks' && read[bob.user.id] === head)
      await sleep(300)
      const told = marks(a).map(({ read }) => read[bob.user.id])
      t.same(told, [4, head])
    })

    await t.test('delivered is of each device, and the sender sees the furthest', async t => {
      t.match(await phone.request({ type: 'delivered', rooms: { [room]: 5, [randomUUID()]: 3 } }), { type: 'ack' })
      t.match(await a.next(({ type, delivered }) => type === 'marks' && delivered[bob.user.id] !== undefined), { delivered: { [bob.user.id]: 5 } })
      t.match(await laptop.request({ type: 'delivered', rooms: { [room]: 3 } }), { type: 'ack' })
      const keys = createPeopleKeys(createKeys(16))
      const hash = await world.redis.hgetall(keys.roomMarks(room))
      t.same(hash, { [`read:${bob.user.id}`]: String(head), [`delivered:${bob.user.id}`]: '5', [`delivered:${bob.user.id}:phone`]: '5', [`delivered:${bob.user.id}:laptop`]: '3' })
    })

    await t.test('whoever subscribes is told how they stand', async t => {
      const again = await connect(1, ada, 'desk')
      t.same(await again.next(({ type }) => type === 'marks'), { type: 'marks', room_id: room, read: { [bob.user.id]: head }, delivered: { [bob.user.id]: 5 } })
      await again.close()
    })

    await t.test('over HTTP the same', async t => {
      const put = async (path: string, body: unknown, user: User) => await world.api(1).call('PUT', path, { token: user.access_token, body })
      t.match(await put(`/rooms/${room}/read`, { seq: 3 }, ada), { status: 200, body: { room_id: room, seq: 3 } })
      t.match(await put(`/rooms/${room}/read`, { seq: 1 }, ada), { status: 200, body: { seq: 3 } })
      t.match(await phone.next(({ type, read }) => type === 'marks' && read[ada.user.id] !== undefined), { read: { [ada.user.id]: 3 } })
      t.match(await put(`/rooms/${room}/read`, { seq: -1 }, ada), { status: 400, body: { code: 'bad_request' } })
      t.match(await put(`/rooms/${room}/read`, {}, ada), { status: 400 })
      t.match(await put(`/rooms/${randomUUID()}/read`, { seq: 1 }, ada), { status: 404, body: { code: 'room_not_found' } })
    })

    await t.test('what is wrong is said', async t => {
      t.match(await a.request({ type: 'read', room_id: room, seq: -1 }), { type: 'error', code: 'bad_frame' })
      t.match(await a.request({ type: 'read', room_id: randomUUID(), seq: 1 }), { type: 'error', code: 'room_not_found' })
    })

    await t.test('in a room over the limit nobody is told, but one\'s own devices', async t => {
      const more = [eve, await signup()]
      await join(room, ...more)
      const before = marks(a).length
      t.match(await phone.request({ type: 'read', room_id: room, seq: head + 1 }), { type: 'ack', seq: head + 1 })
      t.match(await laptop.next(({ type, read }) => type === 'marks' && read[bob.user.id] === head + 1), {})
      await sleep(500)
      t.equal(marks(a).length, before)
    })
    await Promise.all([a.close(), phone.close(), laptop.close()])
  })

  t.same((await world.judge()).problems, [], 'nothing of it is in any log')
  t.same(world.gateways.map(({ died }) => died), [undefined, undefined])
})
