/**
 * Every metric, in one file. Base units, bounded labels (never a room or a user). Scraped at `/metrics`.
 */
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client'

const SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5]

export type Metrics = ReturnType<typeof createMetrics>

/** Makes a registry of its own, so that two gateways can live in one process (tests). `role` labels every metric. */
export function createMetrics (role: string) {
  const registry = new Registry()
  registry.setDefaultLabels({ role })
  collectDefaultMetrics({ register: registry, prefix: 'millrace_' })
  const registers = [registry]
  const counter = <const L extends string>(name: string, help: string, labelNames: L[] = []) => new Counter<L>({ name: `millrace_${name}`, help, labelNames, registers })
  const gauge = <const L extends string>(name: string, help: string, labelNames: L[] = []) => new Gauge<L>({ name: `millrace_${name}`, help, labelNames, registers })
  const histogram = <const L extends string>(name: string, help: string, labelNames: L[] = [], buckets = SECONDS) => new Histogram<L>({ name: `millrace_${name}`, help, labelNames, buckets, registers })

  return {
    registry,
    // gateway
    connections: gauge('connections', 'Open WebSockets'),
    streams: gauge('event_streams', 'Open streams of server-sent events'),
    upgrades: counter('upgrades_total', 'WebSocket upgrades by result', ['result']),
    closes: counter('closes_total', 'Closed WebSockets by close code', ['code']),
    framesIn: counter('frames_received_total', 'Frames from clients by type', ['type']),
    eventsOut: counter('deliveries_total', 'Events put into outboxes'),
    outboxBytes: gauge('outbox_bytes', 'Bytes that wait for slow sockets'),
    resumes: counter('resumes_total', 'Catch-ups by result', ['result']),
    catchUps: gauge('catch_ups', 'Catch-ups by state: begun, and waiting for their turn', ['state']),
    resets: counter('resets_total', 'Positions of clients that were reset, by reason', ['reason']),
    deliverySeconds: histogram('delivery_seconds', 'From the time stamped on an event to its delivery into outboxes'),
    ephemeralPublished: counter('ephemeral_published_total', 'Ephemeral frames and signals published'),
    ephemeralDropped: counter('ephemeral_dropped_total', 'Ephemeral frames and signals dropped, by reason', ['reason']),
    presenceAnnounced: counter('presence_announced_total', 'Changes of presence announced'),
    // http
    httpRequests: counter('http_requests_total', 'HTTP requests answered, by route (its pattern) and status', ['method', 'route', 'status']),
    httpSeconds: histogram('http_request_seconds', 'From the head of a request to the end of its answer, by route', ['route']),
    // limits
    rateLimited: counter('rate_limited_total', 'Requests, commands and upgrades refused because there were too many, by limit', ['limit']),
    limitsLocal: counter('limits_local_total', 'Those that were counted for this process alone because Redis was away, by limit', ['limit']),
    // commands and log
    appends: counter('appends_total', 'Commands by outcome', ['outcome']),
    appendSeconds: histogram('append_seconds', 'From a command to its result'),
    appendRetries: counter('append_retries_total', 'Commands decided or sent again, by reason', ['reason']),
    // tail
    bells: counter('bells_total', 'Events heard through bells, by what became of them', ['result']),
    holesFilled: counter('holes_filled_total', 'Events read from the log because their bell was missing'),
    parted: counter('histories_parted_total', 'Rooms found to have another history than the one delivered or applied', ['where']),
    roomsTailed: gauge('rooms_tailed', 'Rooms with local subscribers'),
    // fence
    partitionsFenced: gauge('partitions_fenced', 'Partitions found fenced at the last look'),
    eventsMissing: gauge('log_events_missing', 'Archived events that Redis was found to lack when a fence was lifted'),
    frozen: counter('rooms_lost_total', 'Rooms that Redis was found to lack, whole or in part; they come back from the archive when they are needed'),
    // what leaves Redis, and comes back
    trimmed: counter('trimmed_events_total', 'Events trimmed from streams behind the archive'),
    trimRefused: counter('trims_refused_total', 'Trims not done because the log does not have the archive\'s checkpoint'),
    trimStopped: gauge('trim_stopped', '1 while nothing is trimmed because the archive cannot be asked or written'),
    evicted: counter('rooms_evicted_total', 'Idle rooms let go of by Redis'),
    restored: counter('rooms_restored_total', 'Cold rooms put back into Redis'),
    // projections
    projected: counter('projected_events_total', 'Events applied, by projection', ['projection']),
    projectionSeconds: histogram('projection_transaction_seconds', 'Time of one transaction, by projection', ['projection']),
    projectionBatch: histogram('projection_batch_events', 'Events in one transaction, by projection', ['projection'], [1, 10, 50, 100, 250, 500, 1000, 2500]),
    projectionLag: gauge('projection_lag_events', 'Events in the log that are not applied yet, at the last sweep', ['projection']),
    projectionLagSeconds: gauge('projection_lag_seconds', 'Age of the newest event applied, when it was applied', ['projection']),
    projectionFaults: counter('projection_faults_total', 'Batches that failed and were tried again', ['projection']),
    parked: gauge('parked_rooms', 'Rooms set aside because an event could not be applied', ['projection']),
    marksFolded: counter('marks_folded_total', 'Marks taken out of the streams and folded into Postgres'),
    marksRefused: counter('marks_refused_total', 'Entries of the streams of marks that are no marks; they are passed over'),
    leases: gauge('leases_held', 'Partitions this worker serves', ['projection']),
    // stores
    redisUp: gauge('redis_up', '1 while the connection to Redis is ready'),
    poolConnections: gauge('postgres_connections', 'Connections to Postgres', ['state']),
    // auth
    authFailures: counter('auth_failures_total', 'Refused log-ins and tokens', ['reason']),
    sessionsRevoked: gauge('sessions_revoked', 'Revoked sessions of which an access token may not have expired yet'),
    securityEventsLost: counter('security_events_lost_total', 'Security events that could not be written'),
  }
}
