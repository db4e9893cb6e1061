// The benches run: a second of each kind, small, with the checker's verdict. It measures nothing.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import t from 'tap'

const MAIN = fileURLToPath(new URL('../../bench/main.ts', import.meta.url))

async function bench (scenario: string): Promise<{ code: number, output: string }> {
  const child = spawn(process.execPath, [MAIN, scenario, '--quick'], { stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', data => { output += String(data) })
  const [code] = await once(child, 'close') as [number]
  return { code, output }
}

t.test('A quick run of fanout and of tail ends with figures and is accepted by the checker', { timeout: 500_000 }, async t => {
  for (const scenario of ['fanout', 'tail']) {
    const { code, output } = await bench(scenario)
    t.equal(code, 0, output)
    t.match(output, /latency p99, ms/, `${scenario} prints its table`)
    t.match(output, /accepted: \d+ deliveries .* in order and complete; the checker judged \d+ log entries/, `${scenario} was judged`)
    t.notMatch(output, /VOID/)
  }
})

t.test('A quick run of resume, storm and archive ends with figures and is accepted by the checker', { timeout: 500_000 }, async t => {
  for (const [scenario, figure] of [['resume', /hello to live p99, ms/], ['storm', /until the last client is live again, s/], ['archive', /events out of one gateway, 1\/s/]] as const) {
    const { code, output } = await bench(scenario)
    t.equal(code, 0, output)
    t.match(output, figure, `${scenario} prints its table`)
    t.match(output, /accepted: \d+ deliveries .* in order and complete; the checker judged \d+ log entries/, `${scenario} was judged`)
    t.notMatch(output, /VOID/)
  }
})

t.test('An unknown scenario is refused with the names of those that there are', async t => {
  const { code, output } = await bench('nonsense')
  t.equal(code, 1)
  t.match(output, /fanout, rooms, idle, tail, projector/)
})
