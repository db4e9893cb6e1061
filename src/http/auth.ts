/**
 * Signing up, logging in and staying so. Answers with tokens are never cached. What a name or a password may be is decided
 * in `auth/`; here only their sizes are. Browsers may have the refresh token in a cookie (`refresh-cookie.ts`) instead of the body.
 */
import type { FastifyReply, FastifyRequest } from 'fastify'
import Type, { type Static } from 'typebox'
import type { Accounts } from '../auth/accounts.ts'
import { PASSWORD_CHARS_MAX, PASSWORD_CHARS_MIN } from '../auth/passwords.ts'
import type { Device } from '../auth/device.ts'
import type { SignedInOrNot } from '../auth/sessions.ts'
import type { Tokens } from '../auth/tokens.ts'
import { USERNAME_CHARS_MAX } from '../auth/usernames.ts'
import { about, Nothing } from './about.ts'
import type { App } from './app.ts'
import { refuse, sendProblem } from './problems.ts'
import { clearRefreshCookie, refreshTokenOfCookie, setRefreshCookie } from './refresh-cookie.ts'
import { User, userOf } from './users.ts'

const WORDS = '^[^\\u0000-\\u001f\\u007f\\ud800-\\udfff]+$'

const Username = Type.String({ minLength: 1, maxLength: USERNAME_CHARS_MAX, description: `1–${USERNAME_CHARS_MAX} characters; upper and lower case are the same` })
const DeviceId = Type.Optional(Type.String({ minLength: 1, maxLength: 200, pattern: WORDS, description: 'What the client calls this device' }))

const Cookie = Type.Optional(Type.Boolean({ description: 'For browsers: the refresh token comes as an HttpOnly cookie, not in the body' }))
export const Email = Type.String({ maxLength: 254, pattern: '^[^\\s@\\u0000-\\u001f\\ud800-\\udfff]+@[^\\s@\\u0000-\\u001f\\ud800-\\udfff]+$', description: 'Not verified; shown to nobody else' })
export const DisplayName = Type.String({ minLength: 1, maxLength: 100, pattern: WORDS })

const SignUp = Type.Object({
  username: Username,
  password: Type.String({ minLength: PASSWORD_CHARS_MIN, maxLength: PASSWORD_CHARS_MAX }),
  email: Type.Optional(Email),
  display_name: Type.Optional(DisplayName),
  device_id: DeviceId,
  cookie: Cookie,
})
const Guest = Type.Object({ username: Username, device_id: DeviceId, cookie: Cookie })
const LogIn = Type.Object({
  username: Type.String({ minLength: 1, maxLength: 400 }), // whatever is no name or password of anybody's is a wrong one, not a bad request
  password: Type.String({ maxLength: PASSWORD_CHARS_MAX }),
  device_id: DeviceId,
  cookie: Cookie,
})
/** Of a refresh and a log-out; without it, the cookie is meant. */
const RefreshToken = Type.Object({ refresh_token: Type.Optional(Type.String({ maxLength: 1024 })) })

const SignedIn = Type.Object({
  user: User,
  access_token: Type.String({ description: 'A JWT: `Authorization: Bearer …`' }),
  refresh_token: Type.Optional(Type.String({ description: 'Good for one refresh; not here if it is in the cookie' })),
  expires_in: Type.Integer({ description: 'Seconds that the access token lives' }),
})

/** As of RFC 7517 and RFC 8037. */
const KeySet = Type.Object({
  keys: Type.Array(Type.Object({
    kty: Type.Literal('OKP'),
    crv: Type.Literal('Ed25519'),
    x: Type.String({ description: 'The key, base64url' }),
    kid: Type.String(),
    alg: Type.Literal('EdDSA'),
    use: Type.Literal('sig'),
  })),
})

export interface AuthDeps {
  accounts: Accounts
  tokens: Tokens
  config: { readonly REFRESH_TOKEN_S: number }
}

