// Sockets and the sessions behind them, on two gateways: revocation, expiry, tickets, and tokens of another issuer.
import { createServer, type ServerResponse } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import t from 'tap'
import { connect, type Client } from '../client.ts'
import { millrace } from '../e2e/world.ts'
import { gatewayTokens } from './gateway-tokens.ts'

const HELLO_MS = 1500
const PASSWORD = 'correct horse battery'

const { privateKey, publicKey } = await generateKeyPair('ES256')
const jwks = JSON.stringify({ keys: [{ ...await exportJWK(publicKey), kid: 'k', alg: 'ES256', use: 'sig' }] })
let hanging: ServerResponse[] | undefined
const issuer = createServer((_request, response) => {
  if (hanging === undefined) response.end(jwks)
  else hanging.push(response)
}).listen(0, '127.0.0.1')
await once(issuer, 'listening')
t.teardown(() => { issuer.closeAllConnections(); issuer.close() })
const foreignToken = async (sub: string, { kid = 'k', lifetimeS = 60 } = {}) => await new SignJWT({ preferred_username: sub, sid: 'one' }).setProtectedHeader({ alg: 'ES256', kid }).setIssuer('people').setSubject(sub).setExpirationTime(Math.floor(Date.now() / 1000) + lifetimeS).sign(privateKey)

const world = await millrace(t, { gateways: 2, projectors: 0, env: { HELLO_MS: String(HELLO_MS), AUTH_JWKS_URL: `http://127.0.0.1:${(issuer.address() as AddressInfo).port}/`, AUTH_ISSUER: 'people' } })
const api = [world.api(0), world.api(1)] as const
const alive = async (client: Client): Promise<string> => (await client.request({ type: 'ping' })).type

async function socket (gateway: number, token: string, more: object = {}): Promise<Client> {
  const client = await connect({ url: world.urlOf(gateway), token, ...more })
  t.teardown(() => { client.cut() })
  return client
}

async function logIn (username: string): Promise<{ access_token: string, refresh_token: string }> {
  return (await api[0].post('/auth/login', { username, password: PASSWORD })).body
}

t.test('ending a session closes its sockets with 4101 on every gateway, however it is ended, and no others', async t => {
  const ways: Record<string, (own: { access_token: string, refresh_token: string }, keeper: string) => Promise<unknown>> = {
    'log-out': async ({ access_token }) => await api[0].post('/auth/logout', undefined, access_token),
    'log-out by refresh token': async ({ refresh_token }) => await api[1].post('/auth/logout', { refresh_token }),
    'another session': async (_, keeper) => {
      const { items } = (await api[0].get('/auth/sessions', keeper)).body
      const other = items.find(({ current }: { current: boolean }) => !current)
      return await api[0].call('DELETE', `/auth/sessions/${other.id}`, { token: keeper })
    },
    'reuse of a refresh token': async ({ refresh_token }) => {
      await api[0].post('/auth/refresh', { refresh_token })
      await api[1].post('/auth/refresh', { refresh_token })
    },
    'a new password': async (_, keeper) => await api[1].post('/auth/password', { current_password: PASSWORD, new_password: 'another password' }, keeper),
  }
  for (const [way, end] of Object.entries(ways)) {
    const { user: { username }, access_token: keeper } = await world.signup()
    const own = await logIn(username)
    const sockets = await Promise.all([socket(0, own.access_token), socket(1, own.access_token), socket(1, own.access_token, { via: 'header' })])
    const kept = await Promise.all([socket(0, keeper), socket(1, keeper)])
    const from = performance.now()
    await end(own, keeper)
    for (const client of sockets) {
      t.match(await client.closed, { code: 4101, reason: 'session revoked' }, way)
      t.match(client.frames.at(-1), { type: 'bye', code: 4101, resume: true }, way)
    }
    t.ok(performance.now() - from < 10_000, way)
    for (const client of kept) t.equal(await alive(client), 'pong', way)
    const again = await connect({ url: world.urlOf(1), token: own.access_token, wait: 'open' })
    t.match(await again.closed, { code: 4100 }, `${way}: the token is void`)
  }
})

