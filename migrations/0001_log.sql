-- The log in Postgres: the archive of every room's events, the state that restoring a room needs, and what projectors keep
-- about their work: checkpoints, leases, parked rooms. Why: DESIGN.md §4 and §5.
--
-- Locks: nothing that exists; everything here is new.
--
-- Tables that grow with messages are partitioned by hash of room_id, so that they can be spread later without a change of
-- code. Sixteen parts keep each index small enough for its upper pages to stay in memory.

CREATE TABLE deployment (
  only_row   boolean     PRIMARY KEY DEFAULT true CHECK (only_row),
  partitions integer     NOT NULL CHECK (partitions > 0),
  created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE deployment IS 'One row: what is fixed for the life of the deployment.';
COMMENT ON COLUMN deployment.only_row IS 'Always true: there is one row.';
COMMENT ON COLUMN deployment.partitions IS 'Slices that rooms are dealt to. Redis holds the same number; a mismatch refuses to start.';
COMMENT ON COLUMN deployment.created_at IS 'First start.';

CREATE TABLE events (
  room_id   uuid        NOT NULL,
  seq       bigint      NOT NULL CHECK (seq > 0),
  chain     text        NOT NULL CHECK (length(chain) = 16),
  event_id  uuid        NOT NULL,
  user_id   uuid        NOT NULL,
  type      text        NOT NULL,
  v         integer     NOT NULL,
  timestamp timestamptz NOT NULL,
  client_id text,
  data      json        NOT NULL,
  PRIMARY KEY (room_id, seq)
) PARTITION BY HASH (room_id);

-- Not unique: one command can append several events, and a client that sends a command again after the ten minutes in which
-- Redis remembers it, without marking it `resend`, appends it a second time [G2]. Such a log is legal, and the archive must
-- be able to hold every legal log. The first result of a command is its lowest seq.
CREATE INDEX events_client_id ON events (room_id, user_id, client_id, seq) WHERE client_id IS NOT NULL;

COMMENT ON TABLE events IS 'The archive: every event of every room, exactly as it was in the room''s log.';
COMMENT ON COLUMN events.room_id IS 'Room; an inbox has the ID of its user.';
COMMENT ON COLUMN events.seq IS 'Place in the room''s log: 1, 2, 3, … without a gap.';
COMMENT ON COLUMN events.chain IS 'Fingerprint of the room''s history up to and including this event, 16 hex digits.';
COMMENT ON COLUMN events.event_id IS 'ID of the event.';
COMMENT ON COLUMN events.user_id IS 'Who did it.';
COMMENT ON COLUMN events.type IS 'What happened: message, join, leave, room, … Unknown types of newer versions are kept.';
COMMENT ON COLUMN events.v IS 'Version of the schema that data is written in.';
COMMENT ON COLUMN events.timestamp IS 'When it happened, as stamped on the event.';
COMMENT ON COLUMN events.client_id IS 'Idempotency key that the client gave its command, if any. One command may have several events.';
COMMENT ON COLUMN events.data IS 'The event without its place. Type json, not jsonb: it keeps the text byte for byte, so a replay sends what was sent live.';

CREATE TABLE room_state (
  room_id  uuid   PRIMARY KEY,
  seq      bigint NOT NULL,
  chain    text   NOT NULL,
  kind     text   NOT NULL,
  name     text   NOT NULL,
  topic    text   NOT NULL,
  history  text   NOT NULL,
  messages bigint NOT NULL,
  rules    bigint NOT NULL
) WITH (fillfactor = 70);
COMMENT ON TABLE room_state IS 'What Redis holds about a room in its meta hash, as of the archive''s checkpoint: restoring a room reads this.';
COMMENT ON COLUMN room_state.room_id IS 'Room.';
COMMENT ON COLUMN room_state.seq IS 'Last event folded in: the archive''s checkpoint.';
COMMENT ON COLUMN room_state.chain IS 'Chain at seq.';
COMMENT ON COLUMN room_state.kind IS 'public, private, protected, group, dm, inbox or lobby.';
COMMENT ON COLUMN room_state.name IS 'Name; not unique.';
COMMENT ON COLUMN room_state.topic IS 'Topic, or empty.';
COMMENT ON COLUMN room_state.history IS 'all: members read from the beginning; joined: from where they last joined.';
COMMENT ON COLUMN room_state.messages IS 'Messages so far: the message_no of the newest.';
COMMENT ON COLUMN room_state.rules IS 'Rules version that messages are checked against.';

CREATE TABLE member_state (
  room_id      uuid   NOT NULL,
  user_id      uuid   NOT NULL,
  role         text   NOT NULL,
  muted_until  bigint NOT NULL,
  banned_until bigint NOT NULL,
  joined_seq   bigint NOT NULL,
  PRIMARY KEY (room_id, user_id)
);
COMMENT ON TABLE member_state IS 'What Redis holds about a user in a room, as of the archive''s checkpoint: restoring a room reads this.';
COMMENT ON COLUMN member_state.room_id IS 'Room.';
COMMENT ON COLUMN member_state.user_id IS 'User; also those who left, were muted or banned.';
COMMENT ON COLUMN member_state.role IS 'owner, admin, moderator, member, or none.';
COMMENT ON COLUMN member_state.muted_until IS 'Epoch milliseconds, 0 for never.';
COMMENT ON COLUMN member_state.banned_until IS 'Epoch milliseconds, 0 for never.';
COMMENT ON COLUMN member_state.joined_seq IS 'Seq of the event by which the user came in; 0 while not a member.';

CREATE TABLE checkpoints (
  projection text        NOT NULL,
  room_id    uuid        NOT NULL,
  partition  integer     NOT NULL,
  seq        bigint      NOT NULL,
  chain      text        NOT NULL,
  updated_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (projection, room_id)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);
-- Updated with every transaction of a projector: room on each page and no index on what changes keep the updates in place.
CREATE INDEX checkpoints_partition ON checkpoints (projection, partition, room_id);
COMMENT ON TABLE checkpoints IS 'How far each projection has applied each room. Moves by compare-and-set on (seq, chain), in the transaction that writes the rows.';
COMMENT ON COLUMN checkpoints.projection IS 'Name and version of the projection: archive_v1, history_v1, …; also its consumer group in Redis.';
COMMENT ON COLUMN checkpoints.room_id IS 'Room.';
COMMENT ON COLUMN checkpoints.partition IS 'Partition of the room.';
COMMENT ON COLUMN checkpoints.seq IS 'Last event applied; 0 before the first.';
COMMENT ON COLUMN checkpoints.chain IS 'Chain at seq; sixteen zeros at 0.';
COMMENT ON COLUMN checkpoints.updated_at IS 'When it last moved.';

CREATE TABLE workers (
  projection text        NOT NULL,
  owner      text        NOT NULL,
  expires_at timestamptz NOT NULL,
  PRIMARY KEY (projection, owner)
);
COMMENT ON TABLE workers IS 'Projector workers that are alive: they divide the partitions among themselves.';
COMMENT ON COLUMN workers.projection IS 'Name and version of the projection.';
COMMENT ON COLUMN workers.owner IS 'The worker: one run of one projector process.';
COMMENT ON COLUMN workers.expires_at IS 'Counts as dead from then on, by the clock of Postgres.';

CREATE TABLE leases (
  projection text        NOT NULL,
  partition  integer     NOT NULL,
  owner      text        NOT NULL,
  expires_at timestamptz NOT NULL,
  PRIMARY KEY (projection, partition)
);
COMMENT ON TABLE leases IS 'Which worker serves a partition for a projection. Saves double work only: what keeps rows right are the checkpoints.';
COMMENT ON COLUMN leases.projection IS 'Name and version of the projection.';
COMMENT ON COLUMN leases.partition IS 'Partition.';
COMMENT ON COLUMN leases.owner IS 'The worker that serves it.';
COMMENT ON COLUMN leases.expires_at IS 'Others may take it from then on, by the clock of Postgres.';

CREATE TABLE parked_rooms (
  projection text        NOT NULL,
  room_id    uuid        NOT NULL,
  partition  integer     NOT NULL,
  seq        bigint      NOT NULL,
  event_id   text,
  error      text        NOT NULL,
  error_code text        NOT NULL,
  parked_at  timestamptz NOT NULL DEFAULT now(),
  attempts   integer     NOT NULL DEFAULT 1,
  PRIMARY KEY (projection, room_id)
);
COMMENT ON TABLE parked_rooms IS 'Rooms that a projection has set aside because it cannot apply an event. They stand still there until they are retried; other rooms go on.';
COMMENT ON COLUMN parked_rooms.projection IS 'Name and version of the projection.';
COMMENT ON COLUMN parked_rooms.room_id IS 'Room.';
COMMENT ON COLUMN parked_rooms.partition IS 'Partition of the room.';
COMMENT ON COLUMN parked_rooms.seq IS 'First event that is not applied.';
COMMENT ON COLUMN parked_rooms.event_id IS 'ID of that event as the log has it, where there is one.';
COMMENT ON COLUMN parked_rooms.error IS 'What went wrong.';
COMMENT ON COLUMN parked_rooms.error_code IS 'SQLSTATE; or corrupt: the entry cannot be read; bug: the projection threw; parted: the log has another history; hole: neither log nor archive has the event.';
COMMENT ON COLUMN parked_rooms.parked_at IS 'When it was set aside.';
COMMENT ON COLUMN parked_rooms.attempts IS 'How many times it was set aside at this seq, as far as the worker remembers.';

DO $$
BEGIN
  FOR part IN 0..15 LOOP
    EXECUTE format('CREATE TABLE events_%s PARTITION OF events FOR VALUES WITH (MODULUS 16, REMAINDER %s)', part, part);
    EXECUTE format('COMMENT ON TABLE events_%s IS %L', part, 'A sixteenth of events.');
  END LOOP;
END
$$;
