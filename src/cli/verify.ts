/**
 * `millrace verify`: checks every chain of the archive and compares it with Redis. Exit code 0: all is well; 2: it found something,
 * and said what. With `--json`, a line of JSON for each finding and one for the sum.
 */
import { parseArgs } from 'node:util'
import { isTrouble, verify, type Finding } from '../../projections/verify.ts'
import type { Config } from '../config.ts'
import { createFence } from '../log/fence.ts'
import { createKeys } from '../log/keys.ts'
import { createRedisLog } from '../log/redis-log.ts'
import { connectRedis } from '../log/redis.ts'
import { openStore } from '../store/pool.ts'
import { createLogger } from '../telemetry/logging.ts'
import { UsageError } from './errors.ts'
import { reachStores } from './reach.ts'

const FOUND = 2

export async function verifyCommand (args: string[], given: Config): Promise<number> {
  const { room, json } = argumentsOf(args)
  const config = reachStores(given)
  const logger = createLogger({ level: 'warn', role: 'verify' })
  const store = await openStore({ url: config.DATABASE_URL, max: 2, name: 'verify', log: logger })
  const redis = await connectRedis(config.REDIS_URL, 'verify', logger)
  const keys = createKeys(config.PARTITIONS)
  const walked = { rooms: 0, events: 0 }
  let troubles = 0
  try {
    for await (const finding of verify({ db: store, log: createRedisLog({ redis, keys, log: logger }), fence: createFence({ redis, keys }) }, room, walked)) {
      if (isTrouble(finding)) troubles += 1
      process.stdout.write(`${json ? JSON.stringify(finding) : line(finding)}\n`)
    }
    process.stdout.write(json
      ? `${JSON.stringify({ ok: troubles === 0, ...walked, findings: troubles })}\n`
      : `${walked.events} events of ${walked.rooms} rooms were checked: ${troubles === 0 ? 'all is well' : `${troubles} findings`}.\n`)
    return troubles === 0 ? 0 : FOUND
  } finally {
    redis.disconnect()
    await store.close()
  }
}

function line ({ kind, room_id, text }: Finding): string {
  return `${kind}: ${room_id === undefined ? '' : `room ${room_id}: `}${text}`
}

function argumentsOf (args: string[]): { room: string | undefined, json: boolean } {
  try {
    const { values: { room, json = false } } = parseArgs({ args, options: { room: { type: 'string' }, json: { type: 'boolean' } } })
    if (room !== undefined && !/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(room)) throw new Error('--room takes the ID of a room.')
    return { room: room?.toLowerCase(), json }
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
}
