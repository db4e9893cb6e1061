// The hooks on two servers that share a Redis, with routes of this test. What the API's own routes do is in test/hostile/limits.test.ts.
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { fastify } from 'fastify'
import t, { type Test } from 'tap'
import { limitRefusals, limitRequests } from '../../src/http/limits.ts'
import { createErrorHandler, refuse, sendProblem } from '../../src/http/problems.ts'
import { reject } from '../../src/domain/rejections.ts'
import { readTrustProxy } from '../../src/limits/addresses.ts'
import { testRedis } from '../dev/servers.ts'
import { gatewayLimits, quiet } from './gateways.ts'

const redis = await testRedis(t)

/** A server where a token is the name of its user, and is good unless it is `bad`. */
async function gateway (t: Test, env: Record<string, string | number>, url = redis.url) {
  const limits = await gatewayLimits(t, url, env)
  const app = fastify({ trustProxy: readTrustProxy('1') })
  app.decorateRequest('identity', null)
  app.setErrorHandler(createErrorHandler(quiet))
  app.setNotFoundHandler((_request, reply) => sendProblem(reply, reject('not_found')))
  limitRequests(app, limits)
  for (const path of ['/', '/healthz', '/metrics']) app.get(path, async () => 'here')
  for (const path of ['/auth/signup', '/auth/guest', '/auth/login']) app.post(path, async () => 'in')
  void app.register(async scope => {
    scope.addHook('onRequest', limitRefusals(limits, async request => {
      const token = request.headers.authorization ?? refuse('unauthenticated')
      if (token === 'bad') refuse('unauthenticated')
      request.identity = { user_id: token, session_id: 's' } as NonNullable<typeof request.identity>
    }))
    scope.get('/me', async request => request.identity?.user_id)
    scope.post('/echo', async request => request.body)
  })
  await app.listen({ host: '127.0.0.1', port: 0 })
  t.teardown(async () => { await app.close() })
  const base = `http://127.0.0.1:${(app.server.address() as { port: number }).port}`
  const ask = async (path: string, { token, ip = '203.0.113.1', method = path.startsWith('/auth') ? 'POST' : 'GET' }: { token?: string, ip?: string, method?: string } = {}) => {
    const answer = await fetch(base + path, { method, headers: { 'x-forwarded-for': ip, ...(token === undefined ? {} : { authorization: token }) } })
    const text = await answer.text()
    return { status: answer.status, retryAfter: answer.headers.get('retry-after'), type: answer.headers.get('content-type'), body: text.startsWith('{') ? JSON.parse(text) : text }
  }
  return { ask, limits, app }
}

type Ask = Awaited<ReturnType<typeof gateway>>['ask']

/** Statuses of so many requests, dealt to the gateways in turn. */
async function statuses (asks: Ask[], times: number, path: string, more: Parameters<Ask>[1] = {}): Promise<Record<number, number>> {
  const answers = await Promise.all(Array.from({ length: times }, async (_, i) => await asks[i % asks.length]!(path, more)))
  const counts: Record<number, number> = {}
  for (const { status } of answers) counts[status] = (counts[status] ?? 0) + 1
  return counts
}

t.test('a user’s limit holds over both gateways, and is nobody else’s', async t => {
  const env = { REQUESTS_PER_SECOND: 4, REQUESTS_BURST: 20 }
  const [one, two] = [await gateway(t, env), await gateway(t, env)]
  const token = randomUUID()
  const counts = await statuses([one.ask, two.ask], 60, '/me', { token })
  t.ok(counts[200]! >= 20 && counts[200]! <= 23, JSON.stringify(counts))
  t.equal(counts[200]! + counts[429]!, 60)
  t.match(await one.ask('/me', { token: randomUUID() }), { status: 200 }, 'from the same address')
})

t.test('the answer is a problem whose Retry-After is honest', async t => {
  const { ask } = await gateway(t, { REQUESTS_PER_SECOND: 1, REQUESTS_BURST: 3 })
  const token = randomUUID()
  await statuses([ask], 10, '/me', { token })
  const { status, retryAfter, type, body } = await ask('/me', { token })
  t.equal(status, 429)
  t.match(type, 'application/problem+json')
  t.match(body, { code: 'rate_limited', status: 429, type: 'urn:millrace:problem:rate_limited' })
  t.ok(body.retry_after_ms > 0 && body.retry_after_ms <= 1000)
  t.equal(Number(retryAfter), Math.ceil(body.retry_after_ms / 1000))
  await sleep(body.retry_after_ms)
  t.equal((await ask('/me', { token })).status, 200)
  const again = await ask('/me', { token })
  await sleep(Number(again.retryAfter) * 1000)
  t.equal((await ask('/me', { token })).status, 200)
})

