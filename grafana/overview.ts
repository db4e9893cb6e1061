/** The page for the first look: is anything wrong, and the four golden signals (traffic, errors, latency, saturation) with their objectives. */
import { CHOSEN, PAGES, quantile, quantiles, rate, type Page } from './panels.ts'

const BUDGET_LEFT = '1 - avg_over_time(millrace:slo_bad:rate5m[30d]) / avg_over_time(millrace:slo_all:rate5m[30d]) / on (slo) millrace:slo_budget:ratio'
const burn = (window: string): string => `avg_over_time(millrace:slo_bad:rate5m[${window}]) / avg_over_time(millrace:slo_all:rate5m[${window}]) / on (slo) millrace:slo_budget:ratio`

export const overview: Page = {
  uid: 'millrace-overview',
  title: PAGES.overview,
  description: 'Are messages appended, delivered and projected, how late, and what to do.',
  rows: [
    {
      question: 'Is anything wrong?',
      panels: [
        { title: 'Gateways ready', description: 'Gateways that say on `/readyz` that an append goes through and is heard again. 0: nobody can chat. Fewer than you run: see `npx millrace status`.', queries: [['sum(millrace_ready{role="gateway"}) or vector(0)', '']], least: 1, as: 'number', runbooks: ['MillraceNoGateway', 'MillraceNotReady'] },
        { title: 'Redis', description: 'Up while any process reaches it. Down: log-in works, sockets stay, all else answers `unavailable` and is tried again by clients.', queries: [['max(millrace_redis_up)', '']], least: 1, says: { 0: 'down', 1: 'up' }, as: 'number', runbooks: ['MillraceRedisDown'] },
        { title: 'Postgres', description: 'Up while any process reaches it. Down: those connected go on chatting; log-in, search and old history are unavailable.', queries: [['max(millrace_postgres_up)', '']], least: 1, says: { 0: 'down', 1: 'up' }, as: 'number', runbooks: ['MillracePostgresDown'] },
        { title: 'Projection furthest behind', description: 'Age of the oldest event that some projection has not applied. Above 30 s: look at the page of projections.', queries: [['max(millrace_projection_lag_seconds)', '']], unit: 's', warn: 10, bad: 30, as: 'number', runbooks: ['MillraceProjectionLag'] },
        { title: 'Parked rooms', description: 'Rooms that a projection has set aside because it cannot apply an event. Above 0: `npx millrace park list`.', queries: [['sum(max by (projection) (millrace_parked_rooms))', '']], bad: 1, as: 'number', runbooks: ['MillraceRoomParked'] },
        { title: 'Fenced partitions', description: 'Partitions that take no appends until they are compared with the archive: seconds after Redis restarted, no longer.', queries: [['max(millrace_partitions_fenced)', '']], bad: 1, as: 'number', runbooks: ['MillracePartitionsFenced'] },
        { title: 'Alerts', description: 'What fires or is about to. Each names its runbook. Empty is good.', as: 'alerts' },
      ],
    },
    {
      question: 'How much of the error budget is left?',
      panels: [
        { title: 'Error budget left, of 30 days', description: 'Objectives: 99.9 % of commands are not refused for want of the service (append), 99 % of them have a result within 0.25 s (append_latency), 99 % of deliveries are within 0.5 s (delivery), 99.9 % of HTTP answers are not 5xx (http). Below 0: the objective is missed; put repairs before features. Without any traffic there is no value.', queries: [[BUDGET_LEFT, '{{slo}}']], unit: 'percentunit', warn: 0.5, bad: 0, as: 'number' },
        { title: 'Burn rate over an hour', description: 'How many times faster than allowed the budget is used up; 1 uses up 30 days’ budget in 30 days. Above 14.4 somebody is called, above 6 for long somebody is told.', queries: [[burn('1h'), '{{slo}}']], warn: 6, bad: 14.4, runbooks: ['MillraceErrorBudgetBurnFast', 'MillraceErrorBudgetBurnSlow'] },
        { title: 'Burn rate over six hours', description: 'The same, slower to rise and to forget. Above 1 for days the objective will be missed.', queries: [[burn('6h'), '{{slo}}']], warn: 1, bad: 6, runbooks: ['MillraceErrorBudgetBurnSlow'] },
      ],
    },
    {
      question: 'How much is asked of it?',
      panels: [
        { title: 'Connections', description: 'Open WebSockets and event streams. A sudden drop: see closes below. Near `CONNECTIONS_MAX` of each gateway: add gateways.', queries: [[`sum by (instance) (millrace_connections{${CHOSEN},role="gateway"})`, 'sockets of {{instance}}'], [`sum by (instance) (millrace_event_streams{${CHOSEN},role="gateway"})`, 'streams of {{instance}}']], as: 'stacked', runbooks: ['MillraceConnectionsRefused'] },
        { title: 'Messages and other commands', description: 'Commands appended a second: what people do. Zero while people are connected: see what is refused.', queries: [[rate('millrace_appends_total', '', 'outcome="appended"'), 'appended']], unit: 'ops' },
        { title: 'Deliveries', description: 'Events put into outboxes a second: events × subscribers, the load of the fan-out.', queries: [[rate('millrace_deliveries_total'), 'events']], unit: 'ops' },
        { title: 'Frames from clients', description: 'Frames a second by type. `bad` could not be read: a client is broken, or somebody plays.', queries: [[rate('millrace_frames_received_total', 'type'), '{{type}}']], unit: 'ops', as: 'stacked' },
        { title: 'HTTP requests', description: 'Requests a second by route.', queries: [[`topk(10, ${rate('millrace_http_requests_total', 'method, route')})`, '{{method}} {{route}}']], unit: 'reqps' },
      ],
    },
    {
      question: 'Is anything refused?',
      panels: [
        { title: 'Commands refused for want of the service', description: '`unavailable`: Redis is away. `overloaded`: its memory is full or a queue is. `internal`: a bug; the logs have it. `conflict`: a room changed too often. Any but the last asks for action.', queries: [[rate('millrace_appends_total', 'outcome', 'outcome=~"unavailable|overloaded|internal|conflict"'), '{{outcome}}']], unit: 'ops', bad: 1, runbooks: ['MillraceAppendErrors'] },
        { title: 'HTTP answers that are errors', description: '4xx are mistakes of clients, many 429 a limit. 5xx are ours: see the logs by `status`.', queries: [[rate('millrace_http_requests_total', 'status', 'status=~"[45].."'), '{{status}}']], unit: 'reqps', runbooks: ['MillraceHttpErrors'] },
        { title: 'Refused log-ins and tokens', description: '`bad_credentials`: guessing, if it rises at once. `bad_token`: a changed `JWT_PRIVATE_KEY`, or clocks that differ.', queries: [[rate('millrace_auth_failures_total', 'reason'), '{{reason}}']], unit: 'ops', runbooks: ['MillraceAuthFailures'] },
        { title: 'Refused because there were too many', description: 'By limit. One limit for many users: it is too low. One user: somebody tries something.', queries: [[rate('millrace_rate_limited_total', 'limit'), '{{limit}}']], unit: 'ops' },
        { title: 'Sockets closed', description: 'By close code. 4002: slow clients. 4003 and 1006: networks that fail. 4204: abuse. 4001: a gateway that stopped.', queries: [[rate('millrace_closes_total', 'code'), '{{code}}']], unit: 'ops', as: 'stacked' },
        { title: 'Upgrades', description: '`full`: add gateways. `too fast` after a restart is the storm being held back. `too many of one address`: a proxy that hides its clients (`TRUST_PROXY`), or abuse.', queries: [[rate('millrace_upgrades_total', 'result'), '{{result}}']], unit: 'ops', runbooks: ['MillraceConnectionsRefused'] },
      ],
    },
    {
      question: 'How late is it?',
      panels: [
        { title: 'Until a command has its answer', description: 'From reading the frame to answering it. Objective: 99 % of commands within 0.25 s. If Redis’ own part (page log and delivery) is small, look at the event loop.', queries: [[quantile(0.99, 'millrace_ack_seconds'), 'frames, 99 % within'], [quantile(0.99, 'millrace_append_seconds'), 'frames and HTTP, 99 % within'], [quantile(0.5, 'millrace_append_seconds'), 'frames and HTTP, half within']], unit: 's', warn: 0.1, bad: 0.25, runbooks: ['MillraceSlowAppends'] },
        { title: 'Until others hear of it', description: 'From the time stamped on an event to its writing to sockets. Objective: 99 % within 0.5 s. Clocks of gateways that differ show here too.', queries: quantiles('millrace_delivery_seconds'), unit: 's', warn: 0.25, bad: 0.5, runbooks: ['MillraceSlowDelivery'] },
        { title: 'Until HTTP is answered', description: '99 % within, the ten slowest routes. One slow route: Postgres, or its query. All: the event loop.', queries: [[`topk(10, ${quantile(0.99, 'millrace_http_request_seconds', 'route')})`, '{{route}}']], unit: 's', warn: 0.5, bad: 1 },
        { title: 'Until it is in the read models', description: 'Age of the oldest event that is not applied. Chat does not wait for it; search, unread counts and inboxes do.', queries: [['max by (projection) (millrace_projection_lag_seconds)', '{{projection}}']], unit: 's', warn: 10, bad: 30, runbooks: ['MillraceProjectionLag'] },
      ],
    },
    {
      question: 'How full is it?',
      panels: [
        { title: 'Event loops', description: 'Part of the time in which a process was busy. Above 0.8 it is at its limit: add one of its role.', queries: [[`max by (role, instance) (millrace_event_loop_busy_ratio{${CHOSEN}})`, '{{role}} {{instance}}']], unit: 'percentunit', warn: 0.6, bad: 0.8, max: 1, runbooks: ['MillraceEventLoopSaturated'] },
        { title: 'Processor', description: 'Seconds of CPU a second. Near 1 the one thread that does the work is used up.', queries: [[`sum by (role, instance) (rate(millrace_process_cpu_seconds_total{${CHOSEN}}[$__rate_interval]))`, '{{role}} {{instance}}']], warn: 0.7, bad: 0.9 },
        { title: 'Memory of processes', description: 'Resident. Growing without load: a leak; take a heap snapshot.', queries: [[`sum by (role, instance) (millrace_process_resident_memory_bytes{${CHOSEN}})`, '{{role}} {{instance}}']], unit: 'bytes' },
        { title: 'Memory of Redis, of what it may use', description: 'At 100 % appends are refused with `overloaded`. No value: `maxmemory` is not set, and the machine could swap.', queries: [['max(millrace_redis_memory_used_bytes) / (max(millrace_redis_memory_max_bytes) > 0)', 'used']], unit: 'percentunit', warn: 0.8, bad: 0.95, max: 1, runbooks: ['MillraceRedisMemoryHigh', 'MillraceRedisMemoryFull'] },
        { title: 'Connections to Postgres, of those allowed', description: 'At 100 %, callers wait: see Postgres on the page of projections.', queries: [[`max by (role, instance) (millrace_postgres_connections{${CHOSEN},state="total"} / ignoring (state) millrace_postgres_connections_max{${CHOSEN}})`, '{{role}} {{instance}}']], unit: 'percentunit', warn: 0.9, max: 1, runbooks: ['MillracePostgresPoolExhausted'] },
        { title: 'Files and sockets, of those allowed', description: 'At 100 % nothing can be opened any more: raise `ulimit -n`.', queries: [[`max by (role, instance) (millrace_process_open_fds{${CHOSEN}} / millrace_process_max_fds{${CHOSEN}})`, '{{role}} {{instance}}']], unit: 'percentunit', warn: 0.7, bad: 0.9, max: 1, runbooks: ['MillraceFilesNearLimit'] },
      ],
    },
    {
      question: 'What runs where, and since when?',
      panels: [
        { title: 'Roles that run', description: 'Processes by role; 0 for one that is known and does not answer. Two versions for longer than a roll-out: finish it.', queries: [['sum by (runs) (millrace_up)', '{{runs}}']], least: 1, as: 'number', runbooks: ['MillraceProcessDown'] },
        { title: 'Ready', description: 'What `/readyz` of each process says; it names the check that fails.', queries: [[`min by (role, instance) (millrace_ready{${CHOSEN}})`, '{{role}} {{instance}}']], least: 1, says: { 0: 'not ready', 1: 'ready' }, as: 'number', runbooks: ['MillraceNotReady'] },
        { title: 'Up for', description: 'Since the process started. A short time that nobody caused: it restarts; see its logs.', queries: [[`time() - millrace_process_start_time_seconds{${CHOSEN}}`, '{{role}} {{instance}}']], unit: 's', as: 'number', runbooks: ['MillraceRestarting'] },
        { title: 'Versions of Millrace', description: 'Which version each process runs.', queries: [[`millrace_build_info{${CHOSEN}}`, '']], as: 'table' },
        { title: 'Versions of Node', description: 'Which Node each process runs on.', queries: [[`millrace_nodejs_version_info{${CHOSEN}}`, '']], as: 'table' },
      ],
    },
    {
      question: 'What does a process spend its time and memory on?',
      closed: true,
      panels: [
        { title: 'Delay of the event loop', description: 'How late timers are. p99 above 0.1 s: the process is at its limit. A large maximum alone: something blocks it now and then.', queries: ['min', 'p50', 'p90', 'p99', 'max'].map(which => [`max by (role) (millrace_nodejs_eventloop_lag_${which}_seconds{${CHOSEN}})`, `{{role}} ${which}`]), unit: 's', warn: 0.1, bad: 1 },
        { title: 'Delay of the event loop: mean, deviation, and at the scrape', description: 'A mean far above the median: few, long blocks.', queries: [[`max by (role) (millrace_nodejs_eventloop_lag_mean_seconds{${CHOSEN}})`, '{{role}} mean'], [`max by (role) (millrace_nodejs_eventloop_lag_stddev_seconds{${CHOSEN}})`, '{{role}} standard deviation'], [`max by (role) (millrace_nodejs_eventloop_lag_seconds{${CHOSEN}})`, '{{role}} at the scrape']], unit: 's' },
        { title: 'Pauses of the garbage collector', description: 'Seconds a second, by kind. Much `major`: too little memory.', queries: [[`sum by (role, kind) (rate(millrace_nodejs_gc_duration_seconds_sum{${CHOSEN}}[$__rate_interval]))`, '{{role}} {{kind}}']], unit: 'percentunit' },
        { title: 'Heap', description: 'Used and reserved. Used near `--max-old-space-size`: add memory or processes.', queries: [[`sum by (role, instance) (millrace_nodejs_heap_size_used_bytes{${CHOSEN}})`, '{{role}} {{instance}} used'], [`sum by (role, instance) (millrace_nodejs_heap_size_total_bytes{${CHOSEN}})`, '{{role}} {{instance}} reserved'], [`sum by (role, instance) (millrace_nodejs_external_memory_bytes{${CHOSEN}})`, '{{role}} {{instance}} outside: buffers']], unit: 'bytes' },
        { title: 'Heap by space', description: 'What grows in `old` is kept for long.', queries: [[`sum by (space) (millrace_nodejs_heap_space_size_used_bytes{${CHOSEN}})`, '{{space}} used'], [`sum by (space) (millrace_nodejs_heap_space_size_available_bytes{${CHOSEN}})`, '{{space}} free'], [`sum by (space) (millrace_nodejs_heap_space_size_total_bytes{${CHOSEN}})`, '{{space}} in all']], unit: 'bytes' },
        { title: 'Memory as the system sees it', description: 'Address space and data segment; neither is memory in use.', queries: [[`sum by (role, instance) (millrace_process_virtual_memory_bytes{${CHOSEN}})`, '{{role}} {{instance}} address space'], [`sum by (role, instance) (millrace_process_heap_bytes{${CHOSEN}})`, '{{role}} {{instance}} data segment']], unit: 'bytes' },
        { title: 'What keeps the loop alive', description: 'Resources, handles and requests of libuv by kind. One kind that only grows: a leak.', queries: [[`sum by (type) (millrace_nodejs_active_resources{${CHOSEN}})`, 'resource {{type}}'], [`sum by (type) (millrace_nodejs_active_handles{${CHOSEN}})`, 'handle {{type}}'], [`sum by (type) (millrace_nodejs_active_requests{${CHOSEN}}) or vector(0)`, 'request {{type}}']] },
        { title: 'The same, in all', description: 'By process. One that only grows: a leak.', queries: [[`millrace_nodejs_active_resources_total{${CHOSEN}}`, '{{role}} {{instance}} resources'], [`millrace_nodejs_active_handles_total{${CHOSEN}}`, '{{role}} {{instance}} handles'], [`millrace_nodejs_active_requests_total{${CHOSEN}}`, '{{role}} {{instance}} requests']] },
        { title: 'Processor by mode', description: 'Much time in the kernel: sockets and the disk.', queries: [[`sum by (role, instance) (rate(millrace_process_cpu_user_seconds_total{${CHOSEN}}[$__rate_interval]))`, '{{role}} {{instance}} user'], [`sum by (role, instance) (rate(millrace_process_cpu_system_seconds_total{${CHOSEN}}[$__rate_interval]))`, '{{role}} {{instance}} kernel']], as: 'stacked' },
      ],
    },
  ],
}
