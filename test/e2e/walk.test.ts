// docs/WALK.md, run as a reader would: block by block, in one shell, with curl. A line fails the walk if it fails in the shell (what
// ends in `grep` says what it expects) or if it prints a problem that it did not look for.
import t from 'tap'
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { promisify } from 'node:util'
import { curlCommand } from '../dev/curl.ts'
import { millrace } from './world.ts'

const WALK = readFileSync(new URL('../../docs/WALK.md', import.meta.url), 'utf8')
const run = promisify(execFile)

t.test('the walk through the API with curl', async t => {
  const world = await millrace(t, { gateways: 1 })
  const blocks = [...WALK.matchAll(/```sh\n(.*?)```/gs)].map(([, block]) => block!)
  t.ok(blocks.length >= 6)
  const curl = await curlCommand()
  const script = ['set -euo pipefail', `curl () { command ${curl} "$@"; }`, ...blocks.map((block, i) => `echo "== block ${i}"\n${block.split('\n').map(line => line === '' || /^[A-Z_]+=|^(as|with|field) \(\)/.test(line) ? line : `echo "-- ${line.replace(/[\\"$`]/g, '\\$&')}"\n${line}\necho`).join('\n')}`)].join('\n')
  const { stdout } = await run('bash', ['-c', script], { env: { PATH: process.env.PATH, API: world.urlOf(0) }, maxBuffer: 10_000_000 }).catch((error: Error & { stdout?: string, stderr?: string }) => {
    t.fail(`${error.stderr ?? error.message}\n${error.stdout?.slice(-2000) ?? ''}`)
    return { stdout: error.stdout ?? '' }
  })
  for (const part of stdout.split(/^-- /m).slice(1)) {
    const [line = '', ...answer] = part.split('\n')
    if (!/\| grep (?!-c|-v)/.test(line)) t.notMatch(answer.join('\n'), /urn:millrace:problem|"status":[45]\d\d/, line)
  }
  const routes = new Set([...WALK.matchAll(/\$API(\/[^\s"?']*)|(?:GET|POST|PUT|PATCH|DELETE) (\/[^\s"?']*)/g)].map(([, a, b]) => (a ?? b)!.split('/')[1]))
  t.ok(['auth', 'me', 'users', 'contacts', 'blocks', 'rooms', 'dms'].every(resource => routes.has(resource)), 'it passes by every resource')
})
