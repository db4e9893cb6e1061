// Holds what clients see to the documents that the server makes of itself: every answer to the schema of its route and status in
// the OpenAPI document, every frame of both directions to its schema in the AsyncAPI document. A route, status, frame or field
// that is not documented fails the test that saw it. The clients of `client.ts` ask here of themselves.

import { generateKeyPairSync } from 'node:crypto'
import { Compile } from 'typebox/compile'
import { readSigningKey } from '../src/auth/tokens.ts'
import { ABOUT_DOCUMENT, ABOUT_SOCKET, asyncapiOf } from '../src/gateway/asyncapi.ts'
import { nameOfFrame } from '../src/gateway/server-frames.ts'
import { addRoutes, createServer, type RoutesDeps } from '../src/http/server.ts'
import { createLogger } from '../src/telemetry/logging.ts'
import { createMetrics } from '../src/telemetry/metrics.ts'
import { VERSION } from '../src/version.ts'

// Documents are read by path, and their shape is what their own tests are about.
export type Json = any

/** Something that no document tells of. */
export class Undocumented extends Error {
  override name = 'Undocumented'
}

/** Makes a server that serves nobody, for its documents and the list of its routes. */
export async function describeServer () {
  const app = await createServer({
    signingKey: readSigningKey(generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()),
    metrics: createMetrics('test'),
    logger: createLogger({ level: 'silent', role: 'test' }),
  })
  const routes: Array<{ method: string, url: string, schema: Json }> = []
  app.addHook('onRoute', route => {
    for (const method of [route.method].flat()) if (method !== 'HEAD') routes.push({ method, url: route.url, get schema () { return route.schema } })
  })
  // Registering a route calls nothing of what it will serve with.
  addRoutes(app, { metrics: createMetrics('test'), config: {} } as RoutesDeps)
  void app.register(async gateway => {
    gateway.get('/ws', { schema: ABOUT_SOCKET }, async () => {})
    gateway.get('/docs/asyncapi.json', { schema: ABOUT_DOCUMENT }, async () => {})
  })
  await app.ready()
  const openapi: Json = app.swagger()
  await app.close()
  return { openapi, routes }
}

let described: Promise<Json> | undefined
/** The OpenAPI document of this code. */
export async function openapi (): Promise<Json> {
  described ??= describeServer().then(({ openapi }) => openapi)
  return await described
}

export const asyncapi: Json = asyncapiOf({ version: VERSION })

/** What `#/…` of a document points to. */
export function resolve (document: Json, pointer: string): Json {
  return pointer.slice(2).split('/').reduce((at, key) => at?.[key.replaceAll('~1', '/').replaceAll('~0', '~')], document)
}

/** Every reference in a document. */
export function referencesOf (part: Json): string[] {
  if (typeof part !== 'object' || part === null) return []
  return Object.entries<Json>(part).flatMap(([key, value]) => key === '$ref' && typeof value === 'string' ? [value] : referencesOf(value))
}

/** Every schema in a document, without references and closed, by where it stands. */
export function schemasOf (document: Json, part: Json = document, at = '#'): Array<[at: string, schema: Json]> {
  if (typeof part !== 'object' || part === null) return []
  return Object.entries<Json>(part).flatMap(([key, value]) => {
    const here = `${at}/${key}`
    if (key === 'schema' || at.endsWith('/schemas')) return [[here, closed(document, value)]]
    return schemasOf(document, value, here)
  })
}

/** The schema without references, and with no fields but those that it names. */
function closed (document: Json, schema: Json): Json {
  if (typeof schema !== 'object' || schema === null) return schema
  if (Array.isArray(schema)) return schema.map(item => closed(document, item))
  if (typeof schema.$ref === 'string') {
    const { $ref, ...more } = schema
    const target = resolve(document, $ref)
    return closed(document, { ...target, ...more, properties: { ...target.properties, ...more.properties } })
  }
  const inner = Object.fromEntries(Object.entries(schema).map(([key, value]) => {
    if (key === 'properties' || key === 'patternProperties') return [key, Object.fromEntries(Object.entries(value as object).map(([name, field]) => [name, closed(document, field)]))]
    return [key, ['items', 'anyOf', 'oneOf', 'allOf', 'additionalProperties'].includes(key) ? closed(document, value) : value]
  }))
  const isOpen = 'additionalProperties' in inner || 'patternProperties' in inner
  return inner.properties === undefined || isOpen ? inner : { ...inner, additionalProperties: false }
}

