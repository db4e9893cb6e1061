import { setTimeout as sleep } from 'node:timers/promises'
import { pino } from 'pino'
import t from 'tap'
import { createLifecycle } from '../src/lifecycle.ts'

const recorder = (): { lines: Array<{ level: string, part?: string, message: string }>, log: Parameters<typeof createLifecycle>[0]['log'] } => {
  const lines: Array<{ level: string, part?: string, message: string }> = []
  const at = (level: string) => (facts: object, message: string): void => { lines.push({ level, ...(facts as { part?: string }), message }) }
  return { lines, log: { debug: at('debug'), error: at('error') } }
}

t.test('what was opened is closed in reverse, once', async t => {
  const life = createLifecycle({ log: recorder().log, deadlineMs: 1000 })
  const seen: string[] = []
  for (const name of ['first', 'second', 'third']) {
    t.equal(await life.open(name, async () => name.toUpperCase(), async opened => { await sleep(1); seen.push(opened) }), name.toUpperCase())
  }
  t.notOk(life.signal.aborted)
  t.same(await Promise.all([life.close(), life.close()]), [true, true])
  t.same(seen, ['THIRD', 'SECOND', 'FIRST'])
  t.ok(life.signal.aborted)
  await t.rejects(life.open('fourth', () => 4), { message: /fourth is not opened/ })
})

t.test('what fails to open is the caller\'s error, and the rest is closed', async t => {
  const life = createLifecycle({ log: recorder().log, deadlineMs: 1000 })
  const seen: string[] = []
  await life.open('first', () => 1, () => { seen.push('first') })
  await t.rejects(life.open('second', () => { throw new Error('no') }, () => { seen.push('second') }), { message: 'no' })
  t.equal(await life.close(), true)
  t.same(seen, ['first'])
})

t.test('a closer that fails or hangs is logged, and the others are closed all the same', async t => {
  const { lines, log } = recorder()
  const life = createLifecycle({ log, deadlineMs: 50 })
  const seen: string[] = []
  await life.open('first', () => 1, () => { seen.push('first') })
  await life.open('hanging', () => 2, async () => await new Promise(() => {}))
  await life.open('failing', () => 3, () => { throw new Error('no') })
  const from = performance.now()
  t.equal(await life.close(), false)
  t.ok(performance.now() - from < 5_000)
  t.same(seen, ['first'], 'begun even after the deadline')
  t.match(lines.filter(({ level }) => level === 'error'), [{ part: 'failing', message: 'closing failed' }, { part: 'hanging', message: /deadline/ }])
})

t.test('what was being opened when closing began is closed too, and its opener told', async t => {
  const life = createLifecycle({ log: recorder().log, deadlineMs: 1000 })
  const seen: string[] = []
  await life.open('first', () => 1, () => { seen.push('first') })
  const opening = life.open('slow', async () => await sleep(50), () => { seen.push('slow') })
  const closing = life.close()
  await t.rejects(opening, { message: /slow is closed again/ })
  t.equal(await closing, true)
  t.same(seen, ['slow', 'first'])
})

t.test('a pino logger fits', async t => {
  const life = createLifecycle({ log: pino({ level: 'silent' }), deadlineMs: 10 })
  t.equal(await life.close(), true)
})
