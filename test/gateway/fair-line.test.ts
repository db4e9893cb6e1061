// The fair line: whose turn it is, by counts.
import { setImmediate as turnOfLoop } from 'node:timers/promises'
import t from 'tap'
import { createFairLine, type Next } from '../../src/gateway/fair-line.ts'

/** A thing of so many pieces, each done when it is let go on. */
function thing (log: string[], name: string, pieces: number) {
  let at = 0
  return async (): Promise<Next> => {
    await turnOfLoop()
    log.push(name)
    at += 1
    return at === pieces ? 'done' : 'again'
  }
}

const idle = async (line: { stats: () => { begun: number, waiting: number } }): Promise<void> => { while (line.stats().begun + line.stats().waiting > 0) await turnOfLoop() }

t.test('one with two thousand things delays one with a single thing by no more than what is inside', async t => {
  const line = createFairLine<object>({ inside: 4, eachUnderWay: 8, waiting: 10_000 })
  const log: string[] = []
  const [crowd, one] = [{}, {}]
  for (let i = 0; i < 2000; i++) line.enter(crowd, thing(log, 'crowd', 3))
  line.enter(one, thing(log, 'one', 3))
  t.match(line.stats(), { inside: 4, begun: 4, waiting: 1997 })
  await idle(line)
  t.equal(log.length, 6003)
  const last = log.lastIndexOf('one')
  t.ok(last <= 4 * 4, `it was through after ${last} pieces of the crowd`)
})

t.test('turns go round between all, however much each has to do', async t => {
  const line = createFairLine<object>({ inside: 1, eachUnderWay: 8, waiting: 1000 })
  const log: string[] = []
  for (const [name, things] of [['a', 1], ['b', 2], ['c', 3]] as const) {
    const party = {}
    for (let i = 0; i < things; i++) line.enter(party, thing(log, name, 2))
  }
  await idle(line)
  t.same([...'abc'].map(name => log.filter(entry => entry === name).length), [2, 4, 6])
  for (const name of 'bc') t.ok(log.indexOf(name) <= 3, log.join(''))
})

t.test('of one party no more are begun than it may have, and what has begun comes first', async t => {
  const line = createFairLine<object>({ inside: 100, eachUnderWay: 3, waiting: 100 })
  const party = {}
  const begun: number[] = []
  let most = 0
  for (let i = 0; i < 20; i++) {
    line.enter(party, async () => {
      begun.push(i)
      most = Math.max(most, line.stats().begun)
      await turnOfLoop()
      return 'done'
    })
  }
  t.match(line.stats(), { inside: 3, begun: 3, waiting: 17 })
  await idle(line)
  t.equal(most, 3)
  t.same(begun, Array.from({ length: 20 }, (_, i) => i), 'in their order')
})

t.test('what waits for something has no place inside', async t => {
  const line = createFairLine<object>({ inside: 1, eachUnderWay: 8, waiting: 100 })
  const log: string[] = []
  let goOn = (): void => {}
  let waited = false
  line.enter({}, async () => {
    log.push('slow')
    if (waited) return 'done'
    waited = true
    return { until: new Promise<void>(resolve => { goOn = resolve }) }
  })
  line.enter({}, thing(log, 'other', 2))
  while (log.length < 3) await turnOfLoop()
  t.same(log, ['slow', 'other', 'other'])
  t.match(line.stats(), { inside: 0, begun: 1, waiting: 0 })
  goOn()
  await idle(line)
  t.same(log.at(-1), 'slow')
})

t.test('more than may wait is turned away; who leaves takes all with them', async t => {
  const line = createFairLine<object>({ inside: 2, eachUnderWay: 2, waiting: 3 })
  const log: string[] = []
  const [a, b] = [{}, {}]
  t.same(Array.from({ length: 7 }, () => line.enter(a, thing(log, 'a', 5))), [true, true, true, true, true, false, false])
  t.equal(line.enter(b, thing(log, 'b', 1)), false)
  line.leave(a)
  t.match(line.stats(), { inside: 2, waiting: 0 })
  t.equal(line.enter(b, thing(log, 'b', 1)), true)
  await idle(line)
  await turnOfLoop()
  t.same(log.filter(name => name === 'a').length, 2, 'the two that were being done, to the end of their piece')
  t.match(line.stats(), { inside: 0, begun: 0, waiting: 0 })
  line.leave(a)
  for (let i = 0; i < 5; i++) t.ok(line.enter({}, thing(log, 'c', 1)))
  await idle(line)
})

t.test('a party that waits for something when it leaves is not heard of again', async t => {
  const line = createFairLine<object>({ inside: 1, eachUnderWay: 1, waiting: 10 })
  const party = {}
  let goOn = (): void => {}
  let pieces = 0
  line.enter(party, async () => { pieces += 1; return { until: new Promise<void>(resolve => { goOn = resolve }) } })
  await turnOfLoop()
  line.leave(party)
  goOn()
  await turnOfLoop()
  t.equal(pieces, 1)
  t.same(line.stats(), { inside: 0, begun: 0, waiting: 0 })
})
