/**
 * What routes that append have in common: their answer, users and messages in their paths, and bodies that may be left out.
 */
import type { FastifyRequest } from 'fastify'
import Type, { type Static } from 'typebox'
import type { Outcome } from '../commands/request.ts'
import { Seq } from '../domain/events.ts'
import type { RejectionCode } from '../domain/rejections.ts'
import { RoomParams, UUID_PATTERN } from './app.ts'
import { Refusal } from './problems.ts'

export const Done = Type.Object({
  room_id: Type.String(),
  changed: Type.Boolean({ description: 'False if there was nothing to do' }),
  seq: Type.Optional(Type.Integer({ description: 'Place of its (first) event' })),
  chain: Type.Optional(Type.String()),
  event_id: Type.Optional(Type.String()),
  duplicate: Type.Optional(Type.Boolean({ description: 'True if the same key had been sent before: this is its first result' })),
  durability: Type.Optional(Type.String({ description: 'memory, fsync or replicated' })),
})
export type Done = Static<typeof Done>

/** The answer to a command that was done. Throws the "no" of one that was not, with the field of the request that it is about. */
export function doneOf (outcome: Outcome, fields: { readonly [C in RejectionCode]?: string } = {}): Done {
  if (!outcome.ok) throw new Refusal(outcome.rejection, fields[outcome.rejection.code])
  const { ok: _, ...done } = outcome
  return done
}

export const UserId = Type.String({ pattern: UUID_PATTERN, description: 'UUID of a user' })
export const RoomUserParams = Type.Object({ ...RoomParams.properties, user: UserId })
export const RoomSeqParams = Type.Object({ ...RoomParams.properties, seq: Seq })

/** The user that the path names. */
export function targetOf ({ params }: { params: Static<typeof RoomUserParams> }): string {
  return params.user.toLowerCase()
}

/** For routes whose body may be left out: then it is an empty object, so that their schemas name fields and no alternatives. */
export const MAY_BE_EMPTY = {
  async preValidation (request: FastifyRequest): Promise<void> { request.body ??= {} },
}
