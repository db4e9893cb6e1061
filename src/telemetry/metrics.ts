/**
 * Every metric, in one file. Base units, bounded labels (never a room or a user). Scraped at `/metrics`, explained in
 * `docs/OPERATIONS.md`; a test compares the two.
 *
 * What is true of the deployment and not of one process (the lag of projections, Redis' memory) every process says, and of
 * several the largest counts: such gauges are folded by `max`.
 */
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client'

const SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5]
const LONG_SECONDS = [...SECONDS, 10, 30, 60, 300]
const COUNTS = [1, 10, 50, 100, 250, 500, 1000, 2500]

/** How samples of several processes of one role become one (`http/metrics.ts`). */
type Fold = 'sum' | 'min' | 'max' | 'first'

export type Metrics = ReturnType<typeof createMetrics>

/** Makes a registry of its own, so that two gateways can live in one process (tests). `role` labels every metric. */
export function createMetrics (role: string) {
  const registry = new Registry()
  registry.setDefaultLabels({ role })
  collectDefaultMetrics({ register: registry, prefix: 'millrace_' })
  const registers = [registry]
  /** `zeros`: series that are there from the start, so that a rate sees the first step of what is rare. */
  const counter = <const L extends string>(name: string, help: string, labelNames: L[] = [], zeros: ReadonlyArray<Readonly<Record<L, string>>> = []) => {
    const made = new Counter<L>({ name: `millrace_${name}`, help, labelNames, registers })
    for (const labels of zeros) made.inc(labels, 0)
    return made
  }
  const each = <const L extends string>(label: L, ...values: string[]) => values.map(value => ({ [label]: value } as Record<L, string>))
  const gauge = <const L extends string>(name: string, help: string, labelNames: L[] = [], aggregator: Fold = 'sum') => new Gauge<L>({ name: `millrace_${name}`, help, labelNames, aggregator, registers })
  const histogram = <const L extends string>(name: string, help: string, labelNames: L[] = [], buckets = SECONDS) => new Histogram<L>({ name: `millrace_${name}`, help, labelNames, buckets, registers })

  return {
    registry,
    // process
    build: gauge('build_info', '1, with the version of Millrace', ['version'], 'first'),
    up: gauge('up', '1 for each role that a process runs; 0 for those of a process in METRICS_FROM that does not answer', ['runs'], 'min'),
    ready: gauge('ready', '1 while the process can do its work, as /readyz says', [], 'min'),
    loopBusy: gauge('event_loop_busy_ratio', 'Part of the last 5 s in which the event loop was busy', [], 'max'),
    // gateway
    connections: gauge('connections', 'Open WebSockets'),
    streams: gauge('event_streams', 'Open streams of server-sent events'),
    upgrades: counter('upgrades_total', 'WebSocket upgrades by result', ['result'], each('result', 'accepted', 'full', 'too fast', 'too many of one address')),
    closes: counter('closes_total', 'Closed WebSockets by close code', ['code'], each('code', '1006', '4002', '4003', '4204')),
    framesIn: counter('frames_received_total', 'Frames from clients by type', ['type'], each('type', 'bad')),
    framesOut: counter('frames_sent_total', 'Frames put into outboxes by type; event is any of a log, ephemeral any of typing, presence, marks and signals', ['type']),
    slowConsumers: counter('slow_consumers_total', 'Sockets and event streams that were closed because too much waited for them', ['kind'], each('kind', 'socket', 'stream')),
    eventsOut: counter('deliveries_total', 'Events put into outboxes'),
    outboxBytes: gauge('outbox_bytes', 'Bytes that wait for slow sockets'),
    resumes: counter('resumes_total', 'Catch-ups by result, and by where their events came from', ['source', 'result'], [{ source: 'none', result: 'failed' }, { source: 'none', result: 'busy' }]),
    catchUpEvents: counter('catch_up_events_total', 'Events sent in catch-ups, by where they came from', ['source'], each('source', 'log', 'archive')),
    catchUps: gauge('catch_ups', 'Catch-ups by state: begun, and waiting for their turn', ['state']),
    resets: counter('resets_total', 'Positions of clients that were reset, by reason', ['reason'], each('reason', 'parted', 'membership', 'erased')),
    deliverySeconds: histogram('delivery_seconds', 'From the time stamped on an event to its writing to the sockets; of what a turn of the loop brings to a room, the oldest event'),
    ackSeconds: histogram('ack_seconds', 'From reading a frame that appends to its answer'),
    canarySeconds: histogram('canary_seconds', 'From the append of a canary to hearing of it through Redis'),
    ephemeralPublished: counter('ephemeral_published_total', 'Ephemeral frames and signals published'),
    ephemeralDropped: counter('ephemeral_dropped_total', 'Ephemeral frames and signals dropped, by reason', ['reason'], each('reason', 'too many')),
    presenceAnnounced: counter('presence_announced_total', 'Changes of presence announced'),
    // http
    httpRequests: counter('http_requests_total', 'HTTP requests answered, by route (its pattern) and status', ['method', 'route', 'status']),
    httpSeconds: histogram('http_request_seconds', 'From the head of a request to the end of its answer, by route', ['route']),
    // limits
    rateLimited: counter('rate_limited_total', 'Requests, commands and upgrades refused because there were too many, by limit', ['limit'], each('limit', 'sends')),
    limitsLocal: counter('limits_local_total', 'Those that were counted for this process alone because Redis was away, by limit', ['limit'], each('limit', 'sends')),
    // commands and log
    appends: counter('appends_total', 'Commands by outcome and by the durability of what was appended', ['outcome', 'durability'], each('outcome', 'unavailable', 'overloaded', 'internal', 'conflict').map(({ outcome }) => ({ outcome, durability: 'none' }))),
    appendSeconds: histogram('append_seconds', 'From a command to its result'),
    commandsWaiting: gauge('commands_waiting', 'Commands that have no result yet'),
    logAppendSeconds: histogram('log_append_seconds', 'Time of one call of the append script'),
    logAppendCommands: histogram('log_append_commands', 'Commands in one call of the append script', [], COUNTS),
    appendRetries: counter('append_retries_total', 'Commands decided or sent again, by reason', ['reason'], each('reason', 'fenced', 'unavailable', 'overloaded', 'fault')),
    // tail
    bells: counter('bells_total', 'Events heard through bells, by what became of them', ['result'], each('result', 'delivered', 'known', 'hole', 'different')),
    holesFilled: counter('holes_filled_total', 'Events read from the log because their bell was missing'),
    parted: counter('histories_parted_total', 'Rooms found to have another history than the one delivered or applied', ['where'], each('where', 'tail', 'projector', 'reconcile')),
    roomsTailed: gauge('rooms_tailed', 'Rooms with local subscribers, or that had some within LINGER_S'),
    // fence
    partitionsFenced: gauge('partitions_fenced', 'Partitions found fenced at the last look', [], 'max'),
    eventsMissing: gauge('log_events_missing', 'Archived events that Redis was found to lack when a fence was lifted'),
    frozen: counter('rooms_lost_total', 'Rooms that Redis was found to lack, whole or in part; they come back from the archive when they are needed'),
    // what leaves Redis, and comes back
    trimmed: counter('trimmed_events_total', 'Events trimmed from streams behind the archive'),
    trimRefused: counter('trims_refused_total', 'Trims not done because the log does not have the archive\'s checkpoint'),
    trimStopped: gauge('trim_stopped', '1 while nothing is trimmed because the archive cannot be asked or written', [], 'max'),
    evicted: counter('rooms_evicted_total', 'Idle rooms let go of by Redis'),
    restored: counter('rooms_restored_total', 'Cold rooms put back into Redis'),
    // projections
    projected: counter('projected_events_total', 'Events applied, by projection', ['projection']),
    projectionSeconds: histogram('projection_transaction_seconds', 'Time of one transaction, by projection', ['projection']),
    projectionBatch: histogram('projection_batch_events', 'Events in one transaction, by projection', ['projection'], COUNTS),
    projectionDelay: histogram('projection_delay_seconds', 'From the time stamped on the oldest event of a transaction to its commit, by projection', ['projection'], LONG_SECONDS),
    projectionLag: gauge('projection_lag_events', 'Events in the log that are not applied yet, of the whole deployment', ['projection'], 'max'),
    projectionLagSeconds: gauge('projection_lag_seconds', 'Age of the oldest event that is not applied yet, of the whole deployment; 0 when there is none', ['projection'], 'max'),
    projectionWorkers: gauge('projection_workers', 'Workers that are alive, of the whole deployment', ['projection'], 'max'),
    projectionFaults: counter('projection_faults_total', 'Batches that failed and were tried again', ['projection']),
    parked: gauge('parked_rooms', 'Rooms set aside because an event could not be applied, of the whole deployment', ['projection'], 'max'),
    lagUnknown: gauge('projection_lag_unknown', '1 while lag and parked rooms are those of an earlier look because Redis or Postgres did not answer', [], 'max'),
    marksFolded: counter('marks_folded_total', 'Marks taken out of the streams and folded into Postgres'),
    marksRefused: counter('marks_refused_total', 'Entries of the streams of marks that are no marks; they are passed over'),
    leases: gauge('leases_held', 'Partitions this worker serves', ['projection']),
    leaseMoves: counter('lease_moves_total', 'Partitions that this worker has begun (gained) or ceased (lost) to serve', ['projection', 'direction']),
    // jobs
    notifications: counter('notifications_total', 'Attempts to send pushes and webhook deliveries, by what came of them', ['via', 'outcome'], ['push', 'webhook'].flatMap(via => ['sent', 'failed', 'dead'].map(outcome => ({ via, outcome })))),
    notificationsSuppressed: counter('notifications_suppressed_total', 'People who were not told of messages, and notifications not sent any more, by reason', ['reason'], each('reason', 'seen')),
    erased: counter('erased_events_total', 'Events gone through because their time of being kept is over'),
    jobs: gauge('jobs', 'Background jobs by state', ['state'], 'max'),
    // stores
    redisUp: gauge('redis_up', '1 while the connection to Redis is ready and it answers', [], 'min'),
    redisSeconds: gauge('redis_round_trip_seconds', 'Time of the last look at Redis', [], 'max'),
    redisMemory: gauge('redis_memory_used_bytes', 'Memory that Redis uses', [], 'max'),
    redisMemoryMax: gauge('redis_memory_max_bytes', 'Memory that Redis may use; 0 where it has no limit', [], 'max'),
    redisClients: gauge('redis_connected_clients', 'Connections that Redis has', [], 'max'),
    redisAof: gauge('redis_aof_enabled', '1 if Redis keeps an append-only file', [], 'min'),
    redisAofOk: gauge('redis_aof_ok', '1 if the last write and the last rewrite of the append-only file went well, or there is none', [], 'min'),
    redisReplicas: gauge('redis_replicas', 'Replicas that are connected to Redis', [], 'max'),
    redisReplicaLag: gauge('redis_replica_lag_bytes', 'What the replica that is furthest behind has not acknowledged; 0 without replicas', [], 'max'),
    postgresUp: gauge('postgres_up', '1 if Postgres answered at the last look', [], 'min'),
    postgresSeconds: gauge('postgres_round_trip_seconds', 'Time of the last look at Postgres, waiting for a connection included', [], 'max'),
    poolConnections: gauge('postgres_connections', 'Connections to Postgres: total, idle, and callers that are waiting for one', ['state']),
    poolMax: gauge('postgres_connections_max', 'Connections to Postgres that this process may have'),
    // auth
    authFailures: counter('auth_failures_total', 'Refused log-ins and tokens', ['reason'], each('reason', 'bad_credentials', 'bad_refresh_token', 'bad_token', 'socket_token')),
    sessionsRevoked: gauge('sessions_revoked', 'Revoked sessions of which an access token may not have expired yet', [], 'max'),
    securityEventsLost: counter('security_events_lost_total', 'Security events that could not be written'),
  }
}
