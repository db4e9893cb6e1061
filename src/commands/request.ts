/**
 * What goes into the commands and what comes out: the same for a frame, an HTTP request and the import.
 */
import type { Command } from '../domain/commands.ts'
import type { Rejection } from '../domain/rejections.ts'
import type { Durability } from '../log/log.ts'

export interface Request {
  readonly command: Command
  /** Whose command it is: a checked identity. */
  readonly user_id: string
  /** Commands of one session in one room are appended in the order of these calls [G1]. */
  readonly session: string
  /** The sign-in that it came by, for moderators who look into it. */
  readonly by?: string | undefined
  /** The client's idempotency key [G2]. */
  readonly client_id?: string | undefined
  /** The client sends it again, perhaps after more than 10 minutes: look into archive and log before appending. */
  readonly resend?: boolean | undefined
  /** It is the command of an operator of the deployment, who was asked for at the edge. */
  readonly operator?: true | undefined
  /** Epoch milliseconds of the event; the clock's if left out. For imports. */
  readonly at?: number | undefined
}

export type Outcome =
  /** It is in the log, now or (`duplicate`) since its first time. `seq`, `chain`, `event_id` are its (first) event's. */
  | { readonly ok: true, readonly changed: true, readonly room_id: string, readonly seq: number, readonly chain: string, readonly event_id: string, readonly duplicate: boolean, readonly durability: Durability }
  /** There was nothing to do: a member joined again. */
  | { readonly ok: true, readonly changed: false, readonly room_id: string }
  | { readonly ok: false, readonly rejection: Rejection }

export interface Commands {
  /**
   * Decides and appends. Never throws for an expected "no" or a fault: a rejection says which; `unavailable` and
   * `overloaded` mean that it may be sent again with the same `client_id`.
   */
  execute: (request: Request) => Promise<Outcome>
}
