-- When old messages of a room were last erased: a rebuild that has read them before takes them out of what it made, before that is shown.
--
-- Locks: ACCESS EXCLUSIVE on retention, for a moment: a column is added without rewriting rows.

ALTER TABLE retention ADD COLUMN at timestamptz NOT NULL DEFAULT now();

COMMENT ON TABLE retention IS 'How far the old messages of a room were erased, where messages are kept for a limited time (RETENTION_DAYS, or the setting retention_days of the room).';
COMMENT ON COLUMN retention.at IS 'When it last was.';
COMMENT ON COLUMN room_state.settings IS 'Further fields of the meta hash, as text: members_max, message_chars_max, slow_mode_s, archived, retention_days, removed, peers.';
