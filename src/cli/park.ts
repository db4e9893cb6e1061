/**
 * `millrace park`: rooms that a projection has set aside because an event could not be applied, putting one back [G10], and letting
 * one go on behind a hole that nothing can fill.
 */
import { listParked, retryParked } from '../../projections/park.ts'
import { NotSkipped, skipHole } from '../../projections/skip.ts'
import type { Config } from '../config.ts'
import { createCold } from '../log/cold.ts'
import { createKeys } from '../log/keys.ts'
import { createRedisLog } from '../log/redis-log.ts'
import { connectRedis } from '../log/redis.ts'
import { ARCHIVE } from '../store/archive.ts'
import { openStore, type Store } from '../store/pool.ts'
import { createLogger, type Logger } from '../telemetry/logging.ts'
import { CommandFailed, UsageError } from './errors.ts'
import { reachStores } from './reach.ts'

export async function parkCommand (args: string[], given: Config): Promise<number> {
  const [action = '', projection = '', room = ''] = args
  if (!(action === 'list' && args.length === 1) && !(['retry', 'skip'].includes(action) && args.length === 3)) throw new UsageError('Say list, or retry or skip with a projection and a room.')
  if (room !== '' && !/^[0-9a-f-]{36}$/i.test(room)) throw new CommandFailed(`${room} is no ID of a room.`)
  const config = reachStores(given)
  const log = createLogger({ level: 'warn', role: 'park' })
  const store = await openStore({ url: config.DATABASE_URL, max: 2, name: 'park', log })
  try {
    if (action === 'list') await list(store)
    else if (action === 'skip') await skip(config, { store, log }, projection, room)
    else {
      if (!await retryParked(store, projection, room)) throw new CommandFailed(`Room ${room} is not parked in ${projection}.`)
      process.stdout.write('Put back: the projector goes on with it within a sweep.\n')
    }
    return 0
  } finally {
    await store.close()
  }
}

async function list (store: Store): Promise<void> {
  const parked = await listParked(store)
  for (const { projection, room_id, seq, error_code, error, parked_at, attempts } of parked) process.stdout.write(`${projection} ${room_id} at seq ${seq}, ${attempts} attempts, since ${parked_at.toISOString()}: ${error_code}: ${error}\n`)
  if (parked.length === 0) process.stdout.write('No room is parked.\n')
}

async function skip (config: ReturnType<typeof reachStores>, { store, log }: { store: Store, log: Logger }, projection: string, room: string): Promise<void> {
  if (projection !== ARCHIVE) throw new CommandFailed(`A hole is skipped in ${ARCHIVE}; other projections follow it by themselves.`)
  const redis = await connectRedis(config.REDIS_URL, 'park', log)
  const keys = createKeys(config.PARTITIONS)
  try {
    const { from, to, applied } = await skipHole({ store, log: createRedisLog({ redis, keys, log }), cold: createCold({ redis, keys }) }, room.toLowerCase())
    process.stdout.write(`Skipped seq ${from} to ${to}, and noted it; ${applied} events behind it were archived. The projectors go on within a sweep.\n`)
  } catch (error) {
    throw error instanceof NotSkipped ? new CommandFailed(error.message) : error
  } finally {
    redis.disconnect()
  }
}
