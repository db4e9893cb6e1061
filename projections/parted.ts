/**
 * Parted histories: the log of the serving master stands [G8]. What the archive has of another history is set aside
 * (`events_parted`), its state is folded anew up to the fork, and the other projections of the room begin again from its first
 * event where they had gone further. All in one transaction, if the archive is still where it was when the fork was looked for.
 *
 * A projection may also be off by itself: it applied events that were lost before they were archived. Then only it begins again.
 */
import { START, type Position } from '../src/domain/position.ts'
import { decodeEvent } from '../src/log/codec.ts'
import type { RoomLog } from '../src/log/log.ts'
import { ARCHIVE, archivedAt, chainsOf, readArchive } from '../src/store/archive.ts'
import type { Queryable, Store } from '../src/store/pool.ts'
import { foldState } from './archive.ts'
import { beginAnew, checkpointsOf, lockCheckpoints, moveCheckpoints } from './checkpoint.ts'
import { createColumns } from './columns.ts'
import type { Archived } from './compare.ts'
import { groupOf, type Projection } from './projection.ts'

const FOLDED_AT_ONCE = 2000

interface Deps { readonly store: Store, readonly log: RoomLog, readonly replayed: readonly Projection[] }

/**
 * Takes the archive, and what was made of it, back to the fork.
 * @returns how many events were set aside, and how many projections begin again; undefined if the archive has moved: look again
 */
export async function takeBack ({ store, log, replayed }: Deps, room: Archived, fork: Position): Promise<{ events: number, replayed: number } | undefined> {
  const { room_id, seq, chain } = room
  return await store.transaction(async tx => {
    const at = (await lockCheckpoints(tx, ARCHIVE, [room_id])).get(room_id)
    if (at?.seq !== seq || at.chain !== chain) return undefined
    const events = await setAside(tx, room_id, fork.seq)
    await undelete(tx, log, room_id, fork.seq)
    await tx.query('DELETE FROM inbox_pending WHERE room_id = $1 AND seq > $2', [room_id, fork.seq])
    await tx.query('DELETE FROM skipped WHERE room_id = $1 AND to_seq > $2', [room_id, fork.seq])
    await clampMarks(tx, [{ room_id, seq: fork.seq }])
    await foldAnew(tx, room_id, fork)
    await moveCheckpoints(tx, ARCHIVE, [{ room_id, from: at, to: fork }])
    let again = 0
    for (const projection of replayed) {
      const group = groupOf(projection)
      const own = (await lockCheckpoints(tx, group, [room_id])).get(room_id) ?? START
      if (own.seq <= fork.seq && !await isOff(tx, room_id, own)) continue
      await throwAway(tx, projection, [room_id])
      again += 1
    }
    return { events, replayed: again }
  })
}

/** Moves what is beyond the fork out of the archive; returns how many events that were. */
async function setAside (tx: Queryable, roomId: string, forkSeq: number): Promise<number> {
  const { rowCount } = await tx.query(`
    WITH gone AS (
         DELETE FROM events
          WHERE room_id = $1
            AND seq > $2
      RETURNING room_id, seq, chain, event_id, user_id, type, v, timestamp, client_id, data, session_id, message_seq)
    INSERT INTO events_parted (room_id, seq, chain, event_id, user_id, type, v, timestamp, client_id, data, session_id, message_seq)
    SELECT *
      FROM gone
     ORDER BY seq`, [roomId, forkSeq])
  return rowCount ?? 0
}

/** Nobody has read what does not stand; another event may take its place, and that is unread. Returns how many marks were beyond. */
export async function clampMarks (db: Queryable, ends: ReadonlyArray<{ readonly room_id: string, readonly seq: number }>): Promise<number> {
  const { rowCount } = await db.query(`
    UPDATE marks
       SET seq = room.seq
      FROM unnest($1::uuid[], $2::bigint[]) AS room (room_id, seq)
     WHERE marks.room_id = room.room_id
       AND marks.seq > room.seq`, [ends.map(({ room_id }) => room_id), ends.map(({ seq }) => seq)])
  return rowCount ?? 0
}

