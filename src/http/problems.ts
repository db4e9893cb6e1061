/**
 * Every "no" of the HTTP API as an RFC 9457 problem, out of the one catalogue (`domain/rejections.ts`).
 *
 * Whatever is thrown on the way becomes one too: what the client did wrong a stable code, a fault of Redis or Postgres
 * `unavailable`, anything else `internal`, logged once, of which the client learns nothing.
 */
import type { Socket } from 'node:net'
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import { REJECTIONS, reject, type Rejection, type RejectionCode } from '../domain/rejections.ts'
import { LogFault } from '../log/log.ts'
import { isUnavailable } from '../store/pool.ts'
import type { Logger } from '../telemetry/logging.ts'

export const PROBLEM_MEDIA_TYPE = 'application/problem+json'
const PROBLEM_TYPE = `${PROBLEM_MEDIA_TYPE}; charset=utf-8`
const RETRY_MS = 1000

/** An expected "no" that a route throws where returning it would only be passed on. */
export class Refusal extends Error {
  override name = 'Refusal'
  readonly rejection: Rejection
  readonly field: string | undefined
  constructor (rejection: Rejection, field?: string) {
    super(rejection.message)
    this.rejection = rejection
    this.field = field
  }
}

/** Throws the refusal `code`. */
export function refuse (code: RejectionCode, detail?: string, field?: string): never {
  throw new Refusal(reject(code, detail), field)
}

function problemOf ({ code, message, retry_after_ms }: Rejection, field?: string): object {
  const { status, message: title } = REJECTIONS[code]
  return { type: `urn:millrace:problem:${code}`, title, status, code, detail: message, field, retry_after_ms }
}

export function sendProblem (reply: FastifyReply, rejection: Rejection, field?: string): FastifyReply {
  const { status } = REJECTIONS[rejection.code]
  if (rejection.retry_after_ms !== undefined) reply.header('retry-after', Math.ceil(rejection.retry_after_ms / 1000)) // whole seconds
  if (status === 401) reply.header('www-authenticate', 'Bearer realm="millrace"')
  return reply.code(status).header('content-type', PROBLEM_TYPE).serializer(JSON.stringify).send(problemOf(rejection, field))
}

/** The error handler of the server. */
export function createErrorHandler (logger: Logger): (error: unknown, request: FastifyRequest, reply: FastifyReply) => FastifyReply {
  return (error, request, reply) => {
    const [rejection, field] = answerTo(error)
    if (rejection.code === 'internal') logger.error({ err: error, method: request.method, route: request.routeOptions.url }, 'a request failed')
    else if (error instanceof LogFault || rejection.code === 'unavailable') logger.debug({ reason: (error as Error).message, route: request.routeOptions.url }, 'a request was answered with a fault')
    return sendProblem(reply, rejection, field)
  }
}

function answerTo (error: unknown): [rejection: Rejection, field?: string | undefined] {
  if (error instanceof Refusal) return [error.rejection, error.field]
  if (error instanceof LogFault) return [reject(error.code === 'overloaded' ? 'overloaded' : 'unavailable', undefined, RETRY_MS)]
  const { code, statusCode, message, validation } = error as FastifyError
  if (validation !== undefined) return [reject('bad_request', message), fieldOf(message)]
  switch (code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE': return [reject('too_large')]
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
    case 'FST_ERR_CTP_EMPTY_TYPE': return [reject('unsupported_media_type')]
    case 'FST_ERR_MAX_PARAM_LENGTH': return [reject('not_found')]
    case 'FST_ERR_BAD_URL': return [reject('bad_request', 'The path is not valid percent-encoded UTF-8')]
  }
  if (code?.startsWith('FST_ERR_') && statusCode !== undefined && statusCode < 500) return [reject('bad_request', message)]
  // Only what Node, Redis and Postgres throw has to do with reachability: a TypeError that says "connect" is a bug.
  if (!(error instanceof TypeError || error instanceof RangeError) && isUnavailable(error)) return [reject('unavailable', undefined, RETRY_MS)]
  return [reject('internal')]
}

/** `schemaErrorFormatter`: the first thing that is wrong, as one sentence that begins with the field. */
export function describeValidation (errors: ReadonlyArray<{ instancePath?: string, keyword?: string, params?: object, message?: string }>, part: string): Error {
  const { instancePath = '', keyword, params, message = 'is wrong' } = errors[0] ?? {}
  const path = instancePath.slice(1).replaceAll('/', '.')
  const missing = keyword === 'required' ? (params as { requiredProperties?: string[] }).requiredProperties?.[0] : undefined
  if (missing !== undefined) return new Error(`${path === '' ? missing : `${path}.${missing}`} is missing`)
  return new Error(`${path === '' ? `the ${part}` : path} ${message}`)
}

/** The field that a sentence of `describeValidation` begins with. */
function fieldOf (sentence: string): string | undefined {
  const [first] = sentence.split(' ', 1)
  return first === 'the' ? undefined : first
}

/** What Node cannot even parse is answered by hand, and the connection closed. */
export function answerBrokenRequest (error: Error & { code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy()
    return
  }
  const code = error.code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 'request_timeout' : error.code === 'HPE_HEADER_OVERFLOW' ? 'too_large' : 'bad_request'
  const body = JSON.stringify(problemOf(reject(code, code === 'bad_request' ? 'This is not HTTP' : code === 'too_large' ? 'The headers are too large' : undefined)))
  const { status } = REJECTIONS[code]
  socket.end(`HTTP/1.1 ${status} ${code}\r\nContent-Type: ${PROBLEM_TYPE}\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`)
}
