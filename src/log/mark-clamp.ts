/**
 * After a loss, nobody has read beyond the end of a log: the newest marks that a room keeps are taken back to its head, or what comes
 * in the place of the lost events would count as read. For reconciling (`projections/reconcile.ts`), which does the same in Postgres.
 */
import type { Keys } from './keys.ts'
import type { PeopleKeys } from './people-keys.ts'
import { faultOf, script, type Redis } from './redis.ts'

const ROOMS_PER_CALL = 200

const clampScript = script('clamp')

export interface MarkClamp {
  /** Takes back what lies beyond the heads of these rooms, all of one partition; returns how many marks that were. Throws LogFault. */
  clamp: (roomIds: readonly string[]) => Promise<number>
}

export function createMarkClamp ({ redis, keys, peopleKeys }: { redis: Redis, keys: Keys, peopleKeys: PeopleKeys }): MarkClamp {
  return {
    async clamp (roomIds) {
      let clamped = 0
      for (let i = 0; i < roomIds.length; i += ROOMS_PER_CALL) {
        const rooms = roomIds.slice(i, i + ROOMS_PER_CALL)
        try {
          clamped += await clampScript(redis, rooms.flatMap(room => [keys.meta(room), peopleKeys.roomMarks(room)]), []) as number
        } catch (error) {
          throw faultOf(error)
        }
      }
      return clamped
    },
  }
}
