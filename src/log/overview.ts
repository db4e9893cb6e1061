/**
 * What Redis says of itself, and which rooms were appended to lately: for people who look.
 */
import { PARTITIONS_KEY, type Keys } from './keys.ts'
import { faultOf, type Redis } from './redis.ts'

export interface RedisOverview {
  /** `redis 7.0.15` or `valkey 8.0.1`. */
  readonly version: string
  readonly uptime_s: number
  readonly memory_bytes: number
  /** 0: no limit of its own. */
  readonly memory_max_bytes: number
  readonly clients: number
  readonly clients_max: number
  readonly aof: boolean
  /** The last write to the AOF went well. */
  readonly aof_ok: boolean
  readonly loading: boolean
  readonly master: boolean
  /** Replicas that are connected; of a replica, whether its master is. */
  readonly replicas: number
  /** Null before the first start. */
  readonly partitions: number | null
  /** Its clock, epoch milliseconds. */
  readonly now_ms: number
}

/** Fields of INFO. Throws LogFault. */
export async function redisInfo (redis: Redis): Promise<Map<string, string>> {
  try {
    return new Map((await redis.info()).split(/\r?\n/).flatMap(line => {
      const at = line.indexOf(':')
      return at < 0 ? [] : [[line.slice(0, at), line.slice(at + 1)] as const]
    }))
  } catch (error) {
    throw faultOf(error)
  }
}

/** Throws LogFault. */
export async function redisOverview (redis: Redis): Promise<RedisOverview> {
  const info = await redisInfo(redis)
  const number = (field: string): number => Number(info.get(field) ?? 0)
  try {
    const [partitions, [seconds, micros]] = await Promise.all([redis.get(PARTITIONS_KEY), redis.time()])
    return {
      version: serverOf(info),
      uptime_s: number('uptime_in_seconds'),
      memory_bytes: number('used_memory'),
      memory_max_bytes: number('maxmemory'),
      clients: number('connected_clients'),
      clients_max: number('maxclients'),
      aof: info.get('aof_enabled') === '1',
      aof_ok: (info.get('aof_last_write_status') ?? 'ok') === 'ok',
      loading: info.get('loading') === '1',
      master: info.get('role') === 'master',
      replicas: number('connected_slaves'),
      partitions: partitions === null ? null : Number(partitions),
      now_ms: Number(seconds) * 1000 + Math.floor(Number(micros) / 1000),
    }
  } catch (error) {
    throw faultOf(error)
  }
}

/** Which server it is, and its version. */
export function serverOf (info: ReadonlyMap<string, string>): string {
  const valkey = info.get('valkey_version')
  return valkey === undefined ? `redis ${info.get('redis_version') ?? '?'}` : `valkey ${valkey}`
}

/** Settings that begin with or are these names (glob patterns); undefined where this user may not ask. */
export async function redisSettings (redis: Redis, names: readonly string[]): Promise<Map<string, string> | undefined> {
  try {
    const found = new Map<string, string>()
    for (const name of names) {
      const pairs = await redis.config('GET', name) as string[]
      for (let i = 0; i < pairs.length; i += 2) found.set(pairs[i]!, pairs[i + 1]!)
    }
    return found
  } catch (error) {
    if (/NOPERM|unknown command/i.test((error as Error).message)) return undefined // hosted servers often forbid it
    throw faultOf(error)
  }
}

export interface ActiveRooms {
  readonly rooms: string[]
  /** How many there are in all. */
  readonly known: number
}

/** Rooms whose last append is the latest, at most `perPartition` of each partition. Throws LogFault. */
export async function latestRooms ({ redis, keys }: { redis: Redis, keys: Keys }, perPartition: number): Promise<ActiveRooms> {
  try {
    // All in one turn of the loop: they travel together.
    const found = await Promise.all(Array.from({ length: keys.partitions }, async (_, p) => await Promise.all([redis.zrevrange(keys.active(p), 0, perPartition - 1), redis.zcard(keys.active(p))])))
    return { rooms: found.flatMap(([rooms]) => rooms), known: found.reduce((sum, [, count]) => sum + count, 0) }
  } catch (error) {
    throw faultOf(error)
  }
}
