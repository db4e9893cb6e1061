// The documents are held to the code: codes, routes, frames, close codes, the files that the README names.
import t from 'tap'
import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { EventFrames } from '../src/domain/event-frames.ts'
import { REJECTIONS } from '../src/domain/rejections.ts'
import { CLOSE } from '../src/gateway/close-codes.ts'
import { ClientFrames } from '../src/gateway/frames.ts'
import { ControlFrames } from '../src/gateway/server-frames.ts'
import { openapi, type Json } from './described.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const read = (path: string): string => readFileSync(`${root}${path}`, 'utf8')
/** A section of docs/PROTOCOL.md, up to the next of its level. */
const section = (title: string, level: number): string => new RegExp(`^#{${level}} ${title}$([^]*?)(?=^#{2,${level}} |(?![^]))`, 'm').exec(read('docs/PROTOCOL.md'))?.[1] ?? ''
const fieldsOf = (schema: object): string[] => Object.keys((schema as { properties?: object }).properties ?? {})

t.test('docs/PROTOCOL.md lists every code with its status, and no other', async t => {
  const rows = [...read('docs/PROTOCOL.md').matchAll(/^\| `(\w+)` \| (\d{3}) \| (yes|no) \| (.+) \|$/gm)].map(([, code, status, retry, message]) => [code, { status: Number(status), retry: retry === 'yes', message }])
  t.same(Object.fromEntries(rows), REJECTIONS)
})

t.test('docs/PROTOCOL.md names every route, and no other, with queries and bodies that they take', async t => {
  const { paths } = await openapi()
  const operations = new Map(Object.entries<Json>(paths).flatMap(([path, methods]) => Object.entries<Json>(methods).map(([method, operation]) => [`${method.toUpperCase()} ${path.replace(/\{(\w+)\}/g, ':$1')}`, operation])))
  const named = [...section('HTTP', 2).matchAll(/`((?:GET|PUT|POST|PATCH|DELETE) \/[^`\s?]*)(?:\?([^`]*))?`(?: `\{([^`]*)\}`)?/g)]
  t.same([...new Set(named.map(([, route]) => route))].sort(), [...operations.keys()].sort())
  for (const [, route, query = '', body = ''] of named) {
    const { parameters = [], requestBody } = operations.get(route!) ?? {}
    for (const [, name] of query.matchAll(/(\w+)=/g)) t.ok(parameters.some((parameter: Json) => parameter.in === 'query' && parameter.name === name), `${route} takes ?${name}=`)
    for (const name of body.split(',').flatMap(field => /^ *(\w+)/.exec(field)?.[1] ?? [])) t.ok(name in (requestBody?.content['application/json'].schema.properties ?? {}), `${route} takes ${name}`)
  }
})

t.test('docs/PROTOCOL.md names every frame, and no other, with all its fields', async t => {
  const common = new Set(['type', 'ref', 'client_id', 'resend', 'traceparent', ...fieldsOf(EventFrames.leave!)])
  const tables = [
    ['Client → server', Object.entries(ClientFrames), new Set(['type', 'ref', 'client_id', 'resend', 'traceparent'])],
    ['Server → client', Object.entries({ ...ControlFrames, ...EventFrames }).map(([name, schema]) => [name.replace(/^room_.*/, 'room'), schema] as const), undefined],
  ] as const
  for (const [title, frames, left] of tables) {
    const rows = new Map([...section(title, 3).matchAll(/^\| ((?:`\w+`(?: \/ )?)+) \|(.*)\|$/gm)].flatMap(([, names, fields]) => [...names!.matchAll(/\w+/g)].map(([name]) => [name, fields!])))
    t.same([...rows.keys()].sort(), [...new Set(frames.map(([name]) => name))].sort(), title)
    for (const [name, schema] of frames) {
      const besides = left ?? (name in EventFrames || name === 'room' ? common : new Set(['type']))
      const text = name === 'room' ? section(title, 3) : rows.get(name) ?? '' // its settings are named below the table
      for (const field of fieldsOf(schema)) if (!besides.has(field)) t.match(text, new RegExp(`\\b${field}\\b`), `${title}: ${name} has ${field}`)
    }
  }
})

t.test('docs/PROTOCOL.md names every close code', async t => {
  for (const [name, { code }] of Object.entries(CLOSE)) t.match(section('Close codes', 3), String(code), name)
})

t.test('what the README and the architecture link to and name is there', async t => {
  for (const document of ['README.md', 'docs/ARCHITECTURE.md']) {
    const text = read(document)
    const links = [...text.matchAll(/\]\((?!http)([^)#]+)\)/g)].map(([, path]) => document.startsWith('docs/') ? `docs/${path}` : path!)
    const tests = [...text.matchAll(/`(test\/[\w./-]+\.ts)`/g)].map(([, path]) => path!)
    for (const path of [...links, ...tests]) t.ok(existsSync(`${root}${path}`), `${document}: ${path}`)
  }
})

t.test('the README shows the two commands', async t => {
  t.match(read('README.md'), 'npm ci && npm start')
  t.match(read('README.md'), 'npm ci && npm test')
})
