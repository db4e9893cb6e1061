/**
 * `millrace doctor`: checks the settings of Redis, Postgres and this host that Millrace rests on. Says of each what is found, whether it
 * is well, and where not, why that matters and the line of configuration to change. It changes nothing.
 *
 * Exit codes: 0 nothing is wrong, 2 something is, 1 neither store could be asked.
 */
import { parseArgs } from 'node:util'
import type { Config } from '../config.ts'
import { listNodes, type Node } from '../log/nodes.ts'
import { redisOverview } from '../log/overview.ts'
import { checkPostgres } from '../operations/checkup-postgres.ts'
import { checkRedis } from '../operations/checkup-redis.ts'
import { checkDeployment, checkHost } from '../operations/checkup-host.ts'
import type { Check, Verdict } from '../operations/checkup.ts'
import type { Reached } from '../operations/status.ts'
import { storedPartitions } from '../store/overview.ts'
import { UsageError } from './errors.ts'
import { reachedStores, type ReachedStores } from './reached.ts'
import { reachStores } from './reach.ts'

const WRONG = 2
/** Processes that a small deployment has, where none can be counted: gateway with jobs, projector, and one more gateway. */
const PROCESSES_LEAST = 3

export async function doctorCommand (args: string[], given: Config): Promise<number> {
  const json = argumentsOf(args)
  const config = reachStores(given)
  const stores = await reachedStores(config, 'doctor')
  try {
    const checks = await examine(config, stores)
    const wrong = checks.filter(({ verdict }) => verdict === 'wrong').length
    process.stdout.write(json ? `${JSON.stringify({ ok: wrong === 0, checks })}\n` : `${textOf(checks)}\n`)
    if ('reason' in stores.redis && 'reason' in stores.store) return 1
    return wrong === 0 ? 0 : WRONG
  } finally {
    await stores.close()
  }
}

async function examine (config: ReturnType<typeof reachStores>, { redis, store, redisUrl, databaseUrl }: ReachedStores): Promise<Check[]> {
  const nodes = await attempt(redis, async it => (await listNodes(it)).nodes)
  const alive = 'it' in nodes ? nodes.it.filter(node => node.alive) : []
  const pools = { processes: Math.max(PROCESSES_LEAST, processesOf(alive)), connectionsEach: config.POSTGRES_CONNECTIONS_MAX }
  const ofRedis = await attempt(redis, async it => await checkRedis(it, redisUrl))
  const ofPostgres = await attempt(store, async it => await checkPostgres(it, databaseUrl, pools))
  const partitions = [await attempt(redis, async it => (await redisOverview(it)).partitions), await attempt(store, storedPartitions)].map(found => 'it' in found ? found.it : undefined)
  return [
    ...'it' in ofRedis ? ofRedis.it : [silent('redis', 'Redis', redisUrl, ofRedis.reason, 'REDIS_URL')],
    ...'it' in ofPostgres ? ofPostgres.it : [silent('postgres', 'Postgres', databaseUrl, ofPostgres.reason, 'DATABASE_URL')],
    ...checkDeployment({ partitions: config.PARTITIONS, ofRedis: partitions[0], ofPostgres: partitions[1], nodes: alive }),
    ...await checkHost({ connectionsMax: config.CONNECTIONS_MAX }),
  ]
}

/** Roles of one process share a pool. */
const processesOf = (nodes: readonly Node[]): number => new Set(nodes.map(({ host, pid }) => `${host} ${pid}`)).size

function silent (part: Check['part'], name: string, url: string, reason: string, variable: string): Check {
  return { part, name: 'answers', found: `${name} at ${url} does not: ${reason}`, verdict: 'wrong', why: 'nothing of it can be checked', change: `${variable}=…   # or start it` }
}

async function attempt<T, A> (reached: Reached<T>, ask: (it: T) => Promise<A>): Promise<Reached<A>> {
  if ('reason' in reached) return reached
  try {
    return { it: await ask(reached.it) }
  } catch (error) {
    return { reason: (error as Error).message }
  }
}

const SIGNS: Readonly<Record<Verdict, string>> = { well: 'ok    ', better: 'better', wrong: 'WRONG ', unknown: '?     ' }

function textOf (checks: readonly Check[]): string {
  const count = (verdict: Verdict): number => checks.filter(check => check.verdict === verdict).length
  const lines = checks.flatMap(({ part, name, found, verdict, why, change }) => [
    `${SIGNS[verdict]}  ${part} ${name}: ${found}`,
    ...(why === undefined ? [] : [`          ${why}`]),
    ...(change === undefined ? [] : [`          → ${change}`]),
  ])
  return [`${count('wrong')} wrong, ${count('better')} could be better, ${count('well')} well${count('unknown') > 0 ? `, ${count('unknown')} not seen` : ''}`, '', ...lines].join('\n')
}

function argumentsOf (args: string[]): boolean {
  try {
    const { values: { json = false } } = parseArgs({ args, options: { json: { type: 'boolean' } } })
    return json
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
}
