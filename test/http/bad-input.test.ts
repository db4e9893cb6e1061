import { connect, type Socket } from 'node:net'
import { once } from 'node:events'
import t, { type Test } from 'tap'
import { http } from '../client.ts'
import { testStack } from './stack.ts'

const REQUEST_MS = 400

const stack = await testStack(t, { requestMs: REQUEST_MS })
const { url, port, get, call } = stack
const { access_token: token } = (await stack.post('/auth/guest', { username: 'tester' })).body

async function send (path: string, { method = 'POST', type = 'application/json', body, headers = {} }: { method?: string, type?: string, body?: string | Uint8Array<ArrayBuffer>, headers?: Record<string, string> } = {}) {
  const response = await fetch(new URL(path, url), { method, body, headers: { authorization: `Bearer ${token}`, ...(type !== '' && { 'content-type': type }), ...headers } })
  return { status: response.status, headers: response.headers, body: JSON.parse(await response.text()) }
}

/** Sends bytes as they are, and returns all that comes back until the server closes. */
async function raw (...parts: string[]): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  let text = ''
  socket.setEncoding('latin1').on('data', (chunk: string) => { text += chunk })
  for (const part of parts) socket.write(part, 'latin1')
  await closed(socket)
  return text
}

async function closed (socket: Socket): Promise<void> {
  socket.on('error', () => {})
  if (!socket.closed) await once(socket, 'close')
}

function isProblem (t: Test, answer: { status: number, headers: Headers, body: any }, code: string, status: number, field?: string): void {
  t.match({ code: answer.body.code, status: answer.status, field: answer.body.field }, { code, status, ...(field !== undefined && { field }) }, JSON.stringify(answer.body))
  t.equal(answer.headers.get('content-type'), 'application/problem+json; charset=utf-8')
}

t.test('a body that is no JSON is refused', async t => {
  for (const body of ['{', '{"content":', 'content=hello', '{"content":"a"}x', "{'content':'a'}", '{"content":NaN}', '\u0000', '{"__proto__":{"content":"a"}}', '{"content":"a","constructor":{"prototype":{}}}']) {
    isProblem(t, await send('/rooms/lobby/messages', { body }), 'bad_request', 400)
  }
  isProblem(t, await send('/rooms/lobby/messages', { body: new Uint8Array([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x7d]) }), 'bad_request', 400)
})

