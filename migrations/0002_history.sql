-- The read model of the projection `history`: rooms, members and messages, for room lists and message pages.
--
-- Locks: nothing that exists; everything here is new.

CREATE TABLE rooms (
  id           uuid        PRIMARY KEY,
  kind         text        NOT NULL,
  name         text        NOT NULL,
  topic        text        NOT NULL,
  history      text        NOT NULL,
  created_by   uuid,
  created_at   timestamptz,
  last_seq     bigint      NOT NULL,
  messages     bigint      NOT NULL,
  member_count bigint      NOT NULL
) WITH (fillfactor = 70);
-- The directory pages through rooms that anyone may find, in the order of their IDs.
CREATE INDEX rooms_directory ON rooms (id) WHERE kind IN ('public', 'protected', 'lobby');
CREATE INDEX rooms_lobby ON rooms (id) WHERE kind = 'lobby';
COMMENT ON TABLE rooms IS 'Rooms as of the checkpoint of history.';
COMMENT ON COLUMN rooms.id IS 'ID; an inbox has the ID of its user.';
COMMENT ON COLUMN rooms.kind IS 'public, private, protected, group, dm, inbox or lobby.';
COMMENT ON COLUMN rooms.name IS 'Name; not unique.';
COMMENT ON COLUMN rooms.topic IS 'Topic, or empty.';
COMMENT ON COLUMN rooms.history IS 'all: members read from the beginning; joined: from where they last joined.';
COMMENT ON COLUMN rooms.created_by IS 'Who made it; NULL where the log does not begin with its making.';
COMMENT ON COLUMN rooms.created_at IS 'When it was made.';
COMMENT ON COLUMN rooms.last_seq IS 'Last event applied.';
COMMENT ON COLUMN rooms.messages IS 'Messages so far: the message_no of the newest.';
COMMENT ON COLUMN rooms.member_count IS 'Members now. Of the lobby: those with a record of their own only, for everyone is in it.';

CREATE TABLE members (
  room_id    uuid        NOT NULL,
  user_id    uuid        NOT NULL,
  role       text        NOT NULL,
  joined_seq bigint      NOT NULL,
  joined_at  timestamptz,
  left_seq   bigint,
  left_at    timestamptz,
  PRIMARY KEY (room_id, user_id)
);
CREATE INDEX members_user ON members (user_id, room_id) WHERE role <> 'none';
COMMENT ON TABLE members IS 'Who is or was in a room, as of the checkpoint of history.';
COMMENT ON COLUMN members.room_id IS 'Room.';
COMMENT ON COLUMN members.user_id IS 'User.';
COMMENT ON COLUMN members.role IS 'owner, admin, moderator, member; none for those who left.';
COMMENT ON COLUMN members.joined_seq IS 'Seq of the event by which the user last came in; 0 after leaving.';
COMMENT ON COLUMN members.joined_at IS 'When the user last came in.';
COMMENT ON COLUMN members.left_seq IS 'Seq of the event by which the user left; NULL for members.';
COMMENT ON COLUMN members.left_at IS 'When the user left; NULL for members.';

CREATE TABLE messages (
  room_id    uuid        NOT NULL,
  seq        bigint      NOT NULL,
  message_no bigint      NOT NULL,
  event_id   uuid        NOT NULL,
  user_id    uuid        NOT NULL,
  content    text        NOT NULL,
  timestamp  timestamptz NOT NULL,
  client_id  text,
  reply_to   bigint,
  PRIMARY KEY (room_id, seq)
) PARTITION BY HASH (room_id);
COMMENT ON TABLE messages IS 'Messages as of the checkpoint of history.';
COMMENT ON COLUMN messages.room_id IS 'Room.';
COMMENT ON COLUMN messages.seq IS 'Place in the room''s log.';
COMMENT ON COLUMN messages.message_no IS 'Which message of the room it is: 1, 2, 3, … Differences of it count messages.';
COMMENT ON COLUMN messages.event_id IS 'ID of its event.';
COMMENT ON COLUMN messages.user_id IS 'Author.';
COMMENT ON COLUMN messages.content IS 'Text, 1–8,000 characters.';
COMMENT ON COLUMN messages.timestamp IS 'When it was sent, as stamped on the event.';
COMMENT ON COLUMN messages.client_id IS 'Idempotency key that the client gave, if any.';
COMMENT ON COLUMN messages.reply_to IS 'Seq of the message that it answers, if any.';

DO $$
BEGIN
  FOR part IN 0..15 LOOP
    EXECUTE format('CREATE TABLE messages_%s PARTITION OF messages FOR VALUES WITH (MODULUS 16, REMAINDER %s)', part, part);
    EXECUTE format('COMMENT ON TABLE messages_%s IS %L', part, 'A sixteenth of messages.');
  END LOOP;
END
$$;
