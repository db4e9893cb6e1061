/** Webhooks of whoever asks: servers of theirs that are told, by signed requests, of messages that no device of theirs was delivered; and how that went. */
import { randomBytes } from 'node:crypto'
import Type from 'typebox'
import type { Access } from '../commands/access.ts'
import { resolveRoomId } from '../domain/lobby.ts'
import { URL_CHARS_MAX, wrongWithUrl } from '../limits/egress.ts'
import { askAgain, deliveriesOf, type Delivery } from '../store/notifications.ts'
import type { Store } from '../store/pool.ts'
import { changeWebhook, deleteWebhook, insertWebhook, rotateSecret, webhookOf, webhooksOf, WEBHOOKS_MAX, type Webhook as WebhookRow } from '../store/webhooks.ts'
import { about, Nothing } from './about.ts'
import { identityOf, Limit, listOf, UUID_PATTERN, type App } from './app.ts'
import { refuse, Refusal } from './problems.ts'

const SECRET_BYTES = 32
const STATES = ['waiting', 'sent', 'suppressed', 'dead', 'again'] as const

const MaybeText = Type.Union([Type.String(), Type.Null()])
const MaybeStatus = Type.Union([Type.Integer({ description: 'HTTP status of the answer; null for none' }), Type.Null()])
const Time = Type.String({ description: 'RFC 3339, UTC' })
const Kind = Type.Enum(['message', 'mention'])
const Url = Type.String({ minLength: 1, maxLength: URL_CHARS_MAX, description: 'http or https URL that is posted to' })
const Events = Type.Array(Kind, { minItems: 1, maxItems: 2, uniqueItems: true })

const Fields = {
  id: Type.String(),
  url: Type.String(),
  events: Type.Array(Kind),
  room_id: MaybeText,
  created_at: Time,
  enabled: Type.Boolean(),
  disabled_for: Type.Union([Type.Enum(['owner', 'gone', 'failing'], { description: 'Who or what switched it off: its owner, an answer 410, or failing for days' }), Type.Null()]),
  failing_since: MaybeText,
  last_delivery: Type.Union([Type.Object({ at: Time, ok: Type.Boolean(), status: MaybeStatus, error: MaybeText }), Type.Null()]),
}
const Webhook = Type.Object(Fields)
const Secret = Type.String({ description: '`whsec_…`, with which deliveries are signed; it is shown this once' })
const DeliverySchema = Type.Object({
  id: Type.String({ description: 'Its `webhook-id`' }),
  type: Kind,
  room_id: Type.String(),
  from_seq: Type.Integer(),
  to_seq: Type.Integer(),
  state: Type.Enum([...STATES], { description: '`dead`: given up; `suppressed`: not wanted any more when it was its turn; `again`: to be tried again' }),
  reason: MaybeText,
  attempts: Type.Integer(),
  status: MaybeStatus,
  created_at: Time,
  tried_at: MaybeText,
})
const Id = Type.String({ pattern: UUID_PATTERN, description: 'UUID of the webhook' })
const Params = Type.Object({ id: Id })
const DeliveryParams = Type.Object({ id: Id, delivery: Type.String({ pattern: UUID_PATTERN, description: 'UUID of the delivery' }) })
const Page = Type.Object({ before: Type.Optional(Type.String({ pattern: UUID_PATTERN, description: '`next` of the page before' })), state: Type.Optional(Type.Enum([...STATES])), limit: Limit })

export interface WebhooksDeps {
  config: { readonly WEBHOOK_ALLOW_PRIVATE?: 'on' | 'off' }
  access: Access
  store: Store
  newId: () => string
  clock: () => number
}

