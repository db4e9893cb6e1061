/** How Redis, Postgres and the event loop of this process are, as metrics: a look every few seconds, cheap and without a trace. */
import { performance } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { redisInfo } from '../log/overview.ts'
import type { Redis } from '../log/redis.ts'
import type { Store } from '../store/pool.ts'
import type { Metrics } from '../telemetry/metrics.ts'

const EVERY_MS = 5000
const STOP_MS = 500

export interface VitalsOptions {
  readonly redis: Redis
  readonly store: Pick<Store, 'query' | 'stats'>
  readonly poolMax: number
  readonly metrics: Metrics
  readonly everyMs?: number
}

export function startVitals ({ redis, store, poolMax, metrics, everyMs = EVERY_MS }: VitalsOptions): { stop: () => Promise<void> } {
  let busy = performance.eventLoopUtilization()
  let looking: Promise<unknown> | undefined

  async function lookAtRedis (): Promise<void> {
    const began = performance.now()
    try {
      const info = await redisInfo(redis)
      metrics.redisUp.set(1)
      metrics.redisSeconds.set((performance.now() - began) / 1000)
      noteRedis(metrics, info)
    } catch {
      metrics.redisUp.set(0)
    }
  }

  async function lookAtPostgres (): Promise<void> {
    const began = performance.now()
    try {
      await store.query('SELECT 1')
      metrics.postgresUp.set(1)
      metrics.postgresSeconds.set((performance.now() - began) / 1000)
    } catch {
      metrics.postgresUp.set(0)
    }
  }

  function look (): void {
    metrics.loopBusy.set(performance.eventLoopUtilization(busy).utilization)
    busy = performance.eventLoopUtilization()
    for (const [state, value] of Object.entries(store.stats())) metrics.poolConnections.set({ state }, value)
    metrics.poolMax.set(poolMax)
    if (redis.status !== 'ready') metrics.redisUp.set(0)
    if (looking !== undefined) metrics.postgresUp.set(0) // for a whole interval: Redis would have given up by itself
    looking ??= Promise.all([lookAtRedis(), lookAtPostgres()]).finally(() => { looking = undefined })
  }

  const timer = setInterval(look, everyMs)
  look()
  return {
    async stop () {
      clearInterval(timer)
      await Promise.race([looking, sleep(STOP_MS, undefined, { ref: false })]) // what hangs would hold the stop up
    },
  }
}

/** What INFO says, of the server that this process is connected to. */
function noteRedis (metrics: Metrics, info: ReadonlyMap<string, string>): void {
  const number = (field: string): number => Number(info.get(field) ?? 0)
  const isOk = (field: string): boolean => (info.get(field) ?? 'ok') === 'ok'
  metrics.redisMemory.set(number('used_memory'))
  metrics.redisMemoryMax.set(number('maxmemory'))
  metrics.redisClients.set(number('connected_clients'))
  metrics.redisAof.set(number('aof_enabled'))
  metrics.redisAofOk.set(isOk('aof_last_write_status') && isOk('aof_last_bgrewrite_status') ? 1 : 0)
  metrics.redisReplicas.set(number('connected_slaves'))
  // slave0:ip=10.0.0.2,port=6379,state=online,offset=1234,lag=0
  const acknowledged = [...info].flatMap(([field, value]) => /^slave\d+$/.test(field) ? Number(/offset=(\d+)/.exec(value)?.[1] ?? 0) : [])
  metrics.redisReplicaLag.set(acknowledged.length === 0 ? 0 : Math.max(0, number('master_repl_offset') - Math.min(...acknowledged)))
}
