// What notifications go to, for the tests of this folder: a push service that decrypts what it gets (RFC 8291) and checks who sends it
// (RFC 8292), a server of webhooks, and Millrace with its jobs in this process.
import { createDecipheriv, createECDH, createPublicKey, hkdfSync, randomBytes, verify, type ECDH } from 'node:crypto'
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { once } from 'node:events'
import { loadConfig } from '../../src/config.ts'
import { createLifecycle } from '../../src/lifecycle.ts'
import { openJobs } from '../../src/roles/jobs.ts'
import { openShared, type Shared } from '../../src/roles/shared.ts'
import { createLogger } from '../../src/telemetry/logging.ts'
import { environment } from '../e2e/world.ts'
import { liveWorld } from '../gateway/live.ts'

interface Teardown { teardown: (fn: () => unknown) => unknown }

export interface Received { readonly path: string, readonly headers: IncomingHttpHeaders, readonly body: Buffer }
/** What to answer; undefined: nothing, ever. */
export type Answer = { readonly status: number, readonly body?: string, readonly headers?: Record<string, string> } | undefined

/** A server that remembers what it gets, and answers as it is told. */
export async function receiver (t: Teardown, answer: (received: Received, nth: number) => Answer | Promise<Answer> = () => ({ status: 201 })) {
  const received: Received[] = []
  let answering = answer
  const server: Server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => { chunks.push(chunk) })
    request.on('end', () => {
      const one = { path: request.url!, headers: request.headers, body: Buffer.concat(chunks) }
      received.push(one)
      void Promise.resolve(answering(one, received.length)).then(with_ => { if (with_ !== undefined) response.writeHead(with_.status, with_.headers).end(with_.body) })
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => { server.closeAllConnections(); server.close() })
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return { url, received, answer: (other: typeof answer) => { answering = other } }
}

/** A browser that has subscribed: its keys, and what it makes of a push. */
export function browser (endpoint: string) {
  const ecdh: ECDH = createECDH('prime256v1')
  ecdh.generateKeys()
  const auth = randomBytes(16)
  return {
    /** As `PushSubscription.toJSON()` gives it. */
    subscription: { endpoint, expirationTime: null, keys: { p256dh: ecdh.getPublicKey('base64url'), auth: auth.toString('base64url') } },
    /** RFC 8291 and RFC 8188, one record. Throws where it was not encrypted for this browser. */
    decrypt ({ headers, body }: Received): Record<string, any> {
      if (headers['content-encoding'] !== 'aes128gcm') throw new Error(`content-encoding: ${headers['content-encoding']}`)
      const salt = body.subarray(0, 16)
      const sender = body.subarray(21, 21 + body[20]!)
      const secret = ecdh.computeSecret(sender)
      const ikm = Buffer.from(hkdfSync('sha256', secret, auth, Buffer.concat([Buffer.from('WebPush: info\0'), ecdh.getPublicKey(), sender]), 32))
      const key = Buffer.from(hkdfSync('sha256', ikm, salt, 'Content-Encoding: aes128gcm\0', 16))
      const nonce = Buffer.from(hkdfSync('sha256', ikm, salt, 'Content-Encoding: nonce\0', 12))
      const record = body.subarray(21 + body[20]!)
      const decipher = createDecipheriv('aes-128-gcm', key, nonce)
      decipher.setAuthTag(record.subarray(-16))
      const plain = Buffer.concat([decipher.update(record.subarray(0, -16)), decipher.final()])
      return JSON.parse(plain.subarray(0, plain.lastIndexOf(2)).toString())
    },
  }
}

/** The claims of who sends a push. Throws where they are not signed with this key (base64url). */
export function vapidClaims ({ headers }: Received, key: string): Record<string, unknown> {
  const [, token = '', shown] = /^vapid t=([^,]+), ?k=(.+)$/.exec(headers.authorization ?? '') ?? []
  const point = Buffer.from(key, 'base64url')
  const jwk = { kty: 'EC', crv: 'P-256', x: point.subarray(1, 33).toString('base64url'), y: point.subarray(33).toString('base64url') }
  const [head, claims, signature] = token.split('.')
  if (shown !== key || !verify('sha256', Buffer.from(`${head}.${claims}`), { key: createPublicKey({ key: jwk, format: 'jwk' }), dsaEncoding: 'ieee-p1363' }, Buffer.from(signature!, 'base64url'))) throw new Error('not signed by this key')
  return JSON.parse(Buffer.from(claims!, 'base64url').toString())
}

export const ENV = { NOTIFY_DELAY_S: '1', WEBHOOK_ALLOW_PRIVATE: 'on', NOTIFY_RETRY_S: '1', WEBHOOK_RETRIES: '2' }

/** Millrace in this process, with jobs. */
export async function jobsWorld (t: Teardown, env: Record<string, string> = {}) {
  const world = await liveWorld(t, { env: { ...ENV, ...env } })
  const lives: Array<ReturnType<typeof createLifecycle>> = []

  /** The role `jobs`; `stop` ends it as SIGTERM would. */
  async function jobs (more: Record<string, string> = {}): Promise<{ shared: Shared, stop: () => Promise<boolean> }> {
    const config = loadConfig({ ...environment(world), LOG_LEVEL: process.env.LOG_LEVEL ?? 'silent', ...ENV, ...env, ...more })
    const life = createLifecycle({ log: createLogger({ level: process.env.LOG_LEVEL ?? 'silent', role: 'jobs' }), deadlineMs: config.DRAIN_MS })
    lives.push(life)
    t.teardown(async () => { await life.close() })
    const shared = await openShared(life, config, 'jobs')
    await openJobs(life, shared)
    return { shared, stop: life.close }
  }

  const api = world.api(0)
  /** Somebody who is signed in. */
  async function person (name?: string) {
    const { user, access_token: token, refresh_token } = await world.signup(name)
    return {
      id: user.id,
      username: user.username,
      token,
      refresh_token: refresh_token as string,
      async subscribe (endpoint: string) {
        const own = browser(endpoint)
        const { status, body } = await api.call('PUT', '/me/push-subscriptions', { token, body: own.subscription })
        if (status !== 200) throw new Error(`no subscription: ${status} ${JSON.stringify(body)}`)
        return { ...own, id: body.id as string }
      },
      async webhook (body: object): Promise<{ id: string, secret: string }> {
        const { status, body: made } = await api.post('/webhooks', body, token)
        if (status !== 201) throw new Error(`no webhook: ${status} ${JSON.stringify(made)}`)
        return made
      },
      say: async (room: string, content: string): Promise<number> => (await api.post(`/rooms/${room}/messages`, { content }, token)).body.seq,
      join: async (room: string) => await api.post(`/rooms/${room}/join`, {}, token),
    }
  }

  return {
    ...world,
    http: api,
    person,
    jobs,
    /** Rooms that wait to be looked at. */
    waiting: async (): Promise<number> => (await world.store.query('SELECT FROM notification_rooms')).rowCount ?? 0,
    notifications: async (): Promise<Array<Record<string, any>>> => (await world.store.query('SELECT * FROM notifications ORDER BY id')).rows,
  }
}