t.test('sign-ups and log-ins have limits of their own, per address', async t => {
  const env = { SIGNUPS_PER_MINUTE: 6, SIGNUPS_BURST: 5, LOGINS_PER_MINUTE: 6, LOGINS_BURST: 7, ANONYMOUS_REQUESTS_BURST: 50 }
  const [one, two] = [await gateway(t, env), await gateway(t, env)]
  const both = [one.ask, two.ask]
  t.same(await statuses(both, 10, '/auth/signup', { ip: '203.0.113.2' }), { 200: 5, 429: 5 })
  t.same(await statuses(both, 2, '/auth/guest', { ip: '203.0.113.2' }), { 429: 2 }, 'guests are sign-ups')
  t.same(await statuses(both, 10, '/auth/login', { ip: '203.0.113.2' }), { 200: 7, 429: 3 })
  t.same(await statuses(both, 5, '/auth/signup', { ip: '203.0.113.3' }), { 200: 5 }, 'another address')
  t.same(await statuses(both, 10, '/', { ip: '203.0.113.2' }), { 200: 10 })
  t.same(await statuses(both, 4, '/auth/signup', { ip: '2001:db8::1' }), { 200: 4 })
  t.same(await statuses(both, 4, '/auth/signup', { ip: '2001:db8::ffff:2' }), { 200: 1, 429: 3 }, 'the same /64')
})

t.test('without a valid token requests count against the address, whatever they ask for; the signed-in are not touched', async t => {
  const env = { ANONYMOUS_REQUESTS_PER_SECOND: 1, ANONYMOUS_REQUESTS_BURST: 10 }
  const cases = [['/', {}, 200], ['/', { token: 'bad' }, 200], ['/me', {}, 401], ['/me', { token: 'bad' }, 401], ['/nowhere', {}, 404], ['/auth/signup', { method: 'GET' }, 404]] as const
  const { ask } = await gateway(t, env)
  for (const [i, [path, more, status]] of cases.entries()) {
    const ip = `198.51.100.${i + 1}`
    const counts = await statuses([ask], 15, path, { ...more, ip })
    t.ok(counts[status]! >= 10 && counts[status]! <= 11 && counts[429] === 15 - counts[status]!, `${path} ${JSON.stringify(more)}: ${JSON.stringify(counts)}`)
    t.equal((await ask('/me', { token: randomUUID(), ip })).status, 200)
    t.same(await statuses([ask], 30, '/healthz', { ip }), { 200: 30 })
    t.same(await statuses([ask], 30, '/metrics', { ip }), { 200: 30 })
  }
})

t.test('a refused request’s body is not read, and the next on its connection is served', async t => {
  const { app } = await gateway(t, { REQUESTS_PER_SECOND: 1, REQUESTS_BURST: 1 })
  const token = randomUUID()
  const post = async () => await app.inject({ method: 'POST', url: '/echo', headers: { authorization: token, 'content-type': 'application/json' }, body: '{broken' })
  t.equal((await post()).statusCode, 400)
  t.equal((await post()).statusCode, 429)
})

t.test('with Redis killed each gateway still limits, and after it they do together', async t => {
  const own = await testRedis(t)
  const env = { REQUESTS_PER_SECOND: 5, REQUESTS_BURST: 10 }
  const [one, two] = [await gateway(t, env, own.url), await gateway(t, env, own.url)]
  const token = randomUUID()
  t.equal((await one.ask('/me', { token })).status, 200)
  await own.kill()
  const counts = await statuses([one.ask, two.ask], 60, '/me', { token })
  t.ok(counts[200]! >= 20 && counts[200]! <= 28, `a burst each: ${JSON.stringify(counts)}`)
  await own.restart()
  await sleep(2500)
  for (const { ask } of [one, two]) await ask('/me', { token: randomUUID() })
  const after = await statuses([one.ask, two.ask], 60, '/me', { token: randomUUID() })
  t.ok(after[200]! >= 10 && after[200]! <= 15, `one burst for both: ${JSON.stringify(after)}`)
})
