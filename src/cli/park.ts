/** `millrace park`: rooms that a projection has set aside because an event could not be applied, and putting one back [G10]. */
import { listParked, retryParked } from '../../projections/park.ts'
import type { Config } from '../config.ts'
import { openStore } from '../store/pool.ts'
import { createLogger } from '../telemetry/logging.ts'
import { CommandFailed, UsageError } from './errors.ts'
import { reachStores } from './reach.ts'

export async function parkCommand (args: string[], config: Config): Promise<number> {
  const [action, projection, room, ...more] = args
  const listing = action === 'list' && projection === undefined
  const retrying = action === 'retry' && projection !== undefined && room !== undefined && more.length === 0
  if (!listing && !retrying) throw new UsageError('Say list, or retry with a projection and a room.')
  const store = await openStore({ url: reachStores(config).DATABASE_URL, max: 2, name: 'park', log: createLogger({ level: 'warn', role: 'park' }) })
  try {
    if (retrying) {
      if (!/^[0-9a-f-]{36}$/i.test(room) || !await retryParked(store, projection, room)) throw new CommandFailed(`Room ${room} is not parked in ${projection}.`)
      process.stdout.write('Put back: the projector goes on with it within a sweep.\n')
      return 0
    }
    const parked = await listParked(store)
    for (const { projection, room_id, seq, error_code, error, parked_at, attempts } of parked) process.stdout.write(`${projection} ${room_id} at seq ${seq}, ${attempts} attempts, since ${parked_at.toISOString()}: ${error_code}: ${error}\n`)
    if (parked.length === 0) process.stdout.write('No room is parked.\n')
    return 0
  } finally {
    await store.close()
  }
}
