/**
 * How events are written into the log and read back.
 *
 * `data` is the event as JSON without its place; how that is written into a stream, `entries.ts` says. A frame is that JSON with the place
 * put in front, so delivering an event of the current version parses nothing.
 * Events of an older version are lifted by `UPCASTS` on the way out, one version at a time; stored ones are never rewritten.
 * Frozen fixtures of every version (`test/fixtures/events`) hold this to its word.
 */
import { EVENT_VERSION, type StoredEvent } from '../domain/events.ts'
import type { Position } from '../domain/position.ts'

/** One entry of a room's log, as stored. `data` is the event's JSON in schema version `v`. */
export interface LogEvent extends Position {
  readonly event_id: string
  readonly v: number
  readonly data: string
  /** Session of whoever did it: kept with what moderators may want to look into, shown in no frame. */
  readonly by?: string
}

const INBOX = '{"type":"inbox"'
const EDIT = '{"type":"edit"'

const STAMP = ',"timestamp":"'
const TRACEPARENT = ',"traceparent":"'
const TRACEPARENT_CHARS = 55

type Json = Record<string, unknown>

/** `UPCASTS[n]` lifts an event of version n to n + 1. */
const UPCASTS: Record<number, (event: Json) => Json> = {}

/** An entry of the log is not what this code, or any before it, wrote. Projections park the room (G10). */
export class CorruptEvent extends Error {
  override name = 'CorruptEvent'
}

/** The event as text for the log. The order of keys is fixed by the caller's object. */
export function encodeEvent (event: StoredEvent): string {
  return JSON.stringify(event)
}

/** Reads an entry. Versions newer than this code's pass unchanged. Throws CorruptEvent. */
export function decodeEvent (entry: LogEvent): StoredEvent {
  let event: unknown
  try {
    event = JSON.parse(entry.data)
  } catch {
    throw new CorruptEvent(`the event at seq ${entry.seq} is no JSON`)
  }
  if (typeof event !== 'object' || event === null || typeof (event as Json).type !== 'string' || typeof (event as Json).user_id !== 'string') {
    throw new CorruptEvent(`the event at seq ${entry.seq} has no type or no user_id`)
  }
  return upcast(event as Json, entry.v) as unknown as StoredEvent
}

/** The event as a frame of the wire: its place, then what is stored. */
export function frameOf (roomId: string, entry: LogEvent): string {
  const current = entry.v >= EVENT_VERSION
  const data = current ? entry.data : JSON.stringify(decodeEvent(entry))
  const v = current ? entry.v : EVENT_VERSION
  // What an inbox tells of is in a room of its own: its frames carry that one's ID.
  const room = data.startsWith(INBOX) ? '' : `"room_id":"${roomId}",`
  return `{${room}"seq":${entry.seq},"chain":"${entry.chain}","event_id":"${entry.event_id}","v":${v},${data.slice(1)}`
}

/**
 * The entry as it may be read: where its message was deleted, a tombstone without content.
 * @param deleted seqs of deleted messages
 */
export function withoutDeleted (entry: LogEvent, deleted: ReadonlySet<number>): LogEvent {
  if (deleted.size === 0) return entry
  if (!deleted.has(entry.seq) && !entry.data.startsWith(EDIT)) return entry
  let event: Json | null
  try {
    event = JSON.parse(entry.data) as Json | null
  } catch {
    return entry // whoever decodes it says that it is corrupt
  }
  if (event === null || (!deleted.has(entry.seq) && !deleted.has(event.message_seq as number))) return entry
  return { ...entry, data: JSON.stringify(tombstoneOf(event)) }
}

/** What is left of a deleted message, or of an edit of it. */
export function tombstoneOf ({ mentions: _m, mentions_room: _r, attachments: _a, ...event }: Json): Json {
  return 'content' in event ? { ...event, content: '', deleted: true } : event
}

/** The time stamped on an event, in epoch milliseconds; undefined where there is none. Reads the end of the text only, where it stands. */
export function stampOf ({ data }: LogEvent): number | undefined {
  const at = data.lastIndexOf(STAMP) // in a text within the event its quotes are escaped
  const ms = at < 0 ? NaN : Date.parse(data.slice(at + STAMP.length, data.indexOf('"', at + STAMP.length)))
  return Number.isNaN(ms) ? undefined : ms
}

/** What the event says of its trace; undefined, nearly always, where it says nothing. It stands last. */
export function traceparentOf ({ data }: LogEvent): string | undefined {
  const at = data.length - TRACEPARENT_CHARS - 2
  return data.startsWith(TRACEPARENT, at - TRACEPARENT.length) ? data.slice(at, -2) : undefined
}

function upcast (event: Json, v: number): Json {
  for (let at = v; at < EVENT_VERSION; at++) {
    const lift = UPCASTS[at]
    if (lift === undefined) throw new CorruptEvent(`there is no way from schema version ${at} to ${at + 1}`)
    event = lift(event)
  }
  return event
}
