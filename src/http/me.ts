/** The user who asks, with what only they may see. */
import Type from 'typebox'
import type { Accounts } from '../auth/accounts.ts'
import { identityOf, type App } from './app.ts'
import { refuse } from './problems.ts'
import { User, userOf } from './users.ts'

const Me = Type.Object({ ...User.properties, email: Type.Union([Type.String(), Type.Null()]) })

export function meRoutes (app: App, { accounts }: { accounts: Accounts }): void {
  app.get('/me', { schema: { response: { 200: Me } } }, async request => {
    const user = await accounts.user(identityOf(request).user_id) ?? refuse('unauthenticated', 'This user does not exist any more')
    return { ...userOf(user), email: user.email }
  })
}
