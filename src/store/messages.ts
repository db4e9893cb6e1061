/**
 * Messages as readers see them: rows of the read model with their reactions and pins, and what newer events make of them. The
 * pages that show them are in `history.ts`, `pins.ts` and `threads.ts`.
 */
import type { Attachment } from '../domain/events.ts'
import { hasLink, reactionKey, type Added, type MessageChanges, type ReactionChange, type Sent, type SetChange } from '../domain/messages.ts'
import { START, type Position } from '../domain/position.ts'
import type { Queryable } from './pool.ts'
import type { SuffixEvent } from './suffix.ts'

/** Name and version under which the checkpoints of history are kept. */
export const HISTORY = 'history_v1'
/** People who are named with a reaction; the others are counted. */
const REACTORS_SHOWN_MAX = 50

export interface Reaction {
  readonly emoji: string
  readonly count: number
  /** The first of them, in the order in which they reacted. */
  readonly user_ids: string[]
}

export interface Message {
  readonly seq: number
  readonly event_id: string
  readonly user_id: string
  /** Empty once deleted. */
  readonly content: string
  /** RFC 3339, UTC, milliseconds. */
  readonly timestamp: string
  readonly edited_at?: string
  readonly deleted?: true
  readonly reply_to?: number
  readonly thread?: number
  readonly reactions: Reaction[]
  readonly mentions: string[]
  readonly mentions_room?: true
  readonly attachments?: Attachment[]
  readonly client_id?: string
  readonly pinned?: true
}

/** A message with the event that pinned it. */
export interface Shown { readonly message: Message, readonly pin: Added | undefined }

/** What the suffix of the log tells of reactions: what must be known of them besides the page. */
export interface ReactionsTouched {
  /** Each once: by `reactionKey`, for each message. */
  readonly triples: ReadonlyArray<readonly [message: number, emoji: string, userId: string]>
  readonly removed: number
}

export function reactionsTouched (events: readonly SuffixEvent[]): ReactionsTouched {
  const triples = new Map<string, readonly [number, string, string]>()
  let removed = 0
  for (const { event } of events) {
    if (event.type !== 'reaction') continue
    triples.set(`${event.message_seq} ${reactionKey(event.emoji, event.user_id)}`, [event.message_seq, event.emoji, event.user_id])
    if (!event.added) removed++
  }
  return { triples: [...triples.values()], removed }
}

export const MESSAGE_COLUMNS = 'messages.seq, messages.event_id, messages.user_id, messages.content, messages.timestamp, messages.edited_at, messages.deleted, messages.client_id, messages.reply_to, messages.thread, messages.mentions, messages.mentions_room, messages.attachments, messages.reacted'

/** A row of `MESSAGE_COLUMNS`. */
export interface MessageRow {
  readonly seq: number
  readonly event_id: string
  readonly user_id: string
  readonly content: string
  readonly timestamp: Date
  readonly edited_at: Date | null
  readonly deleted: boolean
  readonly client_id: string | null
  readonly reply_to: number | null
  readonly thread: number | null
  readonly mentions: string[] | null
  readonly mentions_room: boolean
  readonly attachments: string | null
}

interface Row extends MessageRow {
  readonly reactions: string | null
  readonly had: string | null
  readonly pin_seq: number | null
  readonly pinned_by: string
  readonly pinned_at: Date
}

/** A row of the read model as it is, with its reactions up to some, and which of those asked for it has. */
export interface StoredMessage {
  readonly row: MessageRow
  readonly reactions: ReadonlyArray<{ readonly emoji: string, readonly count: number, readonly users: readonly string[], readonly seqs: readonly number[] }>
  readonly had: ReadonlySet<string>
  readonly pin: Added | undefined
}

/**
 * Rows of a page with all that belongs to them, and the checkpoint: one statement, one snapshot.
 * @param name of the prepared statement: one for each text of `page`
 * @param page a query for rows of `MESSAGE_COLUMNS`; its parameters begin at `$7`, and the room is `$2`
 */
