/**
 * Signing up, logging in and staying so. Answers with tokens are never cached. What a name or a password may be is decided
 * in `auth/`; here only their sizes are.
 */
import type { FastifyReply } from 'fastify'
import Type, { type Static } from 'typebox'
import type { Accounts } from '../auth/accounts.ts'
import { PASSWORD_CHARS_MAX, PASSWORD_CHARS_MIN } from '../auth/passwords.ts'
import type { Device, SignedInOrNot } from '../auth/sessions.ts'
import type { Tokens } from '../auth/tokens.ts'
import { USERNAME_CHARS_MAX } from '../auth/usernames.ts'
import type { App } from './app.ts'
import { refuse, sendProblem } from './problems.ts'
import { User, userOf } from './users.ts'

const WORDS = '^[^\\u0000-\\u001f\\u007f\\ud800-\\udfff]+$'

const Username = Type.String({ minLength: 1, maxLength: USERNAME_CHARS_MAX, description: `1–${USERNAME_CHARS_MAX} characters; upper and lower case are the same` })
const DeviceId = Type.Optional(Type.String({ minLength: 1, maxLength: 200, pattern: WORDS, description: 'What the client calls this device' }))

const SignUp = Type.Object({
  username: Username,
  password: Type.String({ minLength: PASSWORD_CHARS_MIN, maxLength: PASSWORD_CHARS_MAX }),
  email: Type.Optional(Type.String({ maxLength: 254, pattern: '^[^\\s@\\u0000-\\u001f\\ud800-\\udfff]+@[^\\s@\\u0000-\\u001f\\ud800-\\udfff]+$', description: 'Not verified; shown to nobody else' })),
  display_name: Type.Optional(Type.String({ minLength: 1, maxLength: 100, pattern: WORDS })),
  device_id: DeviceId,
})
const Guest = Type.Object({ username: Username, device_id: DeviceId })
const LogIn = Type.Object({
  username: Type.String({ minLength: 1, maxLength: 400 }), // whatever is no name or password of anybody's is a wrong one, not a bad request
  password: Type.String({ maxLength: PASSWORD_CHARS_MAX }),
  device_id: DeviceId,
})
const Refresh = Type.Object({ refresh_token: Type.String({ maxLength: 1024 }) })
const LogOut = Type.Optional(Type.Union([Type.Object({ refresh_token: Type.Optional(Type.String({ maxLength: 1024 })) }), Type.Null()]))

const SignedIn = Type.Object({
  user: User,
  access_token: Type.String({ description: 'A JWT: `Authorization: Bearer …`' }),
  refresh_token: Type.String({ description: 'Good for one refresh' }),
  expires_in: Type.Integer({ description: 'Seconds that the access token lives' }),
})

export function authRoutes (app: App, { accounts, tokens }: { accounts: Accounts, tokens: Tokens }): void {
  app.post('/auth/signup', { schema: { body: SignUp, response: { 201: SignedIn } } }, async (request, reply) => {
    return answer(reply, 201, await accounts.signUp(request.body, deviceOf(request)))
  })

  app.post('/auth/guest', { schema: { body: Guest, response: { 201: SignedIn } } }, async (request, reply) => {
    return answer(reply, 201, await accounts.guest(request.body.username, deviceOf(request)))
  })

  app.post('/auth/login', { schema: { body: LogIn, response: { 200: SignedIn } } }, async (request, reply) => {
    const { username, password } = request.body
    return answer(reply, 200, await accounts.logIn(username, password, deviceOf(request)))
  })

  app.post('/auth/refresh', { schema: { body: Refresh, response: { 200: SignedIn } } }, async (request, reply) => {
    return answer(reply, 200, await accounts.refresh(request.body.refresh_token))
  })

  // Either token will do, so that a client whose access token has expired can log out as well.
  app.post('/auth/logout', { schema: { body: LogOut } }, async (request, reply) => {
    const [, bearer] = /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? '') ?? []
    const session_id = bearer === undefined ? undefined : tokens.verify(bearer)?.session_id
    const refresh_token = request.body?.refresh_token
    if (session_id === undefined && refresh_token === undefined) refuse('unauthenticated')
    await accounts.logOut({ session_id, refresh_token })
    return reply.code(204).send()
  })

  app.get('/.well-known/jwks.json', async (_request, reply) => {
    return reply.header('cache-control', 'public, max-age=300').send(tokens.jwks)
  })
}

function deviceOf ({ body, headers }: { body: { device_id?: string }, headers: { 'user-agent'?: string | undefined } }): Device {
  return { device_id: body.device_id, user_agent: headers['user-agent'] }
}

function answer (reply: FastifyReply, status: number, result: SignedInOrNot): FastifyReply {
  void reply.header('cache-control', 'no-store')
  // What `auth/` finds wrong with a request is the name; everything else its schema has found.
  if (!result.ok) return sendProblem(reply, result.rejection, result.rejection.code === 'bad_request' ? 'username' : undefined)
  const signedIn: Static<typeof SignedIn> = { ...result.signedIn, user: userOf(result.signedIn.user) }
  return reply.code(status).send(signedIn)
}
