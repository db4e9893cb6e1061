// What the log says, for the checker: whether a log is one at all (dense, chained, each command once), which rows an
// archive and a history of it must have, and the sentences in which differences are told. Pure: logs and rows come in,
// problems go out. The folds are naïve on purpose, one event after the other, and share nothing with the projections.

import { createHash } from 'node:crypto'
import type { Frame } from './client.ts'

/** An event as it lies in the log; `data` is its JSON text: `{type, user_id, timestamp, client_id?, …}`. */
export type LogEntry = { seq: number, chain: string, event_id: string, v: number, data: string }
/** Numbers may come as text, as Postgres gives a bigint; `data` as text or parsed. */
export type ArchiveRow = { seq: number | string, chain: string, event_id: string, v?: number, data: string | object, by?: string }
/** A message of the history read model. Optional fields are compared where the log or the row has them. */
export type HistoryRow = {
  seq: number | string
  event_id: string
  user_id: string
  content?: string | null
  timestamp: string | Date
  client_id?: string | null
  reply_to?: number | string | null
  edited_at?: string | Date | null
  deleted?: boolean | null
  /** Emoji → users. Compared only where the rows have them. */
  reactions?: Record<string, string[]>
}

export const NO_CHAIN = '0'.repeat(16)
const PROBLEMS_PER_KIND_MAX = 10

export const nextChain = (chain: string, event_id: string): string => createHash('sha1').update(chain + event_id).digest('hex').slice(0, 16)

/** The frame that a client gets for a log entry. */
export const frameOf = (room_id: string, { seq, chain, event_id, v, data }: LogEntry): Frame => ({ ...JSON.parse(data), room_id, seq, chain, event_id, v })

export function judgeLog (room_id: string, log: LogEntry[], problems: Problems): Frame[] {
  const events: Frame[] = []
  const ids = new Set<string>()
  const once = new Map<string, number>()
  let last = { seq: 0, chain: NO_CHAIN }
  for (const entry of log) {
    const place = `seq ${entry.seq} of room ${room_id}`
    if (entry.seq !== last.seq + 1) problems.add('dense', `the log has ${place} after ${last.seq}`)
    if (entry.chain !== nextChain(last.chain, entry.event_id)) problems.add('chain', `${place} has chain ${entry.chain}, which does not follow from the entry before`)
    if (ids.has(entry.event_id)) problems.add('once', `${place} has the event_id ${entry.event_id} of an earlier one`)
    ids.add(entry.event_id)
    last = entry
    const [event] = parsed(room_id, entry)
    if (!event || ['type', 'user_id', 'timestamp'].some(field => typeof event[field] !== 'string')) {
      problems.add('data', `${place} has data without type, user_id and timestamp: ${brief(entry.data)}`)
      continue
    }
    events.push(event)
    if (event.client_id === undefined) continue
    const key = `${event.user_id} ${event.client_id}`
    const first = once.get(key)
    if (first === undefined) once.set(key, entry.seq)
    else problems.add('once', `the log of room ${room_id} has ${event.client_id} by ${event.user_id} twice, at seq ${first} and ${entry.seq}`)
  }
  return events
}

export function judgeArchive (logs: Map<string, LogEntry[]>, archive: Map<string, ArchiveRow[]>, problems: Problems) {
  for (const room_id of new Set([...logs.keys(), ...archive.keys()])) {
    const log = logs.get(room_id) ?? []
    const rows = archive.get(room_id) ?? []
    for (let i = 0; i < Math.max(log.length, rows.length); i++) {
      const entry = log[i]
      const row = rows[i]
      if (!entry || !row) {
        problems.add('archive', `the archive of room ${room_id} has ${rows.length} events, the log ${log.length}`)
        break
      }
      const fields = differing(canonical({ ...entry, data: fieldsOf(entry.data), v: row.v === undefined ? undefined : entry.v }),
        canonical({ seq: Number(row.seq), chain: row.chain, event_id: row.event_id, v: row.v, data: fieldsOf(row.data), by: row.by }))
      if (fields !== '') problems.add('archive', `seq ${entry.seq} of room ${room_id} has another ${fields} in the archive than in the log`)
    }
  }
}

export function judgeMessages (logs: Map<string, LogEntry[]>, messages: Map<string, HistoryRow[]>, problems: Problems) {
  for (const room_id of new Set([...logs.keys(), ...messages.keys()])) {
    const wanted = foldMessages((logs.get(room_id) ?? []).flatMap(entry => parsed(room_id, entry)))
    const rows = messages.get(room_id) ?? []
    const seqs = new Set(rows.map(row => Number(row.seq)))
    for (const seq of wanted.keys()) if (!seqs.has(seq)) problems.add('messages', `the message at seq ${seq} of room ${room_id} is missing from the history`)
    let last = 0
    for (const row of rows) {
      const seq = Number(row.seq)
      if (seq <= last) problems.add('messages', `the history of room ${room_id} has seq ${seq} after ${last}`)
      last = seq
      const message = wanted.get(seq)
      if (!message) { problems.add('messages', `the history of room ${room_id} has a message at seq ${seq}, the log has none there`); continue }
      const fields = differing(canonical(plainMessage(message)), canonical(plainMessage({ ...row, reactions: row.reactions ?? message.reactions })))
      if (fields !== '') problems.add('messages', `the message at seq ${seq} of room ${room_id} has another ${fields} in the history than the log folded`)
    }
  }
}

