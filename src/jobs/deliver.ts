/**
 * Sends notifications: one attempt at a time, tried again by pg-boss with growing pauses. Before each attempt it is asked anew whether there
 * is still something to tell: who has come back, was put out of the room or does not want to be disturbed gets nothing, and what was deleted
 * is in nothing that is sent. A crash between sending and noting it sends once more at most: under the same `webhook-id`, or the same topic.
 */
import { NotPublic, type Egress, type Posted } from '../limits/egress.ts'
import { buryNotifications, settleNotification, waitingNotification, type Fate, type Notification, type Via } from '../store/notifications.ts'
import type { Queryable } from '../store/pool.ts'
import { noteSent, subscriptionToSend } from '../store/push-subscriptions.ts'
import { noteAttempt, webhookToSend } from '../store/webhooks.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import type { Attempt, Queue } from './queue-worker.ts'
import type { News } from './news.ts'
import { webhookRequest } from './webhook.ts'
import type { WebPush } from './web-push.ts'

/** One attempt, from the look-up of the name to the end of the answer. */
const SEND_MS = 10_000
const PUSH_RETRIES = 6
/**
 * Attempts that go to the same host at a time. A server of somebody's is spared; all browsers of a maker have the same push service, which is
 * built for them: with 4 there, 120 pushes took 40 s.
 */
const WEBHOOKS_PER_HOST_MAX = 4
const PUSHES_PER_HOST_MAX = 40
/** Longest pause between two attempts, in seconds. */
const PAUSE_MAX_S = 4 * 60 * 60
/** Of an answer that is no success, so many characters are kept. */
const ANSWER_CHARS_MAX = 200

export interface DeliverDeps {
  store: Queryable
  news: News
  webPush: WebPush
  egress: Egress
  /** Whether texts of messages go out. */
  preview: boolean
  /** Retries of a webhook, and the pause before the first, in seconds. */
  retries: number
  pauseS: number
  /** A webhook that has failed for so long is switched off. Milliseconds. */
  disableMs: number
  clock: () => number
  metrics: Metrics
}

/** What an attempt came to. `gone`: it will never be taken there. `refused`: this one never will. */
interface Outcome {
  readonly ok: boolean
  readonly status: number | null
  readonly reason: string | null
  readonly gone: boolean
  readonly refused: boolean
}

export function deliveryQueues ({ store, news, webPush, egress, preview, retries, pauseS, disableMs, clock, metrics }: DeliverDeps): Queue[] {
  async function attempt (via: Via, id: string, { last, forced, signal }: Attempt): Promise<boolean> {
    const notification = await waitingNotification(store, id)
    if (notification === undefined) return true // it was sent, and the process died before pg-boss knew; or its target is gone
    const telling = await news.telling(notification, forced)
    if (typeof telling === 'string') {
      metrics.notificationsSuppressed.inc({ reason: telling })
      await settleNotification(store, id, { state: 'suppressed', reason: telling, status: null })
      return true
    }
    const outcome = via === 'push' ? await push(notification, telling, signal) : await webhook(notification, telling, signal)
    if (outcome === undefined) return true
    if (signal.aborted && !outcome.ok) return false // the process stops: this was no attempt
    const over = outcome.ok || outcome.gone || outcome.refused || last
    metrics.notifications.inc({ via, outcome: outcome.ok ? 'sent' : over ? 'dead' : 'failed' })
    const fate: Fate = { state: outcome.ok ? 'sent' : over ? 'dead' : 'waiting', reason: outcome.reason, status: outcome.status }
    await settleNotification(store, id, fate)
    return over
  }

  type Told = Exclude<Awaited<ReturnType<News['telling']>>, string>

  async function push ({ id, user_id, subscription_id, kind }: Notification, telling: Told, signal: AbortSignal): Promise<Outcome | undefined> {
    const subscription = await subscriptionToSend(store, subscription_id!, user_id)
    if (subscription === undefined) return undefined
    if (!subscription.alive) {
      await noteSent(store, subscription.id, 'gone')
      return undefined
    }
    const outcome = await post(subscription.endpoint, webPush.request(subscription, kind, telling), signal, { gone: [404, 410], refused: [400, 401, 403, 413] })
    if (outcome.gone) await settleNotification(store, id, { state: 'dead', reason: outcome.reason, status: outcome.status })
    if (!signal.aborted || outcome.ok) await noteSent(store, subscription.id, outcome.ok ? 'sent' : outcome.gone ? 'gone' : 'failed')
    return outcome
  }

  async function webhook (notification: Notification, telling: Told, signal: AbortSignal): Promise<Outcome | undefined> {
    const target = await webhookToSend(store, notification.webhook_id!)
    if (target === undefined) return undefined
    if (target.disabled_at !== null) return { ok: false, status: null, reason: 'the webhook is switched off', gone: false, refused: true }
    const now = clock()
    const outcome = await post(target.url, webhookRequest(target, notification, telling, { preview, now }), signal, { gone: [410], refused: [] })
    if (!signal.aborted || outcome.ok) await noteAttempt(store, target.id, { status: outcome.status, error: outcome.reason, gone: outcome.gone, failingBefore: new Date(now - disableMs) })
    return outcome
  }

  async function post (url: string, request: { headers: Record<string, string>, body: Buffer | string }, signal: AbortSignal, { gone, refused }: { gone: readonly number[], refused: readonly number[] }): Promise<Outcome> {
    let answer: Posted
    try {
      answer = await egress.post(url, { ...request, timeoutMs: SEND_MS, signal })
    } catch (error) {
      return { ok: false, status: null, reason: reasonOf(error), gone: false, refused: error instanceof NotPublic }
    }
    const { status, text } = answer
    const ok = status >= 200 && status < 300
    return { ok, status, reason: ok ? null : `it answered ${status} ${text.replaceAll(/[^\x20-\x7e]+/g, ' ').slice(0, ANSWER_CHARS_MAX)}`.trimEnd(), gone: gone.includes(status), refused: refused.includes(status) }
  }

  const queue = (via: Via, queueRetries: number, perHostMax: number): Queue => ({
    name: via,
    retries: queueRetries,
    perHostMax,
    pauseS,
    pauseMaxS: Math.max(PAUSE_MAX_S, pauseS),
    attempt: async (id, about) => await attempt(via, id, about),
    async bury (ids) {
      const buried = await buryNotifications(store, ids)
      if (buried > 0) metrics.notifications.inc({ via, outcome: 'dead' }, buried)
    },
  })
  return [queue('push', PUSH_RETRIES, PUSHES_PER_HOST_MAX), queue('webhook', retries, WEBHOOKS_PER_HOST_MAX)]
}

/** Network errors as one line; of several addresses the first. */
function reasonOf (error: unknown): string {
  const { message, errors, code } = error as { message?: string, errors?: Error[], code?: string }
  return message !== undefined && message !== '' ? message : errors?.[0]?.message ?? code ?? 'no answer'
}
