// Revoked sessions, over a real Redis, with several gateways' views of them.
import { setTimeout as sleep } from 'node:timers/promises'
import { Redis as Client } from 'ioredis'
import t from 'tap'
import { connectRedis, connectSubscriber } from '../../src/log/redis.ts'
import { startRevocations, type RevocationsOptions } from '../../src/log/revocations.ts'
import { createSubscriptions } from '../../src/log/subscriptions.ts'
import { createLogger } from '../../src/telemetry/logging.ts'
import { createMetrics } from '../../src/telemetry/metrics.ts'
import { testServers } from '../dev/servers.ts'
import { until } from '../until.ts'

const logger = createLogger({ level: 'silent', role: 'test' })
const { redis: server, redisUrl } = await testServers(t)
const KEEP_MS = 60_000

async function view ({ revoked = [], compareMs = 100_000, ...more }: Partial<RevocationsOptions> & { revoked?: Array<{ id: string, revoked_at: Date }> } = {}) {
  const redis = await connectRedis(redisUrl, 'test', logger)
  const client = connectSubscriber(redisUrl, 'test-bells', logger)
  const subscriptions = createSubscriptions({ client, logger })
  const heard: string[] = []
  const subscribed = new Promise<void>(resolve => client.once('ready', () => { setTimeout(resolve, 100) }))
  const revocations = await startRevocations({ redis, subscriptions, revokedSince: async since => revoked.filter(({ revoked_at }) => revoked_at > since), keepMs: KEEP_MS, compareMs, clock: Date.now, metrics: createMetrics('test'), logger, ...more })
  revocations.onRevoked(ids => { heard.push(...ids) })
  t.teardown(async () => { await revocations.stop(); subscriptions.close(); redis.disconnect() })
  await subscribed
  return { ...revocations, heard, client, redis, revoked }
}

t.test('what one gateway revokes is void on all, and said once', async t => {
  const [one, two] = [await view(), await view()]
  await one.revoke(['s1', 's2'])
  t.ok(one.has('s1'), 'here at once')
  await until(() => two.has('s1') && two.has('s2'), { what: 'the other to hear' })
  t.notOk(two.has('s3'))
  await one.revoke(['s2', 's3'])
  await until(() => two.has('s3'))
  t.same(two.heard, ['s1', 's2', 's3'])
  t.same(one.heard, ['s1', 's2', 's3'])
  const late = await view()
  t.ok(late.has('s1') && late.has('s3'), 'who starts later knows it')
})

t.test('an announcement that is lost costs one comparison', async t => {
  const [one, deaf] = [await view(), await view({ compareMs: 200 })]
  await deaf.client.sunsubscribe('{revoked}')
  await one.revoke(['lost'])
  await until(() => deaf.has('lost'), { timeoutMs: 10_000, what: 'the comparison' })
  t.ok(deaf.heard.includes('lost'))
})

t.test('a gap in the announcements is filled at once', async t => {
  const [one, two] = [await view(), await view()]
  await two.client.sunsubscribe('{revoked}')
  await one.revoke(['unheard'])
  await two.client.ssubscribe('{revoked}')
  t.notOk(two.has('unheard'))
  await one.revoke(['heard'])
  await until(() => two.has('heard') && two.has('unheard'), { timeoutMs: 10_000 })
})

t.test('more than one call and one page can hold', async t => {
  const one = await view()
  const many = Array.from({ length: 12_000 }, (_, i) => `many${i}`)
  const two = await view()
  await one.revoke(many)
  await until(() => many.every(two.has), { what: 'the announcements' })
  const late = await view()
  t.ok(many.every(late.has))
})

t.test('a session is forgotten when its last access token has ended, here and in Redis', async t => {
  const one = await view({ compareMs: 50 })
  await one.revoke(['short'], Date.now() + 150)
  t.ok(one.has('short'))
  await until(() => !one.has('short'))
  await one.revoke(['other'])
  const direct = new Client(redisUrl)
  t.equal(await direct.zscore('{revoked}:sessions', 'short'), null)
  t.ok(await direct.zscore('{revoked}:sessions', 'other'))
  direct.disconnect()
  t.same(one.heard.filter(id => id === 'short').length, 1)
})

t.test('while Redis is away it is void here at once, and everywhere once Redis is back; what Redis has forgotten, the sessions\' table says', async t => {
  const revoked: Array<{ id: string, revoked_at: Date }> = []
  const [one, two] = [await view({ compareMs: 200, revoked }), await view({ compareMs: 200, revoked })]
  await one.revoke(['before'])
  await until(() => two.has('before'))
  await server.kill()
  revoked.push({ id: 'of the table', revoked_at: new Date() })
  const from = performance.now()
  await one.revoke(['meanwhile'])
  t.ok(performance.now() - from < 15_000)
  t.ok(one.has('meanwhile'))
  t.notOk(two.has('meanwhile'))
  await sleep(300)
  await server.restart({ args: [] }) // without its data
  await until(() => two.has('meanwhile'), { what: 'the announcement tried again' })
  await until(() => two.has('of the table') && one.has('of the table'), { what: 'the table' })
  t.ok(one.has('before') && two.has('before'), 'nothing is forgotten because Redis has')
})
