/**
 * The page's side of the service worker (`web/worker`): begins it, hears that another build has taken over, and what a clicked notification wants
 * to be shown. Where there are no workers (a page without TLS, the sources served by `vite`) all else works.
 */
import type { Opened } from '../../worker/place.ts'
import { go } from '../app/route.ts'
import { Observable } from '../chat/observable.ts'

/** Another build than this page's serves it now: it is shown when the page is loaded again. */
export const isOutdated = new Observable(false)

/** A page that was loaded anew for a missing file so short a time ago, in milliseconds, is not again. */
const RELOAD_MS = 30_000
const RELOADED = 'millrace-reloaded'

const workers = (): ServiceWorkerContainer | undefined => import.meta.env.PROD && 'serviceWorker' in navigator ? navigator.serviceWorker : undefined

/** Once, when the page has what it needs: the worker fetches all there is. */
export function startWorker (): void {
  const container = workers()
  window.addEventListener('vite:preloadError', () => { void reloaded() })
  if (container === undefined) return
  let had = container.controller !== null
  container.addEventListener('controllerchange', () => {
    if (had) isOutdated.set(true)
    had = true
  })
  container.addEventListener('message', ({ data }: MessageEvent<Opened>) => { if (data.type === 'open') go(data.room_id, data.seq) })
  const begin = (): void => { container.register('/sw.js', { updateViaCache: 'none' }).catch((error: unknown) => { console.warn('The page will not open without a server', error) }) }
  document.readyState === 'complete' ? begin() : window.addEventListener('load', begin, { once: true })
}

/** The worker's registration, once there is a worker that runs, or as it is; undefined where there is none. */
export async function registration (isReady = true): Promise<ServiceWorkerRegistration | undefined> {
  const container = workers()
  const found = await container?.getRegistration()
  return found === undefined || !isReady ? found : await container?.ready
}

/** Looks whether there is another build: a server that was away may have come back as another. */
export function lookForUpdate (): void {
  workers()?.getRegistration().then(async found => { await found?.update() }).catch(() => {}) // away again
}

/** A part of this page is not to be had any more, since the server has another build: that one is loaded in its place. What is being written is kept (`drafts.ts`). */
async function reloaded (): Promise<void> {
  if (Date.now() - Number(sessionStorage.getItem(RELOADED) ?? 0) < RELOAD_MS) return
  const isThere = workers()?.controller != null || await fetch('/healthz').then(({ ok }) => ok, () => false)
  if (!isThere) return
  sessionStorage.setItem(RELOADED, String(Date.now()))
  location.reload()
}
