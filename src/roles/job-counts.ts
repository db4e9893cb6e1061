/** Background jobs by state, as a metric: a look now and then, by every process and not only by one that runs jobs and may be dead. */
import { setTimeout as sleep } from 'node:timers/promises'
import { jobCounts } from '../store/overview.ts'
import type { Queryable } from '../store/pool.ts'
import type { Metrics } from '../telemetry/metrics.ts'

const EVERY_MS = 15_000
const STOP_MS = 500
/** pg-boss' states of what is not done; there even when no job is in them. */
const STATES = ['created', 'retry', 'active', 'failed']

export function startJobCounts ({ store, metrics, everyMs = EVERY_MS }: { store: Queryable, metrics: Metrics, everyMs?: number }): { stop: () => Promise<void> } {
  let looking: Promise<void> | undefined

  async function look (): Promise<void> {
    try {
      const sums = new Map(STATES.map(state => [state, 0]))
      for (const { state, count } of await jobCounts(store)) sums.set(state, (sums.get(state) ?? 0) + count)
      for (const [state, count] of sums) metrics.jobs.set({ state }, count)
    } catch {} // Postgres is away: another metric says so
  }
  const tick = (): void => { looking ??= look().finally(() => { looking = undefined }) }

  const timer = setInterval(tick, everyMs)
  tick()
  return {
    async stop () {
      clearInterval(timer)
      await Promise.race([looking, sleep(STOP_MS, undefined, { ref: false })]) // what hangs would hold the stop up
    },
  }
}
