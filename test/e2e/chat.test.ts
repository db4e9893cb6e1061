// Two gateways, a projector, real stores: what people do all day, and the promises that it rests on.
import t from 'tap'
import { randomUUID } from 'node:crypto'
import { LOBBY_ID } from '../../src/domain/lobby.ts'
import { connect, type Frame } from '../client.ts'
import { until } from '../until.ts'
import { millrace } from './world.ts'

t.test('people chat over two gateways', async t => {
  const world = await millrace(t)
  const [ada, bob] = await Promise.all([world.signup(), world.signup()])
  const room = await world.room(ada.access_token)

  await t.test('everyone hears everything, in one order, and is told where it stands', async t => {
    const a = await world.connect(0, ada.access_token)
    const b = await world.connect(1, bob.access_token)
    const ack = await a.request({ type: 'subscribe', room_id: room })
    t.match(ack, { type: 'ack', room_id: room, seq: 1, chain: /^[0-9a-f]{16}$/ })
    t.match(await a.next(frame => frame.type === 'live'), { room_id: room, seq: 1, chain: ack.chain })
    await b.subscribe(room)
    t.match(await b.request({ type: 'message', room_id: room, content: 'let me in' }), { type: 'error', code: 'not_member' })
    t.match(await b.request({ type: 'join', room_id: room }), { type: 'ack', seq: 2, duplicate: false, durability: 'fsync' })
    t.match(await b.request({ type: 'join', room_id: room }), { type: 'ack', room_id: room }, 'joining again is no error')
    const said = await b.message(room, 'hello')
    t.match(said, { type: 'ack', seq: 3, chain: String, event_id: String, duplicate: false })
    for (const client of [a, b]) {
      t.match(await client.next(frame => frame.type === 'join'), { room_id: room, seq: 2, user_id: bob.user.id, v: 1 })
      t.match(await client.next(frame => frame.type === 'message'), { room_id: room, seq: 3, chain: said.chain, event_id: said.event_id, user_id: bob.user.id, content: 'hello', timestamp: /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/, v: 1, client_id: String })
    }
    await a.message(room, 'replying')
    t.match(await a.request({ type: 'message', room_id: room, content: 'to you', reply_to: 3 }), { type: 'ack', seq: 5 })
    t.match(await b.next(frame => frame.seq === 5 && frame.type === 'message'), { reply_to: 3 })
    t.match(await a.request({ type: 'message', room_id: room, content: 'to whom?', reply_to: 99 }), { type: 'error', code: 'bad_reply' })
    t.match(await b.request({ type: 'leave', room_id: room }), { type: 'ack', seq: 6 })
    t.match(await b.request({ type: 'message', room_id: room, content: 'still here?' }), { type: 'error', code: 'not_member' })
    await a.next(frame => frame.type === 'leave')
    await Promise.all([a.close(), b.close()])
  })

  await t.test('a message sent again with its client_id is acked with its first place, over any gateway [G2]', async t => {
    const client_id = randomUUID()
    const a = await world.connect(0, ada.access_token)
    const b = await world.connect(1, ada.access_token)
    const first = await a.message(room, 'once', { client_id })
    t.match(await b.message(room, 'once', { client_id }), { seq: first.seq, chain: first.chain, event_id: first.event_id, duplicate: true })
    t.match(await b.message(room, 'once', { client_id, resend: true }), { seq: first.seq, duplicate: true })
    await Promise.all([a.close(), b.close()])
  })

  await t.test('everyone is in the lobby from the start', async t => {
    const a = await world.connect(0, ada.access_token)
    const b = await world.connect(1, bob.access_token)
    await b.subscribe(LOBBY_ID)
    const ack = await a.request({ type: 'message', room_id: 'lobby', content: 'good morning' })
    t.match(ack, { type: 'ack', room_id: LOBBY_ID })
    t.match(await b.next(frame => frame.type === 'message'), { room_id: LOBBY_ID, content: 'good morning', user_id: ada.user.id })
    t.match(await a.request({ type: 'leave', room_id: 'lobby' }), { type: 'error', code: 'forbidden' })
    await Promise.all([a.close(), b.close()])
  })

  await t.test('a small client gets by with a URL: token and room in it, no hello, no ref', async t => {
    const a = await world.connect(0, ada.access_token, { via: 'query', query: { room_id: room } })
    await a.next(frame => frame.type === 'live')
    a.send({ type: 'message', room_id: room, content: 'plain' })
    t.match(await a.next(frame => frame.type === 'message'), { content: 'plain', user_id: ada.user.id, timestamp: String })
    const { seq } = a.position(room)!
    await a.close()
    await (await world.connect(0, ada.access_token)).message(room, 'missed')
    const again = await world.connect(1, ada.access_token, { via: 'header', query: { room_id: room, after: seq } })
    t.match(await again.next(frame => frame.type === 'message'), { content: 'missed', seq: seq + 1 })
    await again.close()
  })

  await t.test('who comes back with a position gets exactly what was missed: sync, the events, live', async t => {
    const reader = world.subscriber('reader')
    const before = await world.connect(0, bob.access_token, { as: reader })
    await before.subscribe(room)
    const writer = await world.connect(1, ada.access_token)
    await writer.message(room, 'seen')
    await before.next(frame => frame.content === 'seen')
    const position = before.position(room)!
    before.cut()
    for (let i = 0; i < 1200; i++) writer.send({ type: 'message', room_id: room, content: `missed ${i}` })
    await writer.message(room, 'the last one')
    const after = await world.connect(1, bob.access_token, { as: reader, resume: { rooms: { [room]: position } } })
    const live = await after.next(frame => frame.type === 'live')
    t.match(after.frames.find(({ type }) => type === 'sync'), { room_id: room, from: position.seq, to: live.seq, source: 'log' })
    t.equal(live.seq, position.seq + 1201)
    t.same(after.events(room).map(({ seq }: Frame) => seq), Array.from({ length: 1201 }, (_, i) => position.seq + 1 + i))
    await writer.message(room, 'live again')
    t.match(await after.next(frame => frame.content === 'live again'), { seq: live.seq + 1 })
    await Promise.all([after.close(), writer.close()])
  })

  await t.test('a room with traffic is resumed without a gap while it goes on', async () => {
    const writer = await world.connect(0, ada.access_token)
    const enough = new AbortController()
    const flood = (async () => { for (let i = 0; !enough.signal.aborted; i++) await writer.message(room, `traffic ${i}`) })()
    for (let i = 0; i < 15; i++) {
      const client = await world.connect(i, bob.access_token, { resume: { rooms: { [room]: { seq: i % 3 === 0 ? 0 : 200 } } } })
      const { seq } = await client.next(frame => frame.type === 'live')
      await until(() => client.position(room)!.seq > seq + 5, { what: 'live events' })
      client.cut()
    }
    enough.abort()
    await flood
    await writer.close()
  })

  await t.test('a position of another history is reset to the newest common one', async t => {
    const a = await connect({ url: world.urlOf(0), token: ada.access_token }) // it lies: not for the checker
    await a.subscribe(room)
    const log = await world.logOf(room)
    const wrong = { seq: 50, chain: 'ffffffffffffffff' }
    const reset = async (after: object): Promise<Frame> => {
      await a.request({ type: 'subscribe', room_id: room, after })
      return await a.next(frame => frame.type === 'reset')
    }
    t.match(await reset({ ...wrong, also: [{ seq: 40, chain: 'eeeeeeeeeeeeeeee' }, { seq: 30, chain: log[29]!.chain }, { seq: 10, chain: log[9]!.chain }] }), { reason: 'parted', room_id: room, seq: 30, chain: log[29]!.chain })
    t.match(await reset(wrong), { reason: 'parted', seq: 0, chain: '0000000000000000' })
    t.match(await reset({ seq: log.length + 100, chain: 'ffffffffffffffff', also: [{ seq: 5, chain: log[4]!.chain }] }), { seq: 5, chain: log[4]!.chain })
    t.match(await reset({ seq: Number.MAX_SAFE_INTEGER }), { seq: 0 })
    await a.next(frame => frame.type === 'live' && frame.seq === log.length)
    await a.close()
  })

  await t.test('positions: with the right chain, without any, at the head, at the start', async t => {
    const log = await world.logOf(room)
    for (const [after, first] of [[{ seq: 0 }, 1], [{ seq: 0, chain: '0000000000000000' }, 1], [{ seq: 7, chain: log[6]!.chain }, 8], [{ seq: 7 }, 8], [{ seq: log.length, chain: log.at(-1)!.chain }, undefined], [{ seq: log.length }, undefined]] as const) {
      const a = await world.connect(1, bob.access_token)
      await a.subscribe(room, after)
      t.equal(a.events(room)[0]?.seq, first)
      t.equal(a.frames.some(({ type }) => type === 'reset'), false)
      t.equal(a.position(room)!.seq, log.length)
      await a.close()
    }
  })

  await t.test('after an unsubscribe nothing more comes', async t => {
    const a = await world.connect(0, ada.access_token)
    const b = await world.connect(1, bob.access_token)
    for (const client of [a, b]) await client.subscribe(room)
    t.match(await a.request({ type: 'unsubscribe', room_id: room }), { type: 'ack', room_id: room })
    const { seq } = await (await world.connect(0, ada.access_token)).message(room, 'for b')
    await b.next(frame => frame.seq === seq && frame.type === 'message')
    await a.request({ type: 'ping' })
    t.equal(a.events(room).some((frame: Frame) => frame.seq === seq), false)
    await Promise.all([a.close(), b.close()])
  })

  await t.test('what was acked is on the next page, and in the list of rooms', async t => {
    const { body: { items: [newest] } } = await world.api(1).get(`/rooms/${room}/messages?limit=1`, ada.access_token)
    const a = await world.connect(0, ada.access_token)
    for (let i = 0; i < 20; i++) {
      const ack = await a.message(room, `acked ${i}`)
      const { body } = await world.api(i).get(`/rooms/${room}/messages?limit=2`, ada.access_token)
      t.match(body.items.at(-1), { seq: ack.seq, event_id: ack.event_id, content: `acked ${i}`, user_id: ada.user.id })
      if (i === 0) t.equal(body.items[0].seq, newest.seq)
    }
    const { body: mine } = await world.api(1).get('/rooms', ada.access_token)
    t.ok(mine.items.some((item: { id: string }) => item.id === room))
    await a.close()
  })

  const judgement = await world.judge()
  t.same(judgement.problems, [])
  t.equal(judgement.ok, true)
})

