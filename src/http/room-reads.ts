/**
 * What every read of a room's messages and members begins with: whether the asker may, asked of the room itself [G9], and the
 * room's log as one, whatever of it is still in the stream, for the reads of `store/` to fold onto what Postgres has.
 */
import type { Static } from 'typebox'
import type { Access, Reading } from '../commands/access.ts'
import { chainOf } from '../log/chain.ts'
import { decodeEvent } from '../log/codec.ts'
import type { RoomLog } from '../log/log.ts'
import type { Store } from '../store/pool.ts'
import { asReader } from '../store/reader.ts'
import type { LogReads } from '../store/suffix.ts'
import { identityOf, roomIdOf, type RoomParams } from './app.ts'
import { readOn } from './events.ts'
import type { Gate } from './gate.ts'
import { Refusal } from './problems.ts'

export interface RoomReadsDeps {
  access: Access
  log: RoomLog
  store: Store
}

export type RoomReads = RoomReadsDeps & { gate: Gate }

export interface Asked extends Extract<Reading, { allowed: true }> {
  readonly user_id: string
  readonly room_id: string
  readonly reads: LogReads
}

/** Throws Refusal where the asker may not read the room. */
export async function askedOf ({ access, log, store }: RoomReadsDeps, request: Parameters<typeof identityOf>[0] & { params: Static<typeof RoomParams> }): Promise<Asked> {
  const room_id = roomIdOf(request)
  const { user_id } = identityOf(request)
  const reading = await access.reading(room_id, user_id)
  if (!reading.allowed) throw new Refusal(reading.rejection)
  const own = asReader(store, [room_id]) // what is read from here on is of this room, whatever a statement says
  // Where a read model is behind the archive, the stream may be trimmed up to there: reads are given both as one log.
  const read = async (roomId: string, after: number, limit: number) => await readOn({ log, store: own }, roomId, after, limit, reading.room.seq)
  return { ...reading, user_id, room_id, reads: { store: own, log: { read, deletedAfter: log.deletedAfter }, decode: decodeEvent, chainOf } }
}
