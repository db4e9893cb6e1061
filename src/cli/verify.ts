/**
 * `millrace verify`: checks every chain of the archive and compares it with Redis. Exit code 0: all is well; 2: it found something,
 * and said what. With `--json`, a line of JSON for each finding and one for the sum.
 *
 * `--forget-parted` deletes what was set aside of histories that do not stand, once somebody has seen to it; else it is found for ever. Who
 * did so, in which rooms and why is kept among the acts of operators.
 */
import { parseArgs } from 'node:util'
import { isTrouble, verify, type Finding } from '../../projections/verify.ts'
import type { Config } from '../config.ts'
import { createFence } from '../log/fence.ts'
import { createKeys } from '../log/keys.ts'
import { createRedisLog } from '../log/redis-log.ts'
import { connectRedis } from '../log/redis.ts'
import { accountOfCommandLine, noteAct } from '../operations/acts.ts'
import { forgetParted } from '../store/parted.ts'
import { openStore } from '../store/pool.ts'
import { createLogger } from '../telemetry/logging.ts'
import { UsageError } from './errors.ts'
import { reachStores } from './reach.ts'

const FOUND = 2

export async function verifyCommand (args: string[], given: Config): Promise<number> {
  const asked = argumentsOf(args)
  if (asked.forget) return await forget(asked, given)
  const { room, json } = asked
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

/** The deletion and its note are one: what is gone is known to have been there. */
async function forget ({ room, json, reason }: Asked, given: Config): Promise<number> {
  const store = await openStore({ url: reachStores(given).DATABASE_URL, max: 1, name: 'verify', log: createLogger({ level: 'warn', role: 'verify' }) })
  try {
    const gone = await store.transaction(async tx => {
      const parted = await forgetParted(tx, room)
      for (const { room_id, ...detail } of parted) await noteAct(tx, { operator: accountOfCommandLine(), action: 'forget parted', room_id, detail: { ...detail, reason } })
      return parted
    })
    for (const { room_id, events, from_seq, to_seq } of gone) process.stdout.write(json ? `${JSON.stringify({ room_id, events, from_seq, to_seq })}\n` : `room ${room_id}: ${events} events that do not stand, from seq ${from_seq} to ${to_seq}, are forgotten\n`)
    if (gone.length === 0 && !json) process.stdout.write('Nothing is set aside.\n')
    return 0
  } finally {
    await store.close()
  }
}

interface Asked { readonly room: string | undefined, readonly json: boolean, readonly forget: boolean, readonly reason: string | undefined }

function argumentsOf (args: string[]): Asked {
  try {
    const { values: { room, json = false, 'forget-parted': forget = false, reason } } = parseArgs({ args, options: { room: { type: 'string' }, json: { type: 'boolean' }, 'forget-parted': { type: 'boolean' }, reason: { type: 'string' } } })
    if (room !== undefined && !/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(room)) throw new Error('--room takes the ID of a room.')
    if (forget && (reason ?? '').trim() === '') throw new Error('Say why: --forget-parted --reason "people were told".')
    if (!forget && reason !== undefined) throw new Error('--reason is for --forget-parted.')
    return { room: room?.toLowerCase(), json, forget, reason }
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
}
