/** The page for what follows the log: read models, marks, jobs, and the Postgres that they live in. */
import { CHOSEN, PAGES, quantile, rate, type Page } from './panels.ts'

export const projectionsAndJobs: Page = {
  uid: 'millrace-projections',
  title: PAGES.projections,
  description: 'How far read models are behind the log, who builds them, what fails, and whether Postgres keeps up.',
  rows: [
    {
      question: 'How far is each projection behind?',
      panels: [
        { title: 'Behind, in seconds', description: 'Age of the oldest event that is not applied. Grows while the projector is dead, stuck, or has parked the room. The archive first: nothing is trimmed beyond it.', queries: [['max by (projection) (millrace_projection_lag_seconds)', '{{projection}}']], unit: 's', warn: 10, bad: 30, runbooks: ['MillraceProjectionLag'] },
        { title: 'Behind, in events', description: 'Growing with workers at work: add projectors, or Postgres is slow. Small and old: a parked room.', queries: [['max by (projection) (millrace_projection_lag_events)', '{{projection}}']], runbooks: ['MillraceProjectionLag'] },
        { title: 'Is this known?', description: 'While Redis or Postgres does not answer, lag, workers and parked rooms are those of an earlier look.', queries: [['min(millrace_projection_lag_unknown)', '']], says: { 0: 'known', 1: 'unknown' }, bad: 1, as: 'number', runbooks: ['MillraceProjectionLagUnknown'] },
      ],
    },
    {
      question: 'Does somebody do the work?',
      panels: [
        { title: 'Workers', description: 'Those that say they live, by their rows in Postgres. 0: no projector runs.', queries: [['max by (projection) (millrace_projection_workers)', '{{projection}}']], least: 1, as: 'number', runbooks: ['MillraceProjectorDead'] },
        { title: 'Partitions served', description: 'The sum over workers is `PARTITIONS`; less for longer than `LEASE_MS`: workers come and go.', queries: [['sum by (projection) (millrace_leases_held)', '{{projection}}']], runbooks: ['MillraceLeasesMoving'] },
        { title: 'Partitions that moved', description: 'Between workers. Rising without a deployment: workers miss `LEASE_MS`; Postgres is slow, or the loop busy.', queries: [[rate('millrace_lease_moves_total', 'projection, direction'), '{{projection}} {{direction}}']], unit: 'ops', runbooks: ['MillraceLeasesMoving'] },
      ],
    },
    {
      question: 'How fast is it applied?',
      panels: [
        { title: 'Events applied', description: 'A second. 0 while appends go on: stuck.', queries: [[rate('millrace_projected_events_total', 'projection'), '{{projection}}']], unit: 'ops', runbooks: ['MillraceProjectionLag'] },
        { title: 'One transaction', description: '99 % within. Above 1 s: Postgres is slow (disk, locks, vacuum).', queries: [[quantile(0.99, 'millrace_projection_transaction_seconds', 'projection'), '{{projection}}']], unit: 's', warn: 0.5, bad: 1, runbooks: ['MillraceProjectionLag'] },
        { title: 'Events in one transaction', description: 'Half of them have at most. Always at `PROJECTOR_BATCH_EVENTS`: it is behind.', queries: [[quantile(0.5, 'millrace_projection_batch_events', 'projection'), '{{projection}}']] },
        { title: 'From event to commit', description: '99 % within. Above 5 s with a small lag: clocks differ.', queries: [[quantile(0.99, 'millrace_projection_delay_seconds', 'projection'), '{{projection}}']], unit: 's', warn: 2, bad: 5 },
      ],
    },
    {
      question: 'Does anything fail?',
      panels: [
        { title: 'Parked rooms', description: 'Set aside because an event could not be applied; the other rooms go on. `npx millrace park list`, mend the cause, `npx millrace park retry`.', queries: [['max by (projection) (millrace_parked_rooms)', '{{projection}}']], bad: 1, as: 'number', runbooks: ['MillraceRoomParked'] },
        { title: 'Batches that failed and were tried again', description: 'Rising: Redis or Postgres is away, or rights are missing; the logs say which.', queries: [[rate('millrace_projection_faults_total', 'projection'), '{{projection}}']], unit: 'ops', bad: 1, runbooks: ['MillraceProjectionFaults'] },
      ],
    },
    {
      question: 'Are read and delivered marks kept?',
      panels: [
        { title: 'Marks folded into Postgres', description: 'A second. 0 while people read: the worker of `cursors` is stuck.', queries: [[rate('millrace_marks_folded_total'), 'marks']], unit: 'ops' },
        { title: 'Entries that are no marks', description: 'In an hour. Above 0: somebody else writes to these streams of Redis.', queries: [['sum(increase(millrace_marks_refused_total[1h]))', 'entries']], bad: 1 },
      ],
    },
    {
      question: 'Are jobs done, and people told?',
      panels: [
        { title: 'Jobs', description: 'By state, of the whole deployment. `failed` rising: see the logs of the role `jobs`. `created` and `retry` rising: no such process runs, or what they call does not answer.', queries: [['max by (state) (millrace_jobs)', '{{state}}']], runbooks: ['MillraceJobsFailing', 'MillraceJobsWaiting'] },
        { title: 'Pushes and webhooks', description: 'Attempts by outcome. `failed` is tried again, `dead` is given up: the receiver is gone, or refuses.', queries: [[rate('millrace_notifications_total', 'via, outcome'), '{{via}} {{outcome}}']], unit: 'ops', runbooks: ['MillraceNotificationsDead'] },
        { title: 'Not told', description: 'People who were not told of messages, by reason: most have read them meanwhile or do not want to be.', queries: [[rate('millrace_notifications_suppressed_total', 'reason'), '{{reason}}']], unit: 'ops' },
        { title: 'Erased for their age', description: 'Messages whose time of being kept (`RETENTION_DAYS`) is over.', queries: [[rate('millrace_erased_events_total'), 'events']], unit: 'ops' },
      ],
    },
    {
      question: 'Is Postgres well?',
      panels: [
        { title: 'Postgres as each process sees it', description: '0 for one process only: its network or its pool.', queries: [[`min by (role, instance) (millrace_postgres_up{${CHOSEN}})`, '{{role}} {{instance}}']], max: 1, runbooks: ['MillracePostgresDown'] },
        { title: 'It answers in', description: 'Time of the last look, waiting for a connection included. Above 0.1 s: the pool is used up, or Postgres busy.', queries: [[`max by (role, instance) (millrace_postgres_round_trip_seconds{${CHOSEN}})`, '{{role}} {{instance}}']], unit: 's', warn: 0.05, bad: 0.1, runbooks: ['MillracePostgresPoolExhausted'] },
        { title: 'Connections', description: '`waiting` are callers without one. Above 0 for long: raise `POSTGRES_CONNECTIONS_MAX`, within the server’s `max_connections`.', queries: [[`sum by (role, state) (millrace_postgres_connections{${CHOSEN}})`, '{{role}} {{state}}'], [`sum by (role) (millrace_postgres_connections_max{${CHOSEN}})`, '{{role}} allowed']], runbooks: ['MillracePostgresPoolExhausted'] },
      ],
    },
  ],
}
