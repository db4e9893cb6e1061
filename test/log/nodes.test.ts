// The register of processes: who lives, who stopped, who fell silent; by the clock of Redis, bounded, and when memory is short.
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { listNodes, SILENT_MS, startAnnouncing, type NodeState } from '../../src/log/nodes.ts'
import { connectRedis } from '../../src/log/redis.ts'
import { createLogger } from '../../src/telemetry/logging.ts'
import { testRedis } from '../dev/servers.ts'
import { until } from '../until.ts'

const logger = createLogger({ level: 'silent', role: 'test' })
const { url } = await testRedis(t)
const redis = await connectRedis(url, 'test', logger)
t.teardown(() => { redis.disconnect() })
const about = (id: string) => ({ id, role: 'gateway', host: 'here', pid: 1, version: '1', started_at: '2026-11-20T10:00:00.000Z' }) as const
const announce = (id: string, state: () => NodeState | Promise<NodeState>, clock = Date.now) => startAnnouncing({ redis, node: about(id), state, everyMs: 50, clock, logger })
const nodeOf = async (id: string) => (await listNodes(redis)).nodes.find(node => node.id === id)

t.test('a process says how it is, and when it stops', async t => {
  let state: NodeState = { ready: true, connections: 3 }
  const announcement = announce('one', () => state, () => Date.now() + 5000)
  await until(async () => await nodeOf('one'))
  const node = await nodeOf('one')
  t.match(node, { role: 'gateway', alive: true, ready: true, connections: 3 })
  t.ok(Math.abs(node!.clock_ms - node!.seen_ms - 5000) < 1000, 'its clock stands beside that of Redis')
  state = { ready: false, trouble: 'the log' }
  await until(async () => (await nodeOf('one'))?.ready === false)
  t.match(await nodeOf('one'), { trouble: 'the log', connections: undefined })
  await announcement.stop()
  await announcement.stop()
  t.match(await nodeOf('one'), { alive: false, stopped: true })
})

t.test('one that does not find out how it is says that', async t => {
  const hangs = announce('hangs', async () => await new Promise(() => {}))
  const fails = announce('fails', () => { throw new Error('no such thing') })
  t.teardown(async () => { await Promise.all([hangs.stop(), fails.stop()]) })
  await until(async () => await nodeOf('hangs') !== undefined && await nodeOf('fails') !== undefined)
  t.match(await nodeOf('hangs'), { alive: true, ready: false, trouble: /did not find out/ })
  t.match(await nodeOf('fails'), { alive: true, ready: false, trouble: 'no such thing' })
})

t.test('who is silent counts as dead, is remembered for a day, and then forgotten', async t => {
  const now = Date.now()
  for (const [id, age] of [['quiet', SILENT_MS + 500], ['old', 86_400_000 + 5000]] as const) {
    await redis.hset('{nodes}:said', id, JSON.stringify({ ...about(id), ready: true, clock_ms: now - age }))
    await redis.zadd('{nodes}:seen', now - age, id)
  }
  const announcement = announce('two', () => ({ ready: true }))
  await until(async () => await nodeOf('two'))
  await announcement.stop()
  t.match(await nodeOf('quiet'), { alive: false, ready: true })
  t.equal(await nodeOf('old'), undefined)
  t.equal(await redis.hexists('{nodes}:said', 'old'), 0)
})

t.test('at most a thousand are kept, whatever they are', async t => {
  const pipeline = redis.pipeline()
  for (let i = 0; i < 1500; i++) pipeline.zadd('{nodes}:seen', Date.now() - 10_000, `n${i}`).hset('{nodes}:said', `n${i}`, i % 2 === 0 ? 'not ours' : JSON.stringify({ ...about(`n${i}`), ready: true, clock_ms: 0 }))
  await pipeline.exec()
  const announcement = announce('three', () => ({ ready: true }))
  await until(async () => await nodeOf('three'))
  await announcement.stop()
  t.equal(await redis.zcard('{nodes}:seen'), 1000)
  t.equal(await redis.hlen('{nodes}:said'), 1000)
  t.ok((await listNodes(redis)).nodes.length < 600, 'what is no note of ours is passed over')
  await redis.del('{nodes}:seen', '{nodes}:said')
})

t.test('it goes through when memory is short, and goes on after Redis was away', async t => {
  const announcement = announce('four', () => ({ ready: true }))
  t.teardown(async () => { await announcement.stop() })
  await redis.config('SET', 'maxmemory', '1')
  await redis.del('{nodes}:seen', '{nodes}:said')
  await until(async () => await nodeOf('four'))
  await redis.config('SET', 'maxmemory', '0')
  await redis.client('PAUSE', 300)
  await sleep(400)
  await redis.del('{nodes}:seen')
  await until(async () => await nodeOf('four'))
})
