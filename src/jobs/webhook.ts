/**
 * Outgoing webhooks: the body of a delivery and its signature, by Standard Webhooks. The same delivery has the same `webhook-id` in every
 * attempt, so that whoever got it twice can tell; body and time are those of the attempt.
 */
import { Webhook as Signer } from 'standardwebhooks'
import type { Notification } from '../store/notifications.ts'
import { ROTATION_MS, type WebhookToSend } from '../store/webhooks.ts'
import type { Telling } from './news.ts'

export interface WebhookRequest {
  readonly headers: Record<string, string>
  readonly body: string
}

/** @param preview whether the text of the message is in it · @param now epoch milliseconds */
export function webhookRequest ({ secret, previous_secret, rotated_at }: WebhookToSend, notification: Notification, telling: Telling, { preview, now }: { preview: boolean, now: number }): WebhookRequest {
  const at = new Date(now)
  const body = JSON.stringify(bodyOf(notification, telling, at, preview))
  const both = previous_secret !== null && rotated_at !== null && now - rotated_at.getTime() < ROTATION_MS
  const secrets = both ? [secret, previous_secret] : [secret]
  return {
    headers: {
      'content-type': 'application/json',
      'webhook-id': notification.id,
      'webhook-timestamp': String(Math.floor(now / 1000)),
      'webhook-signature': secrets.map(one => new Signer(one).sign(notification.id, at, body)).join(' '),
    },
    body,
  }
}

function bodyOf ({ user_id, kind, from_seq, to_seq }: Notification, { room, count, mentions, message, author }: Telling, at: Date, preview: boolean): object {
  return {
    type: kind,
    timestamp: at.toISOString(),
    data: {
      user_id,
      room_id: room.id,
      room_name: room.name,
      room_kind: room.kind,
      count,
      mentions,
      from_seq,
      to_seq,
      message: {
        seq: message.seq,
        timestamp: message.timestamp.toISOString(),
        user_id: author.id,
        username: author.username,
        display_name: author.display_name,
        ...(preview ? { content: message.content } : {}),
      },
    },
  }
}
