-- What is left of a loss: events of histories that do not stand any more, holes that were skipped by hand, and how many times each
-- partition was reconciled, which tells events that were read before it from those read after.
--
-- Locks: nothing that exists; everything here is new.

CREATE TABLE events_parted (
  id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  room_id     uuid        NOT NULL,
  seq         bigint      NOT NULL,
  chain       text        NOT NULL,
  event_id    uuid        NOT NULL,
  user_id     uuid        NOT NULL,
  type        text        NOT NULL,
  v           integer     NOT NULL,
  timestamp   timestamptz NOT NULL,
  client_id   text,
  data        json        NOT NULL,
  session_id  text,
  message_seq bigint,
  parted_at   timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX events_parted_room ON events_parted (room_id, seq);
COMMENT ON TABLE events_parted IS 'Events that were archived and are in no log that stands: their history parted from that of the serving Redis. For people to look into; nothing reads them.';
COMMENT ON COLUMN events_parted.id IS 'Order in which they were set aside.';
COMMENT ON COLUMN events_parted.room_id IS 'Room.';
COMMENT ON COLUMN events_parted.seq IS 'Place that it had. Another event has it now, or will.';
COMMENT ON COLUMN events_parted.chain IS 'Chain of its own history up to it.';
COMMENT ON COLUMN events_parted.event_id IS 'ID of the event.';
COMMENT ON COLUMN events_parted.user_id IS 'Who did it.';
COMMENT ON COLUMN events_parted.type IS 'What happened.';
COMMENT ON COLUMN events_parted.v IS 'Version of the schema that data is written in.';
COMMENT ON COLUMN events_parted.timestamp IS 'When it happened, as stamped on the event.';
COMMENT ON COLUMN events_parted.client_id IS 'Idempotency key that the client gave its command, if any. Sent again, the command is appended anew.';
COMMENT ON COLUMN events_parted.data IS 'The event without its place, as it was archived.';
COMMENT ON COLUMN events_parted.session_id IS 'Session of whoever did it, where the log had it.';
COMMENT ON COLUMN events_parted.message_seq IS 'Of an edit or a delete: the message.';
COMMENT ON COLUMN events_parted.parted_at IS 'When it was set aside.';

CREATE TABLE skipped (
  projection text        NOT NULL,
  room_id    uuid        NOT NULL,
  from_seq   bigint      NOT NULL CHECK (from_seq > 0),
  to_seq     bigint      NOT NULL CHECK (to_seq >= from_seq),
  skipped_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (projection, room_id, from_seq)
);
COMMENT ON TABLE skipped IS 'Holes that somebody skipped by hand: events that neither Redis nor the archive has. Who resumes across one is told.';
COMMENT ON COLUMN skipped.projection IS 'Name and version of the projection that went on behind it; the archive''s own are the ones that nobody can read any more.';
COMMENT ON COLUMN skipped.room_id IS 'Room.';
COMMENT ON COLUMN skipped.from_seq IS 'First event that is missing.';
COMMENT ON COLUMN skipped.to_seq IS 'Last event that is missing.';
COMMENT ON COLUMN skipped.skipped_at IS 'When it was skipped.';

CREATE TABLE reconciliations (
  partition  integer     PRIMARY KEY,
  generation bigint      NOT NULL,
  begun_at   timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE reconciliations IS 'How many times each partition''s log was compared with the archive. What was read of the log under an earlier generation is not applied any more.';
COMMENT ON COLUMN reconciliations.partition IS 'Partition.';
COMMENT ON COLUMN reconciliations.generation IS 'Raised when a comparison begins.';
COMMENT ON COLUMN reconciliations.begun_at IS 'When the last one began.';