t.test('a socket is closed within a second or so after its token expired, unless it has shown a fresh one', async t => {
  const { access_token, user } = await world.signup()
  const { sid } = JSON.parse(Buffer.from(access_token.split('.')[1]!, 'base64url').toString())
  const until = Date.now() + 2000
  const short = (await gatewayTokens(world.env.JWT_PRIVATE_KEY!, () => until - 900_000)).sign({ user_id: user.id, session_id: sid })
  const expiry = Math.floor(until / 1000) * 1000
  const [ended, renewed] = [await socket(0, short), await socket(0, short)]
  t.match(await renewed.request({ type: 'hello', token: access_token }), { type: 'ack' })
  t.match(await ended.closed, { code: 4100 })
  t.match(ended.frames.at(-1), { type: 'bye', code: 4100, resume: true })
  t.ok(Date.now() >= expiry && Date.now() < expiry + 2500, `${Date.now() - expiry} ms after its expiry`)
  t.equal(await alive(renewed), 'pong')
})

const ticketOf = async (token: string): Promise<string> => (await api[0].post('/auth/ws-ticket', undefined, token)).body.ticket
const withTicket = async (gateway: number, ticket: string, more: object = {}): Promise<Client> => await socket(gateway, undefined as never, { query: { ticket }, ...more })

t.test('a ticket opens one socket, on any gateway', async t => {
  const { access_token, user } = await world.signup()
  const ticket = await ticketOf(access_token)
  const client = await withTicket(1, ticket)
  t.match(client.frames[0], { type: 'welcome', user_id: user.id })
  t.equal(await alive(client), 'pong')
  for (const gateway of [0, 1]) {
    const second = await withTicket(gateway, ticket, { wait: 'open' })
    t.match(await second.closed, { code: 4100 })
    t.match(second.frames, [{ type: 'error', code: 'unauthenticated' }, { type: 'bye', code: 4100 }])
  }
  t.equal(await alive(client), 'pong')
  const room = await world.room(access_token)
  const arriving = await withTicket(0, await ticketOf(access_token), { query: { ticket: await ticketOf(access_token), room_id: room, after: 0 } })
  await arriving.next(frame => frame.type === 'live' && frame.room_id === room)
})

t.test('of many who come with one ticket at the same time, one gets in', async t => {
  const ticket = await ticketOf((await world.signup()).access_token)
  const clients = await Promise.all(Array.from({ length: 10 }, async (_, i) => await withTicket(i, ticket, { wait: 'open' })))
  const ends = await Promise.all(clients.map(async client => await Promise.race([client.closed.then(({ code }) => code), client.next(({ type }) => type === 'welcome').then(() => 'in', () => 4100)])))
  t.equal(ends.filter(end => end === 'in').length, 1)
  t.equal(ends.filter(end => end === 4100).length, 9)
})

t.test('a ticket that is too old, of a session that is over, or none, opens nothing', async t => {
  const { access_token } = await world.signup()
  const old = await ticketOf(access_token)
  await world.redis.del(await world.redis.keys('ticket:*')) // as after 30 s
  const over = await ticketOf(access_token)
  await api[0].post('/auth/logout', undefined, access_token)
  for (const ticket of [old, over, 'x', 'A'.repeat(43), 'A'.repeat(5000)]) t.match(await (await withTicket(0, ticket, { wait: 'open' })).closed, { code: 4100 })
})

t.test('a ticket holds until the token expires that asked for it, and ends with its session', async t => {
  const { access_token, user } = await world.signup()
  const { sid } = JSON.parse(Buffer.from(access_token.split('.')[1]!, 'base64url').toString())
  const until = Date.now() + 2000
  const short = (await gatewayTokens(world.env.JWT_PRIVATE_KEY!, () => until - 900_000)).sign({ user_id: user.id, session_id: sid })
  t.match(await (await withTicket(1, await ticketOf(short))).closed, { code: 4100 })
  const client = await withTicket(1, await ticketOf(access_token))
  await api[0].post('/auth/logout', undefined, access_token)
  t.match(await client.closed, { code: 4101 })
})

