// `npm run faults [-- --seeds 1-200] [--parallel n] [--seed 17 -v]`: fault runs over a range of seeds, each on whichever rig is free.
// A rig serves one seed after the other; after a failure it is thrown away, so that no seed suffers from another's. Exit code 1
// when any seed failed.
//
// `npm run faults -- projections [--minutes 5] [--seed n]`: one long run over real logs (`projections.ts`).
import { parseArgs } from 'node:util'
import { runProjections } from './projections.ts'
import { createTeardown, openRig } from './rig.ts'
import { report, runSeed, type Run } from './seed.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    minutes: { type: 'string', default: '5' },
    seeds: { type: 'string', default: '1-200' },
    seed: { type: 'string' },
    parallel: { type: 'string', default: '1' },
    verbose: { type: 'boolean', short: 'v', default: false },
  },
})
if (positionals[0] === 'projections') {
  const from = Date.now()
  const problems = await runProjections({ minutes: Number(values.minutes), seed: Number(values.seed ?? 1), say: line => { console.log(`${String(Math.round((Date.now() - from) / 1000)).padStart(4)} s  ${line}`) } })
  for (const problem of problems) console.log(`  ${problem}`)
  console.log(problems.length > 0 ? `${problems.length} problems` : 'every projection equals its rebuild, and every count the naïve one')
  process.exit(problems.length > 0 ? 1 : 0)
}
const waiting = (values.seed ?? values.seeds).split(',').flatMap(seedsOf)
const wanted = waiting.length
const parallel = Math.max(1, Number(values.parallel))
const began = Date.now()
const runs: Run[] = []
const stop = new AbortController()
process.once('SIGINT', () => { stop.abort(); console.log('stopping after the seeds under way') })

function seedsOf (text: string): number[] {
  const [, from, to] = /^(\d+)(?:-(\d+))?$/.exec(text) ?? []
  if (from === undefined) throw new Error(`seeds are given as 17, as 1-200 or as 3,17,20-30, not as ${text}`)
  return Array.from({ length: Number(to ?? from) - Number(from) + 1 }, (_, i) => Number(from) + i)
}

async function work (): Promise<void> {
  while (waiting.length > 0 && !stop.signal.aborted) {
    const teardown = createTeardown()
    try {
      const rig = await openRig(teardown, { logLevel: values.verbose ? 'info' : 'warn' })
      for (let failed = false; !failed && !stop.signal.aborted;) {
        const seed = waiting.shift()
        if (seed === undefined) return
        const run = await runSeed(rig, seed, values.verbose ? line => { console.log(`  [${seed}] ${line}`) } : undefined)
        runs.push(run)
        failed = run.problems.length > 0
        const { acked, delivered, reconnects, resets } = run.counted
        if (failed || values.verbose) console.log(report(run, rig.tails(values.verbose ? 100 : 15)))
        console.log(`${failed ? 'FAILED' : 'passed'} seed ${seed} in ${(run.ms / 1000).toFixed(1)} s: ${run.schedule.length} faults${run.trims ? ', trimmed' : ''}, ${acked} acked, ${delivered} delivered, ${reconnects} reconnects, ${resets} resets (${runs.length} of ${wanted}, ${runs.filter(({ problems }) => problems.length > 0).length} failed)`)
      }
    } finally {
      await teardown.end()
    }
  }
}

await Promise.all(Array.from({ length: Math.min(parallel, waiting.length) }, work))
const failed = runs.filter(({ problems }) => problems.length > 0).map(({ seed }) => seed).sort((a, b) => a - b)
const slowest = runs.reduce((most, { ms }) => Math.max(most, ms), 0)
console.log(`${runs.length - failed.length} of ${runs.length} seeds passed in ${Math.round((Date.now() - began) / 1000)} s, the slowest took ${(slowest / 1000).toFixed(1)} s${failed.length > 0 ? `; failed: ${failed.join(' ')}` : ''}`)
process.exit(failed.length > 0 || runs.length === 0 ? 1 : 0)
