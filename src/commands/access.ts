/**
 * Who may read a room, asked of Redis at the moment of reading, never of a read model that may lag [G9].
 */
import { emptyRoom, isKnown, isMember, mayRead, memberOf, type Member, type Room } from '../domain/room.ts'
import { reject, type Rejection } from '../domain/rejections.ts'
import { LogFault, type RoomHashes, type RoomLog } from '../log/log.ts'
import { roomFrom } from './room-hashes.ts'

export type Reading =
  /** `from`: the reader may see events with seq > `from` only (0 for all). */
  | { readonly allowed: true, readonly room: Room, readonly member: Member, readonly inside: boolean, readonly from: number }
  | { readonly allowed: false, readonly rejection: Rejection }

export interface Access {
  /** May this user read this room now? Throws LogFault when Redis cannot be asked. */
  reading: (roomId: string, userId: string) => Promise<Reading>
  /** The same of many rooms in one round trip. */
  readings: (roomIds: readonly string[], userId: string) => Promise<Map<string, Reading>>
}

/** Records of users in cold rooms that are kept in memory. */
const COLD_KNOWN_MAX = 5000

export interface AccessOptions {
  log: RoomLog
  /** State of a room that Redis has let go of, with the record of a user. */
  coldHashes?: (roomId: string, userId: string) => Promise<RoomHashes | undefined>
  clock: () => number
}

export function createAccess ({ log, coldHashes, clock }: AccessOptions): Access {
  /** Of cold rooms: what was asked lately, as of the position that a room is cold at. Nothing about it can change without a new one. */
  const known = new Map<string, RoomHashes>()

  function keep (key: string, hashes: RoomHashes): void {
    if (known.size >= COLD_KNOWN_MAX) known.delete(known.keys().next().value!) // the oldest
    known.set(key, hashes)
  }

  /** What Redis holds; of a cold room, what the archive held when it became cold: nothing was appended since. */
  async function warm (roomId: string, userId: string, hashes: RoomHashes | undefined): Promise<RoomHashes | undefined> {
    if (hashes?.meta.has('cold') !== true || coldHashes === undefined) return hashes
    const [seq, chain] = [hashes.meta.get('seq'), hashes.meta.get('chain')]
    const key = `${roomId} ${userId} ${seq} ${chain}`
    const kept = known.get(key)
    if (kept !== undefined) return kept
    const archived = await coldHashes(roomId, userId)
    // An archive that was restored from an old backup may not know of a ban.
    if (Number(archived?.meta.get('seq') ?? 0) < Number(hashes.meta.get('seq'))) throw new LogFault('unavailable', `the archive lacks the end of the room ${roomId}`)
    if (archived?.meta.get('seq') === seq && archived?.meta.get('chain') === chain) keep(key, archived!)
    return archived
  }

  function readingOf (roomId: string, userId: string, hashes: RoomHashes | undefined): Reading {
    if (hashes === undefined) return { allowed: false, rejection: reject('room_not_found') }
    const room = roomFrom(emptyRoom(roomId), hashes)
    const member = memberOf(room, userId)
    const now = clock()
    if (!mayRead(room, member, now, userId)) {
      return { allowed: false, rejection: isKnown(room) ? reject(member.banned_until > now ? 'banned' : 'not_member') : reject('room_not_found') }
    }
    const inside = isMember(room, member, now, userId)
    // Whoever only looks into a public room has joined never: nothing of its past is theirs.
    const since = inside ? Math.max(0, member.joined_seq - 1) : room.seq
    return { allowed: true, room, member, inside, from: room.history === 'joined' && room.kind !== 'lobby' ? since : 0 }
  }

  return {
    reading: async (roomId, userId) => readingOf(roomId, userId, await warm(roomId, userId, await log.room(roomId, [userId]))),
    async readings (roomIds, userId) {
      const hashes = await log.rooms(roomIds, userId)
      return new Map(await Promise.all(roomIds.map(async roomId => [roomId, readingOf(roomId, userId, await warm(roomId, userId, hashes.get(roomId)))] as const)))
    },
  }
}
