/**
 * A room's queue of commands, and what is known of each command in it until it is answered. What happens to them is in
 * `commands.ts`; nothing here waits or decides.
 */
import type { Facts } from '../domain/commands.ts'
import type { Room } from '../domain/room.ts'
import { isTracing, type Span } from '../telemetry/tracing.ts'
import { usersIn } from './facts.ts'
import type { Outcome, Request } from './request.ts'

/** How long a command is tried again after faults. */
export const RETRY_MS = 5000

export interface Pending {
  readonly request: Request
  /** Its idempotency key, once there is one. */
  key: string | undefined
  /** When it was first decided, in epoch milliseconds: what it appends says so, however often it is tried. */
  decidedAt: number | undefined
  /** What was tried to be appended last. */
  prepared: ReadonlyArray<{ readonly event_id: string, readonly data: string }>
  readonly since: number
  readonly answer: (outcome: Outcome) => void
  /** Undefined where it is not traced, nearly always. */
  readonly span: Span | undefined
  /** From its decision until it is in the log; events carry it on. */
  appending: Span | undefined
  /** Place in the order of arrival. */
  readonly order: number
  decisions: number
  looked: boolean
  /** Gathered anew for each decision. */
  facts: Facts | undefined
  /** It has its slot of slow mode, whatever becomes of its first decision. */
  slotted: boolean
}

export interface Queue {
  readonly id: string
  pending: Pending[]
  busy: boolean
  /** Sessions that wait for facts: the command that needs them, and what was sent after it. */
  readonly aside: Map<string, Pending[]>
  /** The state after the last append, undefined if it must be loaded, null if the room did not exist. */
  room: Room | null | undefined
}

/** A command that has just come. */
export function pendingOf (request: Request, { order, answer, span }: Pick<Pending, 'order' | 'answer' | 'span'>): Pending {
  return { request, key: undefined, decidedAt: undefined, prepared: [], since: performance.now(), order, decisions: 0, looked: false, facts: undefined, slotted: false, answer, span, appending: undefined }
}

/** Users whose records the decision looks at. */
export function usersOf ({ request: { command, user_id }, facts }: Pending): string[] {
  return [user_id, ...('target' in command ? [command.target] : []), ...(facts === undefined ? [] : usersIn(facts, command))]
}

/** What was gathered for the command, and whether it is an operator's. */
export function factsWithRights ({ request, facts }: Pending): Facts | undefined {
  return request.operator === true ? { ...facts, operator: true } : facts
}

export function sentOf ({ request }: Pending): { author: string, client_id: string } {
  return { author: request.user_id, client_id: request.client_id ?? '' }
}

/** Who is traced of those for whom something is done at once. */
export function tracedOf (batch: readonly Pending[]): Span | undefined {
  return isTracing() ? batch.find(({ span }) => span !== undefined)?.span : undefined
}