t.test('a token of another issuer opens a socket, by every way, and what follows it waits until it is checked', async t => {
  const token = await foreignToken('anna')
  const me = (await api[0].get('/me', token)).body
  t.match(me, { username: 'anna', kind: 'foreign' })
  for (const via of ['hello', 'header', 'query']) {
    const client = await socket(1, token, { via })
    t.match(client.frames[0], { type: 'welcome', user_id: me.id }, via)
  }
  const client = await socket(0, undefined as never, { wait: 'open' })
  const sent = [{ type: 'hello', token, ref: 101 }, { type: 'ping', ref: 102 }, { type: 'subscribe', room_id: 'lobby', ref: 103 }, { type: 'ping', ref: 104 }]
  for (const frame of sent) client.send(frame)
  await client.next(({ ref }) => ref === 104)
  t.match(await client.next(({ ref }) => ref === 103), { type: 'ack' }) // which asks Redis first
  t.same(client.frames.filter(({ ref }) => ref !== undefined && ref !== 103).map(({ type, ref }) => [type, ref]), [['ack', 101], ['pong', 102], ['pong', 104]])
  const other = await foreignToken('bert')
  t.match(await client.request({ type: 'hello', token: other }), { type: 'error', code: 'unauthenticated' })
  t.match(await client.closed, { code: 4100 })
})

t.test('bad tokens of another issuer open nothing', async t => {
  const good = await foreignToken('carl')
  for (const token of [await foreignToken('carl', { lifetimeS: -1 }), await foreignToken('carl', { kid: 'unknown' }), `${good.slice(0, -6)}AAAAAA`]) {
    for (const via of ['hello', 'header', 'query']) t.match(await (await socket(0, token, { via, wait: 'open' })).closed, { code: 4100 }, via)
  }
})

t.test('logging out ends the sockets of a foreign session', async t => {
  const token = await foreignToken('dora')
  const clients = [await socket(0, token), await socket(1, token)]
  t.equal((await api[0].post('/auth/logout', undefined, token)).status, 204)
  for (const client of clients) t.match(await client.closed, { code: 4101 })
})

t.test('while the issuer does not answer, the hello has its deadline, nothing is served, and others are', async t => {
  const restarted = world.gateways[1]!
  await restarted.stop()
  await restarted.restart() // without keys
  hanging = []
  const { access_token } = await world.signup()
  const from = performance.now()
  const clients = await Promise.all(['hello', 'header', 'query'].map(async via => await socket(1, await foreignToken('erik'), { via, wait: 'open' })))
  for (const client of clients) client.send({ type: 'ping', ref: 1 })
  t.equal(await alive(await socket(1, access_token)), 'pong')
  for (const client of clients) t.match(await client.closed, { code: 4100 })
  const ms = performance.now() - from
  t.ok(ms > HELLO_MS - 100 && ms < HELLO_MS + 1500, `${Math.round(ms)} ms`)
  for (const client of clients) t.same(client.frames.map(({ type }) => type), ['bye'])
  for (const response of hanging) response.end(jwks)
  hanging = undefined
  await sleep(50)
  t.match((await socket(1, await foreignToken('erik'))).frames[0], { type: 'welcome' })
})

t.test('while Redis is away a ticket is not good, and the client learns to come again', async t => {
  const { access_token } = await world.signup()
  const ticket = await ticketOf(access_token)
  const [open] = [await socket(0, access_token)]
  await world.redisServer.kill()
  const client = await withTicket(0, ticket, { wait: 'open' })
  t.match(await client.closed, { code: 4100 })
  t.match(client.frames, [{ type: 'error', code: 'unavailable', retry_after_ms: Number }, { type: 'bye', code: 4100, retry_after_ms: Number }])
  t.equal(await alive(open!), 'pong')
  t.equal((await api[0].post('/auth/logout', undefined, access_token)).status, 204, 'log-out is Postgres\'s to know')
  t.match(await open!.closed, { code: 4101 })
  await world.redisServer.restart()
})
