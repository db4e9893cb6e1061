// What a seed decides is the same each time, and can be carried out.
import t from 'tap'
import { createRandom } from './random.ts'
import { isLoss, LINKS, LOSSES, planOf, scheduleOf } from './schedule.ts'

t.test('a seed always has the same schedule, and another seed another', async t => {
  const of = (seed: number) => scheduleOf(createRandom(seed).fork('nemesis'), 5000)
  t.same(of(17), of(17))
  t.notSame(of(17), of(18))
})

t.test('streams that were forked do not depend on how much the others have drawn', async t => {
  const one = createRandom(1)
  const other = createRandom(1)
  for (let i = 0; i < 10; i++) other.next()
  t.equal(one.fork('a').next(), other.fork('a').next())
  t.match(one.uuid(), /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/)
})

t.test('200 seeds inflict every fault on everything it can befall, and never two at once on the same part', async t => {
  const seen = new Set<string>()
  for (let seed = 1; seed <= 200; seed++) {
    const until = new Map<string, number>()
    for (const { at, fault, on, forMs } of scheduleOf(createRandom(seed).fork('nemesis'), 5000)) {
      seen.add(`${fault} ${on}`)
      if ((until.get(on) ?? 0) > at) t.fail(`seed ${seed} inflicts two faults on ${on} at ${at} ms`)
      until.set(on, at + forMs)
    }
  }
  const processes = ['gateway 0', 'gateway 1', 'projector 0', 'projector 1', 'Redis', 'Postgres']
  const wanted = [
    ...processes.flatMap(name => ['kill', 'freeze', 'restart'].map(fault => `${fault} ${name}`)),
    ...LINKS.flatMap(name => ['cut', 'half-open', 'swallow', 'hold', 'refuse'].map(fault => `${fault} ${name}`)),
  ]
  t.same(wanted.filter(fault => !seen.has(fault)), [])
})

t.test('half of the seeds lose data, in every way, and half trim: in all four combinations', async t => {
  const seen = new Set<string>()
  for (let seed = 1; seed <= 60; seed++) {
    const { steps, trims } = planOf(createRandom(seed), 5000)
    t.same(planOf(createRandom(seed), 5000), { steps, trims })
    const losses = steps.filter(({ fault }) => isLoss(fault))
    for (const { fault } of losses) seen.add(fault)
    seen.add(`${losses.length > 0 ? 'loses' : 'keeps'}, ${trims ? 'trims' : 'does not trim'}`)
    const ofRedis = steps.filter(({ on }) => on === 'Redis')
    ofRedis.forEach((step, i) => { if (i > 0 && ofRedis[i - 1]!.at + ofRedis[i - 1]!.forMs > step.at) t.fail(`seed ${seed} inflicts two faults on Redis at ${step.at} ms`) })
  }
  const wanted = [...LOSSES, ...['loses', 'keeps'].flatMap(what => [`${what}, trims`, `${what}, does not trim`])]
  t.same(wanted.filter(what => !seen.has(what)), [])
})
