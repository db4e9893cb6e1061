import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import { pino } from 'pino'
import t from 'tap'
import { LIMITS } from '../../src/limits/limits.ts'
import { testRedis } from '../dev/servers.ts'
import { until } from '../until.ts'
import { gatewayLimits } from './gateways.ts'

const server = await testRedis(t)

/** How many of so many are granted, asked for all at once. */
async function granted (limits: { spend: (name: 'sends', key: string) => number | Promise<number> }, key: string, times: number): Promise<number> {
  const answers = await Promise.all(Array.from({ length: times }, () => limits.spend('sends', key)))
  return answers.filter(waitMs => waitMs === 0).length
}

t.test('taking from the bucket itself gives the burst, then says when there will be one, and there is', async t => {
  const limits = await gatewayLimits(t, server.url, { SENDS_PER_SECOND: 20, SENDS_BURST: 5 })
  const key = randomUUID()
  for (let i = 0; i < 5; i++) t.equal(await limits.take('sends', key), 0)
  const waitMs = await limits.take('sends', key)
  t.ok(waitMs > 0 && waitMs <= 50, `${waitMs} ms`)
  await sleep(waitMs + 1) // a timer may be early by one
  t.equal(await limits.take('sends', key), 0)
  const forThree = await limits.take('sends', key, 3)
  t.ok(forThree > 100 && forThree <= 150, `${forThree} ms`)
  await sleep(forThree + 1)
  t.equal(await limits.take('sends', key, 3), 0)
  t.equal(await limits.counted('rateLimited', 'sends'), 2)
  const other = randomUUID()
  t.equal(await limits.take('sends', other, 3), 0)
  t.ok(await limits.take('sends', other, 3) > 0, 'two are too few')
  t.equal(await limits.take('sends', other, 2), 0, 'and are left')
  await t.rejects(limits.take('sends', key, 6), /more than can ever be there/)
})

t.test('a full bucket is no key, and one that is not goes by itself', async t => {
  const limits = await gatewayLimits(t, server.url, { LOGIN_FAILURES_PER_MINUTE: 600, LOGIN_FAILURES_BURST: 10 })
  const key = randomUUID()
  await limits.take('login_failures', key)
  const [name = ''] = await limits.redis.keys(`*${key}`)
  const ttl = await limits.redis.pttl(name)
  t.ok(ttl > 0 && ttl <= 100, `${ttl} ms`)
  await until(async () => await limits.redis.exists(name) === 0)
  await limits.take('login_failures', key)
  await limits.giveBack('login_failures', key)
  t.equal(await limits.redis.exists(name), 0, 'it is full again')
  await limits.giveBack('login_failures', key)
  let taken = 0
  while (await limits.take('login_failures', key) === 0) taken += 1
  t.ok(taken >= 10 && taken <= 12, `${taken}: no fuller than full`)
})

t.test('a purse is spent without asking Redis, and costs far less than a call', async t => {
  const limits = await gatewayLimits(t, server.url, { SENDS_PER_SECOND: 1000, SENDS_BURST: 100_000 })
  const calls = async (): Promise<number> => Number(/cmdstat_evalsha:calls=(\d+)/.exec(await limits.redis.info('commandstats'))?.[1] ?? 0)
  const key = randomUUID()
  await limits.spend('sends', key)
  const before = await calls()
  for (let i = 0; i < 180; i++) t.equal(limits.spend('sends', key), 0) // of 250 taken ahead
  t.equal(await calls(), before)
  for (let i = 0; i < 2000; i++) await limits.spend('sends', key)
  const asked = await calls() - before
  t.ok(asked >= 8 && asked <= 15, `${asked} calls for 2,000`)
  const other = await gatewayLimits(t, server.url, { SENDS_PER_SECOND: 100_000, SENDS_BURST: 1_000_000 })
  const cpuOf = async (spend: () => unknown, times: number): Promise<number> => {
    const from = process.cpuUsage()
    for (let i = 0; i < times; i++) if (await spend() !== 0) throw new Error('refused')
    const { user, system } = process.cpuUsage(from)
    return (user + system) / times
  }
  const spend = (): unknown => other.spend('sends', key)
  await cpuOf(spend, 20_000) // to warm up
  const [each, call] = [await cpuOf(spend, 100_000), await cpuOf(async () => await other.take('sends', key), 5_000)]
  t.comment(`${each.toFixed(2)} µs each, ${call.toFixed(2)} µs a call`)
  t.ok(each < call / 4)
})

