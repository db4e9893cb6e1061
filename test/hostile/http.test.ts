// HTTP requests that no honest client makes, to a real gateway: broken, huge, slow, of the wrong type. What each field may be is
// tested in test/http/bad-input.test.ts; here are the masses, and those who are not to feel them.
import { connect as dial, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import fc from 'fast-check'
import { REJECTIONS } from '../../src/domain/rejections.ts'
import { millrace } from '../e2e/world.ts'
import { attacks, bystander, MB, rssOf } from './attack.ts'

/** A request must have arrived by then (src/http/server.ts), and it is looked at every 2 s. */
const REQUEST_MS = 15_000

const world = await millrace(t, { gateways: 1, projectors: 0, env: { RATE_LIMITS: 'on' } })
const victim = await bystander(world)
const { access_token: token } = await world.signup()
const { access_token: leaving } = await world.signup()
const url = new URL(world.urlOf(0))
const gateway = world.gateways[0]!
const attack = attacks(t, world, victim)

const ROUTES: Array<[method: string, path: string]> = [
  ['POST', '/auth/signup'], ['POST', '/auth/guest'], ['POST', '/auth/login'], ['POST', '/auth/refresh'], ['POST', '/auth/logout'], ['POST', '/rooms'],
  ['POST', '/rooms/lobby/messages'],
]

function open (): { socket: Socket, answer: Promise<string> } {
  const socket = dial(Number(url.port), url.hostname)
  let text = ''
  socket.setEncoding('latin1').on('data', (chunk: string) => { text += chunk }).on('error', () => {})
  return { socket, answer: new Promise(resolve => socket.on('close', () => { resolve(text) })) }
}

const head = (method: string, path: string, more: Record<string, string | number>): string =>
  [`${method} ${path} HTTP/1.1`, `Host: ${url.host}`, `Authorization: Bearer ${token}`, ...Object.entries({ 'Content-Type': 'application/json', Connection: 'close', ...more }).map(([name, value]) => `${name}: ${value}`), '', ''].join('\r\n')

async function send (method: string, path: string, body: string | Uint8Array<ArrayBuffer>, type = 'application/json'): Promise<{ status: number, code: string }> {
  const answer = await fetch(new URL(path, url), { method, body, headers: { authorization: `Bearer ${path === '/auth/logout' ? leaving : token}`, 'content-type': type } })
  const text = await answer.text()
  return { status: answer.status, code: text.startsWith('{') ? JSON.parse(text).code : '' }
}

await attack('a broken body is bad_request on every route that takes one', async t => {
  const deep = `${'['.repeat(32_000)}${']'.repeat(32_000)}`
  for (const [method, path] of ROUTES) {
    for (const body of ['{', '{"content"', '[1,2', 'nonsense', '\u0000', '{"a":1}x', `{"content":${deep}`, deep, '['.repeat(60_000), '{"__proto__":{"content":"x"}}', '{"constructor":{"prototype":{"content":"x"}}}', '7', '"text"', '[]', 'true']) {
      t.match(await send(method, path, body), { status: 400, code: 'bad_request' }, `${path} ${body.slice(0, 30)}`)
    }
    // What is deep where nobody looks is let pass, as any field that nobody knows.
    if (path !== '/auth/logout') t.match(await send(method, path, `{"content":${deep}}`), { status: 400, code: 'bad_request' }, `${path} with 32,000 levels`)
    t.match(await send(method, path, new Uint8Array([0x22, 0xff, 0xc0, 0x22])), { status: 400, code: 'bad_request' }, `${path} with invalid UTF-8`)
  }
})

await attack('a body of the wrong type is unsupported_media_type', async t => {
  for (const [method, path] of ROUTES) {
    for (const type of ['text/plain', 'application/xml', 'multipart/form-data; boundary=x', 'application/x-www-form-urlencoded', 'application/octet-stream', 'application/json-patch']) {
      t.match(await send(method, path, '{"content":"x"}', type), { status: 415, code: 'unsupported_media_type' }, `${path} ${type}`)
    }
  }
})

await attack('whatever JSON comes, the answer is a problem with a code of the catalogue', async () => {
  const word = fc.constantFrom('username', 'password', 'content', 'name', 'kind', 'topic', 'reply_to', 'refresh_token', 'device_id', 'email', '__proto__')
  const value = fc.oneof(fc.jsonValue({ maxDepth: 2 }), fc.constantFrom('public', 'x', '\u0000', '\ud800', 1e308, -1, 2 ** 53, 'x'.repeat(9000)))
  await fc.assert(fc.asyncProperty(fc.constantFrom(...ROUTES.filter(([, path]) => !/login|signup/.test(path))), fc.dictionary(word, value, { maxKeys: 5 }), async ([method, path], body) => {
    const { status, code } = await send(method, path, JSON.stringify(body))
    if (status < 300) return true
    return status < 500 && Object.hasOwn(REJECTIONS, code)
  }), { numRuns: 300 })
})

await attack('10 MB are refused as too_large, announced, in chunks, in the head or in the path; memory does not grow', async t => {
  const before = rssOf(gateway)
  for (let i = 0; i < 3; i++) {
    const announced = open()
    announced.socket.write(head('POST', '/rooms/lobby/messages', { 'Content-Length': 10 * MB }))
    t.match(await announced.answer, /^HTTP\/1\.1 413 [^]*"code":"too_large"/)
    const whole = open() // one that sends on without listening may not hear the answer: the connection is cut
    whole.socket.write(head('POST', '/rooms/lobby/messages', { 'Content-Length': 10 * MB }))
    whole.socket.write('x'.repeat(10 * MB))
    t.match(await whole.answer, /^(?:$|HTTP\/1\.1 413 )/)
    const chunked = open()
    chunked.socket.write(head('POST', '/rooms/lobby/messages', { 'Transfer-Encoding': 'chunked' }))
    for (let sent = 0; sent < 10 * MB; sent += MB) chunked.socket.write(`${MB.toString(16)}\r\n${'x'.repeat(MB)}\r\n`)
    const answer = await chunked.answer
    t.ok(answer === '' || /^HTTP\/1\.1 413 /.test(answer), 'cut off, if not answered')
    for (const request of [head('GET', '/me', { 'X-Big': 'x'.repeat(10 * MB) }), head('GET', `/${'x'.repeat(10 * MB)}`, {})]) {
      const large = open()
      large.socket.write(request)
      const answer = await large.answer
      t.ok(answer === '' || /^HTTP\/1\.1 413 [^]*"code":"too_large"/.test(answer), 'cut off, if not answered')
    }
  }
  const grown = rssOf(gateway) - before
  t.ok(grown < 120 * MB, `${Math.round(grown / MB)} MB more`)
})

await attack('one that asks for large pages and reads none gets no more than its buffers', async t => {
  await Promise.all(Array.from({ length: 200 }, async () => await victim.client.message(victim.room, 'x'.repeat(8000))))
  const before = rssOf(gateway)
  const request = head('GET', `/rooms/${victim.room}/messages?limit=200`, { Connection: 'keep-alive' })
  const greedy = Array.from({ length: 10 }, () => {
    const { socket } = open()
    socket.pause()
    socket.write(request.repeat(300))
    return socket
  })
  let most = before
  for (const end = performance.now() + 3000; performance.now() < end; await sleep(50)) most = Math.max(most, rssOf(gateway))
  t.ok(most - before < 300 * MB, `${Math.round((most - before) / MB)} MB more, where ${10 * 300} pages of 1.6 MB were asked for`)
  for (const socket of greedy) socket.destroy()
})

await attack('pipelined requests are answered in order, and too many end their connection', async t => {
  const { socket, answer } = open()
  const paths = Array.from({ length: 100 }, (_, i) => i % 2 === 0 ? '/me' : '/nothing')
  socket.write(paths.map(path => head('GET', path, { Connection: 'keep-alive' })).join('') + head('GET', '/me', {}))
  const codes = [...(await answer).matchAll(/HTTP\/1\.1 (\d+) /g)].map(([, code]) => code)
  t.same(codes, [...paths.map(path => path === '/me' ? '200' : '404'), '200'])
  const flood = open()
  flood.socket.write('GET /me HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(5000))
  t.ok((await flood.answer).length < 1_000_000, 'it was cut')
})

await attack('bytes that are no HTTP, or ambiguous HTTP, are answered and closed', async t => {
  const requests = [
    'hello\r\n\r\n', '\u0016\u0003\u0001\u0002\u0000\u0001\u0000\u0001\u00fc', 'GET / HTTP/9.9\r\n\r\n', 'GET /\u0000 HTTP/1.1\r\nHost: x\r\n\r\n', 'BREW /pot HTTP/1.1\r\nHost: x\r\n\r\n',
    'POST /auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n{}', 'POST /auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    'POST /auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n', 'POST /auth/login HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n', 'GET / HTTP/1.1\r\nHost : x\r\n\r\n', 'GET / HTTP/1.1\r\n\r\n',
  ]
  for (const request of requests) {
    const { socket, answer } = open()
    socket.end(request, 'latin1')
    t.match(await answer, /^HTTP\/1\.1 400 /, JSON.stringify(request.slice(0, 40)))
  }
  await fc.assert(fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 400 }), async bytes => {
    const { socket, answer } = open()
    socket.end(bytes)
    return /^(?:$|HTTP\/1\.1 4\d\d )/.test(await answer)
  }), { numRuns: 150 })
})

