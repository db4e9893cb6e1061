/**
 * Erasing what is old, where messages are kept for a limited time only: of messages and edits that are older only tombstones are left, in the
 * archive and in every read model, as if they had been deleted; but by nobody, and without an event each, which would flood the logs. Places,
 * chains and IDs stay what they are, so positions prove themselves as before. What comes of it is what a rebuild makes of the archive then.
 *
 * Room by room, from its first event on, up to the first that is young. Before anything is erased it is trimmed from the stream, and once
 * more after it: so nobody gets the text from one place and the tombstone from the other. A room in which a read model is behind, or whose
 * log has another history than the archive, waits. Ended anywhere, it goes on from there.
 *
 * A rebuild may have read events before they were erased: it calls `eraseRebuilt`, so that what takes the place of the live tables has
 * nothing that these have not.
 */
import type { MessageChanges } from '../src/domain/messages.ts'
import type { Cold } from '../src/log/cold.ts'
import { ARCHIVE } from '../src/store/archive.ts'
import type { Queryable, Store } from '../src/store/pool.ts'
import type { Metrics } from '../src/telemetry/metrics.ts'
import { blank } from './archive.ts'
import { checkpointsOf, lockCheckpoints } from './checkpoint.ts'
import { history } from './history.ts'
import { dropMessages } from './history-messages.ts'
import { dropMentions, mentions } from './mentions.ts'
import { groupOf, type Projection } from './projection.ts'
import { removeWords, search } from './search.ts'

/** Events that one transaction goes through. */
const EVENTS_AT_ONCE = 500
/** Rooms that are looked up at once. */
const ROOMS_AT_ONCE = 500
const BEFORE_ALL = '00000000-0000-0000-0000-000000000000'
/** Read models that hold contents, or what was made of them. */
const HOLDERS = [history, search, mentions] as const

export interface Erased {
  /** Rooms of which something was erased. */
  readonly rooms: number
  /** Messages and edits. */
  readonly events: number
  /** Rooms with old events that have to wait. */
  readonly waiting: number
}

export interface EraserDeps {
  store: Store
  cold: Pick<Cold, 'trim'>
  metrics: Metrics
}

interface OldEvent { readonly seq: number, readonly type: string, readonly timestamp: Date, readonly data: string }

/** For how long messages are kept: in all rooms (0: for ever), and shorter in rooms that say so (`retention_days`). */
export interface Keeping { readonly days: number, readonly now: Date }

/** Erases what is older than it is kept, until all is done or the signal is aborted. */
export async function eraseOld ({ store, cold, metrics }: EraserDeps, keeping: Keeping, signal: AbortSignal): Promise<Erased> {
  const tables = await tablesOf(store)
  const erased = { rooms: 0, events: 0, waiting: 0 }
  for (let after = BEFORE_ALL; !signal.aborted;) {
    const rooms = await roomsAfter(store, after, keeping, tables)
    for (const { room_id, done, before } of rooms) {
      if (signal.aborted) break
      if (before === null) continue
      const found = await eraseRoom(room_id, before, done)
      if (found === undefined) erased.waiting += 1
      else if (found > 0) erased.rooms += 1
      erased.events += found ?? 0
    }
    if (rooms.length < ROOMS_AT_ONCE) break
    after = rooms.at(-1)!.room_id
  }
  return erased

  /** Returns how many messages and edits were erased; undefined if the room has to wait. */
  async function eraseRoom (roomId: string, before: Date, done: number): Promise<number | undefined> {
    let count = 0
    for (let from = done; !signal.aborted;) {
      const events = await eventsAfter(store, roomId, from)
      const young = events.findIndex(({ timestamp }) => timestamp >= before)
      const old = young === -1 ? events : events.slice(0, young)
      const to = old.at(-1)?.seq
      if (to === undefined) break
      if (!await trimmed(roomId, to)) return undefined
      const gone = await store.transaction(async tx => await eraseSome(tx, roomId, old, to, tables))
      if (gone === undefined) return undefined
      await trimmed(roomId, to) // a room that was cold may have been put back meanwhile, by somebody who had read the text
      metrics.erased.inc(gone)
      count += gone
      from = to
      if (old.length < EVENTS_AT_ONCE) break
    }
    return count
  }

  async function trimmed (roomId: string, to: number): Promise<boolean> {
    const archived = (await checkpointsOf(store, ARCHIVE, [roomId])).get(roomId)
    return archived !== undefined && archived.seq >= to && await cold.trim(roomId, archived, to + 1) !== undefined
  }
}

/** The tables that contents are erased from, as they are now: after a rebuild others have their names. */
async function tablesOf (db: Queryable): Promise<number[]> {
  const names = HOLDERS.flatMap(({ tables }) => tables)
  const { rows } = await db.query<{ oid: number }>('SELECT to_regclass(name)::oid AS oid FROM unnest($1::text[]) AS name', [names])
  return rows.map(({ oid }) => oid)
}

/** `before`: what happened before is old; null where the first event that was not gone through is not. */
interface RoomToErase { readonly room_id: string, readonly done: number, readonly before: Date | null }