t.test('three gateways together grant no more than burst and rate, whatever the order', async t => {
  const SENDS_PER_SECOND = 200
  const SENDS_BURST = 40
  const gateways = await Promise.all([0, 1, 2].map(async () => await gatewayLimits(t, server.url, { SENDS_PER_SECOND, SENDS_BURST })))
  const step = fc.record({ gateway: fc.nat(2), times: fc.integer({ min: 1, max: 40 }), how: fc.constantFrom('spend', 'spend', 'take', 'unspend'), pauseMs: fc.constantFrom(0, 0, 0, 1, 7, 30), wait: fc.boolean() })
  await fc.assert(fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 30 }), async steps => {
    const key = randomUUID()
    const under: Array<Promise<void>> = []
    const began = performance.now()
    let granted = 0
    for (const { gateway, times, how, pauseMs, wait } of steps) {
      const limits = gateways[gateway]!
      const one = async (): Promise<void> => {
        if (how === 'unspend') {
          if (await limits.spend('sends', key) === 0) limits.unspend('sends', key)
        } else if (await limits[how]('sends', key) === 0) granted += 1
      }
      const all = Array.from({ length: times }, one)
      if (wait) await Promise.all(all)
      else under.push(...all)
      if (pauseMs > 0) await sleep(pauseMs)
    }
    await Promise.all(under)
    const most = SENDS_BURST + SENDS_PER_SECOND * (performance.now() - began) / 1000
    if (granted > most + 1) throw new Error(`${granted} granted, at most ${most} may be`)
    return true
  }), { numRuns: 60 })
})

t.test('over a while the rate is really given, to one gateway as to three', async t => {
  const gateways = await Promise.all([0, 1, 2].map(async () => await gatewayLimits(t, server.url, { SENDS_PER_SECOND: 100, SENDS_BURST: 20 })))
  for (const some of [gateways.slice(0, 1), gateways]) {
    const key = randomUUID()
    const began = performance.now()
    let all = 0
    while (performance.now() - began < 1000) {
      for (const limits of some) all += await granted(limits, key, 5)
      await sleep(5)
    }
    const most = 20 + 100 * (performance.now() - began) / 1000
    t.ok(all <= most + 1 && all > most * 0.7, `${all} of ${most.toFixed(0)} by ${some.length}`)
  }
})

t.test('who spends is told when to come again, and it is enough; until then Redis is not asked', async t => {
  const limits = await gatewayLimits(t, server.url, { SENDS_PER_SECOND: 10, SENDS_BURST: 8 })
  const key = randomUUID()
  t.equal(await granted(limits, key, 20), 8)
  for (let i = 0; i < 5; i++) {
    const waitMs = limits.spend('sends', key) as number
    t.ok(waitMs > 0 && waitMs <= 100, `${waitMs} ms, at once`)
    await sleep(waitMs + 1)
    t.equal(await limits.spend('sends', key), 0)
  }
  t.ok(await limits.counted('rateLimited', 'sends') >= 12)
})

t.test('one user’s flood leaves another’s tokens alone', async t => {
  const limits = await gatewayLimits(t, server.url, { SENDS_PER_SECOND: 50, SENDS_BURST: 20 })
  const [loud, quiet] = [randomUUID(), randomUUID()]
  const flood = granted(limits, loud, 500)
  t.equal(await granted(limits, quiet, 20), 20)
  t.ok(await flood <= 22)
})

t.test('those who wait for a purse are served in order, and only so many may wait', async t => {
  const limits = await gatewayLimits(t, server.url, { SENDS_PER_SECOND: 1, SENDS_BURST: 100_000 })
  const key = randomUUID()
  const order: number[] = []
  const answers = await Promise.all(Array.from({ length: 1200 }, async (_, i) => {
    const waitMs = await limits.spend('sends', key)
    if (waitMs === 0) order.push(i)
    return waitMs
  }))
  t.same(order, Array.from({ length: 1000 }, (_, i) => i))
  t.same(answers.slice(1000), Array.from({ length: 200 }, () => 1000))
})

