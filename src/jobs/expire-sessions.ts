/** Deletes sessions that have been over for a month, so that the table stays as large as the number of devices in use. */
import { deleteOldSessions } from '../store/sessions.ts'
import type { Store } from '../store/pool.ts'
import type { Job } from './jobs.ts'

const KEEP_MS = 30 * 24 * 60 * 60 * 1000

export function expireSessions ({ store, clock }: { store: Store, clock: () => number }): Job {
  return {
    name: 'expire-sessions',
    cron: '17 3 * * *',
    run: async () => ({ deleted: await deleteOldSessions(store, new Date(clock() - KEEP_MS)) }),
  }
}