/** On a server that reads cookies. */
export function authRoutes (app: App, { accounts, tokens, config }: AuthDeps): void {
  function answer (request: FastifyRequest, reply: FastifyReply, status: number, result: SignedInOrNot, cookie: boolean): FastifyReply {
    void reply.header('cache-control', 'no-store')
    if (!result.ok) return sendProblem(reply, result.rejection, result.field)
    const { user, access_token, refresh_token, expires_in } = result.signedIn
    if (cookie) setRefreshCookie(request, reply, refresh_token, config.REFRESH_TOKEN_S)
    const signedIn: Static<typeof SignedIn> = { user: userOf(user), access_token, expires_in, ...(!cookie && { refresh_token }) }
    return reply.code(status).send(signedIn)
  }

  app.post('/auth/signup', { schema: { ...about('Accounts', 'Sign up', 'username_taken'), body: SignUp, response: { 201: SignedIn } } }, async (request, reply) => {
    const { cookie = false, ...who } = request.body
    return answer(request, reply, 201, await accounts.signUp(who, deviceOf(request, who.device_id)), cookie)
  })

  app.post('/auth/guest', { schema: { ...about('Accounts', 'Come as a guest, without a password', 'username_taken', 'forbidden'), body: Guest, response: { 201: SignedIn } } }, async (request, reply) => {
    const { username, device_id, cookie = false } = request.body
    return answer(request, reply, 201, await accounts.guest(username, deviceOf(request, device_id)), cookie)
  })

  app.post('/auth/login', { schema: { ...about('Accounts', 'Log in', 'bad_credentials', 'forbidden'), body: LogIn, response: { 200: SignedIn } } }, async (request, reply) => {
    const { username, password, device_id, cookie = false } = request.body
    return answer(request, reply, 200, await accounts.logIn(username, password, deviceOf(request, device_id)), cookie)
  })

  /** What has no body has an empty one. */
  const preValidation = async (request: FastifyRequest): Promise<void> => { request.body ??= {} }

  app.post('/auth/refresh', { preValidation, schema: { ...about('Accounts', 'Get a new access token for a refresh token, which is used up', 'bad_refresh_token', 'forbidden'), body: RefreshToken, response: { 200: SignedIn } } }, async (request, reply) => {
    const { refresh_token } = request.body
    if (refresh_token !== undefined) return answer(request, reply, 200, await accounts.refresh(refresh_token, deviceOf(request)), false)
    const ofCookie = refreshTokenOfCookie(request) ?? refuse('bad_request', 'refresh_token is missing', 'refresh_token')
    const result = await accounts.refresh(ofCookie, deviceOf(request))
    if (!result.ok) clearRefreshCookie(request, reply) // it will never be good again
    return answer(request, reply, 200, result, true)
  })

  // Either token will do, so that a client whose access token has expired can log out as well.
  app.post('/auth/logout', { preValidation, schema: { ...about('Accounts', 'Log out: by the access token, a refresh token or the cookie', 'unauthenticated', 'forbidden'), security: [{}, { bearer: [] }, { refresh_cookie: [] }], body: RefreshToken, response: { 204: Nothing } } }, async (request, reply) => {
    const [, bearer] = /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? '') ?? []
    const identity = bearer === undefined ? undefined : await tokens.identify(bearer)
    const refresh_token = request.body.refresh_token ?? (identity === undefined ? refreshTokenOfCookie(request) : undefined)
    if (identity === undefined && refresh_token === undefined) refuse('unauthenticated')
    await accounts.logOut({ identity, refresh_token }, deviceOf(request))
    clearRefreshCookie(request, reply)
    return reply.code(204).send()
  })

  app.get('/.well-known/jwks.json', { schema: { ...about('Accounts', 'The public key that verifies access tokens'), describes: { response: { 200: KeySet } } } }, async (_request, reply) => {
    return reply.header('cache-control', 'public, max-age=300').send(tokens.jwks)
  })
}

/** Who asks, as far as the client and its connection say. */
export function deviceOf ({ headers, ip }: FastifyRequest, device_id?: string): Device {
  return { device_id, user_agent: headers['user-agent'], address: ip }
}
