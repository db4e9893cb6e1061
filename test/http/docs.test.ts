// The OpenAPI document: whole, made of the schemas of the routes, of all of them and no other; and what a server serves of it.
import { once } from 'node:events'
import { connect as connectTcp } from 'node:net'
import t from 'tap'
import { Compile } from 'typebox/compile'
import { REJECTIONS } from '../../src/domain/rejections.ts'
import { TAGS } from '../../src/http/about.ts'
import { VERSION } from '../../src/version.ts'
import { asyncapi, checkAnswer, describeServer, openapi, referencesOf, resolve, schemasOf, Undocumented, type Json } from '../described.ts'
import { millrace } from '../e2e/world.ts'

const { openapi: document, routes } = await describeServer()
const METHODS = new Set(['get', 'put', 'post', 'patch', 'delete'])
const operations = Object.entries<Json>(document.paths).flatMap(([path, methods]) => Object.entries<Json>(methods).map(([method, operation]) => ({ name: `${method.toUpperCase()} ${path}`, method, path, operation })))
/** What the pages of the reference are made of is no API. */
const served = routes.filter(({ url }) => !url.startsWith('/docs/static/'))
const pathOf = (url: string): string => url.replace(/:(\w+)/g, '{$1}')
const operationOf = ({ method, url }: { method: string, url: string }): Json => document.paths[pathOf(url)]?.[method.toLowerCase()]

t.test('the document has the shape of OpenAPI 3.1', async t => {
  t.equal(document.openapi, '3.1.0')
  t.match(document.info, { title: 'Millrace', version: VERSION, description: /\w/ })
  t.same(Object.keys(document).sort(), ['components', 'info', 'openapi', 'paths', 'tags'])
  t.same(document.tags.map(({ name }: Json) => name), Object.keys(TAGS))
  for (const { name, method, path, operation } of operations) {
    t.ok(METHODS.has(method), name)
    const parameters: Json[] = operation.parameters ?? []
    t.same(parameters.filter(parameter => parameter.in === 'path').map(parameter => parameter.name).sort(), [...path.matchAll(/\{(\w+)\}/g)].map(([, parameter]) => parameter).sort(), `${name}: the parameters of its path`)
    for (const parameter of parameters) t.match(parameter, { name: /^[\w-]+$/, in: /^(path|query|header)$/, required: Boolean, schema: Object }, name)
    for (const way of operation.security) for (const scheme of Object.keys(way)) t.ok(document.components.securitySchemes[scheme], `${name}: ${scheme}`)
    for (const [status, response] of Object.entries<Json>(operation.responses)) {
      t.match(status, /^[1-5]\d\d$/, name)
      t.match(response.description, /\w/, `${name}: ${status}`)
      for (const [media, { schema }] of Object.entries<Json>(response.content ?? {})) t.ok(/^\w+\/[\w+.-]+$/.test(media) && schema !== undefined, `${name}: ${status} ${media}`)
    }
  }
})

t.test('every reference points to something, and every schema can be compiled', async t => {
  for (const reference of new Set(referencesOf(document))) t.not(resolve(document, reference), undefined, reference)
  const schemas = schemasOf(document)
  t.ok(schemas.length > 300, `${schemas.length} schemas`)
  for (const [at, schema] of schemas) {
    try {
      Compile(schema)
    } catch (error) {
      t.error(error, at)
    }
  }
})

t.test('every route is in the document, with a chapter, a summary and its answer, and no other', async t => {
  for (const route of served) {
    const operation = operationOf(route)
    const name = `${route.method} ${route.url}`
    if (operation === undefined) {
      t.fail(`${name} is not documented`)
      continue
    }
    t.ok(operation.tags?.length === 1 && operation.tags[0] in TAGS, `${name} has a chapter: about(…) in its schema`)
    t.match(operation.summary, /^\w.*[^.]$/, `${name} has a summary`)
    const answers = Object.entries<Json>(operation.responses).filter(([status]) => /^[12]/.test(status))
    t.ok(answers.length > 0 && answers.every(([status, { content }]) => status === '204' || status === '101' || content !== undefined), `${name} says what it answers`)
    for (const [status, { content }] of answers) for (const media of Object.values<Json>(content ?? {})) t.not(JSON.stringify(media.schema), '{}', `${name}: the schema of ${status}`)
  }
  t.same(operations.map(({ name }) => name).sort(), served.map(({ method, url }) => `${method} ${pathOf(url)}`).sort())
})

t.test('what is said of a request is what checks it', async t => {
  const plain = (schema: Json): Json => JSON.parse(JSON.stringify(schema))
  for (const route of served) {
    const { schema = {} } = route
    const operation = operationOf(route)
    const name = `${route.method} ${route.url}`
    t.same(operation.requestBody?.content['application/json'].schema, schema.body === undefined ? undefined : plain(schema.body), `${name}: its body`)
    for (const [part, place] of [['querystring', 'query'], ['params', 'path'], ['headers', 'header']] as const) {
      const names = (operation.parameters ?? []).filter((parameter: Json) => parameter.in === place).map((parameter: Json) => parameter.name)
      const checked = Object.keys((part === 'querystring' ? schema.describes?.querystring ?? schema.querystring : schema[part])?.properties ?? {})
      if (part !== 'params' || checked.length > 0) t.same(names, checked, `${name}: its ${part}`)
    }
  }
})

