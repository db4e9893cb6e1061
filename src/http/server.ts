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
import fastifyJwt from '@fastify/jwt'
import { fastify, type FastifyInstance, type FastifyHttpOptions, type FastifyReply, type FastifyRequest } from 'fastify'
import type { Accounts } from '../auth/accounts.ts'
import { jwtOptions, type SigningKey, type Tokens } from '../auth/tokens.ts'
import type { Logger } from '../telemetry/logging.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import { createRequireUser, validatorCompiler, type App } from './app.ts'
import { authRoutes } from './auth.ts'
import { eventsRoutes, type EventsDeps } from './events.ts'
import { createGate } from './gate.ts'
import { healthRoutes, type Readiness } from './health.ts'
import { createInTurn } from './in-turn.ts'
import { meRoutes } from './me.ts'
import { messagesRoutes, type MessagesDeps } from './messages.ts'
import { metricsRoutes } from './metrics.ts'
import { answerBrokenRequest, createErrorHandler, describeValidation, refuse, sendProblem } from './problems.ts'
import { reject } from '../domain/rejections.ts'
import { roomsRoutes, type RoomsDeps } from './rooms.ts'
import { usersRoutes } from './users.ts'

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

/** What every server of Millrace needs. */
export interface ServerDeps {
  metrics: Metrics
  logger: Logger
  /** Milliseconds a request may take to arrive; for tests. */
  requestMs?: number
}

/** What the routes need that every process has. */
export interface OpsRoutesDeps {
  config: { readonly METRICS_FROM?: string | undefined }
  metrics: Metrics
  logger: Logger
  ready: () => Promise<Readiness>
}

export type OpsDeps = ServerDeps & OpsRoutesDeps

export type RoutesDeps = OpsRoutesDeps & RoomsDeps & MessagesDeps & EventsDeps & { tokens: Tokens, accounts: Accounts }

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

  void app.register(async open => {
    open.get('/', async () => ({ name: 'Millrace', api: 'Sign up at POST /auth/signup, then connect a WebSocket to /ws' }))
    authRoutes(open as never as App, deps)
    healthRoutes(open, deps)
    metricsRoutes(open, { ...deps, from: deps.config.METRICS_FROM })
  })
  void app.register(async scope => {
    const signedIn = scope as never as App
    signedIn.addHook('onRequest', createRequireUser(deps))
    meRoutes(signedIn, deps)
    usersRoutes(signedIn, deps)
    roomsRoutes(signedIn, deps)
    const gate = createGate()
    messagesRoutes(signedIn, { ...deps, gate })
    eventsRoutes(signedIn, { ...deps, gate })
  })
}

/** Health and metrics only, for a process without a gateway. */
export function createOps (deps: OpsDeps): FastifyInstance {
  const app = createBareServer(deps)
  healthRoutes(app, deps)
  metricsRoutes(app, { ...deps, from: deps.config.METRICS_FROM })
  return app
}

function createBareServer ({ metrics, logger, requestMs = REQUEST_MS }: ServerDeps): FastifyInstance {
  const answerError = createErrorHandler(logger)
  /** By route, not by URL: it has IDs in it, and its query may carry a token. */
  const count = ({ method, is404, routeOptions }: FastifyRequest, { statusCode: status, elapsedTime }: FastifyReply): void => {
    const route = is404 ? UNKNOWN : routeOptions.url ?? UNKNOWN
    metrics.httpRequests.inc({ method, route, status })
    metrics.httpSeconds.observe({ route }, elapsedTime / 1000)
    logger.debug({ method, route, status, ms: Math.round(elapsedTime) }, 'request')
  }
  const options: FastifyHttpOptions<Server> = {
    logger: false, // a logger for each request costs more than most requests; errors are logged by their handler
    bodyLimit: BODY_BYTES_MAX,
    requestTimeout: requestMs,
    connectionTimeout: SILENCE_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
    forceCloseConnections: 'idle',
    return503OnClosing: false, // what arrives while closing is still answered: the stores close after this
    http: {
      maxHeaderSize: HEADER_BYTES_MAX,
      headersTimeout: requestMs,
      connectionsCheckingInterval: Math.min(requestMs, 2000), // Node's 30 s would make the two above mean 30 s
    },
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
  app.addHook('onResponse', async (request, reply) => { count(request, reply) })
  return app
}

function refuseBody (done: (error: Error) => void, detail: string): void {
  try {
    refuse('bad_request', detail)
  } catch (error) {
    done(error as Error)
  }
}
