/** Both stores for commands that look at a deployment which may be half down: each is there, or why not is. */
import type { Config } from '../config.ts'
import { connectRedis, redacted, type Redis } from '../log/redis.ts'
import type { Reached } from '../operations/status.ts'
import { openStore, type Store } from '../store/pool.ts'
import { createLogger } from '../telemetry/logging.ts'

/** How long Redis may take to let us in. Postgres has three seconds of its own. */
const CONNECT_MS = 2500

export interface ReachedStores {
  readonly redis: Reached<Redis>
  readonly store: Reached<Store>
  /** As they may be shown. */
  readonly redisUrl: string
  readonly databaseUrl: string
  readonly logger: ReturnType<typeof createLogger>
  readonly close: () => Promise<void>
}

/** Never throws. */
export async function reachedStores ({ REDIS_URL, DATABASE_URL }: Config & { REDIS_URL: string, DATABASE_URL: string }, name: string): Promise<ReachedStores> {
  const logger = createLogger({ level: 'silent', role: name })
  const [redis, store] = await Promise.all([
    reached(connectRedis(REDIS_URL, name, logger, CONNECT_MS)),
    reached(openStore({ url: DATABASE_URL, max: 3, name, log: logger, silenceMs: 10_000 })),
  ])
  return {
    redis,
    store,
    redisUrl: redacted(REDIS_URL),
    databaseUrl: redacted(DATABASE_URL),
    logger,
    async close () {
      if ('it' in redis) redis.it.disconnect()
      if ('it' in store) await Promise.race([store.it.close(), new Promise(resolve => setTimeout(resolve, 1000).unref())]) // a frozen server never says goodbye
    },
  }
}

async function reached<T> (opening: Promise<T>): Promise<Reached<T>> {
  try {
    return { it: await opening }
  } catch (error) {
    return { reason: reasonOf((error as Error).message) }
  }
}

/** The doors say where and what to do about it as well: here only why. */
function reasonOf (message: string): string {
  return /cannot be used: (.+)\. Start it, or correct/s.exec(message)?.[1] ?? message
}
