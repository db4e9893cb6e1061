/** What a message said before its edits: the read model joined with the log. Nothing of a deleted message. */
import { foldMessages, type Edit } from '../domain/messages.ts'
import { START, type Position } from '../domain/position.ts'
import { HISTORY } from './messages.ts'
import { beyond, readSuffix, type LogReads } from './suffix.ts'

export interface EarlierVersion {
  /** Seq of the edit that replaced it. */
  readonly seq: number
  readonly content: string
  /** When it was written. */
  readonly timestamp: string
  /** When it was replaced. */
  readonly edited_at: string
}

export interface EditsPage {
  /** Oldest first. */
  readonly items: EarlierVersion[]
  /** Hand it in as `after` for the page that follows. Null: there is none. */
  readonly next: number | null
  readonly as_of: Position
}

interface Row {
  readonly at_seq: number | null
  readonly at_chain: string
  readonly now: string | null
  readonly now_since: Date
  readonly deleted: boolean
  readonly seq: number | null
  readonly content: string
  readonly timestamp: Date
  readonly edited_at: Date
}

/** @param message its seq · @param after seq of an edit */
export async function editsPage (deps: LogReads, { room_id, message, after = 0, limit }: { readonly room_id: string, readonly message: number, readonly after?: number | undefined, readonly limit: number }): Promise<EditsPage> {
  const suffix = await readSuffix(deps, HISTORY, room_id)
  const { rows } = await deps.store.query<Row>({
    name: 'message_edits',
    text: `
    SELECT checkpoint.seq AS at_seq, checkpoint.chain AS at_chain, messages.content AS now, coalesce(messages.edited_at, messages.timestamp) AS now_since,
           messages.deleted, edit.seq, edit.content, edit.timestamp, edit.edited_at
      FROM (SELECT) AS always
      LEFT JOIN checkpoints AS checkpoint
             ON checkpoint.projection = (SELECT live_group($1))
            AND checkpoint.room_id = $2
      LEFT JOIN messages
             ON messages.room_id = $2
            AND messages.seq = $3
      LEFT JOIN LATERAL (
           SELECT seq, content, timestamp, edited_at
             FROM message_edits
            WHERE room_id = $2
              AND message_seq = $3
              AND seq > $4
            ORDER BY seq
            LIMIT $5) AS edit
             ON true
     ORDER BY edit.seq`,
    values: [HISTORY, room_id, message, after, limit + 1],
  })
  const [first] = rows
  const { events, as_of } = beyond(suffix, first?.at_seq == null ? START : { seq: first.at_seq, chain: first.at_chain }, deps.chainOf)
  const changes = foldMessages(events)
  if (first?.deleted === true || suffix.deleted.has(message) || changes.deleted.has(message)) return { items: [], next: null, as_of }
  const current = first?.now == null ? changes.sent.get(message)?.event : { content: first.now, timestamp: first.now_since.toISOString() }
  const all = [
    ...rows.flatMap(({ seq, content, timestamp, edited_at }) => seq === null ? [] : [{ seq, content, timestamp: timestamp.toISOString(), edited_at: edited_at.toISOString() }]),
    ...current === undefined ? [] : replaced(current, changes.edits.get(message) ?? []).filter(({ seq }) => seq > after),
  ]
  const items = all.slice(0, limit)
  return { items, next: all.length > limit ? items.at(-1)!.seq : null, as_of }
}

/** Each version that an edit replaced. */
function replaced (first: Pick<Edit, 'content' | 'timestamp'>, edits: readonly Edit[]): EarlierVersion[] {
  return edits.map(({ seq, timestamp: edited_at }, i) => {
    const { content, timestamp } = edits[i - 1] ?? first
    return { seq, content, timestamp, edited_at }
  })
}
