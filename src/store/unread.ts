/**
 * Counts of messages after a place in many rooms at once: for one query's worth of work, whatever the number of rooms. What counts is
 * defined by `messages_after` and `lobby_since` of migration 0009: messages after the later of the mark and the join (in the
 * lobby: the sign-up) that are not deleted; unread are those by others.
 *
 * What the log has beyond the read model is folded onto the counts where that is little, so that what was acked counts; elsewhere
 * `applied_seq` says how far they go. Who may read which room is asked by the caller [G9].
 */
import { LOBBY_ID } from '../domain/lobby.ts'
import { foldMessages, type MessageChanges } from '../domain/messages.ts'
import { START, type Position } from '../domain/position.ts'
import { HISTORY } from './messages.ts'
import type { Queryable } from './pool.ts'
import { beyond, decoded, type Beyond, type LogReads, type Suffix } from './suffix.ts'

/** Rooms that are behind by more are not caught up with, and of those that are behind by less, no more than so many. */
const SUFFIX_EVENTS_MAX = 100
const SUFFIX_ROOMS_MAX = 100
/** More mentions are not told of. SQL counts further, by as many as a suffix may take away. */
export const MENTIONS_MAX = 100

export type Level = 'all' | 'mentions' | 'none'

export interface Pair {
  readonly room_id: string
  readonly user_id: string
}

/** Whose marks: of reading, or of delivery to one device. */
export type MarkOf = { readonly kind: 'read' } | { readonly kind: 'delivered', readonly device: string }

export interface Marked extends Pair {
  /** The mark; null for none. */
  readonly mark: number | null
  readonly level: Level
  /** How far the read model is. */
  readonly at: Position
}

/**
 * Marks, wishes and checkpoints. To be asked before the rooms' heads: so a mark beyond the head is one of a history that does not
 * stand, not one that was quicker than the question.
 */
export async function marksOf (db: Queryable, of: MarkOf, pairs: readonly Pair[]): Promise<Marked[]> {
  const { rows } = await db.query<Pair & { mark: number | null, level: Level | null, at_seq: number | null, at_chain: string }>({
    name: 'marks_of',
    text: `
    SELECT asked.room_id, asked.user_id, marks.seq AS mark, level, checkpoints.seq AS at_seq, checkpoints.chain AS at_chain
      FROM unnest($1::uuid[], $2::uuid[]) AS asked (room_id, user_id)
      LEFT JOIN marks
             ON marks.user_id = asked.user_id
            AND marks.room_id = asked.room_id
            AND marks.kind = $3
            AND marks.device = $4
      LEFT JOIN room_preferences
             ON room_preferences.user_id = asked.user_id
            AND room_preferences.room_id = asked.room_id
      LEFT JOIN checkpoints
             ON checkpoints.projection = (SELECT live_group($5))
            AND checkpoints.room_id = asked.room_id`,
    values: [pairs.map(({ room_id }) => room_id), pairs.map(({ user_id }) => user_id), of.kind, of.kind === 'read' ? '' : of.device, HISTORY],
  })
  return rows.map(({ room_id, user_id, mark, level, at_seq, at_chain }) => ({ room_id, user_id, mark, level: level ?? 'all', at: at_seq === null ? START : { seq: at_seq, chain: at_chain } }))
}

export interface Asked extends Pair {
  /** Nothing at or before it counts: the later of mark and join. */
  readonly place: number
  /** Head of the log. */
  readonly head: number
  /** The checkpoint, as `marksOf` gave it. */
  readonly at: Position
}

export interface Counted extends Pair {
  readonly head: number
  /** Nothing at or before it was counted: in the lobby, it may be further than was asked. */
  readonly place: number
  /** Messages that are not deleted. */
  readonly standing: number
  /** Those of them by others. */
  readonly unread: number
  /** Those of these that name the reader, or everyone; at most MENTIONS_MAX. */
  readonly mentions: number
  /** Everything up to here is considered; less than `head` where the read model is far behind. */
  readonly applied_seq: number
}

type CountReads = Pick<LogReads, 'store' | 'decode' | 'chainOf'> & { readonly log: Pick<LogReads['log'], 'read'> }

