/**
 * `millrace status`: the whole deployment in one screen, what is wrong in its first line. With `--watch` again every two seconds,
 * with `--json` as `GET /admin/status` gives it, a line each.
 *
 * Exit codes: 0 all is well, 2 something is wrong, 1 nothing could be looked at.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { PROJECTIONS } from '../../projections/live.ts'
import { groupOf } from '../../projections/projection.ts'
import type { Config } from '../config.ts'
import type { Status } from '../operations/report.ts'
import { look } from '../operations/status.ts'
import { ARCHIVE } from '../store/archive.ts'
import { UsageError } from './errors.ts'
import { reachedStores } from './reached.ts'
import { reachStores } from './reach.ts'

const WATCH_MS = 2000
/** Of each list. */
const LINES_MAX = 20
const CLEAR = '\x1b[2J\x1b[H'

export async function statusCommand (args: string[], given: Config): Promise<number> {
  const { watch, json } = argumentsOf(args)
  const stopping = new AbortController()
  if (watch) for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => { stopping.abort() })
  for (;;) {
    const status = await lookOnce(given)
    process.stdout.write(json ? `${JSON.stringify(status)}\n` : `${watch && process.stdout.isTTY ? CLEAR : ''}${screenOf(status)}\n`)
    if (!watch) return codeOf(status)
    await sleep(WATCH_MS, undefined, { signal: stopping.signal }).catch(() => {})
    if (stopping.signal.aborted) return codeOf(status)
  }
}

/** One look at the deployment that the configuration names. Throws CommandFailed where it names none. */
export async function lookOnce (given: Config): Promise<Status> {
  const config = reachStores(given)
  const stores = await reachedStores(config, 'status')
  try {
    return await look({ ...stores, partitions: config.PARTITIONS, projections: PROJECTIONS.map(projection => ({ projection: groupOf(projection), leases: projection.source === 'archive' ? ARCHIVE : groupOf(projection) })) })
  } finally {
    await stores.close()
  }
}

/** Exit code for what was seen. */
export function codeOf ({ ok, redis, postgres }: Status): number {
  if (redis.reason !== undefined && postgres.reason !== undefined) return 1
  return ok ? 0 : 2
}

/** The screen: a line for each trouble, then what there is. */
export function screenOf (status: Status): string {
  const { ok, at, troubles, nodes } = status
  const alive = (nodes ?? []).filter(({ state }) => state === 'ready').length
  const first = ok ? [`All is well: ${alive} processes are ready.`] : troubles.map(({ text }) => text)
  return [...first, '', `as of ${at}`, '', ...nodeLines(status), ...redisLines(status), ...postgresLines(status), ...projectionLines(status), ...parkedLines(status), ...jobLines(status)].join('\n')
}

function nodeLines ({ nodes, at }: Status): string[] {
  if (nodes === null) return ['PROCESSES   unknown: Redis cannot be asked', '']
  const now = Date.parse(at)
  const rows = nodes.slice(0, LINES_MAX).map(({ role, host, pid, version, state, seen_at, started_at, connections, url, trouble }) => [
    role,
    `${host} ${pid}`,
    state === 'ready' || state === 'not ready' ? `${state}, up ${spanOf(now - Date.parse(started_at))}` : `${state} since ${seen_at}`,
    version,
    connections === undefined ? '' : `${connections} connections`,
    trouble ?? url ?? '',
  ])
  return ['PROCESSES', ...table(rows), ...more(nodes.length), '']
}

