// The service worker and its builds: a page never meets the files of another build, a new one takes over whole, and one that is only half there not at
// all. What a proxy says of a server that is away is not shown.
import { cpSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import Fastify from 'fastify'
import t from 'tap'
import { webRoutes } from '../../src/http/web.ts'
import { until } from '../until.ts'
import { browserAt, built, lacksBrowser } from './browser.ts'

const DIST = fileURLToPath(new URL('../../web/dist/', import.meta.url))
const SHELLS = 'caches.keys()'
const TAKEN_OVER = 'navigator.serviceWorker.controller !== null && navigator.serviceWorker.controller.state === "activated"'

t.test('builds take over', { skip: lacksBrowser }, async t => {
  await built()
  const webDir = mkdtempSync(join(tmpdir(), 'millrace-web-'))
  t.teardown(() => { rmSync(webDir, { recursive: true }) })
  cpSync(DIST, webDir, { recursive: true })
  let isAway = false
  const app = Fastify()
  app.addHook('onRequest', async (_request, reply) => { if (isAway) await reply.code(503).send('There is nobody') })
  await app.register(webRoutes, { webDir })
  t.teardown(async () => { await app.close() })
  const url = await app.listen({ host: '127.0.0.1', port: 0 })
  const { open } = await browserAt(t, url)
  const { page } = await open({}, /status of (404|503)/)
  const change = (file: string, from: string | RegExp, to: string): void => { writeFileSync(join(webDir, file), readFileSync(join(webDir, file), 'utf8').replaceAll(from, to)) }
  const shells = async (): Promise<string[]> => await page.evaluate(SHELLS) as string[]
  const update = async (): Promise<unknown> => await page.evaluate('navigator.serviceWorker.getRegistration().then(found => found.update()).then(() => "updated", String)')

  await page.goto(url)
  await until(async () => await page.evaluate(TAKEN_OVER), { what: 'the worker to take over' })
  const [first] = await shells()
  const lazy = readdirSync(join(webDir, 'assets')).find(file => /^Settings-.*\.js$/.test(file))!

  await t.test('behind a proxy whose server is away the page opens, with the policy that it came with', async t => {
    isAway = true
    const answer = await page.reload()
    await page.getByText('A chat that never loses its place').waitFor()
    t.equal(answer?.fromServiceWorker(), true)
    const policy = answer?.headers()['content-security-policy'] ?? ''
    t.match(policy, "default-src 'none'; script-src 'self'")
    t.notMatch(policy, /unsafe/)
    t.equal(await page.evaluate(`import('/assets/${lazy}').then(() => 'there', String)`), 'there', 'parts that were never asked for as well')
    isAway = false
  })

  await t.test('a build that is there by half is not taken: the one before stays whole', async t => {
    const page1 = readFileSync(join(webDir, 'index.html'), 'utf8')
    change('sw.js', first!.replace('millrace-shell-', ''), 'halfhalfhalf')
    change('sw.js', 'assets/index-', 'assets/indax-') // the page names files that this worker does not know
    await update()
    await until(async () => await page.evaluate('navigator.serviceWorker.getRegistration().then(({ installing, waiting }) => installing === null && waiting === null)'), { what: 'the half build to be given up' })
    t.ok((await shells()).includes(first!))
    isAway = true
    await page.reload()
    await page.getByText('A chat that never loses its place').waitFor()
    isAway = false
    t.equal(readFileSync(join(webDir, 'index.html'), 'utf8'), page1)
    change('sw.js', 'assets/indax-', 'assets/index-')
  })

  await t.test('a new build is served at once, takes over, and nothing of the old one is kept', async t => {
    change('index.html', '<title>Millrace</title>', '<title>Another Millrace</title>')
    change('sw.js', 'halfhalfhalf', 'anotherbuild')
    const other = lazy.replace(/-[\w-]{8}\.js$/, '-abcdefgh.js')
    renameSync(join(webDir, 'assets', lazy), join(webDir, 'assets', other))
    for (const end of ['gz', 'br']) rmSync(join(webDir, 'assets', `${lazy}.${end}`), { force: true })
    for (const file of readdirSync(join(webDir, 'assets')).filter(file => file.endsWith('.js'))) change(`assets/${file}`, lazy, other)
    change('sw.js', lazy, other)
    await page.reload()
    t.equal(await page.evaluate('document.title'), 'Another Millrace', 'the server is asked first')
    await until(async () => { await update(); return (await shells()).join() === 'millrace-shell-anotherbuild' }, { everyMs: 200, what: 'the new build to take over' })
    isAway = true
    await page.reload()
    await page.getByText('A chat that never loses its place').waitFor()
    t.equal(await page.title(), 'Another Millrace', 'kept as well')
    t.equal(await page.evaluate(`import('/assets/${other}').then(() => 'there', String)`), 'there')
    t.same(await page.evaluate(`caches.match('/assets/${lazy}').then(found => found === undefined)`), true)
    isAway = false
  })

  await t.test('a page of the old build that lacks a part of it is loaded anew, once', async t => {
    const loaded = page.waitForEvent('load')
    await page.evaluate('dispatchEvent(new Event("vite:preloadError"))')
    await loaded
    await page.getByText('A chat that never loses its place').waitFor()
    await page.evaluate('window.isSame = true; dispatchEvent(new Event("vite:preloadError"))')
    await page.evaluate('fetch("/")') // time enough
    t.equal(await page.evaluate('window.isSame'), true, 'not again and again')
  })
})
