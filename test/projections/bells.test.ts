// The bells of partitions: heard again by themselves after whatever happened to the connection.
import t, { type Test } from 'tap'
import { createBells } from '../../src/log/bells.ts'
import { createKeys } from '../../src/log/keys.ts'
import { connectRedis, connectSubscriber } from '../../src/log/redis.ts'
import { createSubscriptions } from '../../src/log/subscriptions.ts'
import { testRedis } from '../dev/servers.ts'
import { until } from '../until.ts'
import { logger } from './feed.ts'

async function ringing (t: Test) {
  const server = await testRedis(t)
  const keys = createKeys(700) // more than one call subscribes
  const redis = await connectRedis(server.url, 'test', logger)
  const subscriber = connectSubscriber(server.url, 'test-bells', logger)
  const subscriptions = createSubscriptions({ client: subscriber, logger })
  const bells = createBells({ subscriptions, keys })
  t.teardown(async () => {
    redis.disconnect()
    subscriptions.close()
  })
  const heard: number[] = []
  const follower = bells.follower(partition => { heard.push(partition) })
  const ring = async (partition: number): Promise<boolean> => await redis.call('SPUBLISH', keys.partitionBell(partition), '') === 1
  /** Until somebody listens, and then what it hears. */
  const answers = async (partition: number): Promise<boolean> => {
    await until(async () => await ring(partition).catch(() => false), { what: 'a subscription' })
    return await until(() => heard.includes(partition))
  }
  return { server, redis, bells, follower, heard, ring, answers }
}

t.test('a follower hears the partitions that it follows, and no others', async t => {
  const { bells, follower, heard, ring, answers } = await ringing(t)
  follower.follow(new Set(Array.from({ length: 600 }, (_, p) => p)))
  await until(() => heard.length === 600, { what: 'each to ring once as it is subscribed to' })
  heard.length = 0
  t.ok(await answers(599))
  t.notOk(await ring(650), 'nobody listens to others')
  const other: number[] = []
  bells.follower(partition => { other.push(partition) }).follow(new Set([650, 7]))
  await until(() => other.length > 0)
  await until(async () => await ring(650))
  await until(() => other.includes(650))
  follower.follow(new Set([7]))
  await until(async () => !await ring(599), { what: 'to be left out' })
  t.notOk(heard.includes(650))
})

t.test('after its connection was cut, every followed partition rings, and bells are heard again', async t => {
  const { redis, follower, heard, answers } = await ringing(t)
  follower.follow(new Set([1, 2]))
  t.ok(await answers(1))
  heard.length = 0
  await redis.call('CLIENT', 'KILL', 'TYPE', 'pubsub')
  await until(() => heard.includes(1) && heard.includes(2), { what: 'both to ring' })
  heard.length = 0
  t.ok(await answers(2))
})

t.test('after Redis was restarted, and after it was silent for long, bells are heard again', async t => {
  const { server, follower, heard, answers } = await ringing(t)
  follower.follow(new Set([1]))
  t.ok(await answers(1))
  await server.kill()
  await server.restart()
  heard.length = 0
  t.ok(await answers(1))
  server.freeze()
  await new Promise(resolve => setTimeout(resolve, 3500)) // a PING and its time limit
  server.thaw()
  heard.length = 0
  t.ok(await answers(1))
})
