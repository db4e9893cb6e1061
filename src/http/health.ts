/**
 * `/healthz`: the process answers. `/readyz`: it can do its work, by the checks that its owner makes in the background. Both say
 * nothing secret: they are for anyone.
 */
import type { FastifyInstance } from 'fastify'
import Type from 'typebox'
import { about } from './about.ts'

const READY_MS = 2000

const Alive = Type.Object({ status: Type.Literal('ok') })
const Ready = Type.Object({
  status: Type.Enum(['ready', 'not ready']),
  checks: Type.Record(Type.String(), Type.String(), { description: 'What was looked at: `ok`, or what is wrong with it' }),
})

export interface Readiness {
  readonly ok: boolean
  /** What was looked at → `ok`, or what is wrong with it. */
  readonly checks: Record<string, string>
}

export function healthRoutes (app: FastifyInstance, { ready }: { ready: () => Promise<Readiness> }): void {
  app.get('/healthz', { schema: { ...about('Service', 'Whether the process answers'), response: { 200: Alive } } }, async (_request, reply) => reply.header('cache-control', 'no-store').send({ status: 'ok' }))

  app.get('/readyz', { schema: { ...about('Service', 'Whether the process can do its work'), response: { 200: Ready, 503: Ready } } }, async (_request, reply) => {
    const { ok, checks } = await answerOf(ready)
    return reply.code(ok ? 200 : 503).header('cache-control', 'no-store').send({ status: ok ? 'ready' : 'not ready', checks })
  })
}

/** A check that hangs or throws is an answer too. */
export async function answerOf (ready: () => Promise<Readiness>): Promise<Readiness> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<Readiness>(resolve => {
    timer = setTimeout(resolve, READY_MS, { ok: false, checks: { readiness: `no answer within ${READY_MS} ms` } })
  })
  try {
    return await Promise.race([ready(), late])
  } catch (error) {
    return { ok: false, checks: { readiness: (error as Error).message } }
  } finally {
    clearTimeout(timer)
  }
}
