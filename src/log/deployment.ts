/** The number of partitions that Redis was first used with. It decides where every key lies, so it never changes. */
import { PARTITIONS_KEY } from './keys.ts'
import { RedisUnfit, type Redis } from './redis.ts'

/** Notes `partitions` at the first start; throws RedisUnfit, in one line, where Redis was used with another number. */
export async function checkRedisPartitions (redis: Redis, partitions: number): Promise<void> {
  await redis.set(PARTITIONS_KEY, partitions, 'NX')
  const stored = Number(await redis.get(PARTITIONS_KEY))
  if (stored !== partitions) throw new RedisUnfit(`Redis holds a deployment with ${stored} partitions, and PARTITIONS is ${partitions}. Set PARTITIONS=${stored}, or use another Redis.`)
}
