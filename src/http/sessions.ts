/** What those who are signed in do about their sessions: list and end them, change the password, read what happened, get a ticket for a socket. */
import Type from 'typebox'
import type { Accounts } from '../auth/accounts.ts'
import { PASSWORD_CHARS_MAX, PASSWORD_CHARS_MIN } from '../auth/passwords.ts'
import type { Sessions } from '../auth/sessions.ts'
import { TICKET_S } from '../log/tickets.ts'
import type { Store } from '../store/pool.ts'
import { SECURITY_EVENT_TYPES, securityEventsOf } from '../store/security-events.ts'
import { about, Nothing } from './about.ts'
import { identityOf, Limit, listOf, UUID_PATTERN, type App } from './app.ts'
import { deviceOf } from './auth.ts'
import { refuse, sendProblem } from './problems.ts'

const MaybeText = Type.Union([Type.String(), Type.Null()])

export const Session = Type.Object({
  id: Type.String(),
  device_id: MaybeText,
  user_agent: MaybeText,
  address: MaybeText,
  created_at: Type.String({ description: 'RFC 3339, UTC' }),
  last_used_at: Type.String({ description: 'Log-in or last refresh' }),
})
const OwnSession = Type.Object({
  ...Session.properties,
  current: Type.Boolean({ description: 'Whether this is the session that asks' }),
})
const SecurityEvent = Type.Object({
  id: Type.String(),
  type: Type.Enum([...SECURITY_EVENT_TYPES]),
  at: Type.String({ description: 'RFC 3339, UTC' }),
  address: MaybeText,
  user_agent: MaybeText,
  session_id: MaybeText,
  detail: Type.Record(Type.String(), Type.Unknown()),
})
const ChangePassword = Type.Object({
  current_password: Type.Optional(Type.String({ maxLength: PASSWORD_CHARS_MAX, description: 'Left out by guests, who have none' })),
  new_password: Type.String({ minLength: PASSWORD_CHARS_MIN, maxLength: PASSWORD_CHARS_MAX }),
})
const Ticket = Type.Object({
  ticket: Type.String({ description: 'Opens one WebSocket: `/ws?ticket=…`' }),
  expires_in: Type.Integer({ description: 'Seconds' }),
})
const SessionParams = Type.Object({ id: Type.String({ pattern: UUID_PATTERN, description: 'UUID of the session' }) })
const Page = Type.Object({ after: Type.Optional(Type.String({ pattern: UUID_PATTERN, description: '`next` of the page before' })), limit: Limit })

export function sessionsRoutes (app: App, { accounts, sessions, store }: { accounts: Accounts, sessions: Sessions, store: Store }): void {
  app.get('/auth/sessions', { schema: { ...about('Accounts', 'My sessions: one for each device'), querystring: Page, response: { 200: listOf(OwnSession, Type.String()) } } }, async request => {
    const { user_id, session_id } = identityOf(request)
    const { after, limit = 50 } = request.query
    const { items, next } = await sessions.list(user_id, { after, limit })
    return {
      items: items.map(({ used_at, created_at, ...session }) => ({ ...session, created_at: created_at.toISOString(), last_used_at: used_at.toISOString(), current: session.id === session_id })),
      next,
    }
  })

  app.delete('/auth/sessions/:id', { schema: { ...about('Accounts', 'End a session of mine, and its sockets', 'not_found'), params: SessionParams, response: { 204: Nothing } } }, async (request, reply) => {
    if (!await sessions.revoke(identityOf(request), request.params.id, deviceOf(request))) refuse('not_found', 'You have no such session')
    return reply.code(204).send()
  })

  app.post('/auth/password', { schema: { ...about('Accounts', 'Change my password, and end all other sessions', 'bad_credentials', 'forbidden', 'conflict'), body: ChangePassword, response: { 204: Nothing } } }, async (request, reply) => {
    const changed = await accounts.changePassword(identityOf(request), request.body, deviceOf(request))
    return changed.ok ? reply.code(204).send() : sendProblem(reply, changed.rejection, changed.field)
  })

  app.post('/auth/ws-ticket', { schema: { ...about('Accounts', 'A ticket that opens one WebSocket, for browsers'), response: { 200: Ticket } } }, async (request, reply) => {
    void reply.header('cache-control', 'no-store')
    return { ticket: await sessions.ticket(identityOf(request)), expires_in: TICKET_S }
  })

  app.get('/auth/events', { schema: { ...about('Accounts', 'What happened to my account'), querystring: Page, response: { 200: listOf(SecurityEvent, Type.String()) } } }, async request => {
    const { after, limit = 50 } = request.query
    const found = await securityEventsOf(store, identityOf(request).user_id, { after, limit: limit + 1 })
    const items = found.slice(0, limit)
    return { items: items.map(({ user_id: _, at, ...event }) => ({ ...event, at: at.toISOString() })), next: found.length > limit ? items.at(-1)!.id : null }
  })
}
