/** Erases messages that are older than they are kept: in all rooms, or in those that have a rule of their own. */
import type { Job } from './jobs.ts'

/** One run ends then; the next goes on. Shorter than pg-boss waits for a job. */
const RUN_MS = 10 * 60 * 1000

export interface RetentionDeps {
  /** Of all rooms; 0: for ever, but for rooms that say otherwise. */
  days: number
  /** Erases what is older. */
  erase: (keeping: { readonly days: number, readonly now: Date }, signal: AbortSignal) => Promise<object>
  clock: () => number
}

export function retention ({ days, erase, clock }: RetentionDeps): Job {
  return {
    name: 'retention',
    cron: '37 * * * *',
    run: async () => await erase({ days, now: new Date(clock()) }, AbortSignal.timeout(RUN_MS)),
  }
}