export function webhooksRoutes (app: App, { config, access, store, newId, clock }: WebhooksDeps): void {
  const checkUrl = (url: string): void => {
    const wrong = wrongWithUrl(url, { allowPrivate: config.WEBHOOK_ALLOW_PRIVATE === 'on', insecure: true })
    if (wrong !== undefined) refuse('bad_request', `url is not taken: ${wrong}`, 'url')
  }

  async function roomOf (userId: string, text: string | undefined): Promise<string | null> {
    if (text === undefined) return null
    const roomId = resolveRoomId(text) ?? refuse('bad_request', 'room_id must be the UUID of a room, or `lobby`', 'room_id')
    const reading = await access.reading(roomId, userId)
    if (!reading.allowed) throw new Refusal(reading.rejection, 'room_id')
    if (!reading.inside) refuse('not_member', undefined, 'room_id')
    return roomId
  }

  app.get('/webhooks', { schema: { ...about('Notifications', 'My webhooks, and how they went last'), response: { 200: Type.Object({ items: Type.Array(Webhook) }) } } }, async request => {
    return { items: (await webhooksOf(store, identityOf(request).user_id)).map(shown) }
  })

  app.post('/webhooks', { schema: { ...about('Notifications', 'Have a server of mine told of messages that I was not delivered', 'too_many', 'room_not_found', 'not_member', 'banned'), body: Type.Object({ url: Url, events: Type.Optional(Events), room_id: Type.Optional(Type.String({ description: 'Of this room only; left out: of all' })) }), response: { 201: Type.Object({ ...Fields, secret: Secret }) } } }, async (request, reply) => {
    const { user_id } = identityOf(request)
    const { url, events = ['message', 'mention'], room_id } = request.body
    checkUrl(url)
    const secret = newSecret()
    const webhook = await insertWebhook(store, user_id, { id: newId(), url, events, room_id: await roomOf(user_id, room_id), secret, now: new Date(clock()) })
    if (webhook === undefined) refuse('too_many', `You have ${WEBHOOKS_MAX} webhooks, as many as allowed`)
    void reply.header('cache-control', 'no-store')
    return reply.code(201).send({ ...shown(webhook), secret })
  })

  app.get('/webhooks/:id', { schema: { ...about('Notifications', 'A webhook of mine', 'not_found'), params: Params, response: { 200: Webhook } } }, async request => {
    return shown(await webhookOf(store, identityOf(request).user_id, request.params.id) ?? noSuch())
  })

  app.patch('/webhooks/:id', { schema: { ...about('Notifications', 'Change a webhook of mine, or switch it off or on', 'not_found'), params: Params, body: Type.Object({ url: Type.Optional(Url), events: Type.Optional(Events), enabled: Type.Optional(Type.Boolean()) }, { minProperties: 1 }), response: { 200: Webhook } } }, async request => {
    if (request.body.url !== undefined) checkUrl(request.body.url)
    return shown(await changeWebhook(store, identityOf(request).user_id, request.params.id, request.body) ?? noSuch())
  })

  app.delete('/webhooks/:id', { schema: { ...about('Notifications', 'Delete a webhook of mine, with its deliveries', 'not_found'), params: Params, response: { 204: Nothing } } }, async (request, reply) => {
    if (!await deleteWebhook(store, identityOf(request).user_id, request.params.id)) noSuch()
    return reply.code(204).send()
  })

  app.post('/webhooks/:id/secret', { schema: { ...about('Notifications', 'Give a webhook of mine another secret; the old one signs besides for a day', 'not_found'), params: Params, response: { 200: Type.Object({ secret: Secret }) } } }, async (request, reply) => {
    const secret = newSecret()
    if (!await rotateSecret(store, identityOf(request).user_id, request.params.id, { secret, now: new Date(clock()) })) noSuch()
    void reply.header('cache-control', 'no-store')
    return { secret }
  })

  app.get('/webhooks/:id/deliveries', { schema: { ...about('Notifications', 'Deliveries of a webhook of mine, newest first; kept for 30 days', 'not_found'), params: Params, querystring: Page, response: { 200: listOf(DeliverySchema, Type.String()) } } }, async request => {
    const { before, state, limit = 50 } = request.query
    const webhook = await webhookOf(store, identityOf(request).user_id, request.params.id) ?? noSuch()
    const found = await deliveriesOf(store, webhook.id, { before, state, limit: limit + 1 })
    const items = found.slice(0, limit)
    return { items: items.map(delivery), next: found.length > limit ? items.at(-1)!.id : null }
  })

  app.post('/webhooks/:id/deliveries/:delivery/retry', { schema: { ...about('Notifications', 'Make a delivery again, now, whatever became of it', 'not_found'), params: DeliveryParams, response: { 202: Type.Object({ id: Type.String(), state: Type.Enum(['again', 'waiting']) }) } } }, async (request, reply) => {
    const { id, delivery } = request.params
    const webhook = await webhookOf(store, identityOf(request).user_id, id) ?? noSuch()
    const asked = await askAgain(store, webhook.id, delivery) ?? refuse('not_found', 'There is no such delivery of this webhook')
    return reply.code(202).send({ id: delivery.toLowerCase(), state: asked === 'asked' ? 'again' : 'waiting' })
  })
}

const newSecret = (): string => `whsec_${randomBytes(SECRET_BYTES).toString('base64')}`
const noSuch = (): never => refuse('not_found', 'You have no such webhook')

function shown ({ created_at, disabled_at, failing_since, last_at, last_status, last_error, ...webhook }: WebhookRow) {
  return {
    ...webhook,
    created_at: created_at.toISOString(),
    enabled: disabled_at === null,
    failing_since: failing_since?.toISOString() ?? null,
    last_delivery: last_at === null ? null : { at: last_at.toISOString(), ok: last_error === null, status: last_status, error: last_error },
  }
}

function delivery ({ kind, created_at, tried_at, ...rest }: Delivery) {
  return { ...rest, type: kind, created_at: created_at.toISOString(), tried_at: tried_at?.toISOString() ?? null }
}