/** Rooms in the order of their IDs. Of those that keep everything, no event is looked at. */
async function roomsAfter (db: Queryable, after: string, { days, now }: Keeping, tables: readonly number[]): Promise<RoomToErase[]> {
  const { rows } = await db.query<RoomToErase>(`
    SELECT room.room_id, coalesce(retention.seq, 0) AS done,
           CASE WHEN room.before > (SELECT timestamp FROM events WHERE events.room_id = room.room_id AND seq > coalesce(retention.seq, 0) ORDER BY seq LIMIT 1) THEN room.before END AS before
      FROM (SELECT room_id,
                   CASE WHEN kind <> 'inbox' THEN $3::timestamptz - 86400 * least(nullif($2::int, 0), nullif((settings ->> 'retention_days')::int, 0)) * interval '1 second' END AS before
              FROM room_state
             WHERE room_id > $1
             ORDER BY room_id
             LIMIT ${ROOMS_AT_ONCE}) AS room
      LEFT JOIN retention
             ON retention.room_id = room.room_id
            AND retention.tables = $4::oid[]
     ORDER BY room.room_id`, [after, days, now, tables])
  return rows
}

async function eventsAfter (db: Queryable, roomId: string, seq: number): Promise<OldEvent[]> {
  const { rows } = await db.query<OldEvent>(`
    SELECT seq, type, timestamp, data
      FROM events
     WHERE room_id = $1
       AND seq > $2
     ORDER BY seq
     LIMIT ${EVENTS_AT_ONCE}`, [roomId, seq])
  return rows
}

/** Undefined if a read model has not applied all of it: what it has read of the log already, it would bring back. */
async function eraseSome (tx: Queryable, roomId: string, old: readonly OldEvent[], to: number, tables: readonly number[]): Promise<number | undefined> {
  // In the order in which a reconciliation takes them. Projectors wait here, so nothing is counted as deleted twice.
  await lockCheckpoints(tx, ARCHIVE, [roomId])
  for (const projection of HOLDERS) {
    const at = (await lockCheckpoints(tx, groupOf(projection), [roomId])).get(roomId)
    if (at === undefined || at.seq < to) return undefined
  }
  const contents = old.filter(({ type }) => type === 'message' || type === 'edit').map(({ seq, data }) => ({ room_id: roomId, seq, data }))
  const gone = await blank(tx, contents)
  // Of all messages, even those whose tombstone the archive has: after a rebuild it is the tables that may hold what it had before.
  const messages = old.filter(({ type }) => type === 'message').map(({ seq }) => seq)
  if (messages.length > 0) {
    const rooms = [{ room_id: roomId, changes: deletionOf(messages) }]
    await dropMessages(tx, rooms)
    await removeWords(tx, rooms)
    await dropMentions(tx, rooms)
  }
  await tx.query(`
    INSERT INTO retention (room_id, seq, tables)
    VALUES ($1, $2, $3)
        ON CONFLICT (room_id) DO UPDATE
       SET seq = excluded.seq, tables = excluded.tables, at = now()`, [roomId, to, tables])
  return gone
}

/** Of rooms that were erased from since the rebuild began, messages of which its tables still have what was erased. Its tables are on the search path, no others. */
const STALE: Readonly<Record<string, string>> = {
  history: 'messages AS one USING (room_id) WHERE one.seq <= old.seq AND NOT one.deleted',
  search: 'search_messages AS one USING (room_id) WHERE one.seq <= old.seq',
  mentions: "public.events AS one USING (room_id) WHERE one.seq <= old.seq AND type = 'message' AND NOT EXISTS (SELECT FROM mentions_deleted AS gone WHERE gone.room_id = one.room_id AND gone.seq = one.seq)",
}
/** Longer than any transaction that erases: one that had begun before the rebuild may have ended after it. */
const ERASING_S = 300

/** Erases from the tables of a rebuild, which must be the ones on the search path, what was erased since it began; returns how many messages, at most `limit`. */
export async function eraseRebuilt (tx: Queryable, { name }: Pick<Projection, 'name'>, limit: number): Promise<number> {
  const stale = STALE[name]
  if (stale === undefined) return 0
  const { rows } = await tx.query<{ room_id: string, seq: number }>(`
    SELECT room_id, one.seq
      FROM (SELECT room_id, seq FROM public.retention WHERE at >= (SELECT begun_at FROM public.rebuilds WHERE name = $1) - ${ERASING_S} * interval '1 second') AS old
      JOIN ${stale}
     ORDER BY room_id, one.seq
     LIMIT $2`, [name, limit])
  const rooms = [...Map.groupBy(rows, ({ room_id }) => room_id)].map(([room_id, messages]) => ({ room_id, changes: deletionOf(messages.map(({ seq }) => seq)) }))
  if (rooms.length > 0) await { history: dropMessages, search: removeWords, mentions: dropMentions }[name as 'history' | 'search' | 'mentions'](tx, rooms)
  return rows.length
}

/** As deletes by nobody would have it. */
function deletionOf (seqs: readonly number[]): MessageChanges {
  return { sent: new Map(), edits: new Map(), deleted: new Map(seqs.map(seq => [seq, undefined])), reactions: new Map(), pins: new Map() }
}
