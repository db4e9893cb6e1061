/**
 * The web client, as it was built into web/dist: the page at `/`, for whoever asks for HTML (others are told what this is), its files under
 * `/assets`, and its service worker. A file's name changes with its content, so it is kept for ever; the page is asked for each time, and so is
 * the worker, by which browsers find that there is another build.
 *
 * The page may load and ask its own origin only, and runs no script and no style that stands in it: styles that its code adds carry the
 * nonce of the answer. Does not build anything: where there is no build, `/` says how to get one.
 */
import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import fastifyStatic from '@fastify/static'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import Type from 'typebox'
import { about, text } from './about.ts'
import { refuse } from './problems.ts'

const DIST = fileURLToPath(new URL('../../web/dist/', import.meta.url))
/** What the build leaves for the nonce (web/vite.config.ts). */
const NONCE = /__MILLRACE_NONCE__/g
const NONCE_BYTES = 18
/** How long a file whose name says what is in it is kept, in seconds. */
const KEEP_S = 31_536_000
/** Files that keep their names, in seconds. */
const KEEP_NAMED_S = 3_600
const HASHED = /-[\w-]{8}\.\w+$/
const FILE = '^[\\w-][\\w.-]*$'

const Welcome = Type.Object({ name: Type.String(), api: Type.String(), docs: Type.String() })
const EITHER = {
  description: 'What this is; to those who accept HTML, the web client',
  content: { 'application/json': { schema: Welcome }, 'text/html': { schema: Type.String() } },
}
const WELCOME = { name: 'Millrace', api: 'Sign up at POST /auth/signup, then connect a WebSocket to /ws', docs: '/docs' }

/** The worker fetches the page and its files, and nothing else; it has a policy of its own, whatever the page's is. */
const WORKER_HEADERS = {
  'content-security-policy': "default-src 'none'; script-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'cache-control': 'no-cache',
  'x-content-type-options': 'nosniff',
}

/** Pictures may come from anywhere by https: people say where theirs are. */
function headersOf (nonce: string): Record<string, string> {
  const policy = `default-src 'none'; script-src 'self'; style-src 'self' 'nonce-${nonce}'; img-src 'self' data: blob: https:; media-src 'self' blob:; font-src 'self'; connect-src 'self'; manifest-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'`
  return {
    'content-security-policy': policy,
    'cross-origin-opener-policy': 'same-origin',
    'permissions-policy': 'camera=(), geolocation=(), microphone=(), payment=(), usb=()',
    'referrer-policy': 'no-referrer',
    'x-content-type-options': 'nosniff',
    'x-frame-options': 'DENY',
  }
}

const MISSING = `<!doctype html><html lang="en"><meta charset="utf-8"><title>Millrace</title><h1>Millrace</h1>
<p>The API runs, and <a href="/docs">its reference</a> as well. The web client is not built yet: <code>npm start</code> does that, and so do
<code>npm ci --prefix web &amp;&amp; npm run build --prefix web</code> in the folder of Millrace. Then load this page again.</p></html>
`

export interface WebDeps {
  /** Where the build is; for tests. */
  webDir?: string
}

export async function webRoutes (app: FastifyInstance, { webDir = DIST }: WebDeps): Promise<void> {
  await app.register(fastifyStatic, { root: join(webDir, 'assets'), serve: false, preCompressed: true, index: false, cacheControl: false, suppressWarning: true })

  app.get('/', { schema: { ...about('Service', 'What this is; in a browser, the web client'), describes: { response: { 200: EITHER } } } }, async (request, reply) => {
    void reply.header('vary', 'accept')
    return wantsPage(request) ? await page(reply) : WELCOME
  })

  async function page (reply: FastifyReply): Promise<string> {
    const nonce = randomBytes(NONCE_BYTES).toString('base64url')
    const html = await readIfThere(join(webDir, 'index.html')) ?? MISSING
    void reply.headers(headersOf(nonce)).header('cache-control', 'no-cache').type('text/html; charset=utf-8')
    return html.replace(NONCE, nonce)
  }

  app.get('/sw.js', { schema: { ...about('Service', 'The service worker of the web client', 'not_found'), describes: { response: { 200: text('text/javascript') } } } }, async (_request, reply) => {
    const script = await readIfThere(join(webDir, 'sw.js')) ?? refuse('not_found')
    return await reply.headers(WORKER_HEADERS).type('text/javascript; charset=utf-8').send(script)
  })

  app.get('/assets/:file', {
    schema: { ...about('Service', 'A file of the web client', 'not_found'), params: Type.Object({ file: Type.String({ pattern: FILE, description: 'Its name' }) }), describes: { response: { 200: text('application/octet-stream', 'The file, of its own media type') } } },
  }, async (request, reply) => {
    const { file } = request.params as { file: string }
    if (/\.(gz|br)$/.test(file)) refuse('not_found')
    const isHashed = HASHED.test(file)
    void reply.headers({ 'x-content-type-options': 'nosniff', vary: 'accept-encoding', 'cache-control': `public, max-age=${isHashed ? KEEP_S : KEEP_NAMED_S}${isHashed ? ', immutable' : ''}` })
    return reply.sendFile(file)
  })
}

function wantsPage ({ headers }: FastifyRequest): boolean {
  return headers.accept?.includes('text/html') === true
}

async function readIfThere (path: string): Promise<string | undefined> {
  return await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
}
