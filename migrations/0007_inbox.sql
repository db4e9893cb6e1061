-- News for inboxes on its way: written with the archive's rows, in their transaction, and taken out once it is in the inbox.
-- A projection of its own would read every message of every room to find the few that are news for somebody (ADR 7).
--
-- Locks: nothing that exists; everything here is new.

CREATE TABLE inbox_pending (
  id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  user_id    uuid        NOT NULL,
  room_id    uuid        NOT NULL,
  seq        bigint      NOT NULL,
  event      text        NOT NULL CHECK (event IN ('added', 'removed', 'mentioned', 'revoked')),
  by         uuid        NOT NULL,
  reason     text,
  created_at timestamptz NOT NULL DEFAULT now(),
  not_before timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE inbox_pending IS 'News that is archived and not in its inbox yet. Empty but for moments.';
COMMENT ON COLUMN inbox_pending.id IS 'Order in which it goes into inboxes.';
COMMENT ON COLUMN inbox_pending.user_id IS 'Whose inbox.';
COMMENT ON COLUMN inbox_pending.room_id IS 'Room that it tells of.';
COMMENT ON COLUMN inbox_pending.seq IS 'Event that it tells of; for mentions, the message.';
COMMENT ON COLUMN inbox_pending.event IS 'added, removed, mentioned or revoked.';
COMMENT ON COLUMN inbox_pending.by IS 'Who did it.';
COMMENT ON COLUMN inbox_pending.reason IS 'Why, if that was said.';
COMMENT ON COLUMN inbox_pending.not_before IS 'Not tried before then: the inbox could not be written.';
COMMENT ON COLUMN inbox_pending.created_at IS 'When it was archived.';
