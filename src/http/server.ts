/**
 * The HTTP server of a gateway, in two steps: `createServer` makes it, able to sign and verify tokens (`app.jwt`); `addRoutes`
 * adds the API, which is made of what needs those tokens. And the small server of health and metrics for processes without a
 * gateway.
 *
 * Bodies, headers and times are bounded, so that no client, however slow or large, holds more than its share. Whatever goes
 * wrong is answered with a problem (`problems.ts`). No line is logged for a request unless the level is `debug`.
 */
import { isUtf8 } from 'node:buffer'
import type { Server } from 'node:http'
import fastifyCookie from '@fastify/cookie'
import fastifyJwt from '@fastify/jwt'
import { fastify, type FastifyInstance, type FastifyHttpOptions, type FastifyReply, type FastifyRequest } from 'fastify'
import type { Accounts } from '../auth/accounts.ts'
import type { Sessions } from '../auth/sessions.ts'
import { jwtOptions, type SigningKey, type Tokens } from '../auth/tokens.ts'
import type { TrustProxy } from '../limits/addresses.ts'
import type { Limits } from '../limits/limits.ts'
import type { Logger } from '../telemetry/logging.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import { beginTrace, endSpan, isTracing, within, type Span } from '../telemetry/tracing.ts'
import { adminRoutes, type AdminDeps } from './admin.ts'
import { createRequireUser, validatorCompiler, type App } from './app.ts'
import { auditRoutes } from './audit.ts'
import { authRoutes, type AuthDeps } from './auth.ts'
import { bansRoutes } from './bans.ts'
import { contactsRoutes } from './contacts.ts'
import { dmsRoutes, type DmsDeps } from './dms.ts'
import { documentRoutes, markSignedIn } from './docs.ts'
import { eventsRoutes, type EventsDeps } from './events.ts'
import { sseRoutes, STREAM_MEDIA_TYPE, type SseDeps } from './sse.ts'
import { createGate } from './gate.ts'
import { healthRoutes, type Readiness } from './health.ts'
import { createInTurn } from './in-turn.ts'
import { invitesRoutes } from './invites.ts'
import { limitRefusals, limitRequests } from './limits.ts'
import { meRoutes } from './me.ts'
import { membersReadRoutes } from './members-read.ts'
import { membersRoutes } from './members.ts'
import { messageCommandsRoutes } from './message-commands.ts'
import { messagesRoutes, type MessagesDeps } from './messages.ts'
import { offlineRoutes } from './offline.ts'
import { mentionsRoutes } from './mentions.ts'
import { metricsRoutes } from './metrics.ts'
import { notificationsRoutes } from './notifications.ts'
import { pinsRoutes } from './pins.ts'
import { answerBrokenRequest, createErrorHandler, describeValidation, refuse, sendProblem } from './problems.ts'
import { reject } from '../domain/rejections.ts'
import { roomCommandsRoutes, type RoomCommandsDeps } from './room-commands.ts'
import { roomsRoutes, type RoomsDeps } from './rooms.ts'
import { searchRoutes } from './search.ts'
import { sessionsRoutes } from './sessions.ts'
import { syncRoutes, type SyncDeps } from './sync.ts'
import { threadsRoutes } from './threads.ts'
import { unreadRoutes } from './unread.ts'
import { marksRoutes, type MarksDeps } from './marks.ts'
import { presenceRoutes, type PresenceDeps } from './presence.ts'
import { HANDSHAKE_MS, type KeyPair } from './tls.ts'
import { pushRoutes, type PushDeps } from './push.ts'
import { usersRoutes } from './users.ts'
import { webRoutes, type WebDeps } from './web.ts'
import { webhooksRoutes, type WebhooksDeps } from './webhooks.ts'

const BODY_BYTES_MAX = 65_536
const HEADER_BYTES_MAX = 16_384
/** From the first byte of a request to its last. */
const REQUEST_MS = 15_000
const KEEP_ALIVE_MS = 65_000 // longer than the 60 s of common load balancers, so that it is they who close
const SILENCE_MS = 120_000
/** Requests of one connection that may wait behind the one that is served; one read of 64 KiB holds some 200 of the smallest. */
const PIPELINED_MAX = 256
/** The route of what has none. */
const UNKNOWN = 'unknown'
/** Asked by machines every few seconds; and the upgrade, whose frames are traced by themselves. */
const UNTRACED: ReadonlySet<string> = new Set(['/ws', '/metrics', '/metrics.json', '/healthz', '/readyz', UNKNOWN])

