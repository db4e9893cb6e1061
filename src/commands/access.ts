/**
 * Who may read a room, asked of Redis at the moment of reading, never of a read model that may lag [G9].
 */
import { emptyRoom, isMember, mayRead, memberOf, type Member, type Room } from '../domain/room.ts'
import { reject, type Rejection } from '../domain/rejections.ts'
import type { RoomLog } from '../log/log.ts'
import { roomFrom } from './room-hashes.ts'

export type Reading =
  /** `from`: the reader may see events with seq > `from` only (0 for all). */
  | { readonly allowed: true, readonly room: Room, readonly member: Member, readonly inside: boolean, readonly from: number }
  | { readonly allowed: false, readonly rejection: Rejection }

export interface Access {
  /** May this user read this room now? Throws LogFault when Redis cannot be asked. */
  reading: (roomId: string, userId: string) => Promise<Reading>
}

export function createAccess ({ log, clock }: { log: RoomLog, clock: () => number }): Access {
  return {
    async reading (roomId, userId) {
      const hashes = await log.room(roomId, [userId])
      if (hashes === undefined) return { allowed: false, rejection: reject('room_not_found') }
      const room = roomFrom(emptyRoom(roomId), hashes)
      const member = memberOf(room, userId)
      const now = clock()
      if (!mayRead(room.kind, member, now)) {
        const known = room.kind === 'public' || room.kind === 'lobby' || room.kind === 'protected'
        return { allowed: false, rejection: known ? reject(member.banned_until > now ? 'banned' : 'not_member') : reject('room_not_found') }
      }
      const from = room.history === 'joined' && room.kind !== 'lobby' ? Math.max(0, member.joined_seq - 1) : 0
      return { allowed: true, room, member, inside: isMember(room.kind, member, now), from }
    },
  }
}
