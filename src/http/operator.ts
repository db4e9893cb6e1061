/** Who acts, on routes under /admin: an operator at that moment. To everybody else there is nothing here: 404. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Operator, Operators } from '../auth/operators.ts'
import { identityOf } from './app.ts'
import { deviceOf } from './auth.ts'
import { refuse } from './problems.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** Name of the operator; set by `requireOperator`. */
    operator: string | null
  }
}

/** A hook that lets only operators in; after `requireUser`. */
export function requireOperator (operators: Operators) {
  return async (request: FastifyRequest, _reply: FastifyReply): Promise<void> => {
    request.operator = await operators.nameOf(identityOf(request).user_id) ?? refuse('not_found')
  }
}

/** Who acts, on a route that has `requireOperator`. */
export function operatorOf (request: FastifyRequest): Operator {
  return { user_id: identityOf(request).user_id, name: request.operator ?? refuse('not_found'), device: deviceOf(request) }
}