t.test('heartbeats carry heads, pings are answered, silence ends a connection', async t => {
  const world = await millrace(t, { env: { HEARTBEAT_MS: '600', HELLO_MS: '700', ACCESS_TOKEN_S: '6' }, projectors: 0, gateways: 1 })
  const ada = await world.signup()
  const room = await world.room(ada.access_token)
  const a = await world.connect(0, ada.access_token)
  t.match(a.frames[0], { type: 'welcome', session_id: String, user_id: ada.user.id, heartbeat_ms: 600, limits: Object, server_time: String })
  await a.subscribe(room)
  const { seq } = await a.message(room, 'moves the head')
  t.same((await a.next(frame => frame.type === 'heartbeat' && Object.keys(frame.heads).length > 0)).heads, { [room]: seq })
  t.same((await a.next(frame => frame.type === 'heartbeat' && Object.keys(frame.heads).length === 0)).heads, {})
  t.match(await a.request({ type: 'ping' }), { type: 'pong' })

  const mute = await world.connect(0, ada.access_token)
  mute.socket.pong = () => {}
  mute.socket.removeAllListeners('ping')
  ;(mute.socket as unknown as { _autoPong: boolean })._autoPong = false
  t.match(await mute.closed, { code: 4003 })
  t.ok(mute.frames.some(({ type, code, resume }) => type === 'bye' && code === 4003 && resume === true))

  const silent = await world.connect(0, '', { wait: 'open', via: 'query' })
  t.match(await silent.closed, { code: 4100 }, 'no hello')
  t.match(await a.closed, { code: 4100 }, 'the access token ran out')
})

