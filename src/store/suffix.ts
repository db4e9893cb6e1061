/**
 * The part of a room's log that a read model does not have yet. Reads fold it onto what Postgres says, so that what was acked is
 * in the next answer that anyone gets, however far the projection is behind, within `SUFFIX_EVENTS_MAX`.
 *
 * It is read before the rows: the rows then come with a checkpoint of their own, which may have moved on meanwhile, and only
 * what lies beyond that one, and chains onto it, is folded (`beyond`). Deletes are known beyond the bound too.
 */
import { START, type Position } from '../domain/position.ts'
import type { StoredEvent } from '../domain/events.ts'
import type { ArchivedEvent } from './archive.ts'
import type { Queryable } from './pool.ts'

/** Events of the log that are folded onto one answer at most. */
export const SUFFIX_EVENTS_MAX = 1000

/** The log and its code, handed in: stores do not import each other. */
export interface LogReads {
  readonly store: Queryable
  readonly log: {
    /** Archive and stream as one log: the archive may be ahead of a read model, and the stream trimmed up to it (`readOn` of `http/events.ts`). */
    read: (roomId: string, after: number, limit: number) => Promise<ArchivedEvent[]>
    /** Messages that events with seq > `after` deleted. */
    deletedAfter: (roomId: string, after: number) => Promise<Set<number>>
  }
  /** `decodeEvent` of `log/codec.ts`. */
  readonly decode: (entry: ArchivedEvent) => StoredEvent
  /** `chainOf` of `log/chain.ts`. */
  readonly chainOf: (previous: string, eventId: string) => string
}

export interface SuffixEvent { readonly entry: ArchivedEvent, readonly event: StoredEvent }

export interface Suffix {
  /** What follows after `base`, dense, up to the bound or up to an entry that is no event. */
  readonly events: readonly SuffixEvent[]
  readonly base: Position
  /** The reader is beyond the checkpoint: it begins where they are, not at the checkpoint. */
  readonly skips: boolean
  /** There may be more of it, beyond the bound. */
  readonly full: boolean
  /** Messages whose delete the read model did not have. */
  readonly deleted: ReadonlySet<number>
}

/**
 * @param projection name and version, such as `history_v1`
 * @param after for a reader who asks for what comes after this seq only: so far ahead of a projection that stands still, they go on
 */
export async function readSuffix ({ store, log, decode }: LogReads, projection: string, roomId: string, after = 0): Promise<Suffix> {
  const at = await checkpointAt(store, projection, roomId)
  const skipped = after > at.seq ? await log.read(roomId, after - 1, SUFFIX_EVENTS_MAX + 1) : []
  const skips = skipped[0]?.seq === after
  const base = skips ? { seq: after, chain: skipped[0]!.chain } : at
  const entries = skips ? skipped.slice(1) : await log.read(roomId, at.seq, SUFFIX_EVENTS_MAX)
  const deleted = await log.deletedAfter(roomId, at.seq) // after the events: what they do not tell any more, this does
  const events = decoded(entries, base.seq, decode)
  const full = entries.length >= SUFFIX_EVENTS_MAX
  // The log forgets a delete once the archive has applied it and the message is out of the stream: there it is found then.
  if (full || events.length < entries.length) for (const seq of await archivedDeletes(store, roomId, at.seq)) deleted.add(seq)
  return { events, base, skips, full, deleted }
}

/** Messages that archived events with seq > `after` deleted. */
async function archivedDeletes (db: Queryable, roomId: string, after: number): Promise<number[]> {
  const { rows } = await db.query<{ message_seq: number }>({
    name: 'archived_deletes',
    text: `
    SELECT message_seq
      FROM events
     WHERE room_id = $1
       AND seq > $2
       AND type = 'delete'
       AND message_seq IS NOT NULL`,
    values: [roomId, after],
  })
  return rows.map(({ message_seq }) => message_seq)
}

async function checkpointAt (db: Queryable, projection: string, roomId: string): Promise<Position> {
  const { rows: [row] } = await db.query<Position>({
    name: 'checkpoint_at',
    text: `
    SELECT seq, chain
      FROM checkpoints
     WHERE projection = (SELECT live_group($1))
       AND room_id = $2`,
    values: [projection, roomId],
  })
  return row ?? START
}

/** The dense run of events after `after`, up to one that is no event. */
export function decoded (entries: readonly ArchivedEvent[], after: number, decode: LogReads['decode']): SuffixEvent[] {
  const events: SuffixEvent[] = []
  for (const entry of entries) {
    if (entry.seq !== after + events.length + 1) break
    try {
      events.push({ entry, event: decode(entry) })
    } catch {
      break // the projection will park the room there; `as_of` says how far the answer goes
    }
  }
  return events
}

export interface Beyond {
  readonly events: readonly SuffixEvent[]
  /** Everything up to here is considered. */
  readonly as_of: Position
  /** The bound was hit: there may be more after `as_of`. */
  readonly more: boolean
}

/** What of the suffix lies beyond the checkpoint `at` that rows were read with. A log of another history adds nothing. */
export function beyond ({ events, base, skips, full }: Suffix, at: Position, chainOf: LogReads['chainOf']): Beyond {
  let as_of = skips && base.seq > at.seq ? base : at
  const rest = events.filter(({ entry }) => entry.seq > as_of.seq)
  const last = events.at(-1)?.entry.seq ?? base.seq
  const chained: SuffixEvent[] = []
  for (const item of rest) {
    const { seq, chain, event_id } = item.entry
    if (seq !== as_of.seq + 1 || chain !== chainOf(as_of.chain, event_id)) break
    as_of = { seq, chain }
    chained.push(item)
  }
  return { events: chained, as_of, more: full && events.length === SUFFIX_EVENTS_MAX && as_of.seq >= last }
}
