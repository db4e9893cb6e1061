/** Deletes security events that are older than people look back. */
import type { Store } from '../store/pool.ts'
import { deleteOldSecurityEvents } from '../store/security-events.ts'
import type { Job } from './jobs.ts'

const KEEP_MS = 90 * 24 * 60 * 60 * 1000

export function expireSecurityEvents ({ store, clock }: { store: Store, clock: () => number }): Job {
  return {
    name: 'expire-security-events',
    cron: '27 3 * * *',
    run: async () => ({ deleted: await deleteOldSecurityEvents(store, new Date(clock() - KEEP_MS)) }),
  }
}
