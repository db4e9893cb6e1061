/**
 * The service worker: keeps the page so that it opens without a server (`shell.ts`), and shows what is pushed (`notices.ts`). It sees the page
 * and its files only: what is asked of the API, and what is said over the socket, goes past it, and nothing of an account is ever kept here.
 *
 * A new build is a new worker: it fetches its page and files whole, takes over at once, and drops those of the one before.
 */
import { notificationOf, open, type Push } from './notices.ts'
import { answer, dropOthers, keep } from './shell.ts'

declare const self: ServiceWorkerGlobalScope

self.addEventListener('install', event => {
  event.waitUntil(keep())
  void self.skipWaiting()
})

self.addEventListener('activate', event => {
  event.waitUntil(dropOthers().then(async () => { await self.clients.claim() }))
})

self.addEventListener('fetch', event => {
  const answered = answer(event.request)
  if (answered !== undefined) event.respondWith(answered)
})

self.addEventListener('push', event => {
  const { title, ...options } = notificationOf(event.data?.json() as Push | undefined)
  event.waitUntil(self.registration.showNotification(title, options))
})

self.addEventListener('notificationclick', event => {
  event.notification.close()
  event.waitUntil(open(self.clients, event.notification.data))
})
