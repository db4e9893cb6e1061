// Tokens that are missing, expired, forged, unsigned or signed by another key, in every place where a token may stand; and
// rooms that are not there, or not for the one who asks.
import { createHmac, createPrivateKey, createPublicKey, generateKeyPairSync, sign, type KeyObject } from 'node:crypto'
import t from 'tap'
import { createCommands } from '../../src/commands/commands.ts'
import type { Command } from '../../src/domain/commands.ts'
import type { RoomKind } from '../../src/domain/events.ts'
import { uuidv7 } from '../../src/ids.ts'
import { createLogger } from '../../src/telemetry/logging.ts'
import { createMetrics } from '../../src/telemetry/metrics.ts'
import { connect, type Frame } from '../client.ts'
import { millrace } from '../e2e/world.ts'
import { attacks, bystander } from './attack.ts'
import { NOWHERE } from './variants.ts'

const world = await millrace(t, { gateways: 1, projectors: 0, env: { HELLO_MS: '600', BAD_FRAMES_MAX: '1000' } })
const victim = await bystander(world)
const { access_token: token, user } = await world.signup()
const url = world.urlOf(0)
const { get, call } = world.api(0)

const base64 = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')
const ours = createPrivateKey(world.env.JWT_PRIVATE_KEY ?? '')
const [head = '', payload = '', signature = ''] = token.split('.')
const claims = JSON.parse(Buffer.from(payload, 'base64url').toString()) as Record<string, unknown>
const header = JSON.parse(Buffer.from(head, 'base64url').toString()) as Record<string, unknown>
const forge = (key: KeyObject, more: object = {}, algorithm: object = {}): string => {
  const input = `${base64({ ...header, ...algorithm })}.${base64({ ...claims, ...more })}`
  return `${input}.${sign(null, Buffer.from(input), key).toString('base64url')}`
}
const hmac = (secret: string | Buffer): string => {
  const input = `${base64({ alg: 'HS256', typ: 'JWT' })}.${base64(claims)}`
  return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`
}

const FORGERIES: Record<string, string> = {
  expired: forge(ours, { exp: Math.floor(Date.now() / 1000) - 1 }),
  'signed by another key': forge(generateKeyPairSync('ed25519').privateKey),
  'of alg none, unsigned': `${base64({ alg: 'none', typ: 'JWT' })}.${payload}.`,
  'of alg none, with a signature': `${base64({ ...header, alg: 'none' })}.${payload}.${signature}`,
  'of alg NONE': `${base64({ alg: 'NONE' })}.${payload}.${signature}`,
  'signed with the public key as a secret': hmac(createPublicKey(ours).export({ type: 'spki', format: 'pem' }).toString()),
  'signed with nothing as a secret': hmac(''),
  'with another user under the signature': `${head}.${base64({ ...claims, sub: victim.client.frames[0]!.user_id })}.${signature}`,
  'for somebody else': forge(ours, { aud: 'another' }),
  'from somebody else': forge(ours, { iss: 'another' }),
  'that never ends': forge(ours, { exp: undefined }),
  'with its key inside': forge(generateKeyPairSync('ed25519').privateKey, {}, { jwk: generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' }) }),
  'with a path as its key': forge(ours, { sub: undefined }, { kid: '../../../dev/null' }),
  'with a byte changed': `${token.slice(0, -6)}${token.at(-6) === 'A' ? 'B' : 'A'}${token.slice(-5)}`,
  'cut short': token.slice(0, -10),
  garbage: 'garbage',
  dots: '...',
  'of 8,000 characters': 'x'.repeat(8000),
}

const attack = attacks(t, world, victim)

await attack('the forger of these tests can forge', async t => {
  t.equal((await get('/me', forge(ours))).status, 200)
})

await attack('a bad token opens no socket: unauthenticated, bye, 4100, wherever it stands', async t => {
  for (const [what, bad] of Object.entries(FORGERIES)) {
    for (const via of ['hello', 'header', 'query'] as const) {
      const client = await connect({ url, token: bad, via, wait: 'open' })
      t.match(await client.closed, { code: 4100 }, `${what}, by ${via}`)
      t.match(client.frames, [{ type: 'error', code: 'unauthenticated' }, { type: 'bye', code: 4100, resume: true }], `${what}, by ${via}`)
    }
  }
})

await attack('a bad token opens no route', async t => {
  for (const [what, bad] of Object.entries(FORGERIES)) {
    for (const path of ['/me', '/rooms', `/rooms/${victim.room}/messages`, `/rooms/${victim.room}/events`]) t.match(await get(path, bad), { status: 401, body: { code: 'unauthenticated' } }, `${what}: ${path}`)
    t.match(await call('POST', `/rooms/${victim.room}/messages`, { token: bad, body: { content: 'x' } }), { status: 401, body: { code: 'unauthenticated' } }, what)
  }
  for (const authorization of ['', 'Bearer', 'Bearer ', `Basic ${token}`, token, `Bearer ${token} ${token}`, 'Bearer undefined', 'Bearer null']) t.match(await get('/me', undefined, { authorization }), { status: 401, body: { code: 'unauthenticated' } }, authorization.slice(0, 12))
  t.match(await get('/me'), { status: 401, body: { code: 'unauthenticated' } })
  t.match(await get(`/me?token=${token}`), { status: 401 }, 'in a URL a token opens sockets only')
})

await attack('the ref of a hello with a bad token is answered', async t => {
  const client = await connect({ url, via: 'hello', wait: 'open' })
  t.match(await client.request({ type: 'hello', token: FORGERIES.expired }), { type: 'error', code: 'unauthenticated' })
  t.match(await client.closed, { code: 4100 })
})

await attack('without a token nothing is served, and the socket ends after HELLO_MS', async t => {
  const client = await connect({ url, wait: 'open' })
  for (const frame of [{ type: 'hello' }, { type: 'ping' }, { type: 'subscribe', room_id: victim.room }, { type: 'message', room_id: 'lobby', content: 'x' }, { type: 'join', room_id: victim.room }, { type: 'leave', room_id: victim.room }, { type: 'unsubscribe', room_id: victim.room }] as Frame[]) {
    t.match(await client.request(frame), { type: 'error', code: 'unauthenticated' }, frame.type)
  }
  t.match(await client.closed, { code: 4100 })
  t.match(client.frames.at(-1), { type: 'bye', code: 4100 })
})

await attack('a socket keeps its user: another one\'s token ends it, and a fresh token of its own does not', async t => {
  const client = await connect({ url, token })
  t.match(await client.request({ type: 'hello', token: forge(ours, { sid: uuidv7() }) }), { type: 'ack' })
  t.match(await client.request({ type: 'ping' }), { type: 'pong' })
  t.match(await client.request({ type: 'hello', token: victim.token }), { type: 'error', code: 'unauthenticated' })
  t.match(await client.closed, { code: 4100 })
})

await attack('a room that does not exist, or not for me, is not found on any way', async t => {
  const logger = createLogger({ level: 'silent', role: 'test' })
  const commands = createCommands({ log: world.log, firstResults: async () => new Map(), noteMembership: async () => {}, onFenced: () => {}, clock: Date.now, newId: uuidv7, queuedMax: 10, roomsMax: 10, metrics: createMetrics('test'), logger })
  const hidden: Record<string, string> = { nowhere: NOWHERE }
  for (const kind of ['private', 'group', 'dm', 'inbox', 'protected'] satisfies RoomKind[]) {
    const owner = victim.client.frames[0]!.user_id as string
    const room_id = kind === 'inbox' ? owner : uuidv7()
    t.match(await commands.execute({ command: { type: 'create', room_id, name: 'mine', kind, ...(kind === 'dm' ? { members: [owner, uuidv7()] } : {}) }, user_id: owner, session: 's' }), { ok: true })
    const secret: Command = kind === 'inbox' ? { type: 'inform', room_id, event: 'removed', reason: 'between us' } : { type: 'message', room_id, content: 'between us' }
    t.match(await commands.execute({ command: secret, user_id: owner, session: 's' }), { ok: true })
    hidden[kind] = room_id
  }
  const client = await connect({ url, token })
  for (const [kind, room_id] of Object.entries(hidden)) {
    // Of a protected room outsiders may know that it is there.
    const code = kind === 'protected' ? 'not_member' : 'room_not_found'
    const status = kind === 'protected' ? 403 : 404
    for (const after of [undefined, { seq: 0 }, { seq: 1 }]) t.match(await client.request({ type: 'subscribe', room_id, after }), { type: 'error', code, room_id }, `subscribe to ${kind}`)
    t.match(await client.request({ type: 'message', room_id, content: 'x' }), { type: 'error', code }, `message to ${kind}`)
    t.match(await client.request({ type: 'message', room_id, content: 'x', resend: true, client_id: NOWHERE }), { type: 'error', code }, `message to ${kind}, again`)
    t.match(await client.request({ type: 'leave', room_id }), { type: 'error', code }, `leave ${kind}`)
    t.match(await client.request({ type: 'join', room_id }), { type: 'error', code: kind === 'protected' ? 'wrong_password' : code }, `join ${kind}`)
    t.match(await client.request({ type: 'unsubscribe', room_id }), { type: 'ack' }, 'who leaves what they never had learns nothing')
    client.send({ type: 'hello', resume: { rooms: { [room_id]: { seq: 0 } } } })
    t.match(await client.next(frame => frame.type === 'error' && frame.room_id === room_id && frame.ref === undefined), { code }, `resume ${kind}`)
    for (const path of ['/messages', '/events', '/events?after=1', '/members', '/pins', '/audit', '/threads/1', '/bans', '/invites']) t.match(await get(`/rooms/${room_id}${path}`, token), { status, body: { code } }, `${kind}${path}`)
    const shown = await get(`/rooms/${room_id}`, token)
    t.match(shown, kind === 'protected' ? { status: 200 } : { status, body: { code } })
    if (kind === 'protected') t.same(Object.keys(shown.body).sort(), ['id', 'kind', 'member', 'name', 'role'], 'its name and kind, and nothing else')
    t.match(await call('POST', `/rooms/${room_id}/messages`, { token, body: { content: 'x' } }), { status, body: { code } })
    t.match(await call('POST', `/rooms/${room_id}/leave`, { token }), { status, body: { code } })
    const arriving = await connect({ url, token, via: 'query', query: { room_id, after: 0 } })
    t.match(await arriving.next(frame => frame.type === 'error'), { code, room_id }, `arrive at ${kind}`)
    arriving.cut()
  }
  t.notMatch(JSON.stringify(client.frames), /between us/)
  t.equal(client.frames.some(({ type }) => type === 'sync' || type === 'live'), false)
  client.cut()
})

await attack('no token, signature or password was written', async t => {
  const output = world.gateways[0]!.output()
  for (const secret of [token, signature, victim.token, ...Object.values(FORGERIES).filter(({ length }) => length > 20), 'correct horse battery', 'between us', user.id]) t.notOk(output.includes(secret))
  t.notMatch(output, /"level":"(?:error|fatal)"/)
})
