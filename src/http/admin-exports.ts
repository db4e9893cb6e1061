/**
 * Exports in the background, for operators: asked for here, written by the jobs, fetched here. They hold what people said, so each is
 * written down, and so is each time that its file is fetched; without EXPORT_DIR there are none.
 */
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import Type, { type Static } from 'typebox'
import type { Operators } from '../auth/operators.ts'
import { FORMATS } from '../store/export-lines.ts'
import { EXPORTS } from '../store/export.ts'
import { cancelExport, exportById, insertExport, listExports, OPEN_MAX, type Export as Asked } from '../store/exports.ts'
import { knownRoom } from '../store/operators.ts'
import type { Store } from '../store/pool.ts'
import { about, Nothing, text } from './about.ts'
import { Limit, listOf, UUID_PATTERN, type App } from './app.ts'
import { operatorOf } from './operator.ts'
import { refuse } from './problems.ts'

export interface AdminExportsDeps {
  config: { readonly EXPORT_DIR?: string | undefined }
  operators: Operators
  store: Store
  newId: () => string
}

const MEDIA_TYPES = { ndjson: 'application/x-ndjson', csv: 'text/csv' } as const

const MaybeText = Type.Union([Type.String(), Type.Null()])
const Time = (description: string) => Type.String({ pattern: '^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d(\\.\\d{1,9})?Z$', description: `RFC 3339, UTC; ${description}` })
const What = Type.Enum(Object.keys(EXPORTS) as Array<keyof typeof EXPORTS>, { description: '`messages`: as they are now; `events`: the log itself' })
const Format = Type.Enum([...FORMATS])
const Export = Type.Object({
  id: Type.String(),
  operator_id: Type.String(),
  operator: Type.String({ description: 'Who asked for it' }),
  what: What,
  format: Format,
  since: Type.String(),
  until: MaybeText,
  room_id: MaybeText,
  state: Type.Enum(['waiting', 'queued', 'running', 'done', 'failed', 'cancelled', 'expired']),
  attempts: Type.Integer({ description: 'How many times it was begun: again, from its beginning, where a process died' }),
  rows: Type.Integer({ description: 'Rows written so far' }),
  total: Type.Union([Type.Integer(), Type.Null()], { description: 'Rows in all; null until they are counted' }),
  bytes: Type.Integer({ description: 'Bytes written so far' }),
  error: Type.Union([Type.String(), Type.Null()], { description: 'Why the last attempt failed' }),
  created_at: Type.String(),
  started_at: MaybeText,
  ended_at: MaybeText,
  expires_at: Type.Union([Type.String(), Type.Null()], { description: 'When its file goes' }),
})
const New = Type.Object({
  what: Type.Optional(What),
  format: Type.Optional(Format),
  since: Time('only what happened from then on'),
  until: Type.Optional(Time('only what happened before')),
  room_id: Type.Optional(Type.String({ pattern: UUID_PATTERN })),
})
const Page = Type.Object({ after: Type.Optional(Type.String({ pattern: UUID_PATTERN, description: '`next` of the page before' })), limit: Limit })
const Params = Type.Object({ id: Type.String({ pattern: UUID_PATTERN, description: 'UUID of the export' }) })

function exportOf ({ file: _, since, until, created_at, started_at, ended_at, expires_at, ...rest }: Asked): Static<typeof Export> {
  const time = (at: Date | null): string | null => at?.toISOString() ?? null
  return { ...rest, since: since.toISOString(), until: time(until), created_at: created_at.toISOString(), started_at: time(started_at), ended_at: time(ended_at), expires_at: time(expires_at) }
}

export function adminExportsRoutes (app: App, { config: { EXPORT_DIR: dir }, operators, store, newId }: AdminExportsDeps): void {
  const found = async ({ params: { id } }: { params: Static<typeof Params> }): Promise<Asked> => await exportById(store, id.toLowerCase()) ?? refuse('not_found', 'There is no such export')
  const on = (): string => dir ?? refuse('forbidden', 'There are no exports here: EXPORT_DIR is not set')

  app.post('/admin/exports', { schema: { ...about('Operators', 'Have messages or events exported to a file', 'not_found', 'forbidden', 'too_many', 'room_not_found'), body: New, response: { 202: Export } } }, async (request, reply) => {
    on()
    const { what = 'messages', format = 'ndjson', since, until, room_id } = request.body
    const by = operatorOf(request)
    const made = await insertExport(store, { id: newId(), operator_id: by.user_id, operator: by.name, what, format, since: timeOf('since', since), until: until === undefined ? null : laterThan(since, timeOf('until', until)), room_id: await known(room_id) })
    if (made === undefined) return refuse('too_many', `${OPEN_MAX} exports are asked for and not done`)
    await operators.note(by, { action: 'export', room_id: made.room_id ?? undefined, detail: { export_id: made.id, what, format, since, ...(until === undefined ? {} : { until }) } })
    return reply.code(202).send(exportOf(made))
  })

  app.get('/admin/exports', { schema: { ...about('Operators', 'Exports, newest first', 'not_found'), querystring: Page, response: { 200: listOf(Export, Type.String()) } } }, async ({ query: { after, limit = 50 } }) => {
    const some = await listExports(store, { after, limit: limit + 1 })
    const items = some.slice(0, limit)
    return { items: items.map(exportOf), next: some.length > limit ? items.at(-1)!.id : null }
  })

  app.get('/admin/exports/:id', { schema: { ...about('Operators', 'An export: how far it is', 'not_found'), params: Params, response: { 200: Export } } }, async request => exportOf(await found(request)))

  app.delete('/admin/exports/:id', { schema: { ...about('Operators', 'Cancel an export, or have its file removed', 'not_found'), params: Params, response: { 204: Nothing } } }, async (request, reply) => {
    const { id, room_id } = await found(request)
    if (await cancelExport(store, id) === true) await operators.note(operatorOf(request), { action: 'export cancel', room_id: room_id ?? undefined, detail: { export_id: id } })
    return reply.code(204).send()
  })

  app.get('/admin/exports/:id/file', { schema: { ...about('Operators', 'What was exported', 'not_found', 'forbidden', 'conflict'), params: Params, response: { 200: text(MEDIA_TYPES.ndjson, 'Lines of JSON; or `text/csv`') } } }, async (request, reply) => {
    const place = on()
    const { id, room_id, state, format, file } = await found(request)
    if (file === null && ['waiting', 'queued', 'running'].includes(state)) return refuse('conflict', 'It is not done yet')
    if (file === null || state !== 'done') return refuse('not_found', `There is no file: the export is ${state}`)
    const path = join(place, file)
    const size = await stat(path).then(({ size }) => size, () => refuse('not_found', 'Its file is not on this host: EXPORT_DIR must be the same place for gateways and jobs'))
    await operators.note(operatorOf(request), { action: 'export fetch', room_id: room_id ?? undefined, detail: { export_id: id } })
    return await reply
      .header('cache-control', 'no-store')
      .header('content-disposition', `attachment; filename="${id}.${format}"`)
      .header('content-length', size)
      .type(MEDIA_TYPES[format])
      .send(createReadStream(path) as never)
  })

  async function known (room: string | undefined): Promise<string | null> {
    if (room === undefined) return null
    return (await knownRoom(store, room.toLowerCase()) ?? refuse('room_not_found')).id
  }
}

function timeOf (field: string, given: string): Date {
  const at = new Date(given)
  return Number.isNaN(at.getTime()) ? refuse('bad_request', `${field} is no time`, field) : at
}

function laterThan (since: string, until: Date): Date {
  return until > new Date(since) ? until : refuse('bad_request', 'until must be after since', 'until')
}
