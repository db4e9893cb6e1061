/**
 * The rooms into which a user came, or out of which they went, so lately that the `history` projection may not know yet. Reads of
 * room lists ask it, so that a command that was answered shows in its caller's lists on any gateway.
 *
 * A hint with bounds: at most `ROOMS_MAX` of a user's newest changes, for a day. What is true is asked of the rooms themselves.
 */
import { faultOf, type Redis } from './redis.ts'

const ROOMS_MAX = 200
const TTL_S = 86_400

export interface RecentRoom {
  readonly room_id: string
  /** The newest change of this user's membership that was noted. */
  readonly seq: number
}

export interface RecentRooms {
  /** Notes that an event at `seq` changed the user's membership. Throws LogFault. */
  note: (userId: string, roomId: string, seq: number) => Promise<void>
  /** Newest first, each room once. Throws LogFault. */
  of: (userId: string) => Promise<RecentRoom[]>
  /** Forgets the changes of these rooms up to these seqs; later ones stay. Throws LogFault. */
  forget: (userId: string, rooms: readonly RecentRoom[]) => Promise<void>
}

/** Keys: zset `user:{<id>}:recent`, member `<room> <seq>` (so that forgetting one cannot hit a newer one), score: noted at (ms). */
export function createRecentRooms ({ redis, clock }: { redis: Redis, clock: () => number }): RecentRooms {
  const keyOf = (userId: string): string => `user:{${userId}}:recent`
  return {
    async note (userId, roomId, seq) {
      const key = keyOf(userId)
      try {
        const answers = await redis.multi()
          .zadd(key, clock(), `${roomId} ${seq}`)
          .zremrangebyrank(key, 0, -(ROOMS_MAX + 1))
          .expire(key, TTL_S)
          .exec()
        for (const [error] of answers ?? []) if (error !== null) throw error
      } catch (error) {
        throw faultOf(error)
      }
    },

    async of (userId) {
      const newest = new Map<string, number>()
      try {
        for (const member of await redis.zrevrange(keyOf(userId), 0, ROOMS_MAX - 1)) {
          const [roomId = '', seq] = member.split(' ')
          newest.set(roomId, Math.max(Number(seq), newest.get(roomId) ?? 0))
        }
      } catch (error) {
        throw faultOf(error)
      }
      return [...newest].map(([room_id, seq]) => ({ room_id, seq }))
    },

    async forget (userId, rooms) {
      if (rooms.length === 0) return
      const upTo = new Map(rooms.map(({ room_id, seq }) => [room_id, seq]))
      try {
        // By member: what is noted meanwhile is another one.
        const passed = (await redis.zrevrange(keyOf(userId), 0, -1)).filter(member => {
          const [roomId = '', seq] = member.split(' ')
          return Number(seq) <= (upTo.get(roomId) ?? -1)
        })
        if (passed.length > 0) await redis.zrem(keyOf(userId), ...passed)
      } catch (error) {
        throw faultOf(error)
      }
    },
  }
}
