/** Accounts, as operators see and change them: shut and opened, their passwords set, their sessions ended. */
import type { FastifyRequest } from 'fastify'
import Type, { type Static } from 'typebox'
import type { Operators } from '../auth/operators.ts'
import { PASSWORD_CHARS_MAX, PASSWORD_CHARS_MIN } from '../auth/passwords.ts'
import type { Sessions } from '../auth/sessions.ts'
import { usernameKey } from '../auth/usernames.ts'
import { Reason } from '../domain/events.ts'
import { knownUser, knownUsers, type KnownUser } from '../store/operators.ts'
import type { Store } from '../store/pool.ts'
import { about, Nothing } from './about.ts'
import { Limit, listOf, UUID_PATTERN, type App } from './app.ts'
import { MAY_BE_EMPTY } from './done.ts'
import { operatorOf } from './operator.ts'
import { Refusal, refuse } from './problems.ts'
import { Session } from './sessions.ts'
import { User, userOf } from './users.ts'

export interface AdminUsersDeps {
  operators: Operators
  sessions: Sessions
  store: Store
}

const MaybeText = Type.Union([Type.String(), Type.Null()])
const Known = Type.Object({
  ...User.properties,
  email: MaybeText,
  last_seen_at: MaybeText,
  operator: Type.Boolean(),
  disabled_at: Type.Union([Type.String(), Type.Null()], { description: 'Since when the account is shut' }),
})
const UserParams = Type.Object({ id: Type.String({ pattern: UUID_PATTERN, description: 'UUID of the user' }) })
const SessionParams = Type.Object({ id: Type.String({ pattern: UUID_PATTERN, description: 'UUID of the session' }) })
const Search = Type.Object({
  query: Type.Optional(Type.String({ maxLength: 64, pattern: '^[^\\u0000\\ud800-\\udfff]*$', description: 'The beginning of a user name' })),
  after: Type.Optional(Type.String({ maxLength: 400, pattern: '^[^\\u0000\\ud800-\\udfff]*$', description: '`next` of the page before' })),
  limit: Limit,
})
const Page = Type.Object({ after: Type.Optional(Type.String({ pattern: UUID_PATTERN, description: '`next` of the page before' })), limit: Limit })
const NewPassword = Type.String({ minLength: PASSWORD_CHARS_MIN, maxLength: PASSWORD_CHARS_MAX })

function knownOf (user: KnownUser): Static<typeof Known> {
  const { email, last_seen_at, operator, disabled_at } = user
  return { ...userOf(user), email, last_seen_at: last_seen_at?.toISOString() ?? null, operator, disabled_at: disabled_at?.toISOString() ?? null }
}

const idOf = ({ params }: { params: Static<typeof UserParams> }): string => params.id.toLowerCase()

export function adminUsersRoutes (app: App, { operators, sessions, store }: AdminUsersDeps): void {
  const params = UserParams

  app.get('/admin/users', { schema: { ...about('Operators', 'Users, by the beginning of their names', 'not_found'), querystring: Search, response: { 200: listOf(Known, Type.String()) } } }, async ({ query: { query = '', after = '', limit = 50 } }) => {
    const found = await knownUsers(store, { prefix: query === '' ? '' : usernameKey(query), after, limit: limit + 1 })
    const items = found.slice(0, limit)
    return { items: items.map(knownOf), next: found.length > limit ? items.at(-1)!.username_key : null }
  })

  app.get('/admin/users/:id', { schema: { ...about('Operators', 'A user', 'user_not_found'), params, response: { 200: Known } } }, async request => {
    return knownOf(await knownUser(store, idOf(request)) ?? refuse('user_not_found'))
  })

  app.put('/admin/users/:id/disabled', { ...MAY_BE_EMPTY, schema: { ...about('Operators', 'Shut an account, and end all its sessions', 'user_not_found', 'not_yourself', 'forbidden'), params, body: Type.Object({ reason: Type.Optional(Reason) }), response: { 204: Nothing } } }, async (request, reply) => {
    orThrow(await operators.disable(operatorOf(request), idOf(request), request.body.reason))
    return reply.code(204).send()
  })

  app.delete('/admin/users/:id/disabled', { schema: { ...about('Operators', 'Open an account again', 'user_not_found', 'not_yourself'), params, response: { 204: Nothing } } }, async (request, reply) => {
    orThrow(await operators.enable(operatorOf(request), idOf(request)))
    return reply.code(204).send()
  })

  app.post('/admin/users/:id/password', { ...MAY_BE_EMPTY, schema: { ...about('Operators', 'Set a password, and end all sessions of the user', 'user_not_found', 'not_yourself', 'forbidden'), params, body: Type.Object({ new_password: Type.Optional(NewPassword) }), response: { 200: Type.Object({ new_password: Type.String({ description: 'As given, or made here: shown this once' }) }) } } }, async (request, reply) => {
    void reply.header('cache-control', 'no-store')
    return { new_password: orThrow(await operators.resetPassword(operatorOf(request), idOf(request), request.body.new_password)).password }
  })

  app.get('/admin/users/:id/sessions', { schema: { ...about('Operators', 'Sessions of a user', 'user_not_found'), params, querystring: Page, response: { 200: listOf(Session, Type.String()) } } }, async request => {
    const { after, limit = 50 } = request.query
    await mustExist(request)
    const { items, next } = await sessions.list(idOf(request), { after, limit })
    return { items: items.map(({ used_at, created_at, ...session }) => ({ ...session, created_at: created_at.toISOString(), last_used_at: used_at.toISOString() })), next }
  })

  app.delete('/admin/users/:id/sessions', { schema: { ...about('Operators', 'End all sessions of a user, and their sockets', 'user_not_found'), params, response: { 200: Type.Object({ ended: Type.Integer({ description: 'How many' }) }) } } }, async request => {
    return { ended: orThrow(await operators.endSessions(operatorOf(request), idOf(request))).ended }
  })

  app.delete('/admin/sessions/:id', { schema: { ...about('Operators', 'End a session of anybody, and its sockets', 'not_found'), params: SessionParams, response: { 204: Nothing } } }, async (request, reply) => {
    if (!await operators.endSession(operatorOf(request), request.params.id.toLowerCase())) refuse('not_found', 'There is no such session')
    return reply.code(204).send()
  })

  async function mustExist (request: FastifyRequest & { params: Static<typeof UserParams> }): Promise<void> {
    if (await knownUser(store, idOf(request)) === undefined) refuse('user_not_found')
  }
}

/** What was done. Throws the "no" of what was not. */
function orThrow<T extends { readonly ok: boolean }> (done: T): Extract<T, { readonly ok: true }> {
  if (!done.ok) throw new Refusal((done as never as { rejection: Refusal['rejection'] }).rejection)
  return done as Extract<T, { readonly ok: true }>
}
