/** The report of a look at a deployment: what `millrace status --json` and `GET /admin/status` give. Made in `status.ts`, judged in `judge.ts`. */
import Type, { type Static } from 'typebox'

const Optional = Type.Optional
const Time = (description: string) => Type.String({ description: `${description}; RFC 3339, UTC` })

export const Status = Type.Object({
  at: Time('When it was looked'),
  ok: Type.Boolean({ description: 'Whether nothing is wrong' }),
  troubles: Type.Array(Type.Object({
    part: Type.String({ description: 'redis, postgres, deployment, gateway, projector, jobs, or the name and version of a projection' }),
    text: Type.String({ description: 'What is wrong, as a sentence' }),
  }), { description: 'What is wrong, the likeliest cause of the others first' }),
  nodes: Type.Union([Type.Array(Type.Object({
    role: Type.String({ description: 'gateway, projector or jobs' }),
    host: Type.String(),
    pid: Type.Integer(),
    version: Type.String(),
    started_at: Type.String(),
    seen_at: Time('When it last said that it lives'),
    state: Type.Enum(['ready', 'not ready', 'stopped', 'silent'], { description: 'silent: it ended without a word, or hangs' }),
    trouble: Optional(Type.String({ description: 'What it said is wrong' })),
    connections: Optional(Type.Integer({ description: 'Open sockets and event streams' })),
    url: Optional(Type.String({ description: 'Where it listens' })),
    clock_skew_ms: Type.Integer({ description: 'Its clock against that of Redis' }),
  })), Type.Null()], { description: 'Processes of the last day; null where Redis cannot be asked' }),
  redis: Type.Object({
    url: Type.String({ description: 'Without its password' }),
    reason: Optional(Type.String({ description: 'Why it cannot be asked' })),
    version: Optional(Type.String()),
    uptime_s: Optional(Type.Integer()),
    memory_bytes: Optional(Type.Integer()),
    memory_max_bytes: Optional(Type.Integer({ description: '0: no limit of its own' })),
    clients: Optional(Type.Integer()),
    clients_max: Optional(Type.Integer()),
    aof: Optional(Type.Boolean()),
    aof_ok: Optional(Type.Boolean({ description: 'Whether the last write to the append-only file went well' })),
    durability: Optional(Type.String({ description: 'What acks are worth' })),
    master: Optional(Type.Boolean()),
    replicas: Optional(Type.Integer()),
    partitions: Optional(Type.Union([Type.Integer(), Type.Null()])),
    partitions_fenced: Optional(Type.Integer({ description: 'They take no appends until they are reconciled' })),
    rooms: Optional(Type.Integer({ description: 'Rooms that it holds' })),
  }),
  postgres: Type.Object({
    url: Type.String({ description: 'Without user and password' }),
    reason: Optional(Type.String({ description: 'Why it cannot be asked' })),
    version: Optional(Type.String()),
    connections: Optional(Type.Integer()),
    connections_millrace: Optional(Type.Integer()),
    connections_max: Optional(Type.Integer()),
    database_bytes: Optional(Type.Integer()),
    in_recovery: Optional(Type.Boolean({ description: 'Whether it is a standby, which only reads' })),
    partitions: Optional(Type.Union([Type.Integer(), Type.Null()])),
  }),
  partitions: Type.Integer({ description: 'PARTITIONS, of whoever looked' }),
  projections: Type.Union([Type.Array(Type.Object({
    projection: Type.String({ description: 'Name and version' }),
    workers: Type.Integer(),
    partitions: Type.Integer({ description: 'Those that somebody serves' }),
    parked_rooms: Type.Integer(),
    lag_events: Optional(Type.Integer({ description: 'Events that are not applied, but for those of parked rooms' })),
    lag_rooms: Optional(Type.Integer({ description: 'Rooms that they are in' })),
    lag_seconds: Optional(Type.Number({ description: 'Age of the oldest of them, as far as was looked' })),
  })), Type.Null()], { description: 'Null where Postgres cannot be asked; without lag where Redis cannot' }),
  rooms_looked: Type.Integer({ description: 'Rooms compared: those with the latest news. If Redis holds more, lags may be larger than they are here' }),
  parked: Type.Union([Type.Array(Type.Object({
    projection: Type.String(),
    room_id: Type.String(),
    seq: Type.Integer({ description: 'First event that is not applied' }),
    error_code: Type.String(),
    error: Type.String(),
    parked_at: Type.String(),
  })), Type.Null()], { description: 'Rooms that a projection has set aside, the oldest first, at most 50' }),
  jobs: Type.Union([Type.Array(Type.Object({ queue: Type.String(), state: Type.String(), count: Type.Integer() })), Type.Null()], { description: 'Jobs that wait, run or have failed' }),
})
export type Status = Static<typeof Status>
