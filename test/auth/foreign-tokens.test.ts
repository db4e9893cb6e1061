// Tokens of another issuer, against a real HTTP server that publishes its keys and a real Postgres that has its users.
import { createServer } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { exportJWK, exportSPKI, generateKeyPair, SignJWT, UnsecuredJWT, type JWK, type JWTPayload } from 'jose'
import t from 'tap'
import { createForeignTokens, type ForeignTokensOptions } from '../../src/auth/foreign-tokens.ts'
import { createForeignUsers } from '../../src/auth/foreign-users.ts'
import { uuidv7 } from '../../src/ids.ts'
import { createLogger } from '../../src/telemetry/logging.ts'
import { signingKey, testStack } from '../http/stack.ts'
import { gatewayTokens } from './gateway-tokens.ts'

const ISSUER = 'https://people.example'
const AUDIENCE = 'chat'
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/
const logger = createLogger({ level: 'silent', role: 'test' })

/** Publishes keys; counts who asks. */
async function publisher () {
  let keys: JWK[] = []
  let asked = 0
  let status = 200
  const server = createServer((_request, response) => {
    asked += 1
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify({ keys }))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => { server.close() })
  return {
    url: new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks`),
    publish: (...more: JWK[]) => { keys = more },
    fail: (code: number) => { status = code },
    close: () => { server.closeAllConnections(); server.close() },
    asked: () => asked,
  }
}

async function signer (alg: string, kid: string) {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true })
  return {
    jwk: { ...await exportJWK(publicKey), kid, alg, use: 'sig' },
    publicKey,
    sign: async (claims: JWTPayload = {}, header: object = {}) => await new SignJWT({ iss: ISSUER, aud: AUDIENCE, sub: 'u1', exp: Math.floor(Date.now() / 1000) + 60, ...claims }).setProtectedHeader({ alg, kid, ...header }).sign(privateKey),
  }
}

const issuer = await publisher()
const [rsa, ec, ed] = [await signer('RS256', 'rsa'), await signer('ES256', 'ec'), await signer('EdDSA', 'ed')]
issuer.publish(rsa.jwk, ec.jwk, ed.jwk)

const { store, post } = await testStack(t)
const users = createForeignUsers({ store, newId: uuidv7, clock: Date.now })
const foreign = (more: Partial<ForeignTokensOptions> = {}) => createForeignTokens({ jwksUrl: issuer.url, issuer: ISSUER, audience: AUDIENCE, claimUser: 'sub', claimName: 'preferred_username', users, clock: Date.now, logger, ...more })

async function rowOf (id: string) {
  const { rows: [row] } = await store.query('SELECT username, display_name, kind, issuer, external_id, password_hash FROM users WHERE id = $1', [id])
  return row
}

t.test('a good token makes its user on first sight and is the same user from then on', async t => {
  const { verify } = foreign()
  const first = await verify(await rsa.sign({ sub: 'anna-7', preferred_username: 'anna', sid: 'device 1'.replace(' ', '-') }))
  t.match(first, { user_id: UUID, session_id: `${first!.user_id}/device-1`, expires_at: Number })
  t.same(await rowOf(first!.user_id), { username: 'anna', display_name: 'anna', kind: 'foreign', issuer: ISSUER, external_id: 'anna-7', password_hash: null })
  for (const { sign } of [ec, ed]) t.equal((await verify(await sign({ sub: 'anna-7', preferred_username: 'renamed' })))?.user_id, first!.user_id)
  const elsewhere = foreign({ users: createForeignUsers({ store, newId: uuidv7, clock: Date.now }) })
  t.equal((await elsewhere.verify(await ec.sign({ sub: 'anna-7' })))?.user_id, first!.user_id, 'on another gateway as well')
})

t.test('the session is the claim sid or jti, else the token', async t => {
  const { verify } = foreign()
  const sessionOf = async (claims: JWTPayload) => (await verify(await ed.sign(claims)))?.session_id.split('/')[1]
  t.equal(await sessionOf({ sid: 's1', jti: 'j1' }), 's1')
  t.equal(await sessionOf({ jti: 'j1' }), 'j1')
  t.match(await sessionOf({}), /^[\w-]{43}$/)
  t.match(await sessionOf({ sid: 'white space' }), /^[\w-]{43}$/)
  t.match(await sessionOf({ sid: 7 }), /^[\w-]{43}$/)
})

t.test('a name that is taken gets a suffix, one that may not be is replaced', async t => {
  const { verify } = foreign()
  await post('/auth/guest', { username: 'Taken' })
  const nameOf = async (sub: string, preferred_username: unknown) => (await rowOf((await verify(await ed.sign({ sub, preferred_username })))!.user_id)).username
  t.match(await nameOf('t1', 'taken'), /^taken-[0-9a-f]{6}$/)
  t.match(await nameOf('t2', 'TAKEN'), /^TAKEN-[0-9a-f]{6}$/)
  for (const [i, bad] of ['', 'a\u0000b', 'p\u0430ypal', ' x', 'x'.repeat(65), 7, null, undefined].entries()) t.match(await nameOf(`bad${i}`, bad), /^(user-[0-9a-f]{6}|7)$/, String(bad))
  const long = '😀'.repeat(64)
  await post('/auth/guest', { username: long })
  t.match(await nameOf('t3', long), /^😀{57}-[0-9a-f]{6}$/u)
})

t.test('many tokens of a new user at once make one user', async t => {
  const gateways = [foreign(), foreign({ users: createForeignUsers({ store, newId: uuidv7, clock: Date.now }) })]
  const token = await ec.sign({ sub: 'crowd', preferred_username: 'crowd' })
  const found = await Promise.all(Array.from({ length: 20 }, async (_, i) => await gateways[i % 2]!.verify(token)))
  t.equal(new Set(found.map(verified => verified?.user_id)).size, 1)
  t.equal((await rowOf(found[0]!.user_id)).username, 'crowd')
})

t.test('the users remembered are bounded', async t => {
  const { verify } = foreign({ users: createForeignUsers({ store, newId: uuidv7, clock: Date.now, usersMax: 2 }) })
  const tokens = await Promise.all(['b1', 'b2', 'b3'].map(async sub => await ed.sign({ sub })))
  const once = []
  for (const token of tokens) once.push((await verify(token))?.user_id)
  for (const [i, token] of tokens.entries()) t.equal((await verify(token))?.user_id, once[i])
})

t.test('what is not theirs is refused', async t => {
  const { verify } = foreign()
  const strange = await signer('ES256', 'ec')
  const unknown = await signer('ES256', 'nobody knows')
  const past = Math.floor(Date.now() / 1000) - 1
  const secret = new TextEncoder().encode(await exportSPKI(rsa.publicKey))
  const hmac = async (header: object) => await new SignJWT({ iss: ISSUER, aud: AUDIENCE, sub: 'u1', exp: past + 60 }).setProtectedHeader({ alg: 'HS256', ...header }).sign(secret)
  const good = await ec.sign()
  const cases: Record<string, string> = {
    'another audience': await ec.sign({ aud: 'mail' }),
    'no audience': await ec.sign({ aud: undefined }),
    'another issuer': await ec.sign({ iss: 'https://evil.example' }),
    'no issuer': await ec.sign({ iss: undefined }),
    expired: await ec.sign({ exp: past }),
    'no expiry': await ec.sign({ exp: undefined }),
    'not yet': await ec.sign({ nbf: past + 60 }),
    'no user': await ec.sign({ sub: undefined }),
    'an empty user': await ec.sign({ sub: '' }),
    'a user of 300 characters': await ec.sign({ sub: 'x'.repeat(300) }),
    'a user with U+0000': await ec.sign({ sub: 'a\u0000' }),
    'alg none': new UnsecuredJWT({ iss: ISSUER, aud: AUDIENCE, sub: 'u1', exp: past + 60 }).encode(),
    'HS256 with the public key': await hmac({ kid: 'rsa' }),
    'HS256 with the public key and no kid': await hmac({}),
    'another key of the same name': await strange.sign(),
    'an unknown kid': await unknown.sign(),
    'the kid of another algorithm': await ec.sign({}, { kid: 'rsa' }),
    'claims of another': `${good.split('.')[0]}.${(await ec.sign({ sub: 'root' })).split('.')[1]}.${good.split('.')[2]}`,
    garbage: 'a.b.c',
    nothing: '',
  }
  t.ok(await verify(good))
  for (const [what, token] of Object.entries(cases)) t.equal(await verify(token), undefined, what)
})

t.test('unknown kids do not make us ask the issuer again and again', async t => {
  const { verify } = foreign()
  const unknown = await signer('ES256', 'unknown')
  await verify(await ec.sign())
  const before = issuer.asked()
  for (let i = 0; i < 20; i++) t.equal(await verify(await unknown.sign({}, { kid: `unknown ${i}` })), undefined)
  t.ok(issuer.asked() - before <= 1)
})

t.test('while the issuer cannot be reached, known keys are good and unknown ones are refused', async t => {
  const away = await publisher()
  away.publish(ec.jwk)
  let now = Date.now()
  const { verify } = foreign({ jwksUrl: away.url, clock: () => now })
  const nobody = foreign({ jwksUrl: new URL('http://127.0.0.1:1/jwks') })
  t.equal(await nobody.verify(await ec.sign()), undefined, 'never reached')
  t.equal(await nobody.verify(await ec.sign()), undefined)
  t.ok(await verify(await ec.sign()))
  away.fail(500)
  t.ok(await verify(await ec.sign()))
  t.equal(await verify(await rsa.sign()), undefined)
  away.close()
  t.ok(await verify(await ec.sign()))
  t.equal(await verify(await rsa.sign()), undefined)
  now += 10_000
  t.ok(await verify(await ec.sign()))
})

t.test('a fault of Postgres is thrown, and those who are known are known without it', async t => {
  const { verify } = foreign()
  const known = await ec.sign({ sub: 'known' })
  await verify(known)
  const broken = foreign({ users: createForeignUsers({ store: { ...store, query: async () => { throw Object.assign(new Error('gone'), { code: '57P01' }) } } as never, newId: uuidv7, clock: Date.now }) })
  await t.rejects(broken.verify(await ec.sign({ sub: 'new' })), /gone/)
  t.ok(await verify(known))
})

t.test('without an issuer and an audience in the settings any of both is taken, and another claim may name the user', async t => {
  const { verify } = foreign({ issuer: undefined, audience: undefined, claimUser: 'oid', claimName: 'nick' })
  const one = await verify(await ed.sign({ iss: 'a', oid: '1', nick: 'oidipus' }))
  const two = await verify(await ed.sign({ iss: 'b', aud: undefined, oid: '1', nick: 'oidipus' }))
  t.not(one?.user_id, two?.user_id, 'the same name of two issuers is two users')
  t.equal((await rowOf(one!.user_id)).username, 'oidipus')
  t.equal(await verify(await ed.sign({ iss: 'a' })), undefined)
})

t.test('over HTTP both kinds of tokens are good, and a foreign one can log out', async t => {
  const stack = await testStack(t, { foreign: foreign() })
  const own = (await stack.post('/auth/guest', { username: 'own' })).body
  const token = await ed.sign({ sub: 'visitor', preferred_username: 'visitor', sid: 'v1' })
  t.equal((await stack.get('/me', own.access_token)).body.username, 'own')
  // The user was made in the database of the first stack: there is none here.
  t.match(await stack.get('/auth/sessions', token), { status: 200, body: { items: [] } })
  t.match(await stack.post('/auth/password', { new_password: 'a long password' }, token), { status: 403, body: { code: 'forbidden' } })
  t.equal((await stack.get('/auth/sessions', (await gatewayTokens(signingKey())).sign({ user_id: uuidv7(), session_id: uuidv7() }))).status, 401, 'ours by its issuer, by another key')
  t.equal((await stack.post('/auth/logout', undefined, token)).status, 204)
  t.equal((await stack.get('/auth/sessions', token)).status, 401)
  t.equal((await stack.get('/auth/sessions', await ed.sign({ sub: 'visitor', sid: 'v2' }))).status, 200, 'another session of the same user goes on')
})