export async function storedMessages (db: Queryable, roomId: string, { name, page, values }: { name: string, page: string, values: readonly unknown[] }, { triples, removed }: ReactionsTouched): Promise<{ at: Position, rows: StoredMessage[] }> {
  const { rows } = await db.query<Omit<Row, 'seq'> & { seq: number | null, at_seq: number | null, at_chain: string }>({
    name,
    text: `
    SELECT checkpoint.seq AS at_seq, checkpoint.chain AS at_chain, page.*, reacted.reactions, touched.had,
           pins.seq AS pin_seq, pins.pinned_by, pins.pinned_at
      FROM (SELECT) AS always
      LEFT JOIN checkpoints AS checkpoint
             ON checkpoint.projection = (SELECT live_group($1))
            AND checkpoint.room_id = $2
      LEFT JOIN (${page}) AS page
             ON true
      LEFT JOIN pins
             ON pins.room_id = $2
            AND pins.message_seq = page.seq
      LEFT JOIN LATERAL (
           SELECT json_agg(json_build_object('emoji', emoji, 'count', count, 'users', users, 'seqs', seqs)) AS reactions
             FROM (SELECT emoji, count(*) AS count, (array_agg(user_id ORDER BY seq))[1:$3] AS users, (array_agg(seq ORDER BY seq))[1:$3] AS seqs
                     FROM reactions
                    WHERE room_id = $2
                      AND message_seq = page.seq
                      AND page.reacted
                    GROUP BY emoji) AS each) AS reacted
             ON true
      LEFT JOIN LATERAL (
           SELECT json_agg(json_build_array(reactions.emoji, reactions.user_id)) AS had
             FROM unnest($4::bigint[], $5::text[], $6::uuid[]) AS asked (message_seq, emoji, user_id)
             JOIN reactions
               ON reactions.room_id = $2
              AND reactions.message_seq = asked.message_seq
              AND reactions.emoji = asked.emoji
              AND reactions.user_id = asked.user_id
            WHERE asked.message_seq = page.seq
              AND page.reacted) AS touched
             ON true
     ORDER BY page.seq`,
    values: [HISTORY, roomId, REACTORS_SHOWN_MAX + removed, triples.map(([seq]) => seq), triples.map(([, emoji]) => emoji), triples.map(([,, user]) => user), ...values],
  })
  const [first] = rows
  return {
    at: first?.at_seq == null ? START : { seq: first.at_seq, chain: first.at_chain },
    rows: rows.filter((row): row is typeof row & { seq: number } => row.seq !== null).map(storedOf),
  }
}

function storedOf ({ reactions, had, pin_seq, pinned_by, pinned_at, ...row }: Row): StoredMessage {
  return {
    row,
    reactions: reactions === null ? [] : JSON.parse(reactions),
    had: new Set(had === null ? [] : (JSON.parse(had) as Array<[string, string]>).map(([emoji, user]) => reactionKey(emoji, user))),
    pin: pin_seq === null ? undefined : { seq: pin_seq, user_id: pinned_by, timestamp: pinned_at.toISOString() },
  }
}

/** A row of the read model, and what came after it. */
export function shownOf ({ row, reactions, had, pin }: StoredMessage, changes: MessageChanges, deleted: ReadonlySet<number>): Shown {
  const { seq, event_id, user_id, timestamp, reply_to, thread, client_id } = row
  const place = {
    seq,
    event_id,
    user_id,
    timestamp: timestamp.toISOString(),
    ...(reply_to === null ? {} : { reply_to }),
    ...(thread === null ? {} : { thread }),
    ...(client_id === null ? {} : { client_id }),
  }
  if (row.deleted || isDeleted(seq, changes, deleted)) return tombstone(place)
  const edit = changes.edits.get(seq)?.at(-1)
  const { content, mentions, mentions_room } = edit ?? row
  const edited_at = edit?.timestamp ?? row.edited_at?.toISOString()
  return shown({
    ...place,
    content,
    edited_at,
    mentions: mentions ?? [],
    mentions_room,
    attachments: row.attachments === null ? undefined : JSON.parse(row.attachments) as Attachment[],
    reactions: reactionsOf(reactions, had, changes.reactions.get(seq)),
    pin: inSet(pin, changes.pins.get(seq)),
  })
}

/** A message that the read model does not have yet. */
export function shownSent ({ seq, event_id, event }: Sent, changes: MessageChanges, deleted: ReadonlySet<number>): Shown {
  const { user_id, timestamp, reply_to, thread, client_id } = event
  const place = {
    seq,
    event_id,
    user_id,
    timestamp,
    ...(reply_to === undefined ? {} : { reply_to }),
    ...(thread === undefined ? {} : { thread }),
    ...(client_id === undefined ? {} : { client_id }),
  }
  if (isDeleted(seq, changes, deleted)) return tombstone(place)
  const edit = changes.edits.get(seq)?.at(-1)
  const { content, mentions = [], mentions_room = false } = edit ?? event
  return shown({
    ...place,
    content,
    edited_at: edit?.timestamp,
    mentions,
    mentions_room,
    attachments: event.attachments,
    reactions: reactionsOf([], new Set(), changes.reactions.get(seq)),
    pin: inSet(undefined, changes.pins.get(seq)),
  })
}

