/** Users as others see them, and the search for them by the beginning of their names. For everyone signed in. */
import Type, { type Static } from 'typebox'
import type { Accounts } from '../auth/accounts.ts'
import { USER_KINDS, type User as UserRow } from '../store/users.ts'
import { about } from './about.ts'
import { Limit, listOf, UUID_PATTERN, type App } from './app.ts'
import { refuse } from './problems.ts'

export const User = Type.Object({
  id: Type.String(),
  username: Type.String(),
  display_name: Type.String(),
  avatar_url: Type.Union([Type.String(), Type.Null()]),
  status_text: Type.Union([Type.String(), Type.Null()]),
  kind: Type.Enum([...USER_KINDS]),
  created_at: Type.String({ description: 'RFC 3339, UTC' }),
})

export function userOf ({ id, username, display_name, avatar_url, status_text, kind, created_at }: UserRow): Static<typeof User> {
  return { id, username, display_name, avatar_url, status_text, kind, created_at: created_at.toISOString() }
}

const UserParams = Type.Object({ id: Type.String({ pattern: UUID_PATTERN, description: 'UUID of the user' }) })

const Search = Type.Object({
  query: Type.Optional(Type.String({ maxLength: 64, pattern: '^[^\\u0000\\ud800-\\udfff]*$', description: 'The beginning of a user name; upper and lower case are the same' })),
  after: Type.Optional(Type.String({ maxLength: 400, pattern: '^[^\\u0000\\ud800-\\udfff]*$', description: '`next` of the page before' })),
  limit: Limit,
})

export function usersRoutes (app: App, { accounts }: { accounts: Accounts }): void {
  app.get('/users', { schema: { ...about('People', 'Users, by the beginning of their names'), querystring: Search, response: { 200: listOf(User, Type.String()) } } }, async ({ query: { query = '', after, limit = 50 } }) => {
    const { items, next } = await accounts.search(query, { after, limit })
    return { items: items.map(userOf), next }
  })

  app.get('/users/:id', { schema: { ...about('People', 'A user', 'user_not_found'), params: UserParams, response: { 200: User } } }, async ({ params }) => {
    return userOf(await accounts.user(params.id) ?? refuse('user_not_found'))
  })
}
