/** The user who asks, with what only they may see, and what they say of themselves. */
import Type from 'typebox'
import type { Accounts } from '../auth/accounts.ts'
import { about } from './about.ts'
import { identityOf, type App } from './app.ts'
import { DisplayName, Email } from './auth.ts'
import { Refusal, refuse } from './problems.ts'
import { User, userOf } from './users.ts'
import type { User as UserRow } from '../store/users.ts'

const AVATAR_URL_CHARS_MAX = 2000
const STATUS_CHARS_MAX = 200

export const Me = Type.Object({ ...User.properties, email: Type.Union([Type.String(), Type.Null()]) })

const Change = Type.Object({
  display_name: Type.Optional(DisplayName),
  avatar_url: Type.Optional(Type.Union([Type.String({ maxLength: AVATAR_URL_CHARS_MAX }), Type.Null()], { description: 'http or https URL of a picture, which is never fetched here' })),
  status_text: Type.Optional(Type.Union([Type.String({ minLength: 1, maxLength: STATUS_CHARS_MAX, pattern: '^[^\\u0000-\\u001f\\u007f\\ud800-\\udfff]+$' }), Type.Null()])),
  email: Type.Optional(Type.Union([Email, Type.Null()])),
}, { minProperties: 1 })

export function meRoutes (app: App, { accounts }: { accounts: Accounts }): void {
  app.get('/me', { schema: { ...about('People', 'Myself'), response: { 200: Me } } }, async request => {
    return meOf(await accounts.user(identityOf(request).user_id))
  })

  app.patch('/me', { schema: { ...about('People', 'Change what is said of me'), body: Change, response: { 200: Me } } }, async request => {
    const { avatar_url } = request.body
    if (typeof avatar_url === 'string' && !isPicture(avatar_url)) refuse('bad_request', 'avatar_url must be an http or https URL', 'avatar_url')
    const changed = await accounts.update(identityOf(request).user_id, request.body)
    if (!changed.ok) throw new Refusal(changed.rejection, changed.field)
    return meOf(changed.user)
  })
}

/** As they see themselves. Throws Refusal where they do not exist any more. */
export function meOf (user: UserRow | undefined) {
  if (user === undefined) refuse('unauthenticated', 'This user does not exist any more')
  return { ...userOf(user), email: user.email }
}

/** As the clients' browsers will read it: what cannot be parsed, or runs a script, is refused. */
function isPicture (text: string): boolean {
  return /^https?:\/\/[\x21-\x7e]+$/i.test(text) && URL.canParse(text)
}