t.test('another content type is refused', async t => {
  for (const type of ['text/plain', 'application/xml', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x', 'application/jsonx', 'nonsense']) {
    isProblem(t, await send('/rooms/lobby/messages', { type, body: '{"content":"a"}' }), 'unsupported_media_type', 415)
  }
  t.equal((await send('/rooms/lobby/messages', { type: 'application/json; charset=utf-8', body: '{"content":"a"}' })).status, 201)
})

t.test('a body that is too large is refused, announced or not', async t => {
  isProblem(t, await send('/rooms/lobby/messages', { body: JSON.stringify({ content: 'x'.repeat(70_000) }) }), 'too_large', 413)
  const answer = await raw(`POST /auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n11170\r\n${'x'.repeat(70_000)}\r\n0\r\n\r\n`)
  t.match(answer, /^HTTP\/1.1 413 /)
  t.match(answer, /"code":"too_large"/)
})

t.test('a message that is none is refused, and the field is named', async t => {
  const cases: Array<[unknown, string]> = [
    [{}, 'content'],
    [{ content: 7 }, 'content'],
    [{ content: null }, 'content'],
    [{ content: '' }, 'content'],
    [{ content: 'x'.repeat(8001) }, 'content'],
    [{ content: 'a\u0000b' }, 'content'],
    [{ content: 'half \ud800' }, 'content'],
    [{ content: 'a', reply_to: -1 }, 'reply_to'],
    [{ content: 'a', reply_to: 1.5 }, 'reply_to'],
    [{ content: 'a', reply_to: '1' }, 'reply_to'],
    [{ content: 'a', reply_to: 2 ** 53 }, 'reply_to'],
  ]
  for (const [body, field] of cases) isProblem(t, await call('POST', '/rooms/lobby/messages', { token, body }), 'bad_request', 400, field)
  isProblem(t, await call('POST', '/rooms/lobby/messages', { token, body: { content: 'a', reply_to: 1_000_000 } }), 'bad_reply', 422)
  t.equal((await call('POST', '/rooms/lobby/messages', { token, body: { content: '😀'.repeat(8000) } })).status, 201)
})

t.test('a room that is none is refused', async t => {
  for (const path of ['', '/messages', '/events']) {
    for (const id of ['x', 'Lobby', '00000000-0000-7000-8000-00000000000g', '00000000000070008000000000000001', '%7Bx%7D', '%00', '..%2flobby']) {
      isProblem(t, await get(`/rooms/${id}${path}`, token), 'bad_request', 400, 'id')
    }
    isProblem(t, await get(`/rooms/019abc00-0000-7000-8000-000000000001${path}`, token), 'room_not_found', 404)
  }
  for (const verb of ['join', 'leave']) {
    isProblem(t, await call('POST', `/rooms/nowhere/${verb}`, { token }), 'bad_request', 400, 'id')
    isProblem(t, await call('POST', `/rooms/019abc00-0000-7000-8000-000000000001/${verb}`, { token }), 'room_not_found', 404)
  }
  isProblem(t, await call('POST', '/rooms/019abc00-0000-7000-8000-000000000001/messages', { token, body: { content: 'a' } }), 'room_not_found', 404)
})

t.test('a place or a number of items out of range is refused, and the field is named', async t => {
  const bad = ['-1', '1.5', 'x', '', '1e3', '0x10', ' 1', '9007199254740992', '99999999999999999999', '1,2', 'NaN', 'Infinity', 'true']
  for (const value of bad) {
    isProblem(t, await get(`/rooms/lobby/events?after=${encodeURIComponent(value)}`, token), 'bad_request', 400, 'after')
    for (const name of ['before', 'after', 'around']) isProblem(t, await get(`/rooms/lobby/messages?${name}=${encodeURIComponent(value)}`, token), 'bad_request', 400, name)
  }
  for (const limit of ['0', '201', '-5', '1.5', 'all', '']) {
    for (const path of ['/rooms', '/rooms/public', '/rooms/lobby/messages', '/rooms/lobby/events']) isProblem(t, await get(`${path}?limit=${limit}`, token), 'bad_request', 400, 'limit')
  }
  isProblem(t, await get('/rooms/lobby/messages?before=5&after=1', token), 'bad_request', 400, 'before')
  isProblem(t, await get('/rooms/lobby/events?after=1&after=2', token), 'bad_request', 400, 'after')
  isProblem(t, await get('/rooms?after=x', token), 'bad_request', 400, 'after')
  isProblem(t, await get('/rooms/public?query=%00', token), 'bad_request', 400, 'query')
  t.equal((await get('/rooms/lobby/events?after=9007199254740991', token)).status, 200)
})

t.test('a new room that cannot be is refused, and the field is named', async t => {
  const cases: Array<[unknown, string]> = [
    [{ kind: 'public' }, 'name'],
    [{ name: '', kind: 'public' }, 'name'],
    [{ name: 'x'.repeat(101), kind: 'public' }, 'name'],
    [{ name: 'a\nb', kind: 'public' }, 'name'],
    [{ name: 'a' }, 'kind'],
    [{ name: 'a', kind: 'lobby' }, 'kind'],
    [{ name: 'a', kind: 'dm' }, 'kind'],
    [{ name: 'a', kind: 'protected' }, 'password'],
    [{ name: 'a', kind: 'public', topic: 'x'.repeat(1001) }, 'topic'],
    [{ name: 'a', kind: 'public', history: 'none' }, 'history'],
  ]
  for (const [body, field] of cases) isProblem(t, await call('POST', '/rooms', { token, body }), 'bad_request', 400, field)
})

t.test('a bad idempotency key is refused', async t => {
  const key = async (key: string) => await call('POST', '/rooms/lobby/messages', { token, body: { content: 'a' }, headers: { 'idempotency-key': key } })
  for (const bad of ['', 'x'.repeat(201), 'a\tb', 'a\u0080b']) isProblem(t, await key(bad), 'bad_request', 400, 'idempotency-key')
  isProblem(t, await call('POST', '/rooms/lobby/messages', { token, body: { content: 'a' }, headers: { 'idempotency-resend': 'perhaps' } }), 'bad_request', 400, 'idempotency-resend')
  t.equal((await key('x'.repeat(200))).status, 201)
})

t.test('what is not there is not found', async t => {
  for (const path of ['/nothing', '/rooms/lobby/nothing', '/auth', '/Rooms', `/${'x'.repeat(5000)}`, `/rooms/${'x'.repeat(300)}`]) isProblem(t, await get(path, token), 'not_found', 404)
  isProblem(t, await call('DELETE', '/rooms', { token }), 'not_found', 404)
  isProblem(t, await call('PUT', '/me', { token }), 'not_found', 404)
  isProblem(t, await get('/rooms/%zz', token), 'bad_request', 400)
  isProblem(t, await get('/events?rooms=lobby', token, { accept: 'application/json' }), 'not_acceptable', 406)
})

t.test('a welcome, health and metrics need no token', async t => {
  t.match(await get('/'), { status: 200, body: { name: 'Millrace' } })
  t.match(await get('/healthz'), { status: 200, body: { status: 'ok' } })
  t.match(await get('/readyz'), { status: 200, body: { status: 'ready', checks: { redis: 'ok' } } })
  t.match((await get('/metrics')).body, /^# TYPE millrace_connections gauge\nmillrace_connections\{role="gateway"\} 0$/m)
  t.ok(Array.isArray((await get('/metrics.json')).body))
})

t.test('what is no HTTP is answered and closed', async t => {
  t.match(await raw('hello\r\n\r\n'), /^HTTP\/1.1 400 bad_request\r\nContent-Type: application\/problem\+json[^]*"code":"bad_request"/)
  t.match(await raw(`GET / HTTP/1.1\r\nHost: x\r\nx: ${'x'.repeat(20_000)}\r\n\r\n`), /^HTTP\/1.1 413 [^]*"code":"too_large"/)
  t.equal((await http(url).get('/healthz')).status, 200, 'the server lives')
})

t.test('a body or headers that do not end are cut off', async t => {
  const from = performance.now()
  const answers = await Promise.all([
    raw('POST /auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"user'),
    raw('GET /healthz HTTP/1.1\r\nHost: x\r\nx:'),
  ])
  t.ok(performance.now() - from < REQUEST_MS * 5)
  for (const answer of answers) t.match(answer, /^HTTP\/1.1 408 [^]*"code":"request_timeout"/)
})
