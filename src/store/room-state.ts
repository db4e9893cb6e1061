/**
 * What the archive knows about a room's state, for putting it back into Redis and for reading rooms that are cold. Written by
 * `projections/archive.ts`, with the events, in one transaction.
 */
import type { Position } from '../domain/position.ts'
import type { ArchivedEvent } from './archive.ts'
import type { Queryable, Store } from './pool.ts'

export interface MemberRow { readonly user_id: string, readonly role: string, readonly muted_until: number, readonly banned_until: number, readonly joined_seq: number }

export interface StoredRoom {
  readonly head: Position
  /** Fields of `meta` besides the head. */
  readonly meta: Map<string, string>
  readonly members: MemberRow[]
}

export interface FirstResult extends Position { readonly event_id: string, readonly user_id: string, readonly client_id: string | null, readonly timestamp: Date }

interface Row extends Position {
  readonly kind: string
  readonly name: string
  readonly topic: string
  readonly history: string
  readonly messages: number
  readonly rules: number
  readonly members: number
  readonly owners: number
  readonly settings: Record<string, string>
}

/** State of a room as of the archive's checkpoint, with the records of these users (all, if left out); undefined if it is not archived. */
export async function roomState (db: Queryable, roomId: string, users?: readonly string[]): Promise<StoredRoom | undefined> {
  const { rows: [row] } = await db.query<Row>({
    name: 'room_state',
    text: `
    SELECT seq, chain, kind, name, topic, history, messages, rules, members, owners, settings
      FROM room_state
     WHERE room_id = $1`,
    values: [roomId],
  })
  if (row === undefined) return undefined
  const { rows: members } = await db.query<MemberRow>({
    name: users === undefined ? 'member_states' : 'member_states_of',
    text: `
    SELECT user_id, role, muted_until, banned_until, joined_seq
      FROM member_state
     WHERE room_id = $1${users === undefined ? '' : ' AND user_id::text = ANY ($2::text[])'}`,
    values: users === undefined ? [roomId] : [roomId, users],
  })
  return { ...stateOf(row), members }
}

function stateOf ({ seq, chain, settings, ...fields }: Row): Pick<StoredRoom, 'head' | 'meta'> {
  const meta = new Map(Object.entries(fields).map(([field, value]) => [field, String(value)]))
  for (const [field, value] of Object.entries(settings)) meta.set(field, String(value))
  return { head: { seq, chain }, meta }
}

export interface AskedRecord { readonly room_id: string, readonly user_id: string }

type RecordRow = Row & { readonly room_id: string, readonly user_id: string } & Nullable<Omit<MemberRow, 'user_id'>>
type Nullable<T> = { [K in keyof T]: T[K] | null }

/** States of rooms with the records of users in them (none where a user has none), in one query; rooms that are not archived are absent. IDs are UUIDs. */
export async function roomStatesFor (db: Queryable, asked: readonly AskedRecord[]): Promise<Array<AskedRecord & StoredRoom>> {
  const { rows } = await db.query<RecordRow>({
    name: 'room_states_for',
    text: `
    SELECT asked.room_id, asked.user_id, member_state.role, member_state.muted_until, member_state.banned_until, member_state.joined_seq,
           state.seq, state.chain, state.kind, state.name, state.topic, state.history, state.messages, state.rules, state.members, state.owners, state.settings
      FROM unnest($1::uuid[], $2::uuid[]) AS asked (room_id, user_id)
      JOIN room_state AS state
        ON state.room_id = asked.room_id
      LEFT JOIN member_state
             ON member_state.room_id = asked.room_id
            AND member_state.user_id = asked.user_id`,
    values: [asked.map(({ room_id }) => room_id), asked.map(({ user_id }) => user_id)],
  })
  return rows.map(({ room_id, user_id, role, muted_until, banned_until, joined_seq, ...row }) => ({
    room_id,
    user_id,
    ...stateOf(row),
    members: role === null ? [] : [{ user_id, role, muted_until: muted_until!, banned_until: banned_until!, joined_seq: joined_seq! }],
  }))
}

/** A room with all of its members, its newest events, and the newest commands' first results: one snapshot. */
export async function roomSnapshot (store: Store, roomId: string, { events, onceEvents, since }: { events: number, onceEvents: number, since: Date }): Promise<StoredRoom & { events: ArchivedEvent[], results: FirstResult[] } | undefined> {
  return await store.transaction(async tx => {
    await tx.query('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY')
    const state = await roomState(tx, roomId)
    if (state === undefined) return undefined
    const { rows } = await tx.query<ArchivedEvent & { session_id: string | null }>({
      name: 'newest_events',
      text: `
      SELECT seq, chain, event_id, v, data, session_id
        FROM events
       WHERE room_id = $1
         AND seq > $2
       ORDER BY seq`,
      values: [roomId, state.head.seq - events],
    })
    const { rows: results } = await tx.query<FirstResult>({
      name: 'newest_results',
      text: `
      SELECT seq, chain, event_id, user_id, client_id, timestamp
        FROM events
       WHERE room_id = $1
         AND seq > $2
         AND timestamp > $3
       ORDER BY seq DESC`,
      values: [roomId, state.head.seq - onceEvents, since],
    })
    const newest = rows.map(({ session_id, ...event }) => session_id === null ? event : { ...event, by: session_id })
    return { ...state, events: newest, results }
  })
}
