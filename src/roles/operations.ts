/** The wiring of what operators are shown and do over HTTP that is not a gateway's own: how all is, and parked rooms. */
import { PROJECTIONS } from '../../projections/live.ts'
import { retryParked } from '../../projections/park.ts'
import { groupOf } from '../../projections/projection.ts'
import { NotSkipped, skipEvent, skipHole } from '../../projections/skip.ts'
import type { Parks } from '../http/admin-parks.ts'
import { redacted } from '../log/redis.ts'
import type { Status } from '../operations/report.ts'
import { look } from '../operations/status.ts'
import { ARCHIVE } from '../store/archive.ts'
import type { Shared } from './shared.ts'

const ASKED = PROJECTIONS.map(projection => ({ projection: groupOf(projection), leases: projection.source === 'archive' ? ARCHIVE : groupOf(projection) }))

/** One look at a time, however many ask. */
export function createStatus ({ config, redis, store, redisUrl, databaseUrl, logger }: Pick<Shared, 'config' | 'redis' | 'store' | 'redisUrl' | 'databaseUrl' | 'logger'>): () => Promise<Status> {
  let looking: Promise<Status> | undefined
  return async () => {
    looking ??= look({ redis: { it: redis }, store: { it: store }, redisUrl: redacted(redisUrl), databaseUrl: redacted(databaseUrl), partitions: config.PARTITIONS, projections: ASKED, logger }).finally(() => { looking = undefined })
    return await looking
  }
}

export function createParks ({ store, log, cold }: Pick<Shared, 'store' | 'log' | 'cold'>): Parks {
  return {
    retry: async (projection, roomId) => await retryParked(store, projection, roomId),
    async skip (projection, roomId, skipper) {
      try {
        if (projection === ARCHIVE) return await skipHole({ store, log, cold }, roomId, skipper)
        const seq = await skipEvent(store, projection, roomId, skipper)
        return { from: seq, to: seq }
      } catch (error) {
        if (error instanceof NotSkipped) return error.message
        throw error
      }
    },
  }
}
