import { setImmediate as turn } from 'node:timers/promises'
import t from 'tap'
import { createTurnstile } from '../../src/gateway/turnstile.ts'

/** Tasks that end when they are told to, and what has begun. */
function tasks () {
  const begun: string[] = []
  const ends = new Map<string, () => void>()
  return {
    begun,
    task: (name: string) => async () => {
      begun.push(name)
      await new Promise<void>(resolve => { ends.set(name, resolve) })
    },
    end: async (name: string) => { ends.get(name)!(); await turn() },
  }
}

t.test('so many are inside, the next waits in order, the one too many is turned away', async t => {
  const turnstile = createTurnstile({ inside: 2, waiting: 2 })
  const { begun, task, end } = tasks()
  t.same(['a', 'b', 'c', 'd', 'e'].map(name => turnstile.enter(task(name))), [true, true, true, true, false])
  t.same(begun, ['a', 'b'])
  await end('b')
  t.same(begun, ['a', 'b', 'c'])
  t.equal(turnstile.enter(task('f')), true, 'there is room to wait again')
  await end('a')
  await end('c')
  t.same(begun, ['a', 'b', 'c', 'd', 'f'], 'the one turned away never runs')
})

t.test('a task that has nothing to do lets the next in', async t => {
  const turnstile = createTurnstile({ inside: 1, waiting: 100 })
  const order: number[] = []
  for (let i = 0; i < 100; i++) t.ok(turnstile.enter(async () => { order.push(i) }))
  for (let i = 0; i < 100 && order.length < 100; i++) await turn()
  t.same(order, Array.from({ length: 100 }, (_, i) => i))
  const { begun, task } = tasks()
  turnstile.enter(task('later'))
  t.same(begun, ['later'])
})
