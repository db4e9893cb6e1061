/**
 * What is wrong with a deployment, by what a look at it found: the likeliest cause first, for whoever reads one line. Pure.
 */
import type { Status } from './report.ts'

export interface Trouble { readonly part: string, readonly text: string }

/** A process that fell silent and was not replaced is named for so long. */
const SILENT_NAMED_MS = 3_600_000
/** Age of an event that a projection has not applied. */
const LAG_SECONDS_MAX = 30
/** Shares of a limit from which on it is said. */
const MEMORY_SHARE_MAX = 0.9
const CONNECTIONS_SHARE_MAX = 0.9

const ROLES = ['gateway', 'projector', 'jobs'] as const
type NodeStatus = NonNullable<Status['nodes']>[number]

const many = (count: number, what: string): string => `${count} ${what}${count === 1 ? '' : 's'}`

export function judge (status: Omit<Status, 'troubles' | 'ok'>): Trouble[] {
  return [...ofStores(status), ...ofDeployment(status), ...ofNodes(status), ...ofPartitions(status), ...ofProjections(status), ...ofLimits(status)]
}

function * ofStores ({ redis, postgres }: Omit<Status, 'troubles' | 'ok'>): Generator<Trouble> {
  if (redis.reason !== undefined) yield { part: 'redis', text: `Redis at ${redis.url} does not answer: ${redis.reason}` }
  if (postgres.reason !== undefined) yield { part: 'postgres', text: `Postgres at ${postgres.url} ${postgres.reason.startsWith('error: ') ? 'answers with an ' : 'does not answer: '}${postgres.reason}` }
  if (redis.master === false) yield { part: 'redis', text: `Redis at ${redis.url} is a replica: it takes no appends` }
  if (redis.aof === true && redis.aof_ok === false) yield { part: 'redis', text: `Redis at ${redis.url} cannot write its append-only file: look at its disk` }
  if (postgres.in_recovery === true) yield { part: 'postgres', text: `Postgres at ${postgres.url} is a standby: it only reads` }
}

function * ofDeployment ({ partitions, redis, postgres }: Omit<Status, 'troubles' | 'ok'>): Generator<Trouble> {
  for (const [part, stored] of [['redis', redis.partitions], ['postgres', postgres.partitions]] as const) {
    if (stored === null) yield { part: 'deployment', text: `${part === 'redis' ? 'Redis' : 'Postgres'} holds no deployment yet: run millrace migrate, then the roles` }
    else if (stored !== undefined && stored !== partitions) yield { part: 'deployment', text: `${part === 'redis' ? 'Redis' : 'Postgres'} holds a deployment with ${stored} partitions, and PARTITIONS is ${partitions}: set PARTITIONS=${stored}` }
  }
}

function * ofNodes ({ at, nodes, redis }: Omit<Status, 'troubles' | 'ok'>): Generator<Trouble> {
  if (nodes === null || redis.partitions === null) return
  for (const role of ROLES) {
    const mine = nodes.filter(node => node.role === role)
    const alive = mine.filter(({ state }) => state === 'ready' || state === 'not ready')
    if (alive.length === 0) {
      yield { part: role, text: `${role}: none alive${mine[0] === undefined ? ', and none was within a day' : ` since ${mine[0].seen_at}${mine[0].state === 'stopped' ? ' (stopped)' : ''}`}` }
      continue
    }
    for (const node of mine) {
      if (node.state === 'silent' && isMissed(node, alive, Date.parse(at))) yield { part: role, text: `${nameOf(node)} has been silent since ${node.seen_at}` }
      if (node.state === 'not ready') yield { part: role, text: `${nameOf(node)} is not ready: ${node.trouble ?? 'it does not say why'}` }
    }
  }
}

/** Not replaced: nobody of its role started after it was heard last. */
function isMissed ({ seen_at }: NodeStatus, alive: readonly NodeStatus[], now: number): boolean {
  return now - Date.parse(seen_at) < SILENT_NAMED_MS && !alive.some(({ started_at }) => started_at > seen_at)
}

const nameOf = ({ role, host, pid, url }: NodeStatus): string => `${role} on ${host} (pid ${pid}${url === undefined ? '' : `, ${url}`})`

function * ofPartitions ({ partitions, redis, projections }: Omit<Status, 'troubles' | 'ok'>): Generator<Trouble> {
  const fenced = redis.partitions_fenced ?? 0
  if (fenced > 0 && redis.partitions === partitions) yield { part: 'redis', text: `${many(fenced, 'partition')} of ${partitions} ${fenced === 1 ? 'is' : 'are'} fenced: nothing is appended there until reconciled; if that lasts, run millrace recover` }
  for (const { projection, partitions: served } of projections ?? []) {
    if (served < partitions) yield { part: projection, text: `${projection}: nobody serves ${many(partitions - served, 'partition')} of ${partitions}` }
  }
}

function * ofProjections ({ projections }: Omit<Status, 'troubles' | 'ok'>): Generator<Trouble> {
  for (const { projection, parked_rooms } of projections ?? []) {
    if (parked_rooms > 0) yield { part: projection, text: `${projection} is parked in ${many(parked_rooms, 'room')}: see millrace park list` }
  }
  for (const { projection, lag_events = 0, lag_rooms = 0, lag_seconds = 0 } of projections ?? []) {
    if (lag_seconds > LAG_SECONDS_MAX) yield { part: projection, text: `${projection} is behind by ${many(lag_events, 'event')} in ${many(lag_rooms, 'room')}, the oldest ${lag_seconds} s old` }
  }
}

function * ofLimits ({ redis, postgres }: Omit<Status, 'troubles' | 'ok'>): Generator<Trouble> {
  const { memory_bytes = 0, memory_max_bytes = 0 } = redis
  if (memory_max_bytes > 0 && memory_bytes > MEMORY_SHARE_MAX * memory_max_bytes) yield { part: 'redis', text: `Redis uses ${Math.round(100 * memory_bytes / memory_max_bytes)} % of its maxmemory: at 100 % appends are refused` }
  const { connections = 0, connections_max = 0 } = postgres
  if (connections_max > 0 && connections > CONNECTIONS_SHARE_MAX * connections_max) yield { part: 'postgres', text: `Postgres has ${connections} connections of at most ${connections_max}` }
}
