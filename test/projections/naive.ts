/**
 * What the read models must be, folded naïvely from the log: one event after the other, sharing nothing with the
 * projections. And the rows that they have, in the same shape.
 */
import { isDeepStrictEqual } from 'node:util'
import type { Test } from 'tap'
import type { LogEvent } from '../../src/log/codec.ts'
import type { Queryable } from '../../src/store/pool.ts'

export interface Model { rooms: object[], members: object[], messages: object[] }

export function naiveHistory (logs: ReadonlyMap<string, readonly LogEvent[]>): Model {
  const model: Model = { rooms: [], members: [], messages: [] }
  for (const [room_id, log] of [...logs].sort(([a], [b]) => a < b ? -1 : 1)) {
    const room = { id: room_id, kind: 'private', name: '', topic: '', history: 'all', created_by: null as string | null, created_at: null as string | null, last_seq: 0, messages: 0, member_count: 0 }
    const members = new Map<string, { room_id: string, user_id: string, role: string, joined_seq: number, joined_at: string | null, left_seq: number | null, left_at: string | null }>()
    for (const { seq, event_id, data } of log) {
      const { type, user_id, timestamp, ...rest } = JSON.parse(data)
      room.last_seq = seq
      if (type === 'room') {
        Object.assign(room, { kind: rest.kind, name: rest.name, topic: rest.topic ?? '', history: rest.history, created_by: user_id, created_at: timestamp })
        if (rest.kind !== 'lobby') members.set(user_id, { room_id, user_id, role: 'owner', joined_seq: seq, joined_at: timestamp, left_seq: null, left_at: null })
      }
      if (type === 'join') members.set(user_id, { room_id, user_id, role: 'member', joined_seq: seq, joined_at: timestamp, left_seq: null, left_at: null })
      if (type === 'leave') members.set(user_id, { ...members.get(user_id)!, role: 'none', joined_seq: 0, left_seq: seq, left_at: timestamp })
      if (type === 'message') {
        room.messages++
        model.messages.push({ room_id, seq, message_no: room.messages, event_id, user_id, content: rest.content, timestamp, client_id: rest.client_id ?? null, reply_to: rest.reply_to ?? null })
      }
    }
    room.member_count = [...members.values()].filter(({ role }) => role !== 'none').length
    model.rooms.push(room)
    model.members.push(...[...members.values()].sort((a, b) => a.user_id < b.user_id ? -1 : 1))
  }
  return model
}

export async function storedHistory (db: Queryable, schema = 'public'): Promise<Model> {
  const plain = (rows: object[]): object[] => JSON.parse(JSON.stringify(rows))
  return {
    rooms: plain((await db.query(`SELECT * FROM ${schema}.rooms ORDER BY id`)).rows),
    members: plain((await db.query(`SELECT * FROM ${schema}.members ORDER BY room_id, user_id`)).rows),
    messages: plain((await db.query(`SELECT * FROM ${schema}.messages ORDER BY room_id, seq`)).rows),
  }
}

/** As `t.same`, which takes seconds for thousands of rows that are equal. */
export function equal (t: Test, got: unknown, wanted: unknown, what: string): void {
  const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value))
  if (isDeepStrictEqual(plain(got), plain(wanted))) t.pass(what)
  else t.same(plain(got), plain(wanted), what)
}