function redisLines ({ redis, partitions, rooms_looked }: Status): string[] {
  if (redis.reason !== undefined) return [`REDIS       ${redis.url}: ${redis.reason}`, '']
  const { version = '', uptime_s = 0, memory_bytes = 0, memory_max_bytes = 0, clients = 0, durability = '', replicas = 0, partitions_fenced = 0, rooms = 0 } = redis
  return [
    `REDIS       ${redis.url}, ${version}, up ${spanOf(uptime_s * 1000)}`,
    `  memory ${bytesOf(memory_bytes)}${memory_max_bytes > 0 ? ` of ${bytesOf(memory_max_bytes)}` : ' (no maxmemory)'}, ${clients} clients, acks are worth ${durability}, ${replicas} replicas`,
    `  ${rooms} rooms${rooms_looked < rooms ? ` (${rooms_looked} of them looked at)` : ''}, ${partitions} partitions, ${partitions_fenced} fenced`,
    '',
  ]
}

function postgresLines ({ postgres }: Status): string[] {
  if (postgres.reason !== undefined) return [`POSTGRES    ${postgres.url}: ${postgres.reason}`, '']
  const { version = '', connections = 0, connections_max = 0, connections_millrace = 0, database_bytes = 0 } = postgres
  return [`POSTGRES    ${postgres.url}, ${version}, ${bytesOf(database_bytes)}, ${connections} of ${connections_max} connections (${connections_millrace} of Millrace)`, '']
}

function projectionLines ({ projections, partitions }: Status): string[] {
  if (projections === null) return ['PROJECTIONS unknown: Postgres cannot be asked', '']
  const rows = projections.map(({ projection, workers, partitions: served, lag_events, lag_rooms = 0, lag_seconds, parked_rooms }) => [
    projection,
    `${workers} workers`,
    `${served}/${partitions} partitions`,
    lag_events === undefined ? 'lag unknown' : lag_events === 0 ? 'no lag' : `${lag_events} events behind in ${lag_rooms} rooms${lag_seconds === undefined ? '' : `, oldest ${lag_seconds} s`}`,
    parked_rooms === 0 ? '' : `${parked_rooms} parked`,
  ])
  return ['PROJECTIONS', ...table(rows), '']
}

function parkedLines ({ parked }: Status): string[] {
  if (parked === null || parked.length === 0) return []
  const rows = parked.slice(0, LINES_MAX).map(({ projection, room_id, seq, error_code, error, parked_at }) => [projection, room_id, `seq ${seq}`, `since ${parked_at}`, `${error_code}: ${error.split('\n', 1)[0]!.slice(0, 80)}`])
  return ['PARKED      millrace park show PROJECTION ROOM', ...table(rows), ...more(parked.length), '']
}

function jobLines ({ jobs }: Status): string[] {
  if (jobs === null || jobs.length === 0) return []
  return ['JOBS', ...table(jobs.slice(0, LINES_MAX).map(({ queue, state, count }) => [queue, state, String(count)])), ...more(jobs.length)]
}

/** Lines with columns as wide as they must be. */
function table (rows: ReadonlyArray<readonly string[]>): string[] {
  const widths = rows[0]?.map((_, i) => Math.max(...rows.map(row => row[i]!.length))) ?? []
  return rows.map(row => `  ${row.map((cell, i) => cell.padEnd(widths[i]!)).join('  ')}`.trimEnd())
}

function more (count: number): string[] {
  return count > LINES_MAX ? [`  and ${count - LINES_MAX} more: see --json`] : []
}

function spanOf (ms: number): string {
  const s = Math.max(0, Math.round(ms / 1000))
  if (s < 120) return `${s} s`
  if (s < 7200) return `${Math.round(s / 60)} min`
  return s < 172_800 ? `${Math.round(s / 3600)} h` : `${Math.round(s / 86_400)} d`
}

function bytesOf (bytes: number): string {
  const units = ['B', 'KB', 'MB', 'GB', 'TB']
  const power = bytes < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log(bytes) / Math.log(1024)))
  return `${(bytes / 1024 ** power).toFixed(power === 0 ? 0 : 1)} ${units[power]}`
}

function argumentsOf (args: string[]): { watch: boolean, json: boolean } {
  try {
    const { values: { watch = false, json = false } } = parseArgs({ args, options: { watch: { type: 'boolean' }, json: { type: 'boolean' } } })
    return { watch, json }
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
}
