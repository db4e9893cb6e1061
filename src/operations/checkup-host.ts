/** What is checked besides the two servers: that they belong to one deployment, that its processes agree, and this host. */
import { readFile } from 'node:fs/promises'
import type { Node } from '../log/nodes.ts'
import { check, type Check } from './checkup.ts'

const NODE_LEAST = 24
/** Descriptors besides the sockets of clients: pools, files, logs. */
const FILES_BESIDES = 500
const SKEW_MS_MAX = 1000

export interface Deployment {
  /** PARTITIONS. */
  readonly partitions: number
  /** As each store holds it; null: nothing yet; undefined: it cannot be asked. */
  readonly ofRedis: number | null | undefined
  readonly ofPostgres: number | null | undefined
  readonly nodes: readonly Node[]
}

export function checkDeployment ({ partitions, ofRedis, ofPostgres, nodes }: Deployment): Check[] {
  const stored = [['Redis', ofRedis], ['Postgres', ofPostgres]].flatMap(([name, number]) => typeof number === 'number' ? [[name, number] as const] : [])
  const wrong = stored.find(([, number]) => number !== partitions)
  const found = [`PARTITIONS is ${partitions}`, ...stored.map(([name, number]) => `${name} holds ${number}`)].join(', ')
  const checks = [check('deployment', 'partitions', found, wrong === undefined, { why: 'they decide where every room lies, and never change: no process starts', change: `PARTITIONS=${wrong?.[1]}` })]
  const alive = nodes.filter(node => node.alive)
  if (alive.length === 0) return checks
  const versions = [...new Set(alive.map(({ version }) => version))]
  checks.push(check('deployment', 'versions', versions.join(', '), versions.length === 1, { verdict: 'better', why: 'fine while an upgrade is under way; events of a newer version are passed over by an older one', change: 'restart the processes of the older version' }))
  // A process says what its clock shows, and Redis stamps it as it hears it: what is in between was spent on the way.
  const off = alive.map(({ role, host, clock_ms, seen_ms }) => ({ role, host, skew: clock_ms - seen_ms })).filter(({ skew }) => Math.abs(skew) > SKEW_MS_MAX)
  const hosts = [...new Set(off.map(({ host, skew }) => `${host} by ${skew} ms`))].join(', ')
  checks.push(check('deployment', 'clocks of processes', off.length === 0 ? `${alive.length} agree with that of Redis` : `off: ${hosts}`, off.length === 0, { why: 'times of events, tokens and bans are stamped and compared by several clocks', change: 'chronyc makestep   # on these hosts; then keep chronyd running' }))
  return checks
}

/** @param connectionsMax CONNECTIONS_MAX */
export async function checkHost ({ connectionsMax }: { connectionsMax: number }): Promise<Check[]> {
  const [major = 0] = process.versions.node.split('.').map(Number)
  const checks = [check('host', 'Node', process.versions.node, major >= NODE_LEAST, { why: `Millrace runs on Node ${NODE_LEAST} or newer`, change: `npm install -g node@${NODE_LEAST}   # or run it by npm, which brings one` })]
  const files = await openFilesMax()
  const needed = connectionsMax + FILES_BESIDES
  checks.push(files === undefined
    ? { part: 'host', name: 'open files', found: 'cannot be seen on this system', verdict: 'unknown' }
    : check('host', 'open files', files === Infinity ? 'unlimited' : `at most ${files}`, files >= needed, { verdict: 'better', why: `a gateway with ${connectionsMax} connections (CONNECTIONS_MAX) needs ${needed}`, change: `LimitNOFILE=${needed}   # of the service; in a shell: ulimit -n ${needed}` }))
  return checks
}

/** Of a process started like this one. Node raises the soft limit to the hard one by itself. */
async function openFilesMax (): Promise<number | undefined> {
  try {
    const [, , hard = ''] = /^Max open files\s+(\S+)\s+(\S+)/m.exec(await readFile('/proc/self/limits', 'utf8')) ?? []
    return hard === 'unlimited' ? Infinity : hard === '' ? undefined : Number(hard)
  } catch {
    return undefined // no Linux
  }
}
