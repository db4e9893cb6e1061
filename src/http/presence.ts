/** How somebody is, over all of their devices and nodes, asked of the leases themselves. Whom they have blocked sees them offline. */
import Type from 'typebox'
import type { Accounts } from '../auth/accounts.ts'
import type { PresenceLeases } from '../log/presence.ts'
import { isBlocked } from '../store/contacts.ts'
import type { Store } from '../store/pool.ts'
import { about } from './about.ts'
import { identityOf, UUID_PATTERN, type App } from './app.ts'
import { refuse } from './problems.ts'

const UserParams = Type.Object({ id: Type.String({ pattern: UUID_PATTERN, description: 'UUID of the user' }) })
const Presence = Type.Object({
  user_id: Type.String(),
  status: Type.Enum(['online', 'away', 'dnd', 'offline']),
  last_seen_at: Type.Union([Type.String(), Type.Null()], { description: 'RFC 3339, UTC; null: never, as far as is known' }),
})

export interface PresenceDeps {
  accounts: Accounts
  presenceLeases: PresenceLeases
  store: Store
}

export function presenceRoutes (app: App, { accounts, presenceLeases, store }: PresenceDeps): void {
  app.get('/users/:id/presence', { schema: { ...about('People', 'How somebody is, over all of their devices', 'user_not_found'), params: UserParams, response: { 200: Presence } } }, async request => {
    const user = await accounts.user(request.params.id.toLowerCase()) ?? refuse('user_not_found')
    const [hidden, present] = await Promise.all([
      isBlocked(store, { by: user.id, user: identityOf(request).user_id }),
      presenceLeases.of([user.id]),
    ])
    if (hidden) return { user_id: user.id, status: 'offline' as const, last_seen_at: null }
    const { status, seen } = present.get(user.id)!
    const last = Math.max(seen, user.last_seen_at?.getTime() ?? 0)
    return { user_id: user.id, status, last_seen_at: last === 0 ? null : new Date(last).toISOString() }
  })
}