t.test('a slow consumer is closed with 4002, delays nobody, and resumes', async t => {
  const world = await millrace(t, { env: { OUTBOX_BYTES_MAX: '65536' }, projectors: 0, gateways: 1 })
  const [ada, bob] = await Promise.all([world.signup(), world.signup()])
  const room = await world.room(ada.access_token)
  const reader = world.subscriber('slow')
  const slow = await world.connect(0, bob.access_token, { as: reader })
  await slow.subscribe(room)
  slow.pause()
  const other = await world.connect(0, bob.access_token)
  await other.subscribe(room)
  const writer = await world.connect(0, ada.access_token)
  const content = 'x'.repeat(7000)
  for (let sent = 0, closed = 0; closed === 0; sent++) {
    if (sent > 5000) throw new Error('the slow consumer was never closed')
    const { seq } = await writer.message(room, content)
    await until(() => other.position(room)!.seq >= seq, { timeoutMs: 1000, everyMs: 1, what: 'the other to hear at once' })
    if (sent % 50 === 0) closed = Number(/closes_total\{[^}]*code="(?:4002|1006)"[^}]*\} (\d+)/.exec(String((await fetch(`${world.urlOf(0)}/metrics`).then(async answer => await answer.text()))))?.[1] ?? 0)
  }
  slow.resume()
  await slow.closed
  const again = await world.connect(0, bob.access_token, { as: reader, resume: { rooms: { [room]: slow.position(room)! } } })
  await again.next(frame => frame.type === 'live')
  t.equal(again.position(room)!.seq, writer.position(room)?.seq ?? other.position(room)!.seq)
  const { problems } = world.checker.judge({ logs: new Map([[room, await world.logOf(room)]]), expectAllDelivered: true })
  t.same(problems, [])
})