interface Check { Check: (value: unknown) => boolean, Errors: (value: unknown) => Array<{ instancePath: string, message: string, params?: object }> }
const checks = new WeakMap<object, Check>()

/** What is wrong with the value, or undefined. */
function wrongWith (document: Json, schema: Json, value: unknown): string | undefined {
  let check = checks.get(schema)
  if (check === undefined) checks.set(schema, check = Compile(closed(document, schema)) as unknown as Check)
  if (check.Check(value)) return undefined
  return check.Errors(value).slice(0, 5).map(({ instancePath, message, params }) => `${instancePath === '' ? '(all)' : instancePath} ${message} ${JSON.stringify(params)}`).join('; ')
}

const ofServer = (frame: Json): Json => asyncapi.components.schemas[`server.${nameOfFrame(frame)}`]
const ofClient = (frame: Json): Json => asyncapi.components.schemas[`client.${frame.type}`]

/** Throws Undocumented if no document tells of this frame from the server. */
export function checkReceived (frame: { type: string }): void {
  checkFrame('the server sent', ofServer(frame), frame)
}

/** Throws Undocumented if no document tells of this frame from a client. */
export function checkSent (frame: { type: string }): void {
  checkFrame('the server took', ofClient(frame), frame)
}

function checkFrame (who: string, schema: Json, frame: { type: string }): void {
  const wrong = schema === undefined ? 'no such frame' : wrongWith(asyncapi, schema, frame)
  if (wrong !== undefined) throw new Undocumented(`${who} ${JSON.stringify(frame).slice(0, 1000)}: ${wrong}`)
}

/** Answers that come before any route, as the document says of all. */
const BEFORE_ROUTES = new Set(['bad_request', 'too_large', 'request_timeout'])
const NOWHERE = new Set([...BEFORE_ROUTES, 'not_found', 'rate_limited', 'unavailable', 'overloaded'])
/** What the pages of the reference are made of. */
const PAGES = '/docs/static/'

/** Throws Undocumented if the OpenAPI document does not tell of this answer. */
export async function checkAnswer (method: string, path: string, { status, type, body }: { status: number, type: string | null, body: unknown }): Promise<void> {
  const document = await openapi()
  const pathname = path.split(/[?#]/, 1)[0]!
  if (pathname.startsWith(PAGES)) return
  const operation = operationAt(document, method === 'HEAD' ? 'get' : method.toLowerCase(), pathname)
  const problem = (what: string): Undocumented => new Undocumented(`${method} ${path} was answered with ${status} ${type ?? ''} ${JSON.stringify(body)?.slice(0, 1000)}: ${what}`)
  const code = (body as { code?: string } | undefined)?.code ?? ''
  if (operation === undefined || (operation.responses[status] === undefined && BEFORE_ROUTES.has(code))) {
    const wrong = method === 'HEAD' ? undefined : wrongWith(document, document.components.schemas.Problem, body)
    if (wrong !== undefined || (method !== 'HEAD' && !NOWHERE.has(code))) throw problem(operation === undefined ? 'no such route' : wrong ?? 'not before a route')
    return
  }
  const response = operation.responses[status]
  if (response === undefined) throw problem('no such status')
  if (method === 'HEAD') return
  if (response.content === undefined) {
    if (body !== '') throw problem('there is no body')
    return
  }
  const [media = ''] = (type ?? '').split(';', 1)
  const content = response.content[media]
  if (content === undefined) throw problem('no such media type')
  const wrong = wrongWith(document, content.schema, body)
  if (wrong !== undefined) throw problem(wrong)
}

/** The operation that serves this path: of several, the one that names more of it. */
function operationAt (document: Json, method: string, pathname: string): Json {
  const given = pathname.split('/')
  const matches = Object.keys(document.paths).filter(path => {
    const parts = path.split('/')
    return parts.length === given.length && document.paths[path][method] !== undefined && parts.every((part, i) => part === given[i] || part.startsWith('{'))
  })
  const [best] = matches.sort((a, b) => a.split('{').length - b.split('{').length)
  return best === undefined ? undefined : document.paths[best][method]
}
