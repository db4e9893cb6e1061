/**
 * Pages of a room's messages: the read model joined with the log. Page and checkpoint are read in one statement, then the
 * log's suffix beyond the checkpoint is folded onto the page; so a message that was acked is on the next page that anyone
 * loads, however far the projection is behind (within a bound; beyond it `as_of` shows the lag).
 *
 * Asks nobody whether the reader may: the caller has done that, and says from where on (`from`) [G9].
 */
import { START, type Position } from '../domain/position.ts'
import type { StoredEvent } from '../domain/events.ts'
import type { ArchivedEvent } from './archive.ts'
import type { Queryable } from './pool.ts'

/** Name and version under which the checkpoints of history are kept. */
export const HISTORY = 'history_v1'
/** Events of the log that are folded onto a page at most. */
const SUFFIX_EVENTS_MAX = 1000

export interface Message {
  readonly seq: number
  readonly event_id: string
  readonly user_id: string
  readonly content: string
  /** RFC 3339, UTC, milliseconds. */
  readonly timestamp: string
  readonly reply_to?: number
  readonly client_id?: string
}

export interface MessageQuery {
  readonly room_id: string
  /** At most one of these three; none: the newest page. */
  readonly before?: number | undefined
  readonly after?: number | undefined
  readonly around?: number | undefined
  /** Messages on a page, at least 1. */
  readonly limit: number
  /** Only messages with seq > `from` are shown (a member's view of `history: joined`). */
  readonly from?: number | undefined
}

export interface MessagePage {
  /** Ascending by seq. */
  readonly items: Message[]
  /** With `after`: hand it in as `after` for the page that follows. Else: as `before` for the page before. Null: there is none. */
  readonly next: number | null
  /** Everything up to here is considered. */
  readonly as_of: Position
}

/** The log and its code, handed in: stores do not import each other. */
export interface HistoryDeps {
  readonly store: Queryable
  /** Archive and stream as one log: the archive may be ahead of history, and the stream trimmed up to it (`readOn` of `http/events.ts`). */
  readonly log: { read: (roomId: string, after: number, limit: number) => Promise<ArchivedEvent[]> }
  /** `decodeEvent` of `log/codec.ts`. */
  readonly decode: (entry: ArchivedEvent) => StoredEvent
  /** `chainOf` of `log/chain.ts`. */
  readonly chainOf: (previous: string, eventId: string) => string
}

interface Row { seq: number, event_id: string, user_id: string, content: string, timestamp: Date, client_id: string | null, reply_to: number | null }

/** Throws what Postgres and the log throw. */
export async function messagePage (deps: HistoryDeps, query: MessageQuery): Promise<MessagePage> {
  const { after, around, limit } = query
  const { at, rows } = await stored(deps.store, query)
  const { messages, as_of } = await suffix(deps, query.room_id, at)
  const inside = messages.filter(({ seq }) => seq > (query.from ?? 0) && seq > (after ?? 0) && (query.before === undefined || seq < query.before))
  const all = [...rows.map(messageOf), ...inside]

  if (after !== undefined) {
    const items = all.slice(0, limit)
    return { items, next: all.length > limit ? items.at(-1)!.seq : null, as_of }
  }
  let items = all.slice(-limit)
  if (around !== undefined) {
    // Half of the page before the place, the rest from it on; near an end the other side fills up.
    const middle = all.findIndex(({ seq }) => seq >= around)
    const start = Math.max(0, Math.min((middle < 0 ? all.length : middle) - Math.floor(limit / 2), all.length - limit))
    items = all.slice(start, start + limit)
  }
  return { items, next: items.length > 0 && items[0] !== all[0] ? items[0]!.seq : null, as_of }
}

/** The page as the read model has it, one message more than asked for at each open end, and its checkpoint: one snapshot. */
async function stored (db: Queryable, { room_id, before, after, around, limit, from = 0 }: MessageQuery): Promise<{ at: Position, rows: Row[] }> {
  const downwards = (below: string): string => `
           (SELECT *
              FROM messages
             WHERE room_id = $2
               AND seq > $3
               AND ${below}
             ORDER BY seq DESC
             LIMIT $5)`
  const upwards = (above: string): string => `
           (SELECT *
              FROM messages
             WHERE room_id = $2
               AND seq > $3
               AND ${above}
             ORDER BY seq
             LIMIT $5)`
  const page = after !== undefined
    ? upwards('seq > $4')
    : around !== undefined
      ? `${downwards('seq < $4')} UNION ALL ${upwards('seq >= $4')}`
      : downwards('seq < $4')
  const { rows } = await db.query<Omit<Row, 'seq'> & { seq: number | null, at_seq: number | null, at_chain: string }>({
    name: `message_page_${after !== undefined ? 'after' : around !== undefined ? 'around' : 'before'}`,
    text: `
    SELECT checkpoint.seq AS at_seq, checkpoint.chain AS at_chain,
           page.seq, page.event_id, page.user_id, page.content, page.timestamp, page.client_id, page.reply_to
      FROM (SELECT) AS always
      LEFT JOIN checkpoints AS checkpoint
             ON checkpoint.projection = $1
            AND checkpoint.room_id = $2
      LEFT JOIN (${page}) AS page
             ON true
     ORDER BY page.seq`,
    values: [HISTORY, room_id, from, after ?? around ?? before ?? Number.MAX_SAFE_INTEGER, limit + 1],
  })
  const [first] = rows
  return {
    at: first?.at_seq == null ? START : { seq: first.at_seq, chain: first.at_chain },
    rows: rows.filter(row => row.seq !== null) as Row[],
  }
}

/** Messages of the log beyond `at`, as far as it follows on, within the bound. A log of another history adds nothing. */
async function suffix ({ log, decode, chainOf }: HistoryDeps, roomId: string, at: Position): Promise<{ messages: Message[], as_of: Position }> {
  const events = await log.read(roomId, at.seq, SUFFIX_EVENTS_MAX)
  const messages: Message[] = []
  let as_of = at
  for (const entry of events) {
    if (entry.seq !== as_of.seq + 1 || entry.chain !== chainOf(as_of.chain, entry.event_id)) break
    let event: StoredEvent
    try {
      event = decode(entry)
    } catch {
      break // the projection will park the room there; `as_of` says how far this page goes
    }
    as_of = { seq: entry.seq, chain: entry.chain }
    if (event.type !== 'message') continue
    const { user_id, content, timestamp, reply_to, client_id } = event
    messages.push({
      seq: entry.seq,
      event_id: entry.event_id,
      user_id,
      content,
      timestamp,
      ...(reply_to === undefined ? {} : { reply_to }),
      ...(client_id === undefined ? {} : { client_id }),
    })
  }
  return { messages, as_of }
}

function messageOf ({ seq, event_id, user_id, content, timestamp, client_id, reply_to }: Row): Message {
  return {
    seq,
    event_id,
    user_id,
    content,
    timestamp: timestamp.toISOString(),
    ...(reply_to === null ? {} : { reply_to }),
    ...(client_id === null ? {} : { client_id }),
  }
}
