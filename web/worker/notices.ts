/** What is pushed, as a notification, and what a click on one does: the room is shown at its message, in a page that is open already, or in a new one. */
import type { Opened, Place } from './place.ts'

/** What the server sends (docs/NOTIFICATIONS.md). `preview` is left out where the server is set so. */
export interface Push {
  readonly type: 'message' | 'mention'
  readonly room_id: string
  readonly room_name: string
  readonly room_kind: string
  /** Messages that wait in the room. */
  readonly count: number
  readonly mentions: number
  /** The newest of them. */
  readonly seq: number
  readonly timestamp: string
  readonly display_name: string
  readonly preview?: string
}

/** Newer than the types of the browser. */
type Notice = NotificationOptions & { title: string, renotify?: boolean, timestamp?: number, data?: Place }

const ICON = '/assets/icon-192.png'
const BADGE = '/assets/badge.png'

/** One for each room: a newer one takes the place of the one before. Browsers want to see one for every push, so there is one for a push without content as well. */
export function notificationOf (push: Push | undefined): Notice {
  if (push === undefined) return { title: 'Millrace', body: 'There is something new', icon: ICON, badge: BADGE, tag: 'millrace' }
  const { type, room_id, room_name, room_kind, count, seq, timestamp, display_name, preview } = push
  const where = room_kind === 'dm' ? '' : ` in ${room_kind === 'lobby' ? 'the lobby' : room_name}`
  const said = preview ?? (type === 'mention' ? 'You were named' : count === 1 ? 'A new message' : `${count} new messages`)
  return {
    title: `${display_name}${where}`,
    body: preview !== undefined && count > 1 ? `${said}\nand ${count - 1} more` : said,
    icon: ICON,
    badge: BADGE,
    tag: room_id,
    renotify: true,
    timestamp: Date.parse(timestamp),
    data: { room_id, seq },
  }
}

/** Shows where the notification leads. A page of another account, which a tab may have for itself (`?another`), is not asked. */
export async function open (clients: Clients, place: Place | undefined): Promise<void> {
  const pages = (await clients.matchAll({ type: 'window' })).filter(({ url }) => !new URL(url).searchParams.has('another'))
  const page = pages.find(({ focused }) => focused) ?? pages.find(({ visibilityState }) => visibilityState === 'visible') ?? pages[0]
  if (page === undefined) {
    await clients.openWindow(place === undefined ? '/' : `/#/room/${place.room_id}?at=${place.seq}`)
    return
  }
  if (place !== undefined) page.postMessage({ type: 'open', ...place } satisfies Opened)
  await page.focus()
}