const isDeleted = (seq: number, changes: MessageChanges, deleted: ReadonlySet<number>): boolean => changes.deleted.has(seq) || deleted.has(seq)

type Place = Pick<Message, 'seq' | 'event_id' | 'user_id' | 'timestamp' | 'reply_to' | 'thread' | 'client_id'>

const tombstone = (place: Place): Shown => ({ message: { ...place, content: '', deleted: true, reactions: [], mentions: [] }, pin: undefined })

function shown ({ edited_at, mentions_room, attachments, pin, ...message }: Place & Pick<Message, 'content' | 'reactions' | 'mentions'> & { edited_at: string | undefined, mentions_room: boolean, attachments: Attachment[] | undefined, pin: Added | undefined }): Shown {
  return {
    message: {
      ...message,
      ...(edited_at === undefined ? {} : { edited_at }),
      ...(mentions_room ? { mentions_room } : {}),
      ...(attachments === undefined ? {} : { attachments }),
      ...(pin === undefined ? {} : { pinned: true }),
    },
    pin,
  }
}

/** Who is in a set, after the change. */
function inSet (before: Added | undefined, change: SetChange | undefined): Added | undefined {
  if (change === undefined) return before
  return (change.removed ? undefined : before) ?? change.added
}

/**
 * Reactions with what came after. Of each emoji the read model gave so many people more than are shown as were taken away since:
 * enough to fill up.
 */
function reactionsOf (stored: StoredMessage['reactions'], had: ReadonlySet<string>, changes: ReadonlyMap<string, ReactionChange> | undefined): Reaction[] {
  const groups = new Map(stored.map(({ emoji, count, users, seqs }) => [emoji, { count, people: users.map((user, i) => ({ user, seq: seqs[i]! })) }]))
  for (const [key, { emoji, user_id, removed, added }] of changes ?? []) {
    let group = groups.get(emoji)
    if (group === undefined) groups.set(emoji, group = { count: 0, people: [] })
    const stays = had.has(key) && !removed
    if (had.has(key) && removed) {
      group.count--
      group.people = group.people.filter(({ user }) => user !== user_id)
    }
    if (added !== undefined && !stays) {
      group.count++
      group.people.push({ user: user_id, seq: added.seq })
    }
  }
  return [...groups]
    .filter(([, { count }]) => count > 0)
    .map(([emoji, { count, people }]) => ({ emoji, count, people: people.sort((a, b) => a.seq - b.seq) }))
    .sort((a, b) => (a.people[0]?.seq ?? 0) - (b.people[0]?.seq ?? 0))
    .map(({ emoji, count, people }) => ({ emoji, count, user_ids: people.slice(0, REACTORS_SHOWN_MAX).map(({ user }) => user) }))
}

export const HAS = ['attachment', 'link', 'mention', 'reaction', 'pin'] as const
/** What messages are looked for by. */
export type Has = typeof HAS[number]

/** For each, the same in SQL (as the partial indexes have it), in memory, and the events that may change it. */
export const HAS_WHAT: Readonly<Record<Has, { readonly sql: string, readonly of: (shown: Shown) => boolean, readonly changedBy: 'edit' | 'reaction' | 'pin' | undefined }>> = {
  attachment: { sql: 'attachments IS NOT NULL', of: ({ message }) => message.attachments !== undefined, changedBy: undefined },
  link: { sql: "content ~ '[hH][tT][tT][pP][sS]?://[^ \\t\\r\\n]'", of: ({ message }) => hasLink(message.content), changedBy: 'edit' },
  mention: { sql: '(mentions IS NOT NULL OR mentions_room)', of: ({ message }) => message.mentions.length > 0 || message.mentions_room === true, changedBy: 'edit' },
  reaction: { sql: 'reacted', of: ({ message }) => message.reactions.length > 0, changedBy: 'reaction' },
  pin: { sql: 'seq = ANY (ARRAY (SELECT message_seq FROM pins WHERE pins.room_id = $2))', of: ({ pin }) => pin !== undefined, changedBy: 'pin' },
}