interface Row {
  readonly nth: number
  readonly at_seq: number | null
  readonly at_chain: string
  readonly place: number
  readonly since_at: Date | null
  readonly signed_up_at: Date | null
  readonly standing: number | null
  readonly unread: number | null
  readonly mentions: number | null
  readonly touched: string | null
}

/** A message that the read model has and the suffix changes. */
interface Touched { readonly user_id: string, readonly deleted: boolean, readonly mentions: readonly string[], readonly mentions_room: boolean }
interface Sums { standing: number, unread: number, mentions: number }

/**
 * Counts, in the order of `asked`. Of rooms in which nothing comes after the place, as in most that somebody is in, nothing is asked. Throws
 * what Postgres and the log throw.
 */
export async function countsAfter (deps: CountReads, asked: readonly Asked[]): Promise<Counted[]> {
  const counted = await countsOf(deps, asked.filter(({ place, head }) => place < head))
  let next = 0
  return asked.map(({ room_id, user_id, place, head }) => place < head ? counted[next++]! : { room_id, user_id, head, place, standing: 0, unread: 0, mentions: 0, applied_seq: head })
}

async function countsOf (deps: CountReads, asked: readonly Asked[]): Promise<Counted[]> {
  if (asked.length === 0) return []
  const suffixes = await shortSuffixes(deps, asked)
  const rows = await storedCounts(deps.store, asked, suffixes)
  const folded = new Map<string, { beyond: Beyond, changes: MessageChanges }>()
  return rows.map(row => {
    const { room_id, user_id, head } = asked[row.nth - 1]!
    const at = row.at_seq === null ? START : { seq: row.at_seq, chain: row.at_chain }
    const suffix = suffixes.get(room_id)
    const stored: Sums = { standing: row.standing ?? 0, unread: row.unread ?? 0, mentions: row.mentions ?? 0 }
    if (suffix === undefined) return { room_id, user_id, head, place: row.place, ...shown(stored), applied_seq: at.seq }
    let more = folded.get(room_id) // once for each room: all rows are of one moment
    if (more === undefined) {
      const found = beyond(suffix, at, deps.chainOf)
      folded.set(room_id, more = { beyond: found, changes: foldMessages(found.events) })
    }
    const place = room_id === LOBBY_ID ? lobbyPlace(row, more.changes) : row.place
    if (place > at.seq) stored.standing = stored.unread = stored.mentions = 0
    addSuffix(stored, more.changes, { reader: user_id, place, touched: touchedOf(row.touched) })
    return { room_id, user_id, head, place, ...shown(stored), applied_seq: more.beyond.as_of.seq }
  })
}

const shown = ({ standing, unread, mentions }: Sums): Sums => ({ standing, unread, mentions: Math.min(mentions, MENTIONS_MAX) })

/** What the logs have beyond the checkpoints, where that is little. By room. */
async function shortSuffixes ({ log, decode }: CountReads, asked: readonly Asked[]): Promise<Map<string, Suffix>> {
  const behind = new Map(asked.filter(({ head, at }) => head > at.seq && head - at.seq <= SUFFIX_EVENTS_MAX).map(({ room_id, at }) => [room_id, at]))
  return new Map(await Promise.all([...behind].slice(0, SUFFIX_ROOMS_MAX).map(async ([room_id, base]) => {
    const events = decoded(await log.read(room_id, base.seq, SUFFIX_EVENTS_MAX), base.seq, decode)
    return [room_id, { events, base, skips: false, full: false, deleted: new Set<number>() }] as const
  })))
}

