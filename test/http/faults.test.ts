import { Writable } from 'node:stream'
import { pino } from 'pino'
import t, { type Test } from 'tap'
import type { Answer } from '../client.ts'
import { testStack } from './stack.ts'

function isUnavailable (t: Test, { status, headers, body }: Answer, what: string): void {
  t.match({ status, code: body.code }, { status: 503, code: 'unavailable' }, `${what}: ${JSON.stringify(body)}`)
  t.ok(body.retry_after_ms > 0, 'it says when to come back')
  t.match(headers.get('retry-after'), /^\d+$/)
}

t.test('while Redis is away rooms are unavailable, and accounts are not', async t => {
  const stack = await testStack(t)
  const { access_token, refresh_token } = (await stack.post('/auth/guest', { username: 'ann' })).body
  await stack.redisServer.kill()
  const writing = stack.post('/rooms/lobby/messages', { content: 'a' }, access_token) // tried for 5 s
  for (const path of ['/rooms', '/rooms/public', '/rooms/lobby', '/rooms/lobby/messages', '/rooms/lobby/events']) isUnavailable(t, await stack.get(path, access_token), path)
  t.equal((await stack.get('/me', access_token)).status, 200)
  t.equal((await stack.get('/users?query=a', access_token)).status, 200)
  t.equal((await stack.post('/auth/refresh', { refresh_token })).status, 200)
  t.equal((await stack.post('/auth/signup', { username: 'bob', password: 'a password' })).status, 201)
  t.equal((await stack.get('/healthz')).status, 200)
  isUnavailable(t, await writing, 'POST messages')
})

t.test('while Postgres is away accounts and lists are unavailable, and sending is not', async t => {
  const stack = await testStack(t, { postgresArgs: ['-c', 'synchronous_commit=on'] }) // it is killed and must come back with all
  const { user, access_token, refresh_token } = (await stack.post('/auth/guest', { username: 'ann' })).body
  await stack.postgres.kill()
  const sent = await stack.post('/rooms/lobby/messages', { content: 'still here' }, access_token)
  t.match(sent, { status: 201, body: { content: 'still here' } })
  t.equal((await stack.get('/rooms/lobby', access_token)).status, 200)
  t.equal((await stack.get('/rooms/lobby/events', access_token)).body.items.at(-1).content, 'still here')
  for (const path of ['/me', `/users/${user.id}`, '/users', '/rooms', '/rooms/public', '/rooms/lobby/messages']) isUnavailable(t, await stack.get(path, access_token), path)
  isUnavailable(t, await stack.post('/auth/signup', { username: 'bob', password: 'a password' }), 'signup')
  isUnavailable(t, await stack.post('/auth/guest', { username: 'bob' }), 'guest')
  isUnavailable(t, await stack.post('/auth/login', { username: 'ann', password: 'a password' }), 'login')
  isUnavailable(t, await stack.post('/auth/refresh', { refresh_token }), 'refresh')
  isUnavailable(t, await stack.post('/auth/logout', { refresh_token }), 'logout')
  await stack.postgres.restart()
  t.equal((await stack.post('/auth/refresh', { refresh_token })).status, 200, 'and afterwards all is well')
})

t.test('a bug is answered with nothing about it, and logged once', async t => {
  const stack = await testStack(t)
  const lines: Array<Record<string, any>> = []
  const logger = pino({ level: 'debug' }, new Writable({ write: (line, _encoding, done) => { lines.push(JSON.parse(String(line))); done() } }))
  const broken = await stack.gateway({ gatewayLogger: logger, change: deps => ({ ...deps, access: { ...deps.access, reading: async () => { throw new TypeError('cannot connect the secret of the house') } } }) })
  const { access_token } = (await stack.post('/auth/guest', { username: 'ann' })).body
  const answer = await broken.get('/rooms/lobby?token=hush', access_token)
  t.match(answer, { status: 500, body: { code: 'internal', status: 500 } })
  t.notMatch(JSON.stringify(answer.body), /secret|house|stack|\.ts/)
  t.equal(lines.filter(({ level }) => level >= 50).length, 1)
  t.match(lines.find(({ level }) => level >= 50), { err: { message: /secret of the house/ }, route: '/rooms/:id', method: 'GET' })
  await broken.post('/auth/login', { username: 'ann', password: 'my pass phrase' })
  const text = JSON.stringify(lines)
  for (const secret of ['hush', access_token, 'my pass phrase']) t.notOk(text.includes(secret), 'no secret is logged')
  t.match(lines.filter(({ msg }) => msg === 'request'), [{ route: '/rooms/:id', status: 500 }, { route: '/auth/login', status: 401 }], 'requests are logged at debug, without their queries')
})

t.test('an answer that says when to come back says it in the header too', async t => {
  const stack = await testStack(t)
  const { access_token } = (await stack.post('/auth/guest', { username: 'ann' })).body
  const busy = await stack.gateway({ change: deps => ({ ...deps, accounts: { ...deps.accounts, logIn: async () => ({ ok: false, rejection: { code: 'overloaded', message: 'too many', retry_after_ms: 1500 } }) } }) })
  const answer = await busy.post('/auth/login', { username: 'ann', password: 'a password' }, access_token)
  t.match(answer, { status: 503, body: { code: 'overloaded', retry_after_ms: 1500 } })
  t.equal(answer.headers.get('retry-after'), '2', 'whole seconds, not too early')
})
