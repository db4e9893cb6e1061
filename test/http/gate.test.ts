import t from 'tap'
import { createGate } from '../../src/http/gate.ts'

t.test('a gate lets some in, others wait in order, the rest is told to come back', async t => {
  const gate = createGate({ inside: 2, waiting: 3 })
  let inside = 0
  let most = 0
  const order: number[] = []
  const read = (n: number) => async (): Promise<number> => {
    most = Math.max(most, ++inside)
    order.push(n)
    await new Promise(resolve => setTimeout(resolve, 5))
    inside -= 1
    if (n === 1) throw new Error('failed')
    return n
  }
  const results = await Promise.allSettled([0, 1, 2, 3, 4, 5].map(async n => await gate(read(n))))
  t.same(results.map(result => result.status === 'fulfilled' ? result.value : result.reason.rejection?.code ?? result.reason.message), [0, 'failed', 2, 3, 4, 'busy'])
  t.equal(most, 2)
  t.same(order, [0, 1, 2, 3, 4])
  t.equal(await gate(read(6)), 6, 'and it is free again')
})
