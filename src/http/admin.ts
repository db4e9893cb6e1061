/**
 * What operators may ask and do, under /admin: how the deployment is, what operators did, and, in the other `admin-*.ts`, accounts, rooms,
 * parked rooms and exports. To everybody else there is nothing here: 404.
 *
 * Whoever asks must be an operator at that moment; all that changes something is written down (`GET /admin/acts`).
 */
import Type from 'typebox'
import type { Operators } from '../auth/operators.ts'
import { Status } from '../operations/report.ts'
import { listActs } from '../store/operators.ts'
import type { Store } from '../store/pool.ts'
import { about } from './about.ts'
import { Limit, listOf, UUID_PATTERN, type App } from './app.ts'
import { adminExportsRoutes, type AdminExportsDeps } from './admin-exports.ts'
import { adminParksRoutes, type AdminParksDeps } from './admin-parks.ts'
import { adminRoomsRoutes, type AdminRoomsDeps } from './admin-rooms.ts'
import { adminUsersRoutes, type AdminUsersDeps } from './admin-users.ts'
import { requireOperator } from './operator.ts'

export type AdminDeps = AdminUsersDeps & AdminRoomsDeps & AdminParksDeps & AdminExportsDeps & {
  operators: Operators
  /** How the deployment is. Never throws. */
  status: () => Promise<Status>
  store: Store
}

/** On a scope that has `requireUser`. */
export function adminRoutes (app: App, deps: AdminDeps): void {
  const { operators, status, store } = deps
  app.decorateRequest('operator', null)
  app.addHook('onRequest', requireOperator(operators))

  app.get('/admin/status', { schema: { ...about('Operators', 'How the deployment is', 'not_found'), response: { 200: Status } } }, async (_request, reply) => {
    void reply.header('cache-control', 'no-store')
    return await status()
  })

  app.get('/admin/acts', { schema: { ...about('Operators', 'What operators did, newest first', 'not_found'), querystring: Page, response: { 200: listOf(Act, Type.String()) } } }, async ({ query: { after, limit = 50 } }) => {
    const found = await listActs(store, { after, limit: limit + 1 })
    const items = found.slice(0, limit)
    return { items: items.map(({ at, ...act }) => ({ ...act, at: at.toISOString() })), next: found.length > limit ? items.at(-1)!.id : null }
  })

  adminUsersRoutes(app, deps)
  adminRoomsRoutes(app, deps)
  adminParksRoutes(app, deps)
  adminExportsRoutes(app, deps)
}

const MaybeText = Type.Union([Type.String(), Type.Null()])
const Page = Type.Object({ after: Type.Optional(Type.String({ pattern: UUID_PATTERN, description: '`next` of the page before' })), limit: Limit })
const Act = Type.Object({
  id: Type.String(),
  at: Type.String({ description: 'RFC 3339, UTC' }),
  operator_id: Type.Union([Type.String(), Type.Null()], { description: 'Null for the command line' }),
  operator: Type.String({ description: 'Name of the operator; for the command line, account and host' }),
  action: Type.String(),
  user_id: MaybeText,
  room_id: MaybeText,
  detail: Type.Record(Type.String(), Type.Unknown()),
  address: MaybeText,
})
