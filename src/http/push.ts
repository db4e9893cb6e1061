/** Web Push for whoever asks: the key that browsers subscribe with, and the browsers that are to be told. Each belongs to the session that brought it, and ends with it. */
import { ECDH } from 'node:crypto'
import Type from 'typebox'
import { vapidKeys } from '../auth/vapid.ts'
import { URL_CHARS_MAX, wrongWithUrl } from '../limits/egress.ts'
import type { Store } from '../store/pool.ts'
import { PUSH_SUBSCRIPTIONS_MAX, putSubscription, removeSubscription, subscriptionsOf, type PushSubscription } from '../store/push-subscriptions.ts'
import { about, Nothing } from './about.ts'
import { identityOf, UUID_PATTERN, type App } from './app.ts'
import { refuse } from './problems.ts'

const P256DH_BYTES = 65
const AUTH_BYTES = 16
const KEY_PATTERN = '^[A-Za-z0-9_+/-]{20,100}={0,2}$'

const Body = Type.Object({
  endpoint: Type.String({ minLength: 1, maxLength: URL_CHARS_MAX, description: 'https URL of the push service' }),
  keys: Type.Object({
    p256dh: Type.String({ pattern: KEY_PATTERN, description: 'Public key of the browser, base64url' }),
    auth: Type.String({ pattern: KEY_PATTERN, description: 'Secret shared with the browser, base64url' }),
  }),
}, { description: 'As `PushSubscription.toJSON()` of a browser gives it' })
const MaybeTime = Type.Union([Type.String({ description: 'RFC 3339, UTC' }), Type.Null()])
const Subscription = Type.Object({
  id: Type.String(),
  endpoint: Type.String(),
  created_at: Type.String({ description: 'RFC 3339, UTC' }),
  confirmed_at: Type.String({ description: 'When a client last put it' }),
  last_sent_at: MaybeTime,
  session_id: Type.String({ description: 'The session that it belongs to, and ends with' }),
  current: Type.Boolean({ description: 'Whether it belongs to the session that asks' }),
})
const Params = Type.Object({ id: Type.String({ pattern: UUID_PATTERN, description: 'UUID of the subscription' }) })

export interface PushDeps {
  config: { readonly VAPID_PRIVATE_KEY?: string | undefined, readonly WEBHOOK_ALLOW_PRIVATE?: 'on' | 'off' }
  store: Store
  newId: () => string
  clock: () => number
}

export function pushRoutes (app: App, { config, store, newId, clock }: PushDeps): void {
  let key: string | undefined
  const shown = ({ id, endpoint, created_at, confirmed_at, sent_at, session_id }: PushSubscription, session: string) => ({
    id,
    endpoint,
    created_at: created_at.toISOString(),
    confirmed_at: confirmed_at.toISOString(),
    last_sent_at: sent_at?.toISOString() ?? null,
    session_id,
    current: session_id === session,
  })

  app.get('/push/key', { schema: { ...about('Notifications', 'The key that browsers subscribe to Web Push with'), response: { 200: Type.Object({ key: Type.String({ description: '`applicationServerKey`, base64url' }) }) } } }, async () => {
    key ??= (await vapidKeys(store, config.VAPID_PRIVATE_KEY)).public_key
    return { key }
  })

  app.get('/me/push-subscriptions', { schema: { ...about('Notifications', 'My browsers that are told by Web Push'), response: { 200: Type.Object({ items: Type.Array(Subscription) }) } } }, async request => {
    const { user_id, session_id } = identityOf(request)
    return { items: (await subscriptionsOf(store, user_id)).map(subscription => shown(subscription, session_id)) }
  })

  app.put('/me/push-subscriptions', { schema: { ...about('Notifications', 'Have this browser told by Web Push; to be put again now and then', 'too_many'), body: Body, response: { 200: Subscription } } }, async request => {
    const { user_id, session_id } = identityOf(request)
    const { endpoint, keys } = request.body
    const wrong = wrongWithUrl(endpoint, { allowPrivate: config.WEBHOOK_ALLOW_PRIVATE === 'on', insecure: false })
    if (wrong !== undefined) refuse('bad_request', `endpoint is not taken: ${wrong}`, 'endpoint')
    const put = await putSubscription(store, user_id, { id: newId(), session_id, endpoint, ...keysOf(keys), now: new Date(clock()) })
    return put === undefined ? refuse('too_many', `You have ${PUSH_SUBSCRIPTIONS_MAX} subscriptions, as many as allowed`) : shown(put, session_id)
  })

  app.delete('/me/push-subscriptions/:id', { schema: { ...about('Notifications', 'Tell a browser of mine no more', 'not_found'), params: Params, response: { 204: Nothing } } }, async (request, reply) => {
    if (!await removeSubscription(store, identityOf(request).user_id, request.params.id)) refuse('not_found', 'You have no such subscription')
    return reply.code(204).send()
  })
}

/** In one spelling. What cannot be encrypted for is refused here, where somebody hears of it. */
function keysOf ({ p256dh, auth }: { p256dh: string, auth: string }): { p256dh: string, auth: string } {
  const key = Buffer.from(p256dh, 'base64url')
  const secret = Buffer.from(auth, 'base64url')
  if (key.length !== P256DH_BYTES || !isPoint(key)) refuse('bad_request', 'keys.p256dh must be an uncompressed point of P-256', 'keys.p256dh')
  if (secret.length !== AUTH_BYTES) refuse('bad_request', `keys.auth must be ${AUTH_BYTES} bytes`, 'keys.auth')
  return { p256dh: key.toString('base64url'), auth: secret.toString('base64url') }
}

function isPoint (key: Buffer): boolean {
  try {
    ECDH.convertKey(key, 'prime256v1')
    return key[0] === 4
  } catch {
    return false
  }
}
