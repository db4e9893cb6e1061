/**
 * A projection: code that folds events into a read model. Adding one is one file that exports a `Projection`, and one
 * migration with its tables.
 *
 * The projector sees to it that every event comes exactly once and in the order of its room, in one transaction with the
 * checkpoint [G6]; `apply` only writes rows. It must depend on nothing but the batch and its own tables, and must not read a
 * clock: a rebuild has to give the same rows.
 */
import type { StoredEvent } from '../src/domain/events.ts'
import type { LogEvent } from '../src/log/codec.ts'
import type { Queryable } from '../src/store/pool.ts'

export interface BatchEvent {
  /** The event as the log has it: its place, version and text. */
  readonly entry: LogEvent
  /** The same read, lifted to the current version. Types and versions newer than this code come as they are. */
  readonly event: StoredEvent
}

/** Consecutive events of one room, in order; never empty. */
export interface RoomBatch {
  readonly room_id: string
  readonly partition: number
  readonly events: readonly BatchEvent[]
}

export interface Projection {
  readonly name: string
  /** Moves when the tables must be filled anew. */
  readonly version: number
  /**
   * Where its events come from: the room logs, in a consumer group of its own (the default), or the archive, which hands on what it has
   * committed. Reading the log again costs Redis and the projector as much as writing the rows; what need not be as fresh as the archive goes without.
   * Nor does it wait for the disk when it commits: what a crash of Postgres takes of its rows it takes of their checkpoints, and the archive has the events.
   */
  readonly source?: 'log' | 'archive'
  /** The tables that `apply` writes. */
  readonly tables: readonly string[]
  /** Indexes besides keys that `apply` itself looks things up by. A rebuild makes all others when it has filled the tables. */
  readonly lookups?: readonly string[]
  /** False where filling the tables anew would lose something, or do something twice. */
  readonly rebuildable?: false
  /**
   * Writes the rows of the batch, each room at most once in it, by set-based SQL. Called inside a transaction that has moved the rooms' checkpoints.
   * What it throws (Postgres being away aside) parks the room that it is about [G10].
   */
  apply: (tx: Queryable, batch: readonly RoomBatch[]) => Promise<void>
  /** Throws away all rows of these rooms, so that they can be replayed from their first event. Absent where that makes no sense. */
  forget?: (tx: Queryable, roomIds: readonly string[]) => Promise<void>
}

/** Name of the projection's consumer group in Redis and of its checkpoints in Postgres. */
export function groupOf ({ name, version }: Pick<Projection, 'name' | 'version'>): string {
  return `${name}_v${version}`
}
