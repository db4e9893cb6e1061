/**
 * Checkpoints: how far a projection has applied each room. They move by compare-and-set on (seq, chain), locked in the order
 * of room IDs, so that two workers never wait for each other in a circle. That, and not the lease, is what keeps an event
 * from being applied twice [G6].
 */
import { START, type Position } from '../src/domain/position.ts'
import type { Queryable } from '../src/store/pool.ts'
import { liveVersion, notLive } from '../src/store/versions.ts'
import { createColumns } from './columns.ts'

interface Row { room_id: string, seq: number, chain: string }

const positions = (rows: Row[]): Map<string, Position> => new Map(rows.map(({ room_id, seq, chain }) => [room_id, { seq, chain }]))

/** Checkpoints of these rooms; a room that was never applied is absent. */
export async function checkpointsOf (db: Queryable, group: string, roomIds: readonly string[]): Promise<Map<string, Position>> {
  const { rows } = await db.query<Row>(`
    SELECT room_id, seq, chain
      FROM checkpoints
     WHERE projection = $1
       AND room_id = ANY ($2::uuid[])`, [group, roomIds])
  return positions(rows)
}

/** All checkpoints of some partitions, each with its partition. */
export async function checkpointsIn (db: Queryable, group: string, partitions: readonly number[]): Promise<Array<Row & { partition: number }>> {
  const { rows } = await db.query<Row & { partition: number }>(`
    SELECT partition, room_id, seq, chain
      FROM checkpoints
     WHERE projection = $1
       AND partition = ANY ($2::int[])`, [group, partitions])
  return rows
}

/**
 * Makes sure that each room has a checkpoint, at the start where there was none, and returns them all. In a transaction of
 * its own: a checkpoint at 0 says the same as none, and so no lock on a new row is held while others are waited for.
 * None is made for a version whose tables have been replaced: then it throws NotLive.
 */
export async function openCheckpoints (db: Queryable, group: string, rooms: ReadonlyArray<{ readonly id: string, readonly partition: number }>): Promise<Map<string, Position>> {
  const found = await checkpointsOf(db, group, rooms.map(({ id }) => id))
  const missing = createColumns(2)
  for (const { id, partition } of rooms) if (!found.has(id)) missing.add(id, partition)
  if (missing.rows === 0) return found
  await db.query(`
    INSERT INTO checkpoints (projection, room_id, partition, seq, chain)
    SELECT $1, room_id, partition, $2, $3
      FROM unnest($4::uuid[], $5::int[]) AS missing (room_id, partition)
     WHERE (SELECT live_group($1)) = $1
     ORDER BY room_id
        ON CONFLICT DO NOTHING`, [group, START.seq, START.chain, ...missing.parameters()])
  const made = await checkpointsOf(db, group, rooms.map(({ id }) => id))
  if (rooms.some(({ id }) => !made.has(id))) await refuse(db, group)
  return made
}

async function refuse (db: Queryable, group: string): Promise<never> {
  const [, name = group, version] = /^(.*)_v(\d+)$/.exec(group) ?? []
  throw notLive(name, Number(version), await liveVersion(db, name) ?? 0)
}

/** Locks the checkpoints of these rooms until the transaction ends, and returns them. */
export async function lockCheckpoints (tx: Queryable, group: string, roomIds: readonly string[]): Promise<Map<string, Position>> {
  const { rows } = await tx.query<Row>({
    name: 'lock_checkpoints',
    text: `
    SELECT room_id, seq, chain
      FROM checkpoints
     WHERE projection = $1
       AND room_id = ANY ($2::uuid[])
     ORDER BY room_id
       FOR UPDATE`,
    values: [group, `{${roomIds.join(',')}}`],
  })
  return positions(rows)
}

export interface Move { readonly room_id: string, readonly from: Position, readonly to: Position }

/** Moves locked checkpoints. Throws where one is not at `from`: they were locked and compared, so that is a bug. */
export async function moveCheckpoints (tx: Queryable, group: string, moves: readonly Move[]): Promise<void> {
  const columns = createColumns(5)
  for (const { room_id, from, to } of moves) columns.add(room_id, from.seq, from.chain, to.seq, to.chain)
  const { rowCount } = await tx.query({
    name: 'move_checkpoints',
    text: `
    UPDATE checkpoints
       SET seq = move.to_seq, chain = move.to_chain, updated_at = now()
      FROM unnest($2::uuid[], $3::bigint[], $4::text[], $5::bigint[], $6::text[]) AS move (room_id, from_seq, from_chain, to_seq, to_chain)
     WHERE checkpoints.projection = $1
       AND checkpoints.room_id = move.room_id
       AND checkpoints.seq = move.from_seq
       AND checkpoints.chain = move.from_chain`,
    values: [group, ...columns.parameters()],
  })
  if (rowCount !== moves.length) throw new Error(`${rowCount} of ${moves.length} checkpoints of ${group} moved`)
}

/**
 * Begins a reconciliation of the partition: from the commit of this on, what projectors read of the log before it is not applied
 * any more (`apply.ts`). It may have been read of a server that is gone, and be lost.
 */
export async function raiseGeneration (db: Queryable, partition: number): Promise<void> {
  await db.query(`
    INSERT INTO reconciliations (partition, generation)
    VALUES ($1, 1)
        ON CONFLICT (partition) DO UPDATE
       SET generation = reconciliations.generation + 1, begun_at = now()`, [partition])
}

/** How many times each of these partitions was reconciled. */
export async function generationsOf (db: Queryable, partitions: Iterable<number>): Promise<Map<number, number>> {
  const asked = [...new Set(partitions)]
  const { rows } = await db.query<{ partition: number, generation: number }>({
    name: 'generations',
    text: `
    SELECT partition, generation
      FROM reconciliations
     WHERE partition = ANY ($1::int[])`,
    values: [asked],
  })
  const known = new Map(rows.map(({ partition, generation }) => [partition, generation]))
  return new Map(asked.map(partition => [partition, known.get(partition) ?? 0]))
}

/**
 * Checkpoints of a partition that have moved, page by page in the order of rooms. Each page waits for transactions that are moving
 * one of them, and sees what they leave.
 */
export async function * checkpointPages (db: Queryable, group: string, partition: number, limit: number): AsyncGenerator<Array<Row & { partition: number }>> {
  let after = '00000000-0000-0000-0000-000000000000'
  for (;;) {
    const { rows } = await db.query<Row & { partition: number }>(`
      SELECT partition, room_id, seq, chain
        FROM checkpoints
       WHERE projection = $1
         AND partition = $2
         AND room_id > $3
       ORDER BY room_id
       LIMIT $4
         FOR SHARE`, [group, partition, after, limit])
    if (rows.length > 0) yield rows.filter(({ seq }) => seq > 0)
    if (rows.length < limit) return
    after = rows.at(-1)!.room_id
  }
}

/** Puts the checkpoints of these rooms back to the start, and takes the rooms out of what is parked. For rows that were thrown away. */
export async function beginAnew (tx: Queryable, group: string, roomIds: readonly string[]): Promise<void> {
  await tx.query(`
    UPDATE checkpoints
       SET seq = $3, chain = $4, updated_at = now()
     WHERE projection = $1
       AND room_id = ANY ($2::uuid[])`, [group, roomIds, START.seq, START.chain])
  await tx.query('DELETE FROM parked_rooms WHERE projection = $1 AND room_id = ANY ($2::uuid[])', [group, roomIds])
}
