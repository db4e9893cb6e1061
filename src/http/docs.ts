/**
 * The reference that the server makes of itself: OpenAPI 3.1 at `/docs/json` and `/docs/yaml`, of the very schemas that check
 * requests and write answers; pages to read it at `/docs`; the catalogue of rejections at `/docs/errors`. The WebSocket's
 * document is the gateway's (`/docs/asyncapi.json`).
 *
 * The document is made when it is first asked for, then kept. What every route of a kind may answer is derived here; what is a
 * route's own stands beside it (`about.ts`).
 */
import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import type { FastifyInstance, FastifySchema, RouteOptions } from 'fastify'
import Type, { type TSchema } from 'typebox'
import { REJECTIONS, type RejectionCode } from '../domain/rejections.ts'
import { VERSION } from '../version.ts'
import { about, TAGS, text } from './about.ts'
import { FREE } from './limits.ts'
import { PROBLEM_MEDIA_TYPE } from './problems.ts'
import { COOKIE } from './refresh-cookie.ts'

export const BEARER = [{ bearer: [] }]

const Problem = Type.Object({
  type: Type.String({ description: '`urn:millrace:problem:` and the code' }),
  title: Type.String(),
  status: Type.Integer(),
  code: Type.Enum(Object.keys(REJECTIONS) as RejectionCode[], { description: 'Stable: match this, never the text' }),
  detail: Type.String({ description: 'The facts of the case, for people' }),
  field: Type.Optional(Type.String({ description: 'The field that was wrong' })),
  retry_after_ms: Type.Optional(Type.Integer({ description: 'Milliseconds after which trying again makes sense' })),
}, { description: 'A "no", as of RFC 9457' })

const Catalogue = Type.Object({
  items: Type.Array(Type.Object({
    code: Type.String(),
    status: Type.Integer({ description: 'HTTP status' }),
    message: Type.String(),
    retry: Type.Boolean({ description: 'Whether the same request may succeed later, unchanged' }),
  })),
  next: Type.Null(),
})

const INFO = `Rooms are logs of events. After a command was answered, its caller's reads show it. Every "no" is a problem with a stable
\`code\`; \`GET /docs/errors\` lists them all. What is no HTTP, or arrives too slowly, is answered with \`bad_request\`, \`too_large\` or \`request_timeout\` before it
gets to any route; what has no route, with \`not_found\`. The WebSocket is described by \`/docs/asyncapi.json\`.`

/** Nothing is loaded from elsewhere, and no script or style that stands in a page is run. */
const CSP = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

/** Routes that come with the pages: these are worth knowing, the rest is what the pages are made of. */
const OF_THE_PAGES: Readonly<Record<string, FastifySchema>> = {
  '/docs': { ...about('Service', 'The reference, to read'), describes: { response: { 200: text('text/html') } } },
  '/docs/json': { ...about('Service', 'The reference, as OpenAPI 3.1'), describes: { response: { 200: Type.Record(Type.String(), Type.Unknown()) } } },
  '/docs/yaml': { ...about('Service', 'The same as YAML'), describes: { response: { 200: text('application/x-yaml') } } },
}

/** Documents the routes that are registered after it. */
export function documentRoutes (app: FastifyInstance): void {
  void app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'Millrace', version: VERSION, description: INFO, license: { name: 'MIT', identifier: 'MIT' } },
      tags: Object.entries(TAGS).map(([name, description]) => ({ name, description })),
      components: {
        schemas: { Problem: plain(Problem) },
        securitySchemes: {
          bearer: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' },
          refresh_cookie: { type: 'apiKey', in: 'cookie', name: COOKIE, description: 'For browsers, with the header X-Requested-With' },
        },
      },
    },
    convertConstToEnum: false, // 3.1 has const
    transform ({ schema, url, route }) {
      const path = url === '/docs/' ? '/docs' : url
      return { schema: described(schema, path, route), url: path }
    },
    transformObject: document => 'openapiObject' in document ? withProblems(document.openapiObject as Document) as never : document.swaggerObject,
  })
  void app.register(swaggerUi, { routePrefix: '/docs', staticCSP: CSP, theme: { title: 'Millrace: the HTTP API' }, uiConfig: { deepLinking: true, docExpansion: 'list', persistAuthorization: false } })
  void app.register(async open => {
    open.get('/docs/errors', { schema: { ...about('Service', 'Every code that a problem or an error frame may have'), response: { 200: Catalogue } } }, async () => {
      return { items: Object.entries(REJECTIONS).map(([code, { status, message, retry }]) => ({ code, status, message, retry })), next: null }
    })
  })
}

