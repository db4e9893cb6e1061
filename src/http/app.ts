/**
 * What every route of the HTTP API shares: the type of the server, the compiler of its schemas, who asks, and the headers of
 * requests that append.
 *
 * One validator checks frames and requests alike (TypeBox). What comes as text, in paths, queries and headers, is taken for
 * a whole number only if it looks like one: TypeBox's own conversion would cut `1.5` to 1.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyBaseLogger, FastifyInstance, FastifyReply, FastifyRequest, FastifySchemaCompiler } from 'fastify'
import Type, { type Static, type TSchema } from 'typebox'
import { Compile } from 'typebox/compile'
import { resolveRoomId } from '../domain/lobby.ts'
import type { Sessions } from '../auth/sessions.ts'
import type { Tokens, VerifiedToken } from '../auth/tokens.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import { refuse } from './problems.ts'

export type App = FastifyInstance<Server, IncomingMessage, ServerResponse, FastifyBaseLogger, TypeBoxTypeProvider>

declare module 'fastify' {
  interface FastifyRequest {
    /** Set by `requireUser`. */
    identity: VerifiedToken | null
  }
  interface FastifyContextConfig {
    /** Whether `?ticket=` may stand for the access token, for what browsers ask for without headers. */
    ticket?: true
  }
}

export const LIMIT_MAX = 200

export const UUID_PATTERN = '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$'

/** `limit` of a list. */
export const Limit = Type.Optional(Type.Integer({ minimum: 1, maximum: LIMIT_MAX, description: `At most this many items; ${LIMIT_MAX} is the most` }))

export const RoomParams = Type.Object({ id: Type.String({ description: 'UUID of the room, or `lobby`' }) })

/** An answer with a list. */
export const listOf = <T extends TSchema, N extends TSchema>(items: T, next: N) => Type.Object({
  items: Type.Array(items),
  next: Type.Union([next, Type.Null()], { description: 'Where the next page begins; null at the end' }),
})

export const Position = Type.Object({ seq: Type.Integer(), chain: Type.String() }, { description: 'A place in the log of a room' })

/** Headers of requests that append. The key is the `client_id` of frames. */
export const AppendHeaders = Type.Object({
  'idempotency-key': Type.Optional(Type.String({ minLength: 1, maxLength: 200, pattern: '^[^\\u0000-\\u001f\\u007f-\\u009f]+$', description: 'The same key again gives the first result and appends nothing' })),
  'idempotency-resend': Type.Optional(Type.Enum(['true', 'false'], { description: '`true`: this key may have been sent more than 10 minutes ago' })),
})

/** What a request says about its command. */
export function commandOf (request: { identity: VerifiedToken | null, headers: Static<typeof AppendHeaders> }): { user_id: string, session: string, by: string, client_id: string | undefined, resend: boolean } {
  const { user_id, session_id } = identityOf(request)
  return { user_id, session: session_id, by: session_id, client_id: request.headers['idempotency-key'], resend: request.headers['idempotency-resend'] === 'true' }
}

/** The room that the path names. */
export function roomIdOf ({ params }: { params: Static<typeof RoomParams> }): string {
  return resolveRoomId(params.id) ?? refuse('bad_request', 'id must be the UUID of a room, or `lobby`', 'id')
}

/** Whoever asks, on a route that has `requireUser`. */
export function identityOf ({ identity }: { identity: VerifiedToken | null }): VerifiedToken {
  return identity ?? refuse('unauthenticated')
}

const WHOLE = /^-?\d{1,17}$/

/** Every schema of a request is checked by TypeBox; see the head of this file for what is converted. */
export const validatorCompiler: FastifySchemaCompiler<TSchema> = ({ schema, httpPart }) => {
  const check = Compile(schema)
  const integers = httpPart === 'body' ? [] : integersOf(schema)
  return (value: unknown) => {
    const given = integers.length === 0 ? value : { ...value as Record<string, unknown> }
    for (const name of integers) {
      const text = (given as Record<string, unknown>)[name]
      if (typeof text === 'string' && WHOLE.test(text)) (given as Record<string, unknown>)[name] = Number(text)
    }
    return check.Check(given) ? { value: given } : { error: check.Errors(given) as never }
  }
}

function integersOf (schema: TSchema): string[] {
  const { properties = {} } = schema as { properties?: Record<string, { type?: string }> }
  return Object.keys(properties).filter(name => properties[name]?.type === 'integer')
}

/**
 * A hook that lets only those in who bring a valid access token: `Authorization: Bearer …`. It asks `tokens` as the WebSocket
 * does, not `request.jwtVerify()`: one way to check a token, by our clock, and one "no" for everything that is wrong with one.
 */
export function createRequireUser ({ tokens, sessions, metrics }: { tokens: Tokens, sessions: Pick<Sessions, 'redeem'>, metrics: Metrics }) {
  const identify = async (request: FastifyRequest, token: string | undefined): Promise<VerifiedToken | undefined> => {
    const { ticket } = request.query as { ticket?: unknown }
    if (token !== undefined) return await tokens.verify(token)
    return request.routeOptions.config.ticket === true && typeof ticket === 'string' ? await sessions.redeem(ticket) : refuse('unauthenticated')
  }

  return async (request: FastifyRequest, _reply: FastifyReply): Promise<void> => {
    const [, token] = /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? '') ?? []
    const verified = await identify(request, token)
    if (verified === undefined) {
      metrics.authFailures.inc({ reason: 'bad_token' })
      refuse('unauthenticated', 'The access token is not valid, or no longer')
    }
    request.identity = verified
  }
}
