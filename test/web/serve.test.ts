// What the gateway serves of the web client: the page with its policy, files that are kept for ever, small enough, and nothing in the way of the API.
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import Fastify from 'fastify'
import t from 'tap'
import { buildWeb } from '../../src/cli/web-build.ts'
import { webRoutes } from '../../src/http/web.ts'

const DIST = fileURLToPath(new URL('../../web/dist/', import.meta.url))
/** What a first visit may load, in gzipped bytes of JavaScript. */
const FIRST_LOAD_BYTES_MAX = 250 * 1024

t.before(async () => { await buildWeb({ out: line => { t.comment(line) }, env: process.env }) })

async function serve (t: { teardown: (fn: () => unknown) => unknown }, webDir?: string) {
  const app = Fastify()
  await app.register(webRoutes, webDir === undefined ? {} : { webDir })
  t.teardown(async () => { await app.close() })
  return { page: async (accept = 'text/html') => await app.inject({ url: '/', headers: { accept } }), get: async (url: string, headers = {}) => await app.inject({ url, headers }) }
}

t.test('the page: no script or style of its own is run, and each answer has its own nonce', async t => {
  const { page } = await serve(t)
  const [one, two] = [await page(), await page()]
  t.equal(one.headers['cache-control'], 'no-cache')
  t.match(one.headers['content-type'], 'text/html')
  const policy = String(one.headers['content-security-policy'])
  t.notMatch(policy, /unsafe/)
  t.match(policy, "default-src 'none'")
  const nonce = /'nonce-([\w-]+)'/.exec(policy)?.[1]
  t.ok(one.body.includes(`nonce="${nonce}"`), 'the page has the nonce of its answer')
  t.notOk(two.body.includes(`nonce="${nonce}"`))
  t.notMatch(one.body, /__MILLRACE_NONCE__|<script(?![^>]+src=)/)
  t.match(one.headers, { 'x-content-type-options': 'nosniff', 'x-frame-options': 'DENY', 'referrer-policy': 'no-referrer' })
})

t.test('who does not ask for HTML is told what this is', async t => {
  const { page } = await serve(t)
  t.match((await page('*/*')).json(), { name: 'Millrace', docs: '/docs' })
})

t.test('files are kept for ever, compressed as the browser likes, and nothing else is served', async t => {
  const { page, get } = await serve(t)
  const [, script] = /src="(\/assets\/[^"]+\.js)"/.exec((await page()).body) ?? []
  const plain = await get(script!)
  t.match(plain.headers, { 'cache-control': /immutable/, 'content-type': /javascript/, vary: 'accept-encoding' })
  const zipped = await get(script!, { 'accept-encoding': 'gzip' })
  t.equal(zipped.headers['content-encoding'], 'gzip')
  t.ok(zipped.rawPayload.length < plain.rawPayload.length / 2)
  for (const url of ['/assets/none.js', '/assets/..%2findex.html', '/assets/%2e%2e/index.html', `${script!}.gz`, '/assets/']) t.equal((await get(url)).statusCode >= 400, true, url)
})

t.test('the service worker is asked for each time, may load from here only, and names nothing but files that are there', async t => {
  const { get } = await serve(t)
  const { statusCode, headers, body } = await get('/sw.js')
  t.equal(statusCode, 200)
  t.match(headers, { 'cache-control': 'no-cache', 'content-type': /^text\/javascript/, 'x-content-type-options': 'nosniff' })
  const policy = String(headers['content-security-policy'])
  t.match(policy, /^default-src 'none'; script-src 'self'; connect-src 'self';/)
  t.notMatch(policy, /unsafe/)
  const files = [...body.matchAll(/\/assets\/[\w.-]+/g)].map(([file]) => file)
  t.ok(files.length > 20)
  for (const file of files) t.equal((await get(file)).statusCode, 200, file)
  t.match((await get('/assets/manifest.webmanifest')).headers['content-type'], /^application\/manifest\+json/)
})

t.test('a first visit loads at most 250 KiB of gzipped JavaScript', async t => {
  const html = readFileSync(join(DIST, 'index.html'), 'utf8')
  const named = [...html.matchAll(/(?:src|href)="\/assets\/([^"]+\.js)"/g)].map(([, file]) => file!)
  const loaded = new Set<string>()
  const load = (file: string): void => { // with all that it imports
    if (loaded.has(file)) return
    loaded.add(file)
    for (const [, other] of readFileSync(join(DIST, 'assets', file), 'utf8').matchAll(/(?:from|import)\s*["']\.\/([^"']+\.js)["']/g)) load(other!)
  }
  const conversation = readdirSync(join(DIST, 'assets')).filter(file => /^Conversation-.*\.js$/.test(file)) // loaded as soon as the list is there
  for (const file of [...named, ...conversation]) load(file)
  const sizeOf = (file: string): number => statSync(join(DIST, 'assets', `${file}.gz`), { throwIfNoEntry: false })?.size ?? statSync(join(DIST, 'assets', file)).size
  const bytes = [...loaded].reduce((sum, file) => sum + sizeOf(file), 0)
  t.comment(`${bytes} bytes`)
  t.ok(named.length > 0 && bytes <= FIRST_LOAD_BYTES_MAX, `${bytes} bytes`)
})

t.test('without a build, the page says how to get one', async t => {
  const dir = mkdtempSync(join(tmpdir(), 'millrace-web-'))
  t.teardown(() => { rmSync(dir, { recursive: true }) })
  const { page, get } = await serve(t, dir)
  const { statusCode, body } = await page()
  t.equal(statusCode, 200)
  t.equal((await get('/sw.js')).statusCode >= 400, true)
  t.match(body, 'npm run build --prefix web')
})
