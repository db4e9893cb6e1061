/**
 * Who did what to whom in a room, the newest first: the archive joined with the part of the log that it does not have yet.
 */
import type { StoredEvent } from '../domain/events.ts'
import { START, type Position } from '../domain/position.ts'
import { ARCHIVE, type ArchivedEvent } from './archive.ts'
import type { Queryable } from './pool.ts'
import { beyond, readSuffix, type LogReads } from './suffix.ts'

/** The index `events_audit` has these. */
export const AUDITED = ['kick', 'ban', 'mute', 'role', 'room', 'pin', 'join', 'leave', 'delete'] as const
const TYPES = AUDITED.map(type => `'${type}'`).join(', ')
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

export interface AuditItem {
  readonly seq: number
  readonly event_id: string
  readonly session_id?: string
  /** Where the session is still known, and said what its device is. */
  readonly device_id?: string
  /** Of a delete: whose message it was. */
  readonly author?: string
  /** With type, user and timestamp. */
  readonly event: StoredEvent
}

export interface AuditPage {
  readonly items: AuditItem[]
  /** Hand it in as `before` for the page of older ones. Null: there are none. */
  readonly next: number | null
  readonly as_of: Position
}

interface Row extends Omit<ArchivedEvent, 'seq' | 'by'> {
  readonly at_seq: number | null
  readonly at_chain: string
  readonly seq: number | null
  readonly session_id: string | null
}

/** @param query `from`: only events with seq > `from` are shown */
export async function auditPage (deps: LogReads, { room_id, from = 0, before = Number.MAX_SAFE_INTEGER, limit }: { readonly room_id: string, readonly from?: number, readonly before?: number | undefined, readonly limit: number }): Promise<AuditPage> {
  const suffix = await readSuffix(deps, ARCHIVE, room_id)
  const { rows } = await deps.store.query<Row>({
    name: 'audit',
    text: `
    SELECT checkpoint.seq AS at_seq, checkpoint.chain AS at_chain, page.*
      FROM (SELECT) AS always
      LEFT JOIN checkpoints AS checkpoint
             ON checkpoint.projection = $1
            AND checkpoint.room_id = $2
      LEFT JOIN (
           SELECT seq, chain, event_id, v, data, session_id
             FROM events
            WHERE room_id = $2
              AND seq > $3
              AND seq < $4
              AND type IN (${TYPES})
            ORDER BY seq DESC
            LIMIT $5) AS page
             ON true
     ORDER BY page.seq`,
    values: [ARCHIVE, room_id, from, before, limit + 1],
  })
  const [first] = rows
  const { events, as_of } = beyond(suffix, first?.at_seq == null ? START : { seq: first.at_seq, chain: first.at_chain }, deps.chainOf)
  const stored = rows.flatMap(({ seq, chain, event_id, v, data, session_id }): ArchivedEvent[] => seq === null ? [] : [{ seq, chain, event_id, v, data, ...(session_id === null ? {} : { by: session_id }) }])
  const all = [
    ...stored.map(entry => ({ entry, event: deps.decode(entry) })),
    ...events.filter(({ entry: { seq }, event: { type } }) => seq > from && seq < before && (AUDITED as readonly string[]).includes(type)),
  ].reverse()
  const shown = all.slice(0, limit)
  const fresh = new Map(events.map(({ entry, event }) => [entry.seq, event.user_id]))
  const messages = shown.flatMap(({ event }) => event.type === 'delete' ? [event.message_seq] : [])
  const [authors, devices] = await Promise.all([
    authorsOf(deps.store, room_id, messages.filter(seq => !fresh.has(seq))),
    devicesOf(deps.store, shown.flatMap(({ entry: { by } }) => by ?? [])),
  ])
  return {
    items: shown.map(({ entry: { seq, event_id, by }, event }) => {
      const author = event.type === 'delete' ? fresh.get(event.message_seq) ?? authors.get(event.message_seq) : undefined
      const device_id = by === undefined ? undefined : devices.get(by)
      return {
        seq,
        event_id,
        ...(by === undefined ? {} : { session_id: by }),
        ...(device_id === undefined ? {} : { device_id }),
        ...(author === undefined ? {} : { author }),
        event,
      }
    }),
    next: all.length > limit ? shown.at(-1)!.entry.seq : null,
    as_of,
  }
}

async function authorsOf (db: Queryable, roomId: string, seqs: readonly number[]): Promise<Map<number, string>> {
  if (seqs.length === 0) return new Map()
  const { rows } = await db.query<{ seq: number, user_id: string }>({
    name: 'audit_authors',
    text: `
    SELECT seq, user_id
      FROM events
     WHERE room_id = $1
       AND seq = ANY ($2::bigint[])`,
    values: [roomId, seqs],
  })
  return new Map(rows.map(({ seq, user_id }) => [seq, user_id]))
}

/** What sessions call their devices, as far as they are known. Sessions of a foreign issuer are not here. */
async function devicesOf (db: Queryable, sessionIds: readonly string[]): Promise<Map<string, string>> {
  const ids = [...new Set(sessionIds)].filter(id => UUID.test(id))
  if (ids.length === 0) return new Map()
  const { rows } = await db.query<{ id: string, device_id: string }>({
    name: 'audit_devices',
    text: `
    SELECT id, device_id
      FROM sessions
     WHERE id = ANY ($1::uuid[])
       AND device_id IS NOT NULL`,
    values: [ids],
  })
  return new Map(rows.map(({ id, device_id }) => [id, device_id]))
}
