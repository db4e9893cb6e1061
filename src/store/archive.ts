/**
 * The archive as others read it: events of any age, and the first results of commands that are sent again. Written by
 * `projections/archive.ts` alone.
 */
import { START, type Position } from '../domain/position.ts'
import type { Queryable } from './pool.ts'

/** Name and version under which the archive's checkpoints are kept. */
export const ARCHIVE = 'archive_v1'

/** An event as it was in the log: place, version, and text byte for byte; of deleted messages and their edits, the tombstones. */
export interface ArchivedEvent extends Position {
  readonly event_id: string
  readonly v: number
  readonly data: string
  /** Session of whoever did it, where the log had it. */
  readonly by?: string
}

type EventRow = Omit<ArchivedEvent, 'by'> & { session_id: string | null }

function eventOf ({ session_id, ...event }: EventRow): ArchivedEvent {
  return session_id === null ? event : { ...event, by: session_id }
}

/**
 * Events of the room with seq > `after`, oldest first, at most `limit`: dense from `after` + 1 on, unless the archive is not
 * that far yet.
 */
export async function readArchive (db: Queryable, roomId: string, after: number, limit: number): Promise<ArchivedEvent[]> {
  const { rows } = await db.query<EventRow>({
    name: 'read_archive',
    text: `
    SELECT seq, chain, event_id, v, data, session_id
      FROM events
     WHERE room_id = $1
       AND seq > $2
     ORDER BY seq
     LIMIT $3`,
    values: [roomId, after, limit],
  })
  return rows.map(eventOf)
}

/** The same of many rooms at once, by room; those of which the archive has no more are absent. At most `limit` events of each. */
export async function readArchives (db: Queryable, rooms: ReadonlyArray<{ readonly id: string, readonly after: number }>, limit: number): Promise<Map<string, ArchivedEvent[]>> {
  const { rows } = await db.query<EventRow & { room_id: string }>({
    name: 'read_archives',
    text: `
    SELECT asked.room_id, event.*
      FROM unnest($1::uuid[], $2::bigint[]) AS asked (room_id, after)
     CROSS JOIN LATERAL (
           SELECT seq, chain, event_id, v, data, session_id
             FROM events
            WHERE room_id = asked.room_id
              AND seq > asked.after
            ORDER BY seq
            LIMIT $3) AS event
     ORDER BY asked.room_id, event.seq`,
    values: [rooms.map(({ id }) => id), rooms.map(({ after }) => after), limit],
  })
  const events = new Map<string, ArchivedEvent[]>()
  for (const { room_id, ...row } of rows) {
    const list = events.get(room_id)
    if (list === undefined) events.set(room_id, [eventOf(row)])
    else list.push(eventOf(row))
  }
  return events
}

/** The events of the room at these seqs, as far as the archive has them. */
export async function archivedAt (db: Queryable, roomId: string, seqs: readonly number[]): Promise<ArchivedEvent[]> {
  const { rows } = await db.query<EventRow>({
    name: 'archived_at',
    text: `
    SELECT seq, chain, event_id, v, data, session_id
      FROM events
     WHERE room_id = $1
       AND seq = ANY ($2::bigint[])`,
    values: [roomId, seqs],
  })
  return rows.map(eventOf)
}

/** The archive's chain at one place in each of these rooms; places that it does not have are absent. */
export async function chainsOf (db: Queryable, places: ReadonlyArray<{ readonly room_id: string, readonly seq: number }>): Promise<Map<string, string>> {
  if (places.length === 0) return new Map()
  const { rows } = await db.query<{ room_id: string, chain: string }>(`
    SELECT room_id, chain
      FROM unnest($1::uuid[], $2::bigint[]) AS place (room_id, seq)
      JOIN events USING (room_id, seq)`, [places.map(({ room_id }) => room_id), places.map(({ seq }) => seq)])
  return new Map(rows.map(({ room_id, chain }) => [room_id, chain]))
}

/** The archive's chains of a room from one seq to another, both included, by seq. */
export async function chainsBetween (db: Queryable, roomId: string, from: number, to: number): Promise<Map<number, string>> {
  const { rows } = await db.query<Position>(`
    SELECT seq, chain
      FROM events
     WHERE room_id = $1
       AND seq BETWEEN $2 AND $3`, [roomId, from, to])
  return new Map(rows.map(({ seq, chain }) => [seq, chain]))
}

/** Those of these messages whose delete is archived, as `room_id seq`. */
export async function deletesAmong (db: Queryable, messages: ReadonlyArray<{ readonly room_id: string, readonly seq: number }>): Promise<Set<string>> {
  const { rows } = await db.query<{ room_id: string, message_seq: number }>({
    name: 'deletes_among',
    text: `
    SELECT events.room_id, events.message_seq
      FROM unnest($1::uuid[], $2::bigint[]) AS asked (room_id, message_seq)
      JOIN events USING (room_id, message_seq)
     WHERE type = 'delete'`,
    values: [messages.map(({ room_id }) => room_id), messages.map(({ seq }) => seq)],
  })
  return new Set(rows.map(({ room_id, message_seq }) => `${room_id} ${message_seq}`))
}

export interface FirstResults {
  /** Everything up to here was looked through; what is not among the hits was not appended up to here. */
  readonly archived: Position
  /** The first event of each command that was found. */
  readonly hits: Array<Position & { readonly author: string, readonly client_id: string, readonly event_id: string }>
}

/**
 * Looks for commands by author and client's key, in the same moment as the archive's checkpoint of the room.
 * `author` are user IDs.
 */
export async function findByClientIds (db: Queryable, roomId: string, commands: ReadonlyArray<{ readonly author: string, readonly client_id: string }>): Promise<FirstResults> {
  // One statement sees one snapshot: the checkpoint and the events that it covers.
  const { rows } = await db.query<{ archived_seq: number | null, archived_chain: string | null, author: string | null, client_id: string, seq: number, chain: string, event_id: string }>(`
    SELECT checkpoint.seq AS archived_seq, checkpoint.chain AS archived_chain, hit.*
      FROM (SELECT) AS always
      LEFT JOIN checkpoints AS checkpoint
             ON checkpoint.projection = $1
            AND checkpoint.room_id = $2
      LEFT JOIN LATERAL (
           SELECT asked.author, asked.client_id, first.seq, first.chain, first.event_id
             FROM unnest($3::uuid[], $4::text[]) AS asked (author, client_id)
            CROSS JOIN LATERAL (
                  SELECT seq, chain, event_id
                    FROM events
                   WHERE room_id = $2
                     AND user_id = asked.author
                     AND client_id = asked.client_id
                   ORDER BY seq
                   LIMIT 1) AS first) AS hit
             ON true`, [ARCHIVE, roomId, commands.map(({ author }) => author), commands.map(({ client_id }) => client_id)])
  const [first] = rows
  return {
    archived: first?.archived_seq == null ? START : { seq: first.archived_seq, chain: first.archived_chain! },
    hits: rows.flatMap(({ author, client_id, seq, chain, event_id }) => author === null ? [] : [{ author, client_id, seq, chain, event_id }]),
  }
}
