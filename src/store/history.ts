/**
 * Pages of a room's messages: the read model joined with the log. Page and checkpoint are read in one statement, and what the
 * log has beyond the checkpoint is folded onto the page: new messages, edits, deletes, reactions, pins. So what was acked is on
 * the next page that anyone loads, however far the projection is behind (within a bound; beyond it `as_of` shows the lag, and
 * deletes hold all the same).
 *
 * Asks nobody whether the reader may: the caller has done that, and says from where on (`from`) [G9].
 */
import { foldMessages, type MessageChanges } from '../domain/messages.ts'
import type { Position } from '../domain/position.ts'
import { HAS_WHAT, HISTORY, MESSAGE_COLUMNS, reactionsTouched, shownOf, shownSent, storedMessages, type Has, type Message, type Shown, type StoredMessage } from './messages.ts'
import { beyond, readSuffix, type LogReads, type Suffix } from './suffix.ts'

export { HISTORY, type Message }

export interface MessageQuery {
  readonly room_id: string
  /** At most one of these three; none: the newest page. (`after` with `before`: what is between.) */
  readonly before?: number | undefined
  readonly after?: number | undefined
  readonly around?: number | undefined
  /** Messages on a page, at least 1. */
  readonly limit: number
  /** Only messages with seq > `from` are shown (a member's view of `history: joined`). */
  readonly from?: number | undefined
  /** Only those of this user, of this thread, with this. */
  readonly user_id?: string | undefined
  readonly thread?: number | undefined
  readonly has?: Has | undefined
}

export interface MessagePage {
  /** Ascending by seq. */
  readonly items: Message[]
  /** With `after`: hand it in as `after` for the page that follows. Else: as `before` for the page before. Null: there is none. */
  readonly next: number | null
  /** Everything up to here is considered. */
  readonly as_of: Position
}

/** Throws what Postgres and the log throw. */
export async function messagePage (deps: LogReads, query: MessageQuery): Promise<MessagePage> {
  const { store, chainOf } = deps
  const suffix = await readSuffix(deps, HISTORY, query.room_id, query.after)
  const { after, around, limit } = query
  const { at, rows } = await storedMessages(store, query.room_id, pageOf(query, uncertain(suffix, query.has)), reactionsTouched(suffix.events))
  const { events, as_of, more } = beyond(suffix, at, chainOf)
  const all = shownAll(rows, foldMessages(events), suffix.deleted)
    .filter(shown => isInside(shown, query))
    .map(({ message }) => message)

  if (after !== undefined) {
    const items = all.slice(0, limit)
    if (all.length > limit) return { items, next: items.at(-1)!.seq, as_of }
    return { items, next: more && as_of.seq > after ? as_of.seq : null, as_of } // beyond the bound there may be more: the reader goes on from there
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

/** One message, or undefined if there is none at this place, for this reader. */
export async function messageAt (deps: LogReads, { room_id, from, seq }: Pick<MessageQuery, 'room_id' | 'from'> & { readonly seq: number }): Promise<{ item: Message | undefined, as_of: Position }> {
  const { items, as_of } = await messagePage(deps, { room_id, from, after: seq - 1, before: seq + 1, limit: 1 })
  return { item: items.find(item => item.seq === seq), as_of }
}

/** Messages of the read model and new ones, each with what came after it, ascending by seq. */
export function shownAll (rows: readonly StoredMessage[], changes: MessageChanges, deleted: ReadonlySet<number>): Shown[] {
  return [
    ...rows.map(row => shownOf(row, changes, deleted)),
    ...[...changes.sent.values()].map(sent => shownSent(sent, changes, deleted)),
  ]
}

/** Messages of which only the suffix tells whether they have what is looked for: they are read whatever the read model says. */
function uncertain ({ events, deleted }: Suffix, has: Has | undefined): number[] {
  if (has === undefined) return []
  const { changedBy } = HAS_WHAT[has]
  const seqs = new Set(deleted)
  for (const { event } of events) {
    if (event.type === 'delete' || ((event.type === 'edit' || event.type === 'reaction' || event.type === 'pin') && event.type === changedBy)) seqs.add(event.message_seq)
  }
  return [...seqs]
}

function isInside (shown: Shown, { before, after = 0, from = 0, user_id, thread, has }: MessageQuery): boolean {
  const { seq, user_id: author, thread: of } = shown.message
  if (seq <= from || seq <= after || (before !== undefined && seq >= before)) return false
  if ((user_id !== undefined && author !== user_id) || (thread !== undefined && of !== thread)) return false
  return has === undefined || HAS_WHAT[has].of(shown)
}

/** The rows of a page, one message more than asked for at each open end, and those that are uncertain. */
function pageOf ({ before, after, around, limit, from = 0, user_id, thread, has }: MessageQuery, uncertainSeqs: readonly number[]): { name: string, page: string, values: unknown[] } {
  const direction = after !== undefined ? 'after' : around !== undefined ? 'around' : 'before'
  const values: unknown[] = [Math.max(from, after ?? 0), around ?? before ?? Number.MAX_SAFE_INTEGER, limit + 1]
  const also: string[] = []
  const parameter = (value: unknown): string => `$${6 + values.push(value)}`
  if (user_id !== undefined) also.push(`user_id = ${parameter(user_id)}`)
  if (thread !== undefined) also.push(`thread = ${parameter(thread)}`)
  const and = (): string => also.map(condition => `
               AND ${condition}`).join('')
  const those = and()
  const run = (places: string, order: 'ASC' | 'DESC'): string => `
           (SELECT ${MESSAGE_COLUMNS}
              FROM messages
             WHERE room_id = $2
               AND seq > $7
               AND ${places}${and()}
             ORDER BY seq ${order}
             LIMIT $9)`
  let looked = ''
  if (has !== undefined) {
    const seqs = parameter(uncertainSeqs)
    also.push(HAS_WHAT[has].sql, `seq <> ALL (${seqs}::bigint[])`)
    looked = `
            UNION ALL
           (SELECT ${MESSAGE_COLUMNS}
              FROM messages
             WHERE room_id = $2
               AND seq > $7
               AND seq = ANY (${seqs}::bigint[])${those})`
  }
  const page = direction === 'after'
    ? run('seq < $8', 'ASC')
    : direction === 'before'
      ? run('seq < $8', 'DESC')
      : `${run('seq < $8', 'DESC')} UNION ALL ${run('seq >= $8', 'ASC')}`
  return { name: `messages_${direction}${user_id === undefined ? '' : '_from'}${thread === undefined ? '' : '_thread'}${has === undefined ? '' : `_${has}`}`, page: `${page}${looked}`, values }
}
