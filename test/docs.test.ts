// The documents are held to the code: codes, frames, close codes, the files that the README names.
import t from 'tap'
import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { REJECTIONS } from '../src/domain/rejections.ts'
import { CLOSE } from '../src/gateway/close-codes.ts'
import { ClientFrames } from '../src/gateway/frames.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const read = (path: string): string => readFileSync(`${root}${path}`, 'utf8')

t.test('docs/PROTOCOL.md lists every code with its status, and no other', async t => {
  const rows = [...read('docs/PROTOCOL.md').matchAll(/^\| `(\w+)` \| (\d{3}) \| (yes|no) \| (.+) \|$/gm)].map(([, code, status, retry, message]) => [code, { status: Number(status), retry: retry === 'yes', message }])
  t.same(Object.fromEntries(rows), REJECTIONS)
})

t.test('docs/PROTOCOL.md names every frame from clients and every close code', async t => {
  const text = read('docs/PROTOCOL.md')
  for (const type of Object.keys(ClientFrames)) t.match(text, `\`${type}\``)
  for (const [name, { code }] of Object.entries(CLOSE)) t.match(text, String(code), name)
})

t.test('what the README and the architecture link to and name is there', async t => {
  for (const document of ['README.md', 'docs/ARCHITECTURE.md']) {
    const text = read(document)
    const links = [...text.matchAll(/\]\((?!http)([^)#]+)\)/g)].map(([, path]) => document.startsWith('docs/') ? `docs/${path}` : path!)
    const tests = [...text.matchAll(/`(test\/[\w./-]+\.ts)`/g)].map(([, path]) => path!)
    for (const path of [...links, ...tests]) t.ok(existsSync(`${root}${path}`), `${document}: ${path}`)
  }
})

t.test('the README shows the two commands', async t => {
  t.match(read('README.md'), 'npm ci && npm start')
  t.match(read('README.md'), 'npm ci && npm test')
})
