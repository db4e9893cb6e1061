/**
 * What search and mentions share: messages of many rooms, found by read models that may lag. Whether the asker may read each room is
 * asked of the room at the moment of answering [G9], and what a message says now is read from the room: what was deleted a moment
 * ago is in no answer.
 */
import Type, { type Static, type TProperties, type TSchema } from 'typebox'
import { Value } from 'typebox/value'
import type { Reading } from '../commands/access.ts'
import { chainOf } from '../log/chain.ts'
import { decodeEvent } from '../log/codec.ts'
import type { Message as MessageItem } from '../store/messages.ts'
import { messagesAt } from '../store/places.ts'
import { asReader } from '../store/reader.ts'
import { roomIdsOf } from '../store/rooms.ts'
import { readOn } from './events.ts'
import { Message } from './messages.ts'
import { refuse } from './problems.ts'
import type { RoomReadsDeps } from './room-reads.ts'

/** Rooms of one user that are looked through, the last made first. */
const ROOMS_MAX = 2000
/** Rooms that messages are read from at the same time, for one answer. */
const ROOMS_AT_ONCE = 4

export type Allowed = Extract<Reading, { allowed: true }>
interface Place { readonly room_id: string, readonly seq: number }

/** A message with the room that it is in. */
export const FoundMessage = <P extends TProperties>(more: P) => Type.Object({ room_id: Type.String(), ...Message.properties, ...more })

/** Those of the rooms that the user may read now. */
export async function readable ({ access }: Pick<RoomReadsDeps, 'access'>, roomIds: readonly string[], userId: string): Promise<Map<string, Allowed>> {
  const readings = await access.readings(roomIds, userId)
  return new Map([...readings].flatMap(([roomId, reading]) => reading.allowed ? [[roomId, reading] as const] : []))
}

/** The rooms that the user is in, as the read model has them and the rooms themselves confirm; `more` besides. */
export async function myRooms (deps: Pick<RoomReadsDeps, 'access' | 'store'>, userId: string, more: readonly string[] = []): Promise<Map<string, Allowed>> {
  const allowed = await readable(deps, [...more, ...await roomIdsOf(deps.store, userId, ROOMS_MAX)], userId)
  return new Map([...allowed].filter(([, { inside }]) => inside))
}

/** The messages at these places, as they are now, by `placeKey`. What is deleted, or not the asker's to read, is absent. */
export async function messagesOf ({ log, store }: Pick<RoomReadsDeps, 'log' | 'store'>, places: readonly Place[], readings: ReadonlyMap<string, Allowed>): Promise<Map<string, MessageItem>> {
  const rooms = [...Map.groupBy(places, ({ room_id }) => room_id)]
  const found = new Map<string, MessageItem>()

  async function readRoom (room_id: string, seqs: readonly number[]): Promise<void> {
    const reading = readings.get(room_id)
    if (reading === undefined) return
    const behindFence = asReader(store, [room_id])
    const read = async (roomId: string, after: number, limit: number) => await readOn({ log, store: behindFence }, roomId, after, limit, reading.room.seq)
    const messages = await messagesAt({ store: behindFence, log: { read, deletedAfter: log.deletedAfter }, decode: decodeEvent, chainOf }, { room_id, from: reading.from, seqs })
    for (const [seq, message] of messages) found.set(placeKey({ room_id, seq }), message)
  }

  for (let i = 0; i < rooms.length; i += ROOMS_AT_ONCE) {
    await Promise.all(rooms.slice(i, i + ROOMS_AT_ONCE).map(async ([room_id, inIt]) => { await readRoom(room_id, inIt.map(({ seq }) => seq)) }))
  }
  return found
}

export const placeKey = ({ room_id, seq }: Place): string => `${room_id} ${seq}`

/** `before` or `after` of a query: `next` of an earlier answer. */
export const Cursor = Type.Optional(Type.String({ maxLength: 1000, pattern: '^[\\w-]+$', description: '`next` of the page before' }))

/** A place as `next` tells it: opaque, so that it may change. */
export const cursorText = (cursor: object): string => Buffer.from(JSON.stringify(cursor)).toString('base64url')

/** Throws Refusal `bad_request`. */
export function cursorFrom<S extends TSchema> (schema: S, text: string, name = 'before'): Static<S> {
  try {
    const cursor: unknown = JSON.parse(Buffer.from(text, 'base64url').toString())
    if (Value.Check(schema, cursor)) return cursor
  } catch {} // it is no JSON
  return refuse('bad_request', `${name} must be the next of an earlier answer`, name)
}
