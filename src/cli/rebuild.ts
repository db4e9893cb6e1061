/**
 * `millrace rebuild`: fills the tables of a projection anew from the archive, beside the live ones, and puts them in their place, while
 * everything else goes on. Without a name it lists the projections, what is half done, and what waits to be dropped.
 *
 * Exit code 0: done; 1: it was not, and the message says why; 130: it was interrupted. Started again, it goes on where it was.
 */
import { parseArgs } from 'node:util'
import { PROJECTIONS } from '../../projections/live.ts'
import { groupOf, type Projection } from '../../projections/projection.ts'
import { isRebuildable, listHalfDone, NotRebuilt, rebuild, type Rebuilt } from '../../projections/rebuild.ts'
import type { Config } from '../config.ts'
import { checkRedisPartitions } from '../log/deployment.ts'
import { createGroups } from '../log/groups.ts'
import { createKeys } from '../log/keys.ts'
import { createRedisLog } from '../log/redis-log.ts'
import { connectRedis } from '../log/redis.ts'
import { checkPostgresPartitions } from '../store/deployment.ts'
import { isUnavailable, openStore, type Store } from '../store/pool.ts'
import { listRetired } from '../store/retired.ts'
import { listVersions } from '../store/versions.ts'
import { createLogger } from '../telemetry/logging.ts'
import { CommandFailed, UsageError } from './errors.ts'
import { createProgress, type Progress } from './progress.ts'
import { reachStores } from './reach.ts'

const INTERRUPTED = 130
const GRACE = '1h'
const UNITS_MS: Record<string, number> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }
/** An index over a large table takes its time, and Postgres says nothing meanwhile. */
const SILENCE_MS = 24 * 3_600_000

interface Asked {
  readonly projection: Projection | undefined
  readonly graceMs: number
  /** Events per second; 0: as fast as it goes. */
  readonly throttle: number
  readonly restart: boolean
}

export async function rebuildCommand (args: string[], given: Config): Promise<number> {
  const asked = argumentsOf(args)
  const config = reachStores(given)
  const logger = createLogger({ level: 'warn', role: 'rebuild' })
  const store = await openStore({ url: config.DATABASE_URL, max: 4, name: 'rebuild', log: logger, silenceMs: SILENCE_MS })
  try {
    await checkPostgresPartitions(store, config.PARTITIONS)
    if (asked.projection === undefined) {
      await list(store)
      return 0
    }
    return await run(config, store, asked.projection, asked)
  } finally {
    await store.close()
  }
}

async function run (config: ReturnType<typeof reachStores>, store: Store, projection: Projection, { graceMs, throttle, restart }: Asked): Promise<number> {
  const logger = createLogger({ level: 'warn', role: 'rebuild' })
  const redis = await connectRedis(config.REDIS_URL, 'rebuild', logger)
  const interrupted = new AbortController()
  const interrupt = (): void => { interrupted.abort() }
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, interrupt) // once: the second ends it at once
  let progress: Progress | undefined
  let shown = 0
  try {
    await checkRedisPartitions(redis, config.PARTITIONS)
    const keys = createKeys(config.PARTITIONS)
    const rebuilt = await rebuild({
      projection,
      store,
      log: createRedisLog({ redis, keys, log: logger }),
      groups: createGroups({ redis, keys }),
      logger,
      clock: Date.now,
      graceMs,
      throttle,
      restart,
      signal: interrupted.signal,
      say: line => { process.stderr.write(`${line}\n`) },
      onProgress (done, total) {
        if (total > shown) progress = undefined // what is appended meanwhile
        progress ??= createProgress({ total: shown = total, what: 'events' })
        progress.at(done)
      },
    })
    progress?.end()
    process.stdout.write(rebuilt === undefined ? `Interrupted: npx millrace rebuild ${projection.name} goes on from here.\n` : told(projection, rebuilt, graceMs))
    return rebuilt === undefined ? INTERRUPTED : 0
  } catch (error) {
    progress?.end()
    if (error instanceof NotRebuilt) throw new CommandFailed(error.message)
    if (isUnavailable(error)) throw new CommandFailed(`It was cut off: ${(error as Error).message}. Run it again: it goes on from there.`)
    throw error
  } finally {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, interrupt)
    redis.disconnect()
  }
}

