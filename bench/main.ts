/**
 * `npm run bench -- fanout|rooms|idle|tail|projector|members|resume|storm|archive|drops|rebuild|reads|web|all`: runs scenarios, prints what they
 * found, keeps it under `results/` with a chart of each, and writes the table into README.md. See there for the method.
 *
 *   --quick        a second of everything, small: shows that it runs, measures nothing, keeps nothing
 *   --dir <path>   where the servers keep their data (default: the system's directory for temporary files); on a real disk, please
 *   --profile <d>  writes CPU profiles of the gateways and the projector to this directory; the figures of such a run are not kept
 *   report         draws charts and table again from `results/`
 *
 * Exit codes: 0 measured, 1 failed, 2 the checker refused a run (nothing is kept of it).
 */
import { mkdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { parseArgs } from 'node:util'
import { execFileSync } from 'node:child_process'
import { redisBinary } from '../src/dev/redis-binary.ts'
import { createStage, type Stage } from './processes.ts'
import { report } from './report.ts'
import { keep, machineOf, print, type Result } from './results.ts'
import { archive } from './scenarios/archive.ts'
import { drops } from './scenarios/drops.ts'
import { fanout } from './scenarios/fanout.ts'
import { idle } from './scenarios/idle.ts'
import { members } from './scenarios/members.ts'
import { projector } from './scenarios/projector.ts'
import { reads } from './scenarios/reads.ts'
import { rebuild } from './scenarios/rebuild.ts'
import { resume } from './scenarios/resume.ts'
import { rooms } from './scenarios/rooms.ts'
import { storm } from './scenarios/storm.ts'
import { tail } from './scenarios/tail.ts'
import { web } from './scenarios/web.ts'

export interface ScenarioContext {
  stage: Stage
  /** Progress, on standard error. */
  say: (line: string) => void
  quick: boolean
}

const SCENARIOS = { fanout, rooms, idle, tail, projector, members, resume, storm, archive, drops, rebuild, reads, web }
type Name = keyof typeof SCENARIOS

const say = (line: string): void => { process.stderr.write(`${line}\n`) }

async function run (name: Name, { quick, dataDir, profileDir }: { quick: boolean, dataDir: string, profileDir: string | undefined }): Promise<Result> {
  const began = performance.now()
  const redisVersion = /v=(\S+)/.exec(execFileSync(await redisBinary({ log: say }), ['--version'], { encoding: 'utf8' }))?.[1] ?? '?'
  const machine = machineOf({ dataDir, redisVersion })
  const stage = createStage({ dataDir, profileDir, say })
  const interrupted = (): void => { void stage.close().finally(() => process.exit(1)) }
  process.once('SIGINT', interrupted)
  process.once('SIGTERM', interrupted)
  try {
    const found = await SCENARIOS[name]({ stage, say, quick })
    if (quick) for (const row of found.rows) { delete row.target; delete row.holds }
    return { scenario: name, at: new Date().toISOString(), quick, machine, seconds: (performance.now() - began) / 1000, ...found }
  } finally {
    process.off('SIGINT', interrupted)
    process.off('SIGTERM', interrupted)
    await stage.close()
  }
}

async function main (): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { quick: { type: 'boolean', default: false }, dir: { type: 'string', default: tmpdir() }, profile: { type: 'string' } },
  })
  if (positionals.join() === 'report') {
    report()
    return 0
  }
  const names = positionals.join() === 'all' ? Object.keys(SCENARIOS) : positionals
  const unknown = names.filter(name => !Object.hasOwn(SCENARIOS, name))
  if (names.length === 0 || unknown.length > 0) {
    say(`Say which to run: ${Object.keys(SCENARIOS).join(', ')}, or all; or report.${unknown.length > 0 ? ` There is no ${unknown.join(', ')}.` : ''}`)
    return 1
  }
  if (values.profile !== undefined) mkdirSync(values.profile, { recursive: true })
  let code = 0
  for (const name of names as Name[]) {
    const result = await run(name, { quick: values.quick, dataDir: values.dir, profileDir: values.profile })
    print(result, line => { process.stdout.write(`${line}\n`) })
    const accepted = Object.values(result.verdicts).every(({ ok }) => ok)
    if (!accepted) code = 2
    else if (!values.quick && values.profile === undefined) {
      say(`kept in ${keep(result)}`)
      report()
    }
  }
  return code
}

process.exit(await main().catch((error: unknown) => {
  say(error instanceof Error ? error.stack ?? error.message : String(error))
  return 1
}))
