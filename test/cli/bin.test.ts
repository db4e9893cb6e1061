import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, realpathSync, symlinkSync, writeFileSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { descendants, isAlive, processId, signalProcess } from '../../src/dev/processes.ts'
import { until } from '../until.ts'
import { dataDirectory, launch, type Launched } from './launcher.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))

/** A Node of the system that is too old for Millrace and new enough for the command. */
const older = ['/usr/bin', '/usr/local/bin', ...(process.env.PATH ?? '').split(delimiter)].map(dir => join(dir, 'node')).find(node => {
  try {
    const major = Number(execFileSync(node, ['-p', 'process.versions.node'], { encoding: 'utf8', stdio: 'pipe' }).split('.')[0])
    return major >= 20 && major < 24
  } catch {
    return false
  }
})

/** A package with our command, over a dispatcher that only says what reaches it. */
function packageOf (t: { teardown: (fn: () => Promise<void>) => unknown }, { withNode = true } = {}): string {
  const home = join(dirname(dataDirectory(t)), 'package')
  mkdirSync(join(home, 'src', 'cli'), { recursive: true })
  mkdirSync(join(home, 'node_modules'))
  for (const ours of ['bin', 'src/compile-cache.ts']) cpSync(join(ROOT, ours), join(home, ours), { recursive: true })
  writeFileSync(join(home, 'package.json'), '{"type":"module"}')
  writeFileSync(join(home, 'src', 'cli', 'millrace.ts'), `
    export async function main (argv: string[]): Promise<void> {
      console.log(JSON.stringify({ argv, major: Number(process.versions.node.split('.')[0]) }))
      if (argv[0] === 'code') process.exitCode = Number(argv[1])
      if (argv[0] === 'die') process.kill(process.pid, 'SIGKILL')
      if (argv[0] !== 'wait') return
      for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => { console.log(signal); if (signal === 'SIGTERM') setTimeout(() => process.exit(7), 100) })
      setInterval(() => {}, 1000)
    }`)
  if (withNode) symlinkSync(realpathSync(join(ROOT, 'node_modules', 'node')), join(home, 'node_modules', 'node'))
  return join(home, 'bin', 'millrace.js')
}

const run = (t: { teardown: (fn: () => Promise<void>) => unknown }, node: string, bin: string, ...argv: string[]): Launched => launch(t, dirname(bin), {}, [node, bin, ...argv])

t.test('the command runs its dispatcher with its arguments', async t => {
  const command = run(t, process.execPath, packageOf(t), 'code', '3')
  t.match(await command.ended(), { code: 3 })
  t.same(JSON.parse(command.out()), { argv: ['code', '3'], major: Number(process.versions.node.split('.')[0]) })
})

t.test('under an older Node the command runs itself under the newer one that npm brought', { skip: older === undefined ? 'no Node 20 to 23 here' : false }, async t => {
  const bin = packageOf(t)
  const node = older ?? ''
  const [coded, killed] = [run(t, node, bin, 'code', '5'), run(t, node, bin, 'die')]
  t.match(await coded.ended(), { code: 5 }, 'its exit code is that of the inner one')
  t.ok((JSON.parse(coded.out()) as { major: number }).major >= 24)
  t.match(await killed.ended(), { signal: 'SIGKILL' }, 'its signal too')

  const waiting = run(t, node, bin, 'wait')
  await until(() => waiting.out().includes('argv'))
  const [inner = 0] = descendants(waiting.id.pid)
  const id = processId(inner)
  signalProcess(waiting.id, 'SIGINT')
  await until(() => waiting.out().includes('SIGINT'))
  signalProcess(waiting.id, 'SIGTERM')
  signalProcess(waiting.id, 'SIGTERM')
  t.match(await waiting.ended(), { code: 7 }, 'signals are passed on, and once more')
  t.notOk(id !== undefined && isAlive(id))

  const orphaned = run(t, node, bin, 'wait')
  await until(() => orphaned.out().includes('argv'))
  const left = processId(descendants(orphaned.id.pid)[0] ?? 0)
  if (left === undefined) throw new Error('there is no inner process')
  signalProcess(orphaned.id, 'SIGKILL')
  await until(() => !isAlive(left), { what: 'the inner one to end when the outer one was killed' })
})

t.test('under an older Node, with no newer one installed, it is one line and exit code 1', { skip: older === undefined ? 'no Node 20 to 23 here' : false }, async t => {
  const command = run(t, older ?? '', packageOf(t, { withNode: false }), 'wait')
  t.match(await command.ended(), { code: 1 })
  t.match(command.err(), /^Millrace needs Node 24 or newer and this is v2\d\.\d+\.\d+: run `npm ci` in .*\n$/)
})
