/**
 * The refresh token of browsers: in a cookie that no script can read, sent to `/auth` only, and never from another site (SameSite). Who shows
 * it must also prove that it was our own page that asked: a header that a form of another site cannot set, and the browser's
 * own word on where the request comes from, if it gives it.
 */
import type { CookieSerializeOptions } from '@fastify/cookie'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { refuse } from './problems.ts'

export const COOKIE = 'millrace_refresh'

const attributes = ({ protocol }: FastifyRequest): CookieSerializeOptions => ({ httpOnly: true, sameSite: 'strict', path: '/auth', secure: protocol === 'https' })

/** @param lifetimeS seconds that the token lives */
export function setRefreshCookie (request: FastifyRequest, reply: FastifyReply, token: string, lifetimeS: number): void {
  void reply.setCookie(COOKIE, token, { ...attributes(request), maxAge: lifetimeS })
}

/** Takes the cookie away, if the request has one. */
export function clearRefreshCookie (request: FastifyRequest, reply: FastifyReply): void {
  if (request.cookies[COOKIE] !== undefined) void reply.clearCookie(COOKIE, attributes(request))
}

/** The token in the cookie; undefined if there is none. Throws Refusal `forbidden` if another site may have asked. */
export function refreshTokenOfCookie (request: FastifyRequest): string | undefined {
  const token = request.cookies[COOKIE]
  if (token === undefined || token === '') return undefined
  const { origin, 'sec-fetch-site': site, 'x-requested-with': requestedWith } = request.headers
  if (requestedWith === undefined) refuse('forbidden', 'With the cookie, the header X-Requested-With is needed')
  if ((site !== undefined && site !== 'same-origin') || (origin !== undefined && !isOwn(origin, request))) refuse('forbidden', 'The cookie is for pages of this origin only')
  return token
}

/** By host and port only: behind a proxy that ends TLS, the scheme may be another one than the browser's. */
function isOwn (origin: string, { host }: FastifyRequest): boolean {
  return URL.canParse(origin) && new URL(origin).host === new URL(`${new URL(origin).protocol}//${host}`).host
}