await attack('heads and bodies that trickle in, and connections that say nothing, are cut off in time, and nobody waits for them', async t => {
  const from = performance.now()
  const slow = Array.from({ length: 300 }, (_, i) => {
    const { socket, answer } = open()
    const full = head('POST', '/rooms/lobby/messages', { 'Content-Length': 1000 })
    if (i % 3 === 0) socket.write(full) // then its body, byte by byte
    else if (i % 3 === 1) socket.write(full.slice(0, 40)) // then its head, byte by byte
    const timer = i % 3 === 2 ? undefined : setInterval(() => { socket.write('x') }, 500)
    return answer.then(text => {
      clearInterval(timer)
      return { text, after: performance.now() - from }
    })
  })
  const all = { over: false }
  const over = Promise.all(slow).finally(() => { all.over = true })
  const waits: number[] = []
  while (!all.over) {
    const since = performance.now()
    const { status } = await fetch(new URL('/rooms', url), { headers: { authorization: `Bearer ${token}` } })
    await victim.client.request({ type: 'ping' })
    if (status !== 200) t.fail(`an honest request was answered with ${status}`)
    waits.push(performance.now() - since)
    await sleep(100)
  }
  const answers = await over
  t.same(answers.filter(({ text }) => !/^HTTP\/1\.1 408 [^]*"code":"request_timeout"/.test(text)).map(({ text }) => text), [])
  const last = Math.max(...answers.map(({ after }) => after))
  t.ok(last < REQUEST_MS + 15_000, `the last was cut off after ${Math.round(last)} ms`)
  const median = waits.sort((a, b) => a - b)[waits.length >> 1]!
  t.ok(median < 1_000, `others waited ${Math.round(median)} ms`)
})

await attack('nothing secret was written, and nothing was an error', async t => {
  const output = gateway.output()
  for (const secret of [token, victim.token, 'correct horse battery']) t.notOk(output.includes(secret))
  t.notMatch(output, /"level":"(?:error|fatal)"/)
})
