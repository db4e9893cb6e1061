// What the read models of some rooms must be when nothing happens any more: every projection at the head of the log, on its chain, and
// the tables of the history the log folded naïvely, row by row.
import { isDeepStrictEqual } from 'node:util'
import { PROJECTIONS } from '../../projections/live.ts'
import { groupOf } from '../../projections/projection.ts'
import type { Position } from '../../src/domain/position.ts'
import type { LogEvent } from '../../src/log/codec.ts'
import type { Queryable } from '../../src/store/pool.ts'
import { naiveHistory } from '../projections/naive.ts'

const TABLES = { rooms: 'id', members: 'room_id, user_id', messages: 'room_id, seq', message_edits: 'room_id, seq', reactions: 'room_id, seq', pins: 'room_id, seq' } as const

/** Which projections are not at the head of a room, on its chain, or have it parked. */
export async function unprojected (db: Queryable, heads: ReadonlyMap<string, Position>): Promise<string[]> {
  const { rows } = await db.query<Position & { projection: string, room_id: string }>(`
    SELECT projection, room_id, seq, chain
      FROM checkpoints
     WHERE room_id = ANY ($1)
       AND NOT EXISTS (SELECT FROM parked_rooms WHERE parked_rooms.room_id = checkpoints.room_id)`, [[...heads.keys()]])
  const at = new Set(rows.map(({ projection, room_id, seq, chain }) => `${projection} ${room_id} ${seq} ${chain}`))
  return [...heads].flatMap(([room, { seq, chain }]) => PROJECTIONS.map(groupOf).filter(group => !at.has(`${group} ${room} ${seq} ${chain}`)).map(group => `${group} is not at the head of room ${room}, seq ${seq}`))
}

/** How the tables of the history differ from these logs, folded. */
export async function modelsOff (db: Queryable, logs: ReadonlyMap<string, readonly LogEvent[]>): Promise<string[]> {
  const wanted = naiveHistory(logs)
  const off: string[] = []
  for (const [table, order] of Object.entries(TABLES) as Array<[keyof typeof TABLES, string]>) {
    const { rows } = await db.query<object>(`SELECT * FROM ${table} WHERE ${table === 'rooms' ? 'id' : 'room_id'} = ANY ($1) ORDER BY ${order}`, [[...logs.keys()]])
    const got = JSON.parse(JSON.stringify(rows)) as object[]
    const folded = JSON.parse(JSON.stringify(wanted[table])) as object[]
    const at = Array.from({ length: Math.max(got.length, folded.length) }).findIndex((_, i) => !isDeepStrictEqual(got[i], folded[i]))
    if (at >= 0) off.push(`${table} have ${got.length} rows, folded ${folded.length}; the first that differs is ${JSON.stringify(got[at])}, folded ${JSON.stringify(folded[at])}`)
  }
  return off
}
