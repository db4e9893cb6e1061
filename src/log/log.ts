/**
 * The room log: its contract. `redis-log.ts` keeps it on Redis Streams, `tail.ts` follows it, `groups.ts` consumes it.
 *
 * - Each room has one total order. `seq` is dense: 1, 2, 3, … and the stream's entry ID is `<seq>-0` [G1].
 * - `append` decides everything in one atomic step: it was appended before (same room, author and key) → the first result
 *   [G2]; a precondition fails → nothing is written; else events, patches and head move together. Units of one room that
 *   come in one call are appended in their order, and a session's failure holds back its later units.
 * - An append that throws has an *unknown outcome*: the caller repeats it with the same key (Redis may have done it).
 * - Nothing is appended to a partition that is fenced: its Redis restarted, was promoted or restored since the partition
 *   was last reconciled with the archive [G8].
 */
import type { LogEvent } from './codec.ts'
import type { Position } from '../domain/position.ts'
import type { Span } from '../telemetry/tracing.ts'

/** How well an acked event is kept: in memory, on disk (fsync before the reply), or on replicas too [G3]. */
export type Durability = 'memory' | 'fsync' | 'replicated'

export type Hash = 'meta' | 'members'

/** "This field of this hash has this value" ('' for: is not there); in `deleted`: this message is not deleted. */
export type Precondition = readonly [hash: Hash | 'deleted', field: string, value: string]

/**
 * `add` adds a whole number; a number n sets the value with the seq of the unit's n-th event (from 0) behind it; `mark`, in
 * `deleted`, notes that the message `field` was deleted by the unit's first event.
 */
export type Patch = readonly [op: 'set' | 'add' | number, hash: Hash, field: string, value: string] | readonly [op: 'mark', hash: 'deleted', field: string, value: '']

/** All that one command appends. */
export interface Unit {
  /** Whose commands stay in order: a failure holds back later units of the same session in the same call. */
  readonly session: string
  /** Idempotency key: the author, and the client's key or one made here. */
  readonly author: string
  readonly key: string
  /** Milliseconds for which the key is remembered; more than the longest retry. */
  readonly onceMs: number
  /** True for the first event of a room: it must not exist yet. Otherwise it must. */
  readonly create: boolean
  readonly preconditions: readonly Precondition[]
  readonly events: ReadonlyArray<{ readonly event_id: string, readonly v: number, readonly data: string, readonly by?: string | undefined }>
  readonly patches: readonly Patch[]
  /** Where it is traced. */
  readonly trace?: Span | undefined
}

export type Appended =
  /** `seq`, `chain` and `event_id` are those of the unit's first event. */
  | { readonly status: 'appended' | 'duplicate', readonly seq: number, readonly chain: string, readonly event_id: string }
  /** `precondition`: reload, decide again. `held`: one before it of the same session failed. `missing`: no such room. */
  | { readonly status: 'precondition' | 'held' | 'missing' | 'exists' | 'cold' }

/** A room's state in Redis: `meta` as it is, and the records of the members that were asked for ('' where there is none). */
export interface RoomHashes {
  readonly meta: ReadonlyMap<string, string>
  readonly members: ReadonlyMap<string, string>
}

/** What Redis answers to a comparison of heads. `fenced`: conclude nothing. */
export interface Heads {
  readonly fenced: boolean
  /** Rooms that Redis does not know are absent. */
  readonly heads: ReadonlyMap<string, Position>
}

/**
 * The log cannot be reached or will not take it now. `unknown` is true where the append may have happened all the same.
 * `unavailable`: retry. `overloaded`: Redis is out of memory. `fenced`: reconcile, then retry.
 */
export class LogFault extends Error {
  override name = 'LogFault'
  readonly code: 'unavailable' | 'overloaded' | 'fenced'
  constructor (code: LogFault['code'], message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

export interface RoomLog {
  /** Appends units to one room, in order; calls of the same turn of the loop travel together. Throws LogFault. */
  append: (roomId: string, units: readonly Unit[]) => Promise<Appended[]>
  /**
   * Calls `decide` once, as soon as what it appends would travel at once: at the end of this turn of the loop, or, while a call is under
   * way, when that is answered. Appends made in it share a call with those of all others who waited.
   */
  beforeCall: (decide: () => void) => void
  /** Told of what this process has appended, before it is known from anywhere else: seqs dense. A hint, as a bell is; one listener. */
  onAppended: (listener: (roomId: string, events: LogEvent[]) => void) => void
  /**
   * Events with seq > `after`, oldest first, at most `limit`, deleted messages as tombstones. Where the stream begins later,
   * they begin later: check density.
   */
  read: (roomId: string, after: number, limit: number) => Promise<LogEvent[]>
  /** The events at these seqs, tombstones likewise; those that the stream does not have are absent. */
  at: (roomId: string, seqs: readonly number[]) => Promise<Map<number, LogEvent>>
  /** Messages that were deleted by an event with seq > `after`: what is read from the archive is blanked with them. */
  deletedAfter: (roomId: string, after: number) => Promise<Set<number>>
  /** The chains that the stream has at these seqs; seqs that it does not have are absent. */
  chainsAt: (roomId: string, seqs: readonly number[]) => Promise<Map<number, string>>
  /** Whether each of these messages was deleted, as far as the archive does not have it yet. */
  areDeleted: (messages: ReadonlyArray<{ readonly room_id: string, readonly seq: number }>) => Promise<boolean[]>
  /** State of a room and of some members, in one moment; undefined if Redis does not know the room. */
  room: (roomId: string, users: readonly string[]) => Promise<RoomHashes | undefined>
  /** States of several rooms (any partitions), each in one moment, with the record of one user; unknown rooms are absent. */
  rooms: (roomIds: readonly string[], user: string) => Promise<Map<string, RoomHashes>>
  /** First result of a command, if it is remembered. */
  once: (roomId: string, author: string, key: string) => Promise<(Position & { event_id: string }) | undefined>
  /** Heads of rooms (any partitions). */
  heads: (roomIds: readonly string[]) => Promise<Heads>
  /** What appends are worth now: as the server is configured, asked anew after every reconnect. */
  durability: () => Durability
}