/** `OFFSET 0` keeps the condition before the counting: rooms with nothing new cost next to nothing. */
async function storedCounts (db: Queryable, asked: readonly Asked[], suffixes: ReadonlyMap<string, Suffix>): Promise<Row[]> {
  const touched = [...suffixes].flatMap(([room_id, { events }]) => {
    const seqs = new Set(events.flatMap(({ event }) => event.type === 'edit' || event.type === 'delete' ? [event.message_seq] : []))
    return [...seqs].map(seq => ({ room_id, seq }))
  })
  const { rows } = await db.query<Row>({
    name: 'counts_after',
    text: `
    SELECT asked.nth, checkpoints.seq AS at_seq, checkpoints.chain AS at_chain, begin.place, since.at AS since_at,
           CASE WHEN asked.room_id = $7 THEN (SELECT created_at FROM users WHERE id = asked.user_id) END AS signed_up_at,
           counted.standing, counted.unread, counted.mentions,
           CASE WHEN cardinality($5::uuid[]) > 0 THEN (
                SELECT json_agg(json_build_array(messages.seq, messages.user_id, messages.deleted, messages.mentions, messages.mentions_room))
                  FROM unnest($5::uuid[], $6::bigint[]) AS touched (room_id, seq)
                  JOIN messages ON messages.room_id = asked.room_id AND messages.seq = touched.seq
                 WHERE touched.room_id = asked.room_id) END AS touched
      FROM unnest($1::uuid[], $2::uuid[], $3::bigint[]) WITH ORDINALITY AS asked (room_id, user_id, place, nth)
      LEFT JOIN LATERAL (SELECT * FROM lobby_since(asked.user_id) WHERE asked.room_id = $7) AS since
             ON true
     CROSS JOIN LATERAL (SELECT greatest(asked.place, since.seq) AS place) AS begin
      LEFT JOIN checkpoints
             ON checkpoints.projection = (SELECT live_group($4))
            AND checkpoints.room_id = asked.room_id
      LEFT JOIN LATERAL (SELECT * FROM messages_after(asked.room_id, asked.user_id, begin.place) WHERE checkpoints.seq > begin.place OFFSET 0) AS counted
             ON true
     ORDER BY asked.nth`,
    values: [asked.map(({ room_id }) => room_id), asked.map(({ user_id }) => user_id), asked.map(({ place }) => place), HISTORY, touched.map(({ room_id }) => room_id), touched.map(({ seq }) => seq), LOBBY_ID],
  })
  return rows
}

/** As `lobby_since`, should the newest message from before the sign-up be one that the read model does not have yet. */
function lobbyPlace ({ place, since_at, signed_up_at }: Row, { sent }: MessageChanges): number {
  if (signed_up_at === null) return place
  let newest = { at: since_at?.toISOString() ?? '', seq: 0 }
  for (const { seq, event: { timestamp: at } } of sent.values()) {
    if (at < signed_up_at.toISOString() && at >= newest.at) newest = { at, seq }
  }
  return Math.max(place, newest.seq)
}

function touchedOf (json: string | null): ReadonlyMap<number, Touched> {
  const rows = json === null ? [] : JSON.parse(json) as Array<[number, string, boolean, string[] | null, boolean]>
  return new Map(rows.map(([seq, user_id, deleted, mentions, mentions_room]) => [seq, { user_id, deleted, mentions: mentions ?? [], mentions_room }]))
}

function addSuffix (sums: Sums, { sent, edits, deleted }: MessageChanges, { reader, place, touched }: { reader: string, place: number, touched: ReadonlyMap<number, Touched> }): void {
  const names = ({ mentions = [], mentions_room = false }: { readonly mentions?: readonly string[], readonly mentions_room?: boolean }): number => Number(mentions_room || mentions.includes(reader))
  const count = (by: 1 | -1, author: string, mentions: number): void => {
    sums.standing += by
    if (author === reader) return
    sums.unread += by
    sums.mentions += by * mentions
  }
  for (const [seq, { event }] of sent) {
    if (seq > place && !deleted.has(seq)) count(1, event.user_id, names(edits.get(seq)?.at(-1) ?? event))
  }
  for (const seq of deleted.keys()) {
    const message = touched.get(seq)
    if (message !== undefined && seq > place && !message.deleted) count(-1, message.user_id, names(message))
  }
  for (const [seq, list] of edits) {
    const message = touched.get(seq)
    if (message !== undefined && seq > place && !message.deleted && message.user_id !== reader) sums.mentions += names(list.at(-1)!) - names(message)
  }
}

/** Sets what a user wants to be told of in a room. */
export async function setLevel (db: Queryable, { user_id, room_id }: Pair, level: Level): Promise<void> {
  await db.query(`
    INSERT INTO room_preferences (user_id, room_id, level)
    VALUES ($1, $2, $3)
        ON CONFLICT (user_id, room_id) DO UPDATE
       SET level = excluded.level, set_at = now()`, [user_id, room_id, level])
}