/** Messages as the log has them, naïvely: the last edit counts, a deletion wins whenever it came, reactions are sets. */
export function foldMessages (events: Frame[]): Map<number, HistoryRow> {
  const messages = new Map<number, HistoryRow>()
  for (const event of events) {
    const { type, seq, message_seq, content, timestamp, user_id, emoji, added } = event
    const target = messages.get(message_seq)
    if (type === 'message') messages.set(seq, { ...event as unknown as HistoryRow, reactions: {} })
    if (!target) continue
    if (type === 'edit' && !target.deleted) Object.assign(target, { content, edited_at: timestamp })
    if (type === 'delete') Object.assign(target, { content: null, deleted: true, edited_at: null, reactions: {} })
    if (type === 'reaction' && !target.deleted && target.reactions) {
      const users = new Set(target.reactions[emoji] ?? [])
      if (added) users.add(user_id)
      else users.delete(user_id)
      target.reactions[emoji] = [...users]
    }
  }
  return messages
}

function plainMessage ({ seq, event_id, user_id, content, timestamp, client_id, reply_to, edited_at, deleted, reactions = {} }: HistoryRow) {
  return {
    seq: Number(seq),
    event_id,
    user_id,
    // A tombstone is blank, whichever blank the store uses, and whether or not it was edited before.
    content: deleted ? null : content,
    edited_at: edited_at && !deleted ? new Date(edited_at).getTime() : null,
    timestamp: new Date(timestamp).getTime(),
    client_id: client_id ?? null,
    reply_to: reply_to == null ? null : Number(reply_to),
    deleted: deleted === true,
    reactions: deleted ? {} : Object.fromEntries(Object.entries(reactions).filter(([, users]) => users.length > 0).map(([emoji, users]) => [emoji, [...users].sort()])),
  }
}

export type Problems = ReturnType<typeof createProblems>

// A run that goes wrong goes wrong a million times: a few sentences of each kind are kept, the rest is counted.
export function createProblems (before?: { counts: Record<string, number>, kept: Map<string, string[]> }) {
  const counts: Record<string, number> = { ...before?.counts }
  const kept = new Map([...before?.kept ?? []].map(([kind, list]) => [kind, [...list]]))
  return {
    counts,
    kept,
    add (kind: string, sentence: string) {
      counts[kind] = (counts[kind] ?? 0) + 1
      const list = kept.get(kind)
      if (!list) kept.set(kind, [sentence])
      else if (list.length < PROBLEMS_PER_KIND_MAX) list.push(sentence)
    },
    sentences: () => [...kept].flatMap(([kind, list]) => {
      const more = (counts[kind] ?? 0) - list.length
      return more > 0 ? [...list, `and ${more} more like it (${kind})`] : list
    }),
  }
}

export function at (log: LogEntry[] | undefined, seq: number): LogEntry | undefined {
  const entry = log?.[seq - 1]
  // A log with a hole is refused already; looking further keeps one hole from being told as many lies.
  return entry?.seq === seq || log?.at(-1)?.seq === log?.length ? entry : log?.find(entry => entry.seq === seq)
}

export const stands = (log: LogEntry[], seq: number, chain: string): boolean => (seq === 0 ? NO_CHAIN : at(log, seq)?.chain) === chain

function fieldsOf (data: string | object): unknown {
  if (typeof data !== 'string') return data
  try { return JSON.parse(data) } catch { return data }
}

/** The entry's frame in a list, or an empty list when its data is no JSON object. */
export function parsed (room_id: string, entry: LogEntry): Frame[] {
  const fields = fieldsOf(entry.data)
  return typeof fields === 'object' && fields !== null ? [frameOf(room_id, entry)] : []
}

/** JSON text that is the same for the same value, whatever order its fields were written in. */
export function canonical (value: unknown): string {
  return JSON.stringify(value, (_, part) => part !== null && typeof part === 'object' && !Array.isArray(part)
    ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => a < b ? -1 : 1))
    : part) ?? 'nothing'
}

/** The names of the fields in which two canonical texts differ, empty when they are the same. */
export function differing (wanted: string, got: string): string {
  if (wanted === got) return ''
  const [a, b] = [fieldsOf(wanted), fieldsOf(got)] as Record<string, unknown>[]
  return [...new Set([...Object.keys(a ?? {}), ...Object.keys(b ?? {})])].filter(field => canonical(a?.[field]) !== canonical(b?.[field])).join(', ')
}

export const brief = (value: unknown): string => (JSON.stringify(value) ?? 'nothing').slice(0, 120)