/** What every server of Millrace needs. */
export interface ServerDeps {
  metrics: Metrics
  logger: Logger
  /** Milliseconds a request may take to arrive; for tests. */
  requestMs?: number
  /** Whose X-Forwarded-For is believed. */
  trustProxy?: TrustProxy
  /** With it the server speaks https and wss. */
  tls?: KeyPair | undefined
}

/** What the routes need that every process has. */
export interface OpsRoutesDeps {
  config: { readonly METRICS_FROM?: string | undefined }
  metrics: Metrics
  logger: Logger
  ready: () => Promise<Readiness>
}

export type OpsDeps = ServerDeps & OpsRoutesDeps

export type RoutesDeps = OpsRoutesDeps & PresenceDeps & MarksDeps & SyncDeps & RoomsDeps & RoomCommandsDeps & DmsDeps & MessagesDeps & EventsDeps & SseDeps & AuthDeps & PushDeps & WebhooksDeps & AdminDeps & WebDeps & { tokens: Tokens, accounts: Accounts, sessions: Sessions, limits: Limits, clock: () => number }

/** A gateway's server, without routes. `app.jwt` signs and verifies with `signingKey`. */
export async function createServer ({ signingKey, ...deps }: ServerDeps & { signingKey: SigningKey }): Promise<FastifyInstance> {
  const app = createBareServer(deps)
  await app.register(fastifyJwt, jwtOptions(signingKey)) // awaited: `app.jwt` is there after it
  return app
}

/** The API. The caller registers what else belongs on the port (the WebSocket), then listens; `close` ends both. */
export function addRoutes (app: FastifyInstance, deps: RoutesDeps): void {
  app.decorateRequest('identity', null)
  app.setValidatorCompiler(validatorCompiler as never)
  limitRequests(app, deps.limits)
  documentRoutes(app)

  void app.register(webRoutes, deps)
  void app.register(async open => {
    await open.register(fastifyCookie) // here only: nothing else is done on behalf of a cookie
    authRoutes(open as never as App, deps)
    healthRoutes(open, deps)
    metricsRoutes(open, { ...deps, from: deps.config.METRICS_FROM })
  })
  void app.register(async scope => {
    const signedIn = scope as never as App
    markSignedIn(scope)
    signedIn.addHook('onRequest', limitRefusals(deps.limits, createRequireUser(deps)))
    sessionsRoutes(signedIn, deps)
    meRoutes(signedIn, deps)
    usersRoutes(signedIn, deps)
    presenceRoutes(signedIn, deps)
    marksRoutes(signedIn, deps)
    notificationsRoutes(signedIn, deps)
    pushRoutes(signedIn, deps)
    webhooksRoutes(signedIn, deps)
    contactsRoutes(signedIn, deps)
    roomsRoutes(signedIn, deps)
    roomCommandsRoutes(signedIn, deps)
    membersRoutes(signedIn, deps)
    invitesRoutes(signedIn, deps)
    dmsRoutes(signedIn, deps)
    messageCommandsRoutes(signedIn, deps)
    const gate = createGate()
    bansRoutes(signedIn, { ...deps, gate })
    for (const reads of [messagesRoutes, pinsRoutes, threadsRoutes, auditRoutes, membersReadRoutes, searchRoutes, mentionsRoutes]) reads(signedIn, { ...deps, gate })
    eventsRoutes(signedIn, { ...deps, gate })
    for (const waits of [unreadRoutes, offlineRoutes, syncRoutes]) waits(signedIn, { ...deps, gate })
    sseRoutes(signedIn, deps)
    void signedIn.register(async operators => { adminRoutes(operators as never as App, deps) })
  })
}

/** Health and metrics only, for a process without a gateway. */
export function createOps (deps: OpsDeps): FastifyInstance {
  const app = createBareServer(deps)
  healthRoutes(app, deps)
  metricsRoutes(app, { ...deps, from: deps.config.METRICS_FROM })
  return app
}

