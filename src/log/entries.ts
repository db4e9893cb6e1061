/**
 * An event as the entry of a room's stream. An entry has two fields: `chain`, and `event`, a text that the append script passes on as it
 * came, into the stream and into the bell: `<event ID> <schema version> <session, percent-encoded, or -> <data>`. Few fields, because
 * each costs the script, whoever reads a stream, and Redis between them (ADR 15).
 */
import type { LogEvent } from './codec.ts'

export type Entry = [id: string, fields: string[]]

const NOBODY = '-'

/** The field `event`. One line: data is JSON. */
export function entryText ({ event_id, v, by, data }: Pick<LogEvent, 'event_id' | 'v' | 'data'> & { readonly by?: string | undefined }): string {
  return `${event_id} ${v} ${by === undefined ? NOBODY : encodeURIComponent(by.toWellFormed())} ${data}`
}

/** What `entryText` made, from `at` to `end`. What is no such text becomes an event without ID and data: the decoder will say what is wrong. */
export function eventOf (seq: number, chain: string, text: string, at = 0, end = text.length): LogEvent {
  const a = text.indexOf(' ', at)
  const b = text.indexOf(' ', a + 1)
  const c = text.indexOf(' ', b + 1)
  if (a < 0 || b < 0 || c < 0 || c >= end) return { seq, chain, event_id: '', v: 0, data: '' }
  const [event_id, v, data] = [text.slice(at, a), Number(text.slice(a + 1, b)), text.slice(c + 1, end)]
  return c === b + 2 && text.startsWith(NOBODY, b + 1) ? { seq, chain, event_id, v, data } : { seq, chain, event_id, v, data, by: decoded(text.slice(b + 1, c)) }
}

/** An entry as XRANGE and XREADGROUP give it; older ones have a field for each part. What is missing becomes empty. */
export function logEventOf ([id, fields]: Entry): LogEvent {
  const seq = Number(id.slice(0, id.indexOf('-')))
  const [first, chain = '', second, text = ''] = fields
  if (first === 'chain' && second === 'event') return eventOf(seq, chain, text)
  const parts = new Map<string, string>()
  for (let i = 0; i < fields.length; i += 2) parts.set(fields[i]!, fields[i + 1]!)
  const [by, part] = [parts.get('by'), (name: string): string => parts.get(name) ?? '']
  return { seq, chain: part('chain'), event_id: part('id'), v: Number(part('v')), data: part('data'), ...(by === undefined ? {} : { by }) }
}

function decoded (by: string): string {
  if (!by.includes('%')) return by
  try {
    return decodeURIComponent(by)
  } catch {
    return by
  }
}
