/** Drops tables that a rebuild has replaced, once their time of grace is over. */
import type { Store } from '../store/pool.ts'
import { dropRetired } from '../store/retired.ts'
import type { Job } from './jobs.ts'

export function dropRetiredTables ({ store, clock }: { store: Store, clock: () => number }): Job {
  return {
    name: 'drop-retired-tables',
    cron: '*/5 * * * *',
    run: async () => await dropRetired(store, clock),
  }
}
