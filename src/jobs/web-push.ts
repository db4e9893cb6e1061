/**
 * Web Push: how a notification is put for a browser (RFC 8291, encrypted for it alone) and for the push service (RFC 8030, with who sends it,
 * RFC 8292). A newer one about a room takes the place of an older that was not delivered yet. Putting it on the wire is left to the guarded
 * client: push services are URLs that users give.
 */
import webpush from 'web-push'
import { ConfigError } from '../config.ts'
import type { Kind } from '../store/notifications.ts'
import type { PushSubscription, VapidKeys } from '../store/push-subscriptions.ts'
import type { Telling } from './news.ts'

/** The push service keeps what it cannot deliver for so long. */
const TTL_S = 24 * 60 * 60
/** Characters (code points) of a preview and of a name: all must fit into the 4,096 bytes that every push service takes. */
const PREVIEW_CHARS_MAX = 200
const NAME_CHARS_MAX = 80

export interface PushRequest {
  readonly headers: Record<string, string>
  readonly body: Buffer
}

export interface WebPush {
  /** The request that tells this browser. */
  request: (subscription: PushSubscription, kind: Kind, telling: Telling) => PushRequest
}

/** Throws ConfigError. @param subject `mailto:` or `https:` URL at which push services find the operator · @param preview whether texts are in it */
export function createWebPush ({ keys, subject, preview }: { keys: VapidKeys, subject: string, preview: boolean }): WebPush {
  if (!/^(mailto:.+@.+|https:\/\/.+)/.test(subject)) throw new ConfigError(`VAPID_SUBJECT=${JSON.stringify(subject)} is not valid: it must be a mailto: or https: URL.`)
  const vapidDetails = { subject, publicKey: keys.public_key, privateKey: keys.private_key }
  return {
    request ({ endpoint, p256dh, auth }, kind, telling) {
      const { headers, body } = webpush.generateRequestDetails({ endpoint, keys: { p256dh, auth } }, JSON.stringify(payloadOf(kind, telling, preview)), {
        vapidDetails,
        TTL: TTL_S,
        topic: telling.room.id.replaceAll('-', ''), // at most 32 characters: a UUID without its dashes
        urgency: kind === 'mention' || telling.room.kind === 'dm' ? 'high' : 'normal',
        contentEncoding: 'aes128gcm',
      })
      return { headers: Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, String(value)])), body: body as Buffer }
    },
  }
}

/** What the browser's service worker gets. */
function payloadOf (kind: Kind, { room, count, mentions, message, author }: Telling, preview: boolean): object {
  return {
    type: kind,
    room_id: room.id,
    room_name: cut(room.name, NAME_CHARS_MAX),
    room_kind: room.kind,
    count,
    mentions,
    seq: message.seq,
    timestamp: message.timestamp.toISOString(),
    user_id: author.id,
    username: cut(author.username, NAME_CHARS_MAX),
    display_name: cut(author.display_name, NAME_CHARS_MAX),
    ...(preview ? { preview: cut(message.content, PREVIEW_CHARS_MAX) } : {}),
  }
}

function cut (text: string, chars: number): string {
  const points = [...text]
  return points.length <= chars ? text : `${points.slice(0, chars - 1).join('')}…`
}
