import t from 'tap'
import { activeSpan, beginTrace, childOf, endSpan, isTracing, outside, readRatio, startTracing, within } from '../../src/telemetry/tracing.ts'

const COMMANDS = 1_000_000
/** Of each command; a span has hundreds. */
const BYTES_MAX = 8

/** What a command calls on its way. */
function command (): number {
  const span = beginTrace('frame message', undefined)
  const parent = activeSpan()
  const child = parent === undefined ? undefined : childOf(parent, 'command message')
  endSpan(childOf(child, 'decide'))
  endSpan(child)
  endSpan(span)
  return isTracing() ? 1 : 0
}

t.test('without an endpoint nothing is traced, the SDK is not loaded, and no command allocates anything for it', async t => {
  const { stop } = await startTracing({ endpoint: undefined, role: 'test', ratio: 1 })
  t.equal(isTracing(), false)
  t.equal(beginTrace('x'), undefined)
  t.equal(activeSpan(), undefined)
  t.equal(within(undefined, () => 7), 7)
  t.equal(outside(() => 7), 7)
  let sum = 0
  for (let i = 0; i < COMMANDS / 10; i++) sum += command()
  const before = process.memoryUsage().heapUsed
  for (let i = 0; i < COMMANDS; i++) sum += command()
  const bytes = (process.memoryUsage().heapUsed - before) / COMMANDS
  t.equal(sum, 0)
  t.ok(bytes < BYTES_MAX, `${bytes.toFixed(3)} bytes a command`)
  await stop()
})

t.test('the part that is traced is a number from 0 to 1', async t => {
  for (const [text, ratio] of [['0', 0], ['1', 1], ['0.05', 0.05], ['.5', 0.5], ['1.0', 1]] as const) t.equal(readRatio(text), ratio, text)
  for (const text of ['', '2', '1.1', '-0.1', '1e-3', 'often', '0.', 'NaN', ' 1']) t.throws(() => readRatio(text), /^OTEL_TRACES_SAMPLER_ARG must be a number from 0 to 1/, text)
})
