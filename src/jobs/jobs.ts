/**
 * Background jobs (pg-boss): what is done now and then, once over all processes, never per message. One file per job; this one
 * runs them. Jobs live in the schema `pgboss` of the database.
 */
import { PgBoss } from 'pg-boss'
import type { Logger } from '../telemetry/logging.ts'

export interface Job {
  readonly name: string
  /** When, as a cron expression in UTC. */
  readonly cron: string
  /** Does it; returns what it did, for the log. Throws to be tried again. */
  run: () => Promise<object>
}

export interface Jobs {
  stop: () => Promise<void>
}

/** Registers and runs the jobs. Any number of processes may: each run happens in one of them. */
export async function startJobs ({ url, jobs, logger, drainMs }: { url: string, jobs: readonly Job[], logger: Logger, drainMs: number }): Promise<Jobs> {
  const boss = new PgBoss({ connectionString: url, max: 2, application_name: 'millrace-jobs', schema: 'pgboss' })
  // Postgres may be away: pg-boss goes on when it is back.
  boss.on('error', error => { logger.warn({ reason: error.message }, 'the job queue failed') })
  await boss.start()
  for (const job of jobs) {
    await boss.createQueue(job.name)
    await boss.schedule(job.name, job.cron)
    await boss.work(job.name, async () => {
      const did = await job.run()
      logger.info({ job: job.name, ...did }, 'job done')
    })
  }
  return { stop: async () => { await boss.stop({ graceful: true, timeout: drainMs }) } }
}
