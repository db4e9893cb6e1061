/** The page for the way of an event: appended, kept, heard, caught up with; and whether Redis has room for more. */
import { CHOSEN, PAGES, quantiles, rate, type Page } from './panels.ts'

export const logAndDelivery: Page = {
  uid: 'millrace-log',
  title: PAGES.log,
  description: 'From the command to the socket: the log in Redis, the tails, the fan-out, those who come back.',
  rows: [
    {
      question: 'Are messages appended, and how fast?',
      panels: [
        { title: 'Commands by outcome', description: '`appended` is the traffic, `duplicate` retries that had arrived, `unchanged` commands that change nothing; all others are rejections by code. `unavailable` and `overloaded` ask for action, the rest is people.', queries: [[rate('millrace_appends_total', 'outcome'), '{{outcome}}']], unit: 'ops', as: 'stacked', runbooks: ['MillraceAppendErrors'] },
        { title: 'One call of the append script', description: 'Redis’ own part, fsync included. 99 % above 0.1 s: a slow disk (`appendfsync always`), a busy Redis, or the network.', queries: quantiles('millrace_log_append_seconds'), unit: 's', warn: 0.05, bad: 0.1, runbooks: ['MillraceSlowAppends'] },
        { title: 'Commands in one such call', description: 'Large is good: load is batched while a call is under way.', queries: quantiles('millrace_log_append_commands') },
        { title: 'Commands without a result yet', description: 'Growing: Redis is slow or away. Bounded by `COMMANDS_QUEUED_MAX` for each room.', queries: [[`sum by (instance) (millrace_commands_waiting{${CHOSEN},role="gateway"})`, '{{instance}}']], warn: 1000, bad: 5000, runbooks: ['MillraceSlowAppends'] },
        { title: 'Commands decided or sent again', description: '`precondition`: a room changed meanwhile, which is normal. `cold`: a room was put back. `unavailable`, `fenced`, `fault`: Redis restarts or fails.', queries: [[rate('millrace_append_retries_total', 'reason'), '{{reason}}']], unit: 'ops' },
      ],
    },
    {
      question: 'Is what was acknowledged kept?',
      panels: [
        { title: 'Redis’ append-only file', description: 'Off: acks are worth `memory`, and a crash of Redis loses seconds of what the archive does not have yet.', queries: [['min(millrace_redis_aof_enabled)', '']], says: { 0: 'off', 1: 'on' }, least: 1, as: 'number', runbooks: ['MillraceAofOff'] },
        { title: 'Its last write and rewrite', description: 'Failed: the disk of Redis is full or broken; Redis refuses writes, or will.', queries: [['min(millrace_redis_aof_ok)', '']], says: { 0: 'failed', 1: 'well' }, least: 1, as: 'number', runbooks: ['MillraceAofFailing'] },
        { title: 'Replicas of Redis', description: 'Those connected. Fewer than you run: one is down.', queries: [['max(millrace_redis_replicas)', '']], as: 'number', runbooks: ['MillraceReplicaLost'] },
        { title: 'What acks are worth', description: '`fsync` or `replicated`: on a disk, or on another machine. `memory` where you pay for a disk: see the append-only file.', queries: [[rate('millrace_appends_total', 'durability', 'outcome="appended"'), '{{durability}}']], unit: 'ops', as: 'stacked', runbooks: ['MillraceAofOff'] },
        { title: 'What the last replica lacks', description: 'A fail-over now would lose that much; Millrace would put it back from the archive as far as it has it.', queries: [['max(millrace_redis_replica_lag_bytes)', 'not acknowledged']], unit: 'bytes', warn: 1_000_000, bad: 10_000_000, runbooks: ['MillraceReplicaLagging'] },
        { title: 'Fenced partitions', description: 'They take no appends until they are compared with the archive. Longer than a minute: Postgres is away, or the comparison fails.', queries: [['max(millrace_partitions_fenced)', 'fenced']], bad: 1, runbooks: ['MillracePartitionsFenced'] },
        { title: 'What Redis had lost', description: 'Rooms lost whole or in part, and events put back when a fence was lifted last. Any: Redis came back with less than it had acknowledged.', queries: [['sum(increase(millrace_rooms_lost_total[1h]))', 'rooms, in an hour'], ['max(millrace_log_events_missing)', 'events, the last time']], bad: 1, runbooks: ['MillraceEventsLost'] },
        { title: 'Histories that parted', description: 'Rooms found with another history than the one delivered or applied, by who found it. Any: two masters took appends. `npx millrace verify` shows what was set aside.', queries: [['sum by (where) (increase(millrace_histories_parted_total[1h]))', '{{where}}, in an hour']], bad: 1, runbooks: ['MillraceHistoriesParted'] },
      ],
    },
    {
      question: 'Does everyone hear everything in time?',
      panels: [
        { title: 'From event to socket', description: 'Objective: 99 % within 0.5 s. If it is late, look right: the canary says whether Redis is, the bells whether pub/sub is.', queries: quantiles('millrace_delivery_seconds'), unit: 's', warn: 0.25, bad: 0.5, runbooks: ['MillraceSlowDelivery'] },
        { title: 'Canary', description: 'From an append of each gateway to hearing of it through pub/sub, every 2 s. Above 1 s Redis or the network to it is slow; above 5 s the gateway is not ready.', queries: quantiles('millrace_canary_seconds'), unit: 's', warn: 0.5, bad: 1, runbooks: ['MillraceCanarySlow'] },
        { title: 'Bells', description: '`delivered` and `known` are good. `hole`: a bell before it was missed; nothing is lost, but late by a read. `different`: another history.', queries: [[rate('millrace_bells_total', 'result'), '{{result}}']], unit: 'ops', as: 'stacked', runbooks: ['MillraceBellsMissed'] },
        { title: 'Events read because their bell was missed', description: 'Rising: pub/sub loses messages. See Redis’ `client-output-buffer-limit pubsub`, and the event loops.', queries: [[rate('millrace_holes_filled_total'), 'events']], unit: 'ops', runbooks: ['MillraceBellsMissed'] },
        { title: 'Rooms that are tailed', description: 'Rooms with subscribers on each gateway.', queries: [[`sum by (instance) (millrace_rooms_tailed{${CHOSEN},role="gateway"})`, '{{instance}}']] },
        { title: 'Frames to clients', description: '`event`: any event of a log; `ephemeral`: typing, presence, marks. Many `error`: see commands by outcome.', queries: [[rate('millrace_frames_sent_total', 'type'), '{{type}}']], unit: 'ops', as: 'stacked' },
      ],
    },
    {
      question: 'Do those who come back get what they missed?',
      panels: [
        { title: 'Subscriptions brought to live', description: '`at head` missed nothing, `caught up` got it from where it says. `failed`: Redis or Postgres is away. `busy`: more waited than may (`RESUMES_QUEUED_MAX`); add gateways.', queries: [[rate('millrace_resumes_total', 'source, result'), '{{result}} ({{source}})']], unit: 'ops', runbooks: ['MillraceResumesFailing'] },
        { title: 'Catch-ups now', description: '`waiting` above 0 for minutes: raise `RESUMES_MAX` or add gateways.', queries: [[`sum by (state) (millrace_catch_ups{${CHOSEN},role="gateway"})`, '{{state}}']], runbooks: ['MillraceResumesFailing'] },
        { title: 'Events sent in catch-ups', description: 'Much from `archive`: clients are away for longer than the hot window; raise `HOT_EVENTS` if Redis has room.', queries: [[rate('millrace_catch_up_events_total', 'source'), '{{source}}']], unit: 'ops' },
        { title: 'Positions that were void', description: '`parted`: history was lost. `membership`: they had left meanwhile. `erased`: a hole that was skipped by hand.', queries: [[rate('millrace_resets_total', 'reason'), '{{reason}}']], unit: 'ops', runbooks: ['MillraceHistoriesParted'] },
      ],
    },
    {
      question: 'What do slow clients cost?',
      panels: [
        { title: 'What waits for slow sockets', description: 'Bytes in each gateway. Bounded by `OUTBOX_BYTES_MAX` for each socket.', queries: [[`sum by (instance) (millrace_outbox_bytes{${CHOSEN},role="gateway"})`, '{{instance}}']], unit: 'bytes', warn: 100_000_000, bad: 400_000_000, runbooks: ['MillraceSlowConsumers'] },
        { title: 'Closed for being slow', description: 'Sockets and event streams closed because more waited for them than may. They resume. Many: bad networks, or rooms too busy for phones.', queries: [[rate('millrace_slow_consumers_total', 'kind'), '{{kind}}']], unit: 'ops', runbooks: ['MillraceSlowConsumers'] },
        { title: 'Typing, presence, marks', description: 'What is published and is no event, and changes of presence among it.', queries: [[rate('millrace_ephemeral_published_total'), 'published'], [rate('millrace_presence_announced_total'), 'changes of presence']], unit: 'ops' },
        { title: 'Of these dropped', description: 'Nothing that lasts is lost. `too many`: rooms with too much typing. `slow socket`: see left. `no Redis`: it is away.', queries: [[rate('millrace_ephemeral_dropped_total', 'reason'), '{{reason}}']], unit: 'ops' },
      ],
    },
    {
      question: 'Does Redis have room, and time?',
      panels: [
        { title: 'Trimming', description: 'Stopped while the archive cannot be asked or written: Redis fills up. Bring the archive back first.', queries: [['max(millrace_trim_stopped)', '']], says: { 0: 'goes on', 1: 'stopped' }, bad: 1, as: 'number', runbooks: ['MillraceTrimStopped'] },
        { title: 'Redis answers in', description: 'Time of the last look, of the slowest process. Above 0.05 s: Redis is busy or far away.', queries: [['max(millrace_redis_round_trip_seconds)', '']], unit: 's', warn: 0.01, bad: 0.05, as: 'number', runbooks: ['MillraceCanarySlow'] },
        { title: 'Connections of Redis', description: 'Near its `maxclients` nobody else gets in.', queries: [['max(millrace_redis_connected_clients)', '']], warn: 5000, bad: 9000, as: 'number' },
        { title: 'Memory', description: 'At the maximum appends are refused with `overloaded`. 0 as the maximum means none: set one, so that this happens before the machine swaps.', queries: [['max(millrace_redis_memory_used_bytes)', 'used'], ['max(millrace_redis_memory_max_bytes)', 'maximum']], unit: 'bytes', runbooks: ['MillraceRedisMemoryHigh', 'MillraceRedisMemoryFull'] },
        { title: 'Events trimmed', description: 'Behind the archive. 0 while memory grows: see whether trimming goes on.', queries: [[rate('millrace_trimmed_events_total'), 'trimmed']], unit: 'ops', runbooks: ['MillraceTrimStopped'] },
        { title: 'Trims refused', description: 'The log does not have the archive’s checkpoint: histories parted.', queries: [['sum(increase(millrace_trims_refused_total[1h]))', 'in an hour']], bad: 1, runbooks: ['MillraceTrimsRefused'] },
        { title: 'Idle rooms let go of, and put back', description: 'As many put back as let go of: `EVICT_S` is too short.', queries: [[rate('millrace_rooms_evicted_total'), 'let go of'], [rate('millrace_rooms_restored_total'), 'put back']], unit: 'ops' },
        { title: 'Redis as each process sees it', description: '0 for one process only: its network, not Redis.', queries: [[`min by (role, instance) (millrace_redis_up{${CHOSEN}})`, '{{role}} {{instance}}']], max: 1, runbooks: ['MillraceRedisDown'] },
      ],
    },
    {
      question: 'Who is kept out, and is it written down?',
      panels: [
        { title: 'Revoked sessions', description: 'Those of which an access token may not have expired yet; every gateway holds them in memory.', queries: [['max(millrace_sessions_revoked)', '']], warn: 100_000, as: 'number' },
        { title: 'Security events not written', description: 'In an hour. Above 0: Postgres was away while somebody logged in or failed to.', queries: [['sum(increase(millrace_security_events_lost_total[1h]))', '']], bad: 1, as: 'number', runbooks: ['MillraceSecurityEventsLost'] },
        { title: 'Limits decided by a gateway alone', description: 'Only while Redis is away: then each gateway counts for itself, and people get as much as there are gateways.', queries: [[rate('millrace_limits_local_total', 'limit'), '{{limit}}']], unit: 'ops' },
      ],
    },
  ],
}