/** Says of the routes of a scope that they need an access token. */
export function markSignedIn (scope: FastifyInstance): void {
  scope.addHook('onRoute', route => { route.schema = { security: BEARER, ...route.schema } })
}

interface Operation {
  'x-rejections'?: RejectionCode[]
  'x-body'?: 'optional'
  requestBody?: { required?: boolean }
  responses: Record<string, object>
}
interface Document { paths: Record<string, Record<string, Operation>> }

/** The schema of a route as the reference has it. */
function described (given: FastifySchema | undefined, url: string, route: RouteOptions): FastifySchema {
  const schema = given?.hide === true ? { ...OF_THE_PAGES[url], ...(url in OF_THE_PAGES ? {} : { hide: true }) } : { ...given }
  const { describes, rejections, ...rest } = schema
  const shown = { security: [], ...rest, ...describes } as FastifySchema
  const optional = route.preValidation !== undefined && (shown.body as { required?: string[] } | undefined)?.required === undefined
  return { ...shown, 'x-rejections': codesOf({ security: [], ...rest }, rejections ?? [], url), ...(optional ? { 'x-body': 'optional' } : {}) } as FastifySchema
}

/** All codes that a route may answer. */
function codesOf ({ params, querystring, headers, body, security }: FastifySchema, own: readonly RejectionCode[], url: string): RejectionCode[] {
  const names = (schema: unknown): string[] => Object.keys((schema as { properties?: object } | undefined)?.properties ?? {})
  const codes = new Set<RejectionCode>(['internal', ...own])
  const add = (...more: RejectionCode[]): void => { for (const code of more) codes.add(code) }
  if ([params, querystring, headers, body].some(part => part !== undefined)) add('bad_request')
  if (body !== undefined) add('too_large', 'unsupported_media_type', 'request_timeout')
  if (security?.[0] !== undefined && security.every(way => 'bearer' in way)) add('unauthenticated')
  if (!FREE.has(url)) add('rate_limited', 'unavailable', 'overloaded')
  if (params !== undefined) add('not_found') // where one is longer than any that could be good
  if (url.startsWith('/rooms/:id')) add('room_not_found', 'not_member', 'banned')
  if (names(headers).includes('idempotency-key')) add('conflict')
  return Object.keys(REJECTIONS).filter((code): code is RejectionCode => codes.has(code as RejectionCode))
}

/** Each code's answer: the problem, by status. */
function withProblems (document: Document): Document {
  for (const operation of Object.values(document.paths).flatMap(methods => Object.values(methods))) {
    const byStatus = Map.groupBy(operation['x-rejections'] ?? [], code => REJECTIONS[code].status)
    for (const [status, codes] of byStatus) {
      const problem = { $ref: '#/components/schemas/Problem', properties: { code: { enum: codes } } }
      const before = operation.responses[status] as { content?: object } | undefined
      const description = codes.map(code => `\`${code}\`: ${REJECTIONS[code].message}`).join('\n\n')
      operation.responses[status] = { description, ...before, content: { ...before?.content, [PROBLEM_MEDIA_TYPE]: { schema: problem } } }
    }
    for (const response of Object.values(operation.responses) as Array<{ description: string }>) if (response.description === 'Default Response') response.description = 'The answer'
    if (operation['x-body'] === 'optional' && operation.requestBody !== undefined) operation.requestBody.required = false
    delete operation['x-rejections']
    delete operation['x-body']
  }
  return document
}

/** A schema as JSON has it. */
function plain (schema: TSchema): object {
  return JSON.parse(JSON.stringify(schema)) as object
}