function createBareServer ({ metrics, logger, requestMs = REQUEST_MS, trustProxy = false, tls }: ServerDeps): FastifyInstance {
  const answerError = createErrorHandler(logger)
  /** By route, not by URL: it has IDs in it, and its query may carry a token. */
  const count = ({ method, is404, routeOptions }: FastifyRequest, { statusCode: status, elapsedTime, raw }: FastifyReply): void => {
    const route = is404 ? UNKNOWN : routeOptions.url ?? UNKNOWN
    metrics.httpRequests.inc({ method, route, status })
    if (raw.getHeader('content-type') !== STREAM_MEDIA_TYPE) metrics.httpSeconds.observe({ route }, elapsedTime / 1000) // a stream takes as long as its client likes
    logger.debug({ method, route, status, ms: Math.round(elapsedTime) }, 'request')
  }
  const reading = {
    maxHeaderSize: HEADER_BYTES_MAX,
    headersTimeout: requestMs,
    connectionsCheckingInterval: Math.min(requestMs, 2000), // Node's 30 s would make this and requestTimeout mean 30 s
  }
  const options: FastifyHttpOptions<Server> = {
    logger: false, // a logger for each request costs more than most requests; errors are logged by their handler
    trustProxy,
    bodyLimit: BODY_BYTES_MAX,
    requestTimeout: requestMs,
    connectionTimeout: SILENCE_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
    forceCloseConnections: 'idle',
    return503OnClosing: false, // what arrives while closing is still answered: the stores close after this
    http: reading,
    ...(tls !== undefined && { https: { ...reading, ...tls, handshakeTimeout: HANDSHAKE_MS } }),
    frameworkErrors: (error, request, reply) => {
      void answerError(error, request, reply)
      count(request, reply) // these never get as far as hooks
    },
    clientErrorHandler: answerBrokenRequest as never,
    schemaErrorFormatter: describeValidation as never,
  }
  const app = fastify(options)
  app.setErrorHandler(answerError)
  app.setNotFoundHandler((_request, reply) => sendProblem(reply, reject('not_found')))

  app.removeAllContentTypeParsers()
  const parseJson = app.getDefaultJsonParser('error', 'error')
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, body: Buffer, done) => {
    if (body.length === 0) done(null, undefined) // joins and leaves need none, whatever their content type says
    else if (!isUtf8(body)) refuseBody(done, 'The body is not valid UTF-8')
    else void parseJson(request, body.toString(), (error, value) => { error === null ? done(null, value) : refuseBody(done, 'The body is not valid JSON') })
  })

  app.addHook('onRequest', createInTurn({ waitingMax: PIPELINED_MAX }))
  app.addHook('onRequest', async (_request, reply) => { void reply.header('x-content-type-options', 'nosniff') })
  const spans = isTracing() ? traceRequests(app) : undefined
  app.addHook('onResponse', async (request, reply) => { within(spans?.get(request), () => { count(request, reply) }) })
  if (spans !== undefined) app.addHook('onResponse', async (request, { statusCode }) => { endRequest(spans.get(request), statusCode) })
  return app
}

/** Each sampled request is a span, and what is done for it part of it; sockets and event streams, which go on for ever, are not. */
function traceRequests (app: FastifyInstance): WeakMap<FastifyRequest, Span> {
  const spans = new WeakMap<FastifyRequest, Span>()
  app.addHook('onRequest', (request, _reply, done) => {
    const { method, headers, is404, routeOptions } = request
    const route = is404 ? UNKNOWN : routeOptions.url ?? UNKNOWN
    const untraced = UNTRACED.has(route) || headers.accept?.includes(STREAM_MEDIA_TYPE) === true
    const span = untraced ? undefined : beginTrace(`${method} ${route}`, [headers.traceparent].flat()[0])
    if (span === undefined) return done()
    span.setAttributes({ 'http.request.method': method, 'http.route': route })
    spans.set(request, span)
    within(span, done)
  })
  app.addHook('preValidation', (request, _reply, done) => { within(spans.get(request), done) }) // reading the body has led out of it
  return spans
}

function endRequest (span: Span | undefined, status: number): void {
  span?.setAttribute('http.response.status_code', status)
  endSpan(span, status >= 500 ? String(status) : undefined)
}

function refuseBody (done: (error: Error) => void, detail: string): void {
  try {
    refuse('bad_request', detail)
  } catch (error) {
    done(error as Error)
  }
}