t.test('what is put back goes to those who wait first', async t => {
  const limits = await gatewayLimits(t, server.url, { SENDS_PER_SECOND: 1, SENDS_BURST: 2 })
  const key = randomUUID()
  const first = limits.spend('sends', key)
  const second = limits.spend('sends', key)
  limits.unspend('sends', key)
  const third = limits.spend('sends', key)
  t.ok([first, second, third].every(answer => answer instanceof Promise), 'nobody overtakes')
  t.same(await Promise.all([first, second, third]), [0, 0, 0])
})

t.test('while Redis is away each gateway goes by a bucket of its own, says so once, counts it, and comes back', async t => {
  const redis = await testRedis(t)
  const lines: Array<{ level: number, msg: string }> = []
  const logger = pino({ level: 'debug' }, { write: (line: string) => { lines.push(JSON.parse(line)) } })
  const limits = await gatewayLimits(t, redis.url, { SENDS_PER_SECOND: 50, SENDS_BURST: 20 }, logger)
  const key = randomUUID()
  t.equal(await limits.spend('sends', key), 0)
  await redis.kill()
  const began = performance.now()
  const all = await granted(limits, key, 200)
  const most = 12 + 20 + 50 * (performance.now() - began) / 1000 // what was in the purse, then the bucket
  t.ok(all >= 20 && all <= most + 1, `${all}`)
  t.ok(await limits.take('sends', key) > 0, 'the same bucket')
  t.equal(await limits.take('login_failures', key), 0)
  await limits.giveBack('login_failures', key)
  t.equal(await limits.slot(key, 1000), 0)
  t.ok(await limits.counted('limitsLocal', 'sends') >= 20)
  await sleep(1200)
  await limits.spend('sends', randomUUID()) // asks again, in vain
  t.equal(lines.filter(({ msg }) => /Redis is away/.test(msg)).length, 1)
  await redis.restart()
  await until(async () => {
    await limits.spend('sends', randomUUID())
    return lines.some(({ msg }) => /across gateways again/.test(msg))
  }, { everyMs: 100 })
  const other = await gatewayLimits(t, redis.url, { SENDS_PER_SECOND: 50, SENDS_BURST: 20 })
  const [mine, theirs] = await Promise.all([granted(limits, 'shared', 40), granted(other, 'shared', 40)])
  t.ok(mine + theirs >= 20 && mine + theirs <= 24, `${mine} and ${theirs}`)
  t.same(lines.filter(({ level }) => level > 40), [])
})

t.test('a slot is free once in its time, over all gateways, and says when it will be', async t => {
  const [one, two] = [await gatewayLimits(t, server.url), await gatewayLimits(t, server.url, { RATE_LIMITS: 'off' })]
  const key = randomUUID()
  const answers = await Promise.all([one, two, one, two].map(async limits => await limits.slot(key, 200)))
  t.equal(answers.filter(waitMs => waitMs === 0).length, 1)
  const waitMs = Math.max(...answers)
  t.ok(waitMs > 150 && waitMs <= 200, `${waitMs} ms`)
  await sleep(waitMs + 1)
  t.equal(await two.slot(key, 200), 0)
  t.equal(await two.slot(randomUUID(), 200), 0, 'another key is another slot')
})

t.test('RATE_LIMITS=off lifts all of them', async t => {
  const limits = await gatewayLimits(t, server.url, { RATE_LIMITS: 'off', SENDS_BURST: 1, LOGIN_FAILURES_BURST: 1 })
  for (let i = 0; i < 50; i++) {
    t.equal(limits.spend('sends', 'x'), 0)
    t.equal(await limits.take('login_failures', 'x'), 0)
  }
})

t.test('every limit has a rate and a burst of its own variables', async t => {
  for (const [name, rateOf] of Object.entries(LIMITS)) {
    const read: string[] = []
    const { perSecond, burst } = rateOf(new Proxy({}, { get: (_, variable) => { read.push(String(variable)); return /MINUTE/.test(String(variable)) ? 120 : 2 } }) as never)
    t.same([perSecond, burst], [2, 2], name)
    t.equal(read.length, 2)
  }
})