function told ({ name, version }: Projection, { events, ms, retired, parked, views }: Rebuilt, graceMs: number): string {
  const perSecond = Math.round(events / Math.max(1, ms) * 1000)
  return [
    `${name} is served from new tables, version ${version}: ${events.toLocaleString('en')} events in ${(ms / 1000).toFixed(1)} s, ${perSecond.toLocaleString('en')}/s.`,
    `The old ones are in the schema ${retired} and are dropped ${graceMs === 0 ? 'within minutes' : `after ${inWords(graceMs)}`}.`,
    ...parked === 0 ? [] : [`${parked} rooms are parked in it, as they were: npx millrace park list.`],
    ...views.map(view => `The view ${view} belongs to somebody else and still shows the old ones: it has to be made again, or they stay.`),
    '',
  ].join('\n')
}

async function list (store: Store): Promise<void> {
  const live = new Map((await listVersions(store)).map(row => [row.name, row]))
  for (const projection of PROJECTIONS) {
    const { name, version } = projection
    const row = live.get(name)
    const state = row === undefined ? 'never started' : row.version === version ? `version ${version}, since ${row.since.toISOString()}` : `version ${row.version}, and this code is of version ${version}: npx millrace rebuild ${name}`
    process.stdout.write(`${name}: ${state}${isRebuildable(projection) ? '' : '; not to be rebuilt'}\n`)
  }
  for (const { name, version, begun_at, done, total } of await listHalfDone(store)) process.stdout.write(`half done: ${name}, version ${version}, begun at ${begun_at.toISOString()}, ${done.toLocaleString('en')} of ${total.toLocaleString('en')} events: npx millrace rebuild ${name} goes on\n`)
  for (const { schema, name, version, drop_after } of await listRetired(store)) process.stdout.write(`retired: ${schema}, of ${name} version ${version}, dropped after ${drop_after.toISOString()}\n`)
}

function argumentsOf (args: string[]): Asked {
  const { values, positionals } = (() => {
    try {
      return parseArgs({ args, allowPositionals: true, options: { throttle: { type: 'string' }, grace: { type: 'string' }, restart: { type: 'boolean' } } })
    } catch (error) {
      throw new UsageError((error as Error).message)
    }
  })()
  const { throttle = '0', grace = GRACE, restart = false } = values
  const [name] = positionals
  if (positionals.length > 1) throw new UsageError('One projection at a time.')
  if (name === undefined && Object.keys(values).length > 0) throw new UsageError('Say which projection.')
  const projection = PROJECTIONS.find(projection => projection.name === name || groupOf(projection) === name)
  if (name !== undefined && projection === undefined) throw new UsageError(`There is no projection ${JSON.stringify(name)}; there are ${PROJECTIONS.filter(isRebuildable).map(({ name }) => name).join(', ')}.`)
  if (projection !== undefined && !isRebuildable(projection)) throw new CommandFailed(`${projection.name} is not to be rebuilt: it would lose something, or do something twice.`)
  if (!/^\d{1,9}$/.test(throttle)) throw new UsageError(`--throttle takes events per second, not ${throttle}.`)
  return { projection, graceMs: durationOf(grace), throttle: Number(throttle), restart }
}

/** `90s`, `30m`, `1h`, `2d`, in milliseconds. */
function durationOf (text: string): number {
  const [, count, unit = ''] = /^(\d{1,6})([smhd])$/.exec(text) ?? []
  if (count === undefined) throw new UsageError(`--grace takes a time like 90s, 30m, 1h or 2d, not ${text}.`)
  return Number(count) * UNITS_MS[unit]!
}

function inWords (ms: number): string {
  const [unit, size] = Object.entries(UNITS_MS).findLast(([, size]) => ms % size === 0)!
  return `${ms / size} ${{ s: 'seconds', m: 'minutes', h: 'hours', d: 'days' }[unit]!.slice(0, ms === size ? -1 : undefined)}`
}
