// The test client against a server of a few lines: that it speaks the frames, ends every wait, and tells its recorder
// what happened in the order in which it happened. Nothing of Millrace runs here.

import t from 'tap'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Test } from 'tap'
import { WebSocketServer, type WebSocket } from 'ws'
import { connect as connectTo, http, isEvent, Refused, UpgradeRefused, type ClientRecorder, type ConnectOptions, type Frame } from './client.ts'
import { until } from './until.ts'

const ROOM = 'room-1'
/** What this server says is made up. */
const connect = (options: ConnectOptions) => connectTo({ described: false, ...options })
const message = (seq: number, content = `m${seq}`) => ({ type: 'message', room_id: ROOM, seq, chain: `c${seq}`, event_id: `e${seq}`, user_id: 'u', timestamp: '2026-11-20T10:00:00.000Z', v: 1, content })

type Seen = { url: string, authorization: string | undefined, frames: Frame[], sockets: WebSocket[], closed: number[] }

// Welcomes at `hello`, or at once when a token came with the upgrade; answers what has a `ref`; refuses what says so.
async function serve (t: Test, answer: (frame: Frame, say: (frame: object) => void) => void = () => {}) {
  const seen: Seen = { url: '', authorization: undefined, frames: [], sockets: [], closed: [] }
  const server = createServer((request, response) => {
    let body = ''
    request.on('data', chunk => { body += chunk })
    request.on('end', () => {
      response.writeHead(request.url === '/auth/login' ? 401 : 201, { 'content-type': 'application/problem+json; charset=utf-8' })
      response.end(JSON.stringify({ path: request.url, method: request.method, authorization: request.headers.authorization, sent: body === '' ? null : JSON.parse(body) }))
    })
  })
  const wss = new WebSocketServer({ noServer: true })
  server.on('upgrade', (request, socket, head) => {
    seen.url = request.url ?? ''
    seen.authorization = request.headers.authorization
    if (seen.url.includes('refuse')) return socket.end('HTTP/1.1 429 Too Many Requests\r\nContent-Length: 4\r\nConnection: close\r\n\r\nlate')
    wss.handleUpgrade(request, socket, head, ws => {
      seen.sockets.push(ws)
      const say = (frame: object) => ws.send(JSON.stringify(frame))
      if (seen.authorization || seen.url.includes('token=')) say({ type: 'welcome', session_id: 's' })
      ws.on('close', code => seen.closed.push(code))
      ws.on('message', data => {
        const frame = JSON.parse(data.toString()) as Frame
        seen.frames.push(frame)
        if (frame.type === 'hello' && frame.token) say({ type: 'welcome', session_id: 's' })
        if (frame.type === 'ping') say({ type: 'pong', ref: frame.ref })
        if (frame.content === 'no') say({ type: 'error', ref: frame.ref, code: 'muted', message: 'you are muted' })
        answer(frame, say)
      })
    })
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    for (const socket of seen.sockets) socket.terminate()
    server.closeAllConnections()
    return new Promise(resolve => server.close(resolve))
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, seen }
}

function listen (): ClientRecorder & { told: unknown[][] } {
  const told: unknown[][] = []
  return {
    told,
    frame: frame => told.push(['frame', frame.type, frame.seq]),
    subscribed: (room_id, from) => told.push(['subscribed', room_id, from]),
    unsubscribed: room_id => told.push(['unsubscribed', room_id]),
    resumedAll: () => told.push(['resumedAll']),
    cut: () => told.push(['cut']),
    sent: command => told.push(['sent', command.content]),
    acked: ack => told.push(['acked', ack.seq, ack.duplicate]),
    refused: refusal => told.push(['refused', refusal.code]),
  }
}

t.test('the token goes where it was asked to go', async t => {
  const { url, seen } = await serve(t)
  const resume = { rooms: { [ROOM]: { seq: 3, chain: 'c3' } } }
  const hello = await connect({ url, token: 'secret', device_id: 'd', resume })
  t.strictSame(seen.frames, [{ type: 'hello', token: 'secret', device_id: 'd', resume }])
  t.equal(seen.url, '/ws')
  await hello.close()

  const header = await connect({ url, token: 'secret', via: 'header' })
  t.equal(seen.authorization, 'Bearer secret')
  await header.close()

  const query = await connect({ url: `${url.replace('http', 'ws')}/ws`, token: 'secret', via: 'query', query: { room_id: ROOM, after: 7 } })
  t.equal(seen.url, '/ws?token=secret&room_id=room-1&after=7')
  await query.close()
  t.equal(seen.frames.length, 1, 'with header and query no hello is sent')
})

t.test('a request gets the answer with its own ref, whatever its kind', async t => {
  const { url } = await serve(t, (frame, say) => {
    if (frame.type === 'typing') { say({ type: 'ack', ref: 999 }); say({ type: 'ack', ref: frame.ref }) }
  })
  const client = await connect({ url, token: 'secret' })
  const [pong, ack, error] = await Promise.all([
    client.request({ type: 'ping' }), client.request({ type: 'typing' }), client.request({ type: 'message', content: 'no' })])
  t.match([pong, ack, error], [{ type: 'pong', ref: 1 }, { type: 'ack', ref: 2 }, { type: 'error', ref: 3 }])
  await t.rejects(client.request({ type: 'nothing' }, 50), /waited 50 ms for the answer to nothing/)
  const waiting = client.request({ type: 'nothing' })
  client.cut()
  await t.rejects(waiting, /the socket was cut/)
  await t.rejects(client.request({ type: 'ping' }), /the socket was cut/)
  t.equal((await client.closed).code, 1006)
})

t.test('a message resolves with its ack and throws its refusal', async t => {
  const { url, seen } = await serve(t, (frame, say) => {
    if (frame.content === 'yes') say({ type: 'ack', ref: frame.ref, room_id: ROOM, seq: 4, chain: 'c4', event_id: 'e4', duplicate: false })
  })
  const recorder = listen()
  const client = await connect({ url, token: 'secret', recorder })
  const ack = await client.message(ROOM, 'yes', { client_id: 'k', resend: true })
  t.match(seen.frames.at(-1), { type: 'message', room_id: ROOM, content: 'yes', client_id: 'k', resend: true })
  t.notOk(isEvent(ack), 'an ack is not an event')
  t.equal(client.position(ROOM), undefined, 'and what was appended is not yet delivered')
  const refusal = await client.message(ROOM, 'no').catch(error => error)
  t.ok(refusal instanceof Refused)
  t.match(refusal, { code: 'muted', message: 'message to room-1 was refused with muted: you are muted' })
  t.strictSame(recorder.told.filter(told => told[0] !== 'frame'), [['sent', 'yes'], ['acked', 4, false], ['sent', 'no'], ['refused', 'muted']])
})

t.test('a subscription with a position waits until it is live', async t => {
  const { url } = await serve(t, (frame, say) => {
    if (frame.type === 'unsubscribe') return say({ type: 'ack', ref: frame.ref })
    if (frame.type !== 'subscribe') return
    if (!frame.after) return say({ type: 'ack', ref: frame.ref, room_id: frame.room_id, seq: 9, chain: 'c9' })
    for (const out of [{ type: 'ack', ref: frame.ref }, { type: 'sync', room_id: ROOM, from: 1, to: 3 }, message(2), message(3), { type: 'live', room_id: ROOM, seq: 3, chain: 'c3' }, message(4)]) say(out)
  })
  const recorder = listen()
  const client = await connect({ url, token: 'secret', recorder })
  await client.subscribe(ROOM, { seq: 1 })
  t.ok(client.frames.some(frame => frame.type === 'live'))
  await client.next(frame => frame.content === 'm4')
  t.strictSame(client.position(ROOM), { seq: 4, chain: 'c4' })
  t.strictSame(client.events(ROOM).map(event => event.seq), [2, 3, 4])
  await client.subscribe('other')
  t.strictSame(client.position('other'), { seq: 9, chain: 'c9' })
  await client.unsubscribe('other')
  t.strictSame(recorder.told.filter(told => String(told[0]).includes('sub')), [['subscribed', ROOM, { seq: 1 }], ['subscribed', 'other', { seq: 9, chain: 'c9' }], ['unsubscribed', 'other']])
})

t.test('next takes each frame once, of those that came and those to come', async t => {
  const { url, seen } = await serve(t)
  const client = await connect({ url, token: 'secret', framesMax: 10 })
  const first = client.next(isEvent)
  const second = client.next(isEvent)
  for (const seq of [1, 2, 3]) seen.sockets[0]?.send(JSON.stringify(message(seq)))
  t.strictSame([(await first).seq, (await second).seq, (await client.next(isEvent)).seq], [1, 2, 3])
  await t.rejects(client.next(isEvent, 30), /waited 30 ms for a frame such that/)
  for (let seq = 4; seq <= 60; seq++) seen.sockets[0]?.send(JSON.stringify(message(seq)))
  await until(() => client.position(ROOM)?.seq === 60)
  t.equal(client.frames.length, 10)
  t.equal(client.frames.at(-1)?.seq, 60)
  seen.sockets[0]?.send('{ no json')
  t.match(await client.next(frame => frame.type === 'unreadable'), { text: '{ no json' })
})

t.test('a cut is abrupt and nothing is seen after it; a close is not', async t => {
  const { url, seen } = await serve(t)
  const recorder = listen()
  const client = await connect({ url, token: 'secret', recorder })
  seen.sockets[0]?.send(JSON.stringify(message(1)))
  client.cut()
  t.match(await client.closed, { code: 1006 })
  t.strictSame(recorder.told, [['frame', 'welcome', undefined], ['cut']])
  const other = await connect({ url, token: 'secret' })
  t.match(await other.close(), { code: 1000 })
  await until(() => seen.closed.length === 2)
  t.strictSame(seen.closed, [1006, 1000])
  const third = await connect({ url, token: 'secret', recorder })
  seen.sockets[2]?.close(4002, 'slow consumer')
  t.strictSame(await third.closed, { code: 4002, reason: 'slow consumer' })
  t.strictSame(recorder.told.at(-1), ['cut'], 'the recorder hears of every end')
})

t.test('a client that stops reading fills the server, and reads on', async t => {
  const { url, seen } = await serve(t)
  const client = await connect({ url, token: 'secret' })
  client.pause()
  const server = seen.sockets[0]
  t.ok(server)
  const long = 'x'.repeat(100000)
  for (let seq = 1; seq <= 200; seq++) server?.send(JSON.stringify(message(seq, long)))
  await new Promise(resolve => setTimeout(resolve, 100))
  t.ok((server?.bufferedAmount ?? 0) > 1000000, 'the server is left with what was not read')
  t.ok(client.events(ROOM).length < 200)
  client.resume()
  await until(() => client.events(ROOM).length === 200)
  await client.close()
})

t.test('a connection that fails is an error with the facts', async t => {
  const { url, seen } = await serve(t)
  t.ok(await connect({ url, token: 'secret', query: { refuse: 1 } }).catch(error => error) instanceof UpgradeRefused)
  await t.rejects(connect({ url, token: 'secret', query: { refuse: 1 } }), /answered with 429 late/)
  await t.rejects(connect({ url, timeoutMs: 50 }), /waited 50 ms for welcome/)
  await t.rejects(connect({ url: 'http://127.0.0.1:9', token: 'secret' }), /ECONNREFUSED/)
  const open = await connect({ url, wait: 'open' })
  await until(() => seen.sockets.length === 2)
  seen.sockets[1]?.close(4200, 'bad frame')
  t.match(await open.closed, { code: 4200 })
})

t.test('HTTP answers come back with status and body, and signup throws unless it succeeds', async t => {
  const { url } = await serve(t)
  const api = http(url, { described: false })
  t.match(await api.get('/rooms', 'secret'), { status: 201, body: { path: '/rooms', method: 'GET', authorization: 'Bearer secret' } })
  t.match(await api.post('/rooms', { name: 'r' }, 'secret'), { body: { method: 'POST', sent: { name: 'r' } } })
  t.match(await api.signup('ann'), { sent: { username: 'ann', password: String } })
  await t.rejects(api.login('ann'), /POST \/auth\/login was answered with 401/)
})

t.test('until gives the first truthy value, or the name of what it waited for', async t => {
  let count = 0
  t.equal(await until(() => ++count === 3 && count, { everyMs: 1 }), 3)
  await t.rejects(until(() => false, { timeoutMs: 20, everyMs: 5, what: 'the moon' }), /waited 20 ms for the moon/)
})
