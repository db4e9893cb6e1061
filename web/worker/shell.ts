/**
 * The page and its files, kept under the name of their build. The page is asked of the server each time, and taken from here when there is no answer;
 * files have their content in their names, so they come from here at once. Only the whole of a build is kept: a page never meets
 * files of another.
 */

/** Put in by the build (`vite.config.ts`): what it is called, and all its files. */
declare const BUILD_ID: string
declare const BUILD_FILES: readonly string[]

const FILES = BUILD_FILES
const PREFIX = 'millrace-shell-'
const NAME = `${PREFIX}${BUILD_ID}`
/** Milliseconds that the server has to answer with the page, if there is one here. */
const PAGE_MS = 4_000
/** Whatever a request accepts: there is one of each. */
const ANY = { ignoreVary: true, ignoreSearch: true } as const

/** Fetches all of this build. Throws where the server has another one by now, or not all of it: the browser tries again later. */
export async function keep (): Promise<void> {
  const page = await fetch('/', { headers: { accept: 'text/html' }, cache: 'no-store' })
  const html = await page.clone().text()
  const named = [...html.matchAll(/"(\/assets\/[\w.-]+)"/g)].map(([, file]) => file!)
  if (!page.ok || named.length === 0 || !named.every(file => FILES.includes(file))) throw new Error('The server has another build')
  const cache = await caches.open(NAME)
  await Promise.all([cache.put('/', page), cache.addAll(FILES)])
}

/** Lets go of what other builds have kept. */
export async function dropOthers (): Promise<void> {
  const others = (await caches.keys()).filter(name => name.startsWith(PREFIX) && name !== NAME)
  await Promise.all(others.map(async name => await caches.delete(name)))
}

/** The answer to the page and its files; undefined for everything else: that is the network's. */
export function answer (request: Request): Promise<Response> | undefined {
  const { origin, pathname } = new URL(request.url)
  if (request.method !== 'GET' || origin !== location.origin) return undefined
  if (request.mode === 'navigate') return pathname === '/' ? pageOf(request) : undefined
  return FILES.includes(pathname) ? fileOf(request) : undefined
}

async function kept (path: string): Promise<Response | undefined> {
  return await (await caches.open(NAME)).match(path, ANY)
}

/** A server that is away answers nothing, one that is behind a proxy 502 or so; both are the same to whoever opens the page. */
async function pageOf (request: Request): Promise<Response> {
  const fromServer = fetch(request)
  const late = new Promise<undefined>(resolve => { setTimeout(resolve, PAGE_MS) })
  const first = await Promise.race([fromServer, late]).catch(() => undefined)
  if (first !== undefined && first.status < 500) return first
  return await kept('/') ?? await fromServer
}

async function fileOf (request: Request): Promise<Response> {
  return await kept(new URL(request.url).pathname) ?? await fetch(request)
}
