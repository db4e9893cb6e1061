-- The read models of the projections `search` and `mentions`: which messages have which words, and which name whom.
--
-- Locks: nothing that exists; everything here is new.

-- Words come finished, cut and folded by Millrace itself (src/domain/search.ts), with lexemes for room, author, link, attachment
-- and mention beside them (they begin with =, which no word does): so one index finds words in a room, by an author, with a link.
CREATE TABLE search_messages (
  room_id    uuid        NOT NULL,
  seq        bigint      NOT NULL,
  user_id    uuid        NOT NULL,
  timestamp  timestamptz NOT NULL,
  attached   boolean     NOT NULL,
  words      tsvector    NOT NULL,
  PRIMARY KEY (room_id, seq)
) PARTITION BY HASH (room_id);
-- What was written last waits in a list, which every search reads whole, in each partition of the table: so it is kept short, at
-- 64 kB. Measured on two busy cores: 21,000 messages/s written without such a list, 37,000 with it (docs/adr/0010-search.md).
CREATE INDEX search_messages_words ON search_messages USING gin (words) WITH (gin_pending_list_limit = 64);
CREATE INDEX search_messages_newest ON search_messages (timestamp, room_id, seq);
COMMENT ON TABLE search_messages IS 'Words of messages as they are now, as of the checkpoint of search. A deleted message has no row.';
COMMENT ON COLUMN search_messages.room_id IS 'Room.';
COMMENT ON COLUMN search_messages.seq IS 'The message.';
COMMENT ON COLUMN search_messages.user_id IS 'Author.';
COMMENT ON COLUMN search_messages.timestamp IS 'When it was sent.';
COMMENT ON COLUMN search_messages.attached IS 'Whether it has attachments, which stay when it is edited.';
COMMENT ON COLUMN search_messages.words IS 'Folded words with their places, and lexemes without places: =r and =u with the ends of the IDs of room and author, =link, =attachment, =mention.';

CREATE TABLE mentions (
  room_id  uuid        NOT NULL,
  seq      bigint      NOT NULL,
  user_id  uuid        NOT NULL,
  named_at timestamptz NOT NULL,
  PRIMARY KEY (room_id, seq, user_id)
) PARTITION BY HASH (room_id);
CREATE INDEX mentions_user ON mentions (user_id, named_at, room_id, seq);
CREATE INDEX mentions_room ON mentions (room_id, named_at, seq) WHERE user_id = '00000000-0000-0000-0000-000000000000';
COMMENT ON TABLE mentions IS 'Whom messages name as they are now, as of the checkpoint of mentions. A deleted message names nobody.';
COMMENT ON COLUMN mentions.room_id IS 'Room.';
COMMENT ON COLUMN mentions.seq IS 'The message.';
COMMENT ON COLUMN mentions.user_id IS 'Who is named. All zeros: everyone in the room, by @room; one row, however many they are.';
COMMENT ON COLUMN mentions.named_at IS 'Since when: the time of the message, or of the edit that named them first.';

CREATE TABLE mentions_deleted (
  room_id uuid   NOT NULL,
  seq     bigint NOT NULL,
  PRIMARY KEY (room_id, seq)
);
COMMENT ON TABLE mentions_deleted IS 'Deleted messages: an edit that comes after the delete names nobody.';
COMMENT ON COLUMN mentions_deleted.room_id IS 'Room.';
COMMENT ON COLUMN mentions_deleted.seq IS 'The message.';

DO $$
BEGIN
  FOR part IN 0..15 LOOP
    EXECUTE format('CREATE TABLE search_messages_%s PARTITION OF search_messages FOR VALUES WITH (MODULUS 16, REMAINDER %s)', part, part);
    EXECUTE format('COMMENT ON TABLE search_messages_%s IS %L', part, 'A sixteenth of search_messages.');
    EXECUTE format('CREATE TABLE mentions_%s PARTITION OF mentions FOR VALUES WITH (MODULUS 16, REMAINDER %s)', part, part);
    EXECUTE format('COMMENT ON TABLE mentions_%s IS %L', part, 'A sixteenth of mentions.');
  END LOOP;
END
$$;
