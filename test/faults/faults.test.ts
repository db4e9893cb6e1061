// The short version of `npm run faults`: a few seeds that together kill, freeze, cut, half-open, hold and swallow on every kind of
// connection, and make Redis lose data in every way. Whatever breaks: nothing is doubled, reordered, or missing without a reset; no
// acked event is lost while Redis keeps its data, and where it does not, whoever was there is told, and ends up with the log as it is.
import t from 'tap'
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** Those that do not trim first: processes are set up anew for the others. Between them they kill, freeze, cut, half-open, hold, swallow and refuse, and lose data in every way. */
const SEEDS = '34,6,158,193,27,10'

t.test('whatever the nemesis does to processes and connections, what was acked is logged, delivered, archived and projected once and in order, and what Redis loses is announced [G1 G2 G3 G4 G6 G8]', { timeout: 500_000 }, async t => {
  // In a process of its own, which exits when it is done: broken connections may linger.
  const { code, out } = await new Promise<{ code: unknown, out: string }>(resolve => {
    execFile(process.execPath, [fileURLToPath(new URL('run.ts', import.meta.url)), '--seeds', SEEDS], { timeout: 480_000, maxBuffer: 2 ** 24 }, (error, stdout, stderr) => { resolve({ code: error?.code ?? (error === null ? 0 : error.message), out: stdout + stderr }) })
  })
  t.equal(code, 0)
  t.comment(out)
})
