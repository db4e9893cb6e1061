/** Contacts and blocks: two lists of users that each user keeps, bounded, in the order of the user names. */
import Type from 'typebox'
import { BLOCKS_MAX, blocks, CONTACTS_MAX, contacts, type PeopleList } from '../store/contacts.ts'
import type { Store } from '../store/pool.ts'
import { about, Nothing } from './about.ts'
import { identityOf, Limit, listOf, UUID_PATTERN, type App } from './app.ts'
import { refuse } from './problems.ts'
import { User, userOf } from './users.ts'

const Listed = Type.Object({ user: User, created_at: Type.String({ description: 'Since when; RFC 3339, UTC' }) })
const UserParams = Type.Object({ user: Type.String({ pattern: UUID_PATTERN, description: 'UUID of the user' }) })
const Page = Type.Object({ after: Type.Optional(Type.String({ maxLength: 400, pattern: '^[^\\u0000\\ud800-\\udfff]*$', description: '`next` of the page before' })), limit: Limit })

export function contactsRoutes (app: App, deps: { store: Store, clock: () => number }): void {
  listRoutes(app, deps, { path: '/contacts', list: contacts, max: CONTACTS_MAX, word: 'contacts' })
  listRoutes(app, deps, { path: '/blocks', list: blocks, max: BLOCKS_MAX, word: 'blocked users' })
}

function listRoutes (app: App, { store, clock }: { store: Store, clock: () => number }, { path, list, max, word }: { path: '/contacts' | '/blocks', list: PeopleList, max: number, word: string }): void {
  app.get(path, { schema: { ...about('People', `My ${word}`), querystring: Page, response: { 200: listOf(Listed, Type.String()) } } }, async request => {
    const { after = '', limit = 100 } = request.query
    const found = await list.page(store, identityOf(request).user_id, { after, limit: limit + 1 })
    const items = found.slice(0, limit)
    return {
      items: items.map(({ listed_at, ...user }) => ({ user: userOf(user), created_at: listed_at.toISOString() })),
      next: found.length > limit ? items.at(-1)!.username_key : null,
    }
  })

  app.put(`${path}/:user`, { schema: { ...about('People', `Put somebody among my ${word}`, 'user_not_found', 'not_yourself', 'too_many'), params: UserParams, response: { 204: Nothing } } }, async (request, reply) => {
    const { user_id } = identityOf(request)
    const other = request.params.user.toLowerCase()
    if (other === user_id) refuse('not_yourself')
    const listed = await list.put(store, user_id, other, new Date(clock()))
    if (listed === 'no such user') refuse('user_not_found')
    if (listed === 'full') refuse('too_many', `You have ${max} ${word}, as many as allowed`)
    return reply.code(204).send()
  })

  app.delete(`${path}/:user`, { schema: { ...about('People', `Take somebody from my ${word}`), params: UserParams, response: { 204: Nothing } } }, async (request, reply) => {
    await list.remove(store, identityOf(request).user_id, request.params.user)
    return reply.code(204).send()
  })
}
