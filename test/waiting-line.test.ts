import { setImmediate as turn } from 'node:timers/promises'
import t from 'tap'
import { createWaitingLine } from '../src/waiting-line.ts'

/** Work that ends when it is told to, and what has begun. */
function works () {
  const begun: string[] = []
  const ends = new Map<string, () => void>()
  return {
    begun,
    work: (name: string) => async () => {
      begun.push(name)
      await new Promise<void>(resolve => { ends.set(name, resolve) })
      return name
    },
    end: async (name: string) => { ends.get(name)!(); await turn() },
  }
}

for (const breathes of [false, true]) {
  t.test(`so many are inside, the next waits in order, the one too many is turned away${breathes ? ', with a breath in between' : ''}`, async t => {
    const line = createWaitingLine({ inside: 2, waiting: 2, breathes })
    const { begun, work, end } = works()
    const entered = ['a', 'b', 'c', 'd', 'e'].map(name => line.enter(work(name)))
    t.same(entered.map(entry => entry !== undefined), [true, true, true, true, false])
    t.same(begun, ['a', 'b'], 'at once')
    t.same(line.stats(), { running: 2, waiting: 2 })
    await end('b')
    await turn()
    t.same(begun, ['a', 'b', 'c'])
    t.ok(line.enter(work('f')), 'there is room to wait again')
    await end('a')
    await turn()
    await end('c')
    await turn()
    t.same(begun, ['a', 'b', 'c', 'd', 'f'], 'the one turned away never runs')
    await end('d')
    await end('f')
    t.same(await Promise.all(entered.slice(0, 4)), ['a', 'b', 'c', 'd'])
    t.same(line.stats(), { running: 0, waiting: 0 })
  })
}

t.test('work that has nothing to do lets the next in', async t => {
  const line = createWaitingLine({ inside: 1, waiting: 100 })
  const order: number[] = []
  const all = Array.from({ length: 100 }, (_, i) => line.enter(async () => { order.push(i) }))
  t.ok(all.every(entry => entry !== undefined))
  await Promise.all(all)
  t.same(order, Array.from({ length: 100 }, (_, i) => i))
  const { begun, work } = works()
  void line.enter(work('later'))
  t.same(begun, ['later'])
})

t.test('what the work throws goes to its caller, and its place to the next', async t => {
  const line = createWaitingLine({ inside: 1, waiting: 2 })
  const fails = async (): Promise<never> => { throw new Error('failed') }
  const results = await Promise.allSettled([line.enter(fails), line.enter(fails), line.enter(async () => 'done')])
  t.same(results.map(result => result.status === 'fulfilled' ? result.value : result.reason.message), ['failed', 'failed', 'done'])
  t.same(line.stats(), { running: 0, waiting: 0 })
})

t.test('nobody who comes in between takes the place of one who waits', async t => {
  const line = createWaitingLine({ inside: 1, waiting: 10 })
  const order: string[] = []
  const work = (name: string) => async () => { order.push(name) }
  const first = line.enter(work('first'))
  const second = line.enter(work('second'))
  await first
  const third = line.enter(work('third'))
  await Promise.all([second, third])
  t.same(order, ['first', 'second', 'third'])
})
