// The short version of `npm run faults`: a few seeds that together kill, freeze, cut, half-open, hold and swallow on every kind of
// connection. Whatever breaks: no acked event is lost, nothing is doubled, reordered, or missing without a reset.
import t from 'tap'
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const SEEDS = '86,34,45,193'

t.test('whatever the nemesis does to processes and connections, what was acked is logged, delivered, archived and projected once and in order [G1 G2 G3 G4 G6]', async t => {
  // In a process of its own, which exits when it is done: broken connections may linger.
  const { code, out } = await new Promise<{ code: unknown, out: string }>(resolve => {
    execFile(process.execPath, [fileURLToPath(new URL('run.ts', import.meta.url)), '--seeds', SEEDS], { timeout: 100_000, maxBuffer: 2 ** 24 }, (error, stdout, stderr) => { resolve({ code: error?.code ?? (error === null ? 0 : error.message), out: stdout + stderr }) })
  })
  t.equal(code, 0)
  t.comment(out)
})
