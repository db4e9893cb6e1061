/**
 * `millrace park`: rooms that a projection has set aside because an event could not be applied. Listing them, looking at one, having it
 * replayed in order from there [G10]; and, where nothing else helps, going on behind a hole that nothing can fill or behind one
 * event. What is skipped is recorded: `millrace verify` shows it.
 */
import { parseArgs } from 'node:util'
import { PROJECTIONS } from '../../projections/live.ts'
import { retryParked } from '../../projections/park.ts'
import { groupOf } from '../../projections/projection.ts'
import { NotSkipped, skipEvent, skipHole, type Skipper } from '../../projections/skip.ts'
import type { Config } from '../config.ts'
import { createCold } from '../log/cold.ts'
import { createKeys } from '../log/keys.ts'
import { createRedisLog } from '../log/redis-log.ts'
import { connectRedis } from '../log/redis.ts'
import { lookIntoPark, type ParkDetails } from '../operations/park.ts'
import { accountOfCommandLine, noteAct } from '../operations/acts.ts'
import { ARCHIVE } from '../store/archive.ts'
import { listParked, type ParkedRoom } from '../store/parked.ts'
import { openStore, type Store } from '../store/pool.ts'
import { createLogger, type Logger } from '../telemetry/logging.ts'
import { CommandFailed, UsageError } from './errors.ts'
import { reachStores } from './reach.ts'

interface Asked {
  readonly action: 'list' | 'show' | 'retry' | 'skip'
  readonly projection: string
  readonly room: string
  readonly content: boolean
  readonly json: boolean
  readonly reason: string | undefined
}
interface Tools { readonly config: ReturnType<typeof reachStores>, readonly store: Store, readonly log: Logger }

export async function parkCommand (args: string[], given: Config): Promise<number> {
  const asked = argumentsOf(args)
  const config = reachStores(given)
  const log = createLogger({ level: 'fatal', role: 'park' })
  const store = await openStore({ url: config.DATABASE_URL, max: 2, name: 'park', log })
  try {
    await { list, show, retry, skip }[asked.action](asked, { config, store, log })
    return 0
  } catch (error) {
    throw error instanceof NotSkipped ? new CommandFailed(error.message) : error
  } finally {
    await store.close()
  }
}

async function list ({ json }: Asked, { store }: Tools): Promise<void> {
  let last: ParkedRoom | undefined
  for (let page = await listParked(store); page.length > 0; page = await listParked(store, { after: last })) {
    for (const room of page) {
      const { projection, room_id, seq, error_code, error, parked_at, attempts } = room
      print(json ? JSON.stringify(room) : `${projection} ${room_id} at seq ${seq}, ${attempts} attempts, since ${parked_at.toISOString()}: ${error_code}: ${error}`)
    }
    last = page.at(-1)
  }
  if (last === undefined && !json) print('No room is parked.')
}

async function show ({ projection, room, content, json }: Asked, { config, store, log }: Tools): Promise<void> {
  // Redis may be away: the archive has the event, mostly.
  const redis = await connectRedis(config.REDIS_URL, 'park', log, 2000).catch(() => undefined)
  try {
    const details = await lookIntoPark({ db: store, log: redis === undefined ? undefined : createRedisLog({ redis, keys: createKeys(config.PARTITIONS), log }) }, projection, room, { content })
    if (details === undefined) throw notParked(projection, room)
    if (content) await noteAct(store, { operator: accountOfCommandLine(), action: 'park show content', room_id: room, detail: { projection, seq: details.seq } })
    print(json ? JSON.stringify(details) : textOf(details))
  } finally {
    redis?.disconnect()
  }
}

async function retry ({ projection, room }: Asked, { store }: Tools): Promise<void> {
  if (!await retryParked(store, projection, room)) throw notParked(projection, room)
  await noteAct(store, { operator: accountOfCommandLine(), action: 'park retry', room_id: room, detail: { projection } })
  print('Put back: the projector goes on with it within a sweep, in order from there.')
}

async function skip (asked: Asked, tools: Tools): Promise<void> {
  const { projection, room, reason } = asked
  const skipper = { by: accountOfCommandLine(), reason }
  const detail = projection === ARCHIVE ? await skipInArchive(room, skipper, tools) : { seq: await skipEvent(tools.store, projection, room, skipper) }
  await noteAct(tools.store, { operator: skipper.by, action: 'park skip', room_id: room, detail: { projection, ...detail, ...(reason === undefined ? {} : { reason }) } })
  if ('seq' in detail) print(`Skipped seq ${detail.seq} in ${projection}, and noted it: it stays in the log and in the archive. The projector goes on behind it within a sweep.`)
}

async function skipInArchive (room: string, skipper: Skipper, { config, store, log }: Tools): Promise<{ from: number, to: number }> {
  const redis = await connectRedis(config.REDIS_URL, 'park', log)
  const keys = createKeys(config.PARTITIONS)
  try {
    const { from, to, applied } = await skipHole({ store, log: createRedisLog({ redis, keys, log }), cold: createCold({ redis, keys }) }, room, skipper)
    print(`Skipped seq ${from} to ${to}, and noted it; ${applied} events behind it were archived. The projectors go on within a sweep.`)
    return { from, to }
  } finally {
    redis.disconnect()
  }
}

function textOf ({ projection, room_id, seq, event_id, error_code, error, attempts, parked_at, event, waiting, head_seq, content }: ParkDetails): string {
  return [
    `${projection} is parked in room ${room_id} at seq ${seq}, since ${parked_at}, after ${attempts} attempts`,
    `  ${error_code}: ${error}`,
    `  event ${event_id ?? 'unknown'}: ${event === undefined ? 'it cannot be read' : `${event.type} by ${event.user_id} at ${event.timestamp}`}`,
    head_seq === undefined ? '  what waits behind it is not known: Redis cannot be asked' : `  ${waiting} events wait, this one included; the log ends at seq ${head_seq}`,
    ...(content === undefined ? [] : [`  ${content}`]),
  ].join('\n')
}

const notParked = (projection: string, room: string): CommandFailed => new CommandFailed(`Room ${room} is not parked in ${projection}.`)

function print (text: string): void {
  process.stdout.write(`${text}\n`)
}

function argumentsOf (args: string[]): Asked {
  const { values: { content = false, json = false, reason }, positionals } = parsed(args)
  const [action = '', projection = '', room = ''] = positionals
  if (!(action === 'list' && positionals.length === 1) && !(['show', 'retry', 'skip'].includes(action) && positionals.length === 3)) throw new UsageError('Say list; or show, retry or skip with a projection and a room.')
  if (content && action !== 'show') throw new UsageError('--content is for show.')
  if (reason !== undefined && action !== 'skip') throw new UsageError('--reason is for skip.')
  const groups = PROJECTIONS.map(groupOf)
  if (projection !== '' && !/^\w+_v\d+$/.test(projection)) throw new CommandFailed(`${projection} is no projection with its version: such as ${groups.join(', ')}.`)
  if (room !== '' && !/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(room)) throw new CommandFailed(`${room} is no ID of a room.`)
  return { action: action as Asked['action'], projection, room: room.toLowerCase(), content, json, reason }
}

function parsed (args: string[]) {
  try {
    return parseArgs({ args, allowPositionals: true, options: { content: { type: 'boolean' }, json: { type: 'boolean' }, reason: { type: 'string' } } })
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
}
