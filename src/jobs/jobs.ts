/**
 * Background jobs (pg-boss): what is done now and then, once over all processes, and what is sent out and tried again until it is taken;
 * never one for each message. One file per job; this one runs them. Jobs live in the schema `pgboss` of the database.
 */
import { PgBoss } from 'pg-boss'
import type { Queryable } from '../store/pool.ts'
import type { Logger } from '../telemetry/logging.ts'
import { startQueueWorker, type Queue } from './queue-worker.ts'

/** Between two looks at what was given up; and how much of it is buried at a time. */
const POLL_DEAD_S = 10
const BATCH = 10
const POLL_TASKS_S = 2
/** Attempts of a queue that this process makes at a time. */
const SLOTS = 60
/** What is not settled by then was left by a process that died: it is tried again. Longer than any attempt takes. */
const EXPIRE_S = 30
/** How often that is looked for. */
const MONITOR_S = 10
/** For so long pg-boss keeps what is done: what came of it is in tables of ours. */
const KEEP_S = 24 * 60 * 60
const CONNECTIONS_MAX = 4
/** A task whose process has been silent for so long is begun anew; and so is one that takes longer than that. */
const HEARTBEAT_S = 15
const TASK_EXPIRE_S = 12 * 60 * 60
const TASK_PAUSE_S = 5

export interface Job {
  readonly name: string
  /** When, as a cron expression in UTC. */
  readonly cron: string
  /** Does it; returns what it did, for the log. Throws to be tried again. */
  run: () => Promise<object>
}

/** What may take hours: done by one process at a time; where that one dies or fails, from the beginning by another, until `retries` are used up. */
export interface Task {
  readonly name: string
  readonly retries: number
  /** Throws to be tried again. The signal is aborted when the process stops. */
  run: (id: string, signal: AbortSignal) => Promise<void>
  /** Those that no attempt follows. */
  bury: (ids: readonly string[]) => Promise<void>
}

export interface Item {
  readonly id: string
  /** URL that it goes to: of one host only some are done at the same time. */
  readonly url: string
  readonly forced?: boolean
}

export interface Jobs {
  /** Puts items into a queue, in a transaction: they are there if it commits. */
  enqueue: (tx: Queryable, queue: string, items: readonly Item[]) => Promise<void>
  /** Likewise tasks. */
  enqueueTasks: (tx: Queryable, task: string, ids: readonly string[]) => Promise<void>
  stop: () => Promise<void>
}

export interface JobsOptions {
  url: string
  jobs: readonly Job[]
  queues?: readonly Queue[]
  tasks?: readonly Task[]
  logger: Logger
  drainMs: number
}

/** Registers and runs the jobs. Any number of processes may: each run and each attempt happens in one of them. */
export async function startJobs ({ url, jobs, queues = [], tasks = [], logger, drainMs }: JobsOptions): Promise<Jobs> {
  const boss = new PgBoss({ connectionString: url, max: CONNECTIONS_MAX, application_name: 'millrace-jobs', schema: 'pgboss', monitorIntervalSeconds: MONITOR_S, superviseIntervalSeconds: MONITOR_S })
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
  for (const queue of queues) await prepare(boss, queue)
  const workers = queues.map(queue => startQueueWorker({ boss, queue, slots: SLOTS, logger }))
  const stopping = new AbortController()
  for (const task of tasks) await serve(boss, task, stopping.signal, logger)
  const known = new Map(queues.map(queue => [queue.name, queue]))

  return {
    async enqueue (tx, name, items) {
      const { retries, pauseS, pauseMaxS } = known.get(name)!
      if (items.length === 0) return
      await boss.insert(name, items.map(({ id, url, forced = false }) => ({
        data: { id, forced },
        group: { id: hostOf(url) },
        retryLimit: retries,
        retryDelay: pauseS,
        retryBackoff: true,
        retryDelayMax: pauseMaxS,
        expireInSeconds: EXPIRE_S,
        deleteAfterSeconds: KEEP_S,
        deadLetter: deadOf(name),
      })), { db: inTransaction(tx) })
    },
    async enqueueTasks (tx, name, ids) {
      const { retries } = tasks.find(task => task.name === name)!
      await boss.insert(name, ids.map(id => ({ data: { id }, retryLimit: retries, retryDelay: TASK_PAUSE_S, expireInSeconds: TASK_EXPIRE_S, heartbeatSeconds: HEARTBEAT_S, deleteAfterSeconds: KEEP_S, deadLetter: deadOf(name) })), { db: inTransaction(tx) })
    },
    async stop () {
      stopping.abort()
      await Promise.all(workers.map(async worker => { await worker.stop(drainMs) }))
      await boss.stop({ graceful: true, timeout: drainMs })
    },
  }
}

const deadOf = (name: string): string => `${name}-dead`
const hostOf = (url: string): string => URL.canParse(url) ? new URL(url).host : 'nowhere'

const inTransaction = (tx: Queryable) => ({ executeSql: async (text: string, values?: unknown[]) => await tx.query(text, values) })

async function prepare (boss: PgBoss, { name, bury }: Queue | Task): Promise<void> {
  await boss.createQueue(deadOf(name))
  await boss.createQueue(name, { deadLetter: deadOf(name) })
  await boss.work<{ readonly id: string }>(deadOf(name), { batchSize: BATCH, pollingIntervalSeconds: POLL_DEAD_S }, async items => { await bury(items.map(({ data }) => data.id)) })
}

async function serve (boss: PgBoss, task: Task, stopping: AbortSignal, logger: Logger): Promise<void> {
  await prepare(boss, task)
  await boss.work<{ readonly id: string }>(task.name, { batchSize: 1, localConcurrency: 1, pollingIntervalSeconds: POLL_TASKS_S }, async ([job]) => {
    try {
      await task.run(job!.data.id, AbortSignal.any([job!.signal, stopping]))
    } catch (error) {
      logger.warn({ task: task.name, reason: (error as Error).message }, 'a task failed')
      throw error
    }
  })
}
