/**
 * Limits on HTTP requests: each takes one from its user's bucket, or, without a valid token, from its address's; sign-ups and
 * log-ins from buckets of their own. What is too much is answered with 429 `rate_limited`, `Retry-After` and `retry_after_ms`,
 * before its body is read. Probes and scrapes are never refused; `/ws` is the gateway's to limit.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { reject } from '../domain/rejections.ts'
import { addressKey } from '../limits/addresses.ts'
import type { LimitName, Limits } from '../limits/limits.ts'
import { Refusal } from './problems.ts'

/** Routes that are never refused. */
export const FREE: ReadonlySet<string> = new Set(['/healthz', '/readyz', '/metrics', '/ws'])
const BY_ROUTE: Readonly<Record<string, LimitName>> = { '/auth/signup': 'signups', '/auth/guest': 'signups', '/auth/login': 'logins' }

type Hook = (request: FastifyRequest, reply: FastifyReply) => Promise<void>

/** Limits every request of the server that got as far as its body, and those to nowhere. */
export function limitRequests (app: FastifyInstance, limits: Limits): void {
  // After all `onRequest` hooks, which find out whose request it is.
  app.addHook('preParsing', async ({ identity, ip, is404, routeOptions: { url = '' } }) => {
    if (FREE.has(url)) return
    if (identity != null) await spend(limits, 'requests', identity.user_id)
    else await spend(limits, (is404 ? undefined : BY_ROUTE[url]) ?? 'anonymous', addressKey(ip))
  })
}

/** `requireUser` for routes that need one: those whom it turns away count against their address. */
export function limitRefusals (limits: Limits, requireUser: Hook): Hook {
  return async (request, reply) => {
    try {
      await requireUser(request, reply)
    } catch (error) {
      await spend(limits, 'anonymous', addressKey(request.ip))
      throw error
    }
  }
}

async function spend (limits: Limits, name: LimitName, key: string): Promise<void> {
  const waitMs = limits.spend(name, key)
  const ms = typeof waitMs === 'number' ? waitMs : await waitMs
  if (ms > 0) throw new Refusal(reject('rate_limited', undefined, ms))
}
