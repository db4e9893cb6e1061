/**
 * The fence: a partition takes no appends until it was reconciled under the `master_replid` that its server has now. A
 * server that restarted, was promoted, restored or flushed has another one, or has lost the epoch. This asks and lifts; it does not
 * decide when: `projections/reconcile.ts` does.
 */
import type { Keys } from './keys.ts'
import { faultOf, script, type Redis } from './redis.ts'

const epochScript = script('epoch')
const fenceScript = script('fence')
const holdScript = script('hold')
const HELD = ['changed', 'held', 'lifted'] as const

export interface Fence {
  /** Fenced partitions, each with the replid that its server has now. Throws LogFault. */
  fencedPartitions: () => Promise<Map<number, string>>
  /** Fences a partition, so that it is reconciled before anything is appended again. Throws LogFault. */
  raise: (partition: number) => Promise<void>
  /**
   * Begins to reconcile: what is compared from here on holds as long as the server keeps the token, which it does not if it loses its data.
   * `lifted`: somebody was quicker; `changed`: the server is another by now. Throws LogFault.
   */
  hold: (partition: number, replid: string, token: string) => Promise<typeof HELD[number]>
  /** Lifts the fence. False: the server is another by now, or has lost the token, so what was compared is no longer true. Throws LogFault. */
  lift: (partition: number, replid: string, token: string) => Promise<boolean>
}

export function createFence ({ redis, keys }: { redis: Redis, keys: Keys }): Fence {
  return {
    async fencedPartitions () {
      try {
        // All in one turn of the loop: the commands travel together (128 partitions: about 2 ms).
        const answers = await Promise.all(Array.from({ length: keys.partitions }, async (_, p) => await epochScript(redis, [keys.epoch(p)], []) as [string, string]))
        return new Map(answers.flatMap(([replid, epoch], p) => replid === epoch ? [] : [[p, replid]]))
      } catch (error) {
        throw faultOf(error)
      }
    },

    async raise (partition) {
      try {
        await redis.del(keys.epoch(partition))
      } catch (error) {
        throw faultOf(error)
      }
    },

    async hold (partition, replid, token) {
      try {
        return HELD[await holdScript(redis, [keys.epoch(partition)], [replid, token]) as number]!
      } catch (error) {
        throw faultOf(error)
      }
    },

    async lift (partition, replid, token) {
      try {
        return await fenceScript(redis, [keys.epoch(partition)], [replid, token]) === 1
      } catch (error) {
        throw faultOf(error)
      }
    },
  }
}