t.test('every route says which problems it may answer', async t => {
  for (const { name, operation } of operations) {
    for (const [status, { content }] of Object.entries<Json>(operation.responses)) {
      const problem = content?.['application/problem+json']?.schema
      if (problem === undefined) {
        t.ok(Number(status) < 400 || status === '503', `${name}: ${status}`)
        continue
      }
      t.equal(problem.$ref, '#/components/schemas/Problem')
      for (const code of problem.properties.code.enum) t.equal(String(REJECTIONS[code as keyof typeof REJECTIONS].status), status, `${name}: ${code}`)
    }
    const takes = operation.security.length > 0 && operation.security.every((way: Json) => 'bearer' in way)
    if (takes) t.ok(operation.responses[401], `${name} needs a token`)
  }
  t.same(document.components.schemas.Problem.properties.code.enum, Object.keys(REJECTIONS))
})

t.test('an answer that is not documented is found', async t => {
  const json = { type: 'application/json; charset=utf-8' }
  const problem = (code: keyof typeof REJECTIONS, more = {}): Json => ({ status: REJECTIONS[code].status, type: 'application/problem+json; charset=utf-8', body: { type: `urn:millrace:problem:${code}`, title: '', status: REJECTIONS[code].status, code, detail: '', ...more } })
  const ticket = { ...json, status: 200, body: { ticket: 'x', expires_in: 30 } }
  await checkAnswer('POST', '/auth/ws-ticket', ticket)
  await checkAnswer('POST', '/auth/ws-ticket?x=1', problem('unauthenticated'))
  await checkAnswer('GET', '/nowhere', problem('not_found'))
  await checkAnswer('GET', '/me', problem('too_large'))
  await checkAnswer('HEAD', '/me', { ...json, status: 200, body: '' })
  for (const [what, method, path, answer] of [
    ['a route', 'GET', '/nowhere', ticket],
    ['a method', 'PUT', '/auth/ws-ticket', ticket],
    ['a status', 'POST', '/auth/ws-ticket', { ...ticket, status: 201 }],
    ['a field', 'POST', '/auth/ws-ticket', { ...ticket, body: { ...ticket.body, more: 1 } }],
    ['a field that is missing', 'POST', '/auth/ws-ticket', { ...ticket, body: { ticket: 'x' } }],
    ['a type', 'POST', '/auth/ws-ticket', { ...ticket, body: { ticket: 1, expires_in: 30 } }],
    ['a media type', 'POST', '/auth/ws-ticket', { ...ticket, type: 'text/plain' }],
    ['a code', 'POST', '/auth/ws-ticket', problem('room_full')],
    ['a code of this status', 'GET', '/me', problem('bad_credentials')],
    ['a field of a problem', 'POST', '/auth/ws-ticket', problem('unauthenticated', { more: 1 })],
    ['a body', 'DELETE', '/rooms/lobby', { ...json, status: 204, body: '{}' }],
  ] as const) await t.rejects(checkAnswer(method, path, answer), Undocumented, what)
})

t.test('a server serves its documents, and pages to read them', async t => {
  const world = await millrace(t, { gateways: 1, projectors: 0 })
  const { get, call } = world.api(0)

  t.same((await get('/docs/json')).body, await openapi(), 'its OpenAPI document is the one that answers are held to')
  t.same((await get('/docs/asyncapi.json')).body, asyncapi, 'its AsyncAPI document is the one that frames are held to')
  t.match((await get('/docs/yaml')).body, /^openapi: 3\.1\.0$/m)
  t.same((await get('/docs/errors')).body, { items: Object.entries(REJECTIONS).map(([code, entry]) => ({ code, ...entry })), next: null })

  const page = await get('/docs')
  t.equal(page.status, 200)
  const policy = page.headers.get('content-security-policy') ?? ''
  t.match(policy, /default-src 'none'.*script-src 'self';/)
  t.notMatch(policy, /unsafe|http|\*/, 'nothing from elsewhere, nothing that stands in the page')
  t.notMatch(page.body, /<script>|<script(?![^>]* src=)|<style| on\w+=|https?:\/\/(?!127)/, 'and the page needs none of it')
  const assets = [...String(page.body).matchAll(/(?:src|href)="([^"]+)"/g)].map(([, path]) => new URL(path!, new URL('/docs', world.urlOf(0))).pathname)
  t.ok(assets.length > 3, assets.join(' '))
  for (const path of assets) t.equal((await get(path)).status, 200, path)
  t.equal((await call('POST', '/docs/json')).status, 404)

  await t.test('what is no HTTP is answered as the document says', async t => {
    const { hostname, port } = new URL(world.urlOf(0))
    const socket = connectTcp(Number(port), hostname)
    socket.end('nonsense\r\n\r\n')
    const [bytes] = await once(socket, 'data') as [Buffer]
    const [, status, body] = /^HTTP\/1\.1 (\d+)[^]*\r\n\r\n([^]*)$/.exec(bytes.toString()) ?? []
    await t.resolves(checkAnswer('GET', '/me', { status: Number(status), type: 'application/problem+json; charset=utf-8', body: JSON.parse(body ?? '') }))
  })
})
