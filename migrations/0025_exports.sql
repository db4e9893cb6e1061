-- Exports that operators have asked for over HTTP: what of, how far they are, where the file is.
--
-- Locks: nothing that exists; everything here is new.

CREATE TABLE exports (
  id          uuid        PRIMARY KEY,
  operator_id uuid        NOT NULL,
  operator    text        NOT NULL,
  what        text        NOT NULL CHECK (what IN ('messages', 'events')),
  format      text        NOT NULL CHECK (format IN ('ndjson', 'csv')),
  since       timestamptz NOT NULL,
  until       timestamptz,
  room_id     uuid,
  state       text        NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'queued', 'running', 'done', 'failed', 'cancelled', 'expired')),
  attempts    integer     NOT NULL DEFAULT 0,
  rows        bigint      NOT NULL DEFAULT 0,
  total       bigint,
  bytes       bigint      NOT NULL DEFAULT 0,
  error       text,
  file        text,
  created_at  timestamptz NOT NULL DEFAULT now(),
  started_at  timestamptz,
  ended_at    timestamptz,
  expires_at  timestamptz
);
CREATE INDEX exports_open ON exports (id) WHERE state IN ('waiting', 'queued', 'running');
CREATE INDEX exports_done ON exports (expires_at) WHERE state = 'done';
COMMENT ON TABLE exports IS 'Exports asked for by operators. What they hold is in files (EXPORT_DIR), never here.';
COMMENT ON COLUMN exports.id IS 'UUIDv7.';
COMMENT ON COLUMN exports.operator_id IS 'Who asked for it.';
COMMENT ON COLUMN exports.operator IS 'Name of the operator then.';
COMMENT ON COLUMN exports.what IS 'messages: as they are now; events: the archive.';
COMMENT ON COLUMN exports.format IS 'ndjson or csv.';
COMMENT ON COLUMN exports.since IS 'Only what happened from then on.';
COMMENT ON COLUMN exports.until IS 'Only what happened before; NULL for no end.';
COMMENT ON COLUMN exports.room_id IS 'Only of this room; NULL for all.';
COMMENT ON COLUMN exports.state IS 'waiting: to be queued; queued: a job of pg-boss has it; running; done; failed: given up, error says why; cancelled; expired: its file is gone.';
COMMENT ON COLUMN exports.attempts IS 'How many times it was begun: again, from its beginning, where a process died or failed.';
COMMENT ON COLUMN exports.rows IS 'Rows written so far.';
COMMENT ON COLUMN exports.total IS 'Rows to be written; NULL until they are counted.';
COMMENT ON COLUMN exports.bytes IS 'Bytes written so far.';
COMMENT ON COLUMN exports.error IS 'Why the last attempt failed; NULL where none did.';
COMMENT ON COLUMN exports.file IS 'Name of its file, once it is done.';
COMMENT ON COLUMN exports.created_at IS 'When it was asked for.';
COMMENT ON COLUMN exports.started_at IS 'When the last attempt began.';
COMMENT ON COLUMN exports.ended_at IS 'When it was done, given up or cancelled.';
COMMENT ON COLUMN exports.expires_at IS 'When its file goes; NULL until it is done.';