/** A delete that does not stand has blanked what does: as far as the stream still has the text, the archive gets it back. */
async function undelete (tx: Queryable, log: RoomLog, roomId: string, forkSeq: number): Promise<void> {
  const { rows } = await tx.query<{ seq: number }>(`
    SELECT seq
      FROM events
     WHERE room_id = $1
       AND (seq = ANY (ARRAY(SELECT message_seq FROM events_parted WHERE room_id = $1 AND seq > $2 AND type = 'delete'))
            OR (type = 'edit'
                AND message_seq = ANY (ARRAY(SELECT message_seq FROM events_parted WHERE room_id = $1 AND seq > $2 AND type = 'delete'))))`, [roomId, forkSeq])
  const logged = await log.at(roomId, rows.map(({ seq }) => seq)) // tombstones where a delete stands
  const columns = createColumns(3)
  for (const { seq } of rows) {
    const event = logged.get(seq)
    if (event !== undefined) columns.add(seq, event.event_id, event.data)
  }
  if (columns.rows === 0) return
  await tx.query(`
    UPDATE events
       SET data = logged.data
      FROM unnest($2::bigint[], $3::uuid[], $4::json[]) AS logged (seq, event_id, data)
     WHERE room_id = $1
       AND events.seq = logged.seq
       AND events.event_id = logged.event_id`, [roomId, ...columns.parameters()])
}

/** The state that restoring needs, from the first event on: what an event changes cannot be told backwards. */
async function foldAnew (tx: Queryable, roomId: string, fork: Position): Promise<void> {
  await tx.query('DELETE FROM room_state WHERE room_id = $1', [roomId])
  await tx.query('DELETE FROM member_state WHERE room_id = $1', [roomId])
  for (let after = 0; after < fork.seq;) {
    const entries = await readArchive(tx, roomId, after, FOLDED_AT_ONCE)
    if (entries.length === 0) return
    await foldState(tx, [{ room_id: roomId, partition: 0, events: entries.map(entry => ({ entry, event: decodeEvent(entry) })) }])
    after = entries.at(-1)!.seq
  }
}

/** Whether a position at or below the archive's checkpoint is none of the archive's. */
async function isOff (tx: Queryable, roomId: string, { seq, chain }: Position): Promise<boolean> {
  if (seq === 0) return false
  const [event] = await archivedAt(tx, roomId, [seq])
  return event !== undefined && event.chain !== chain
}

async function throwAway (tx: Queryable, projection: Projection, roomIds: readonly string[]): Promise<void> {
  await projection.forget!(tx, roomIds)
  await beginAnew(tx, groupOf(projection), roomIds)
}

/**
 * Of these rooms, those in which a projection has applied what neither the archive nor the log has.
 * @param rooms with the projection's checkpoints
 */
export async function roomsOff ({ db, log }: { db: Queryable, log: RoomLog }, rooms: readonly Archived[]): Promise<Archived[]> {
  const archived = await checkpointsOf(db, ARCHIVE, rooms.map(({ room_id }) => room_id))
  const unequal = rooms.filter(({ room_id, seq, chain }) => seq > 0 && (archived.get(room_id)?.seq !== seq || archived.get(room_id)?.chain !== chain))
  const chains = await chainsOf(db, unequal)
  const beyond = unequal.filter(({ room_id, seq }) => !chains.has(room_id) && seq > (archived.get(room_id)?.seq ?? 0))
  const { heads } = await log.heads(beyond.map(({ room_id }) => room_id))
  const off = await Promise.all(beyond.map(async ({ room_id, seq, chain }) => {
    const head = heads.get(room_id) ?? START
    // In the log, but trimmed already: a hole, of which nothing is known.
    return head.seq < seq || ((await log.chainsAt(room_id, [seq])).get(seq) ?? chain) !== chain
  }))
  return [...unequal.filter(({ room_id, chain }) => chains.has(room_id) && chains.get(room_id) !== chain), ...beyond.filter((_, i) => off[i])]
}

/** Lets a projection begin again in rooms in which its checkpoints are still these; returns how many. */
export async function replay ({ store }: Pick<Deps, 'store'>, projection: Projection, rooms: readonly Archived[]): Promise<number> {
  if (rooms.length === 0) return 0
  return await store.transaction(async tx => {
    const now = await lockCheckpoints(tx, groupOf(projection), rooms.map(({ room_id }) => room_id))
    const still = rooms.filter(({ room_id, seq, chain }) => now.get(room_id)?.seq === seq && now.get(room_id)?.chain === chain)
    if (still.length > 0) await throwAway(tx, projection, still.map(({ room_id }) => room_id))
    return still.length
  })
}
