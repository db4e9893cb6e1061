-- The whole chat in the read models: edits, deletes, reactions, pins, threads, mentions and attachments of messages; settings of
-- rooms; mutes, bans and kicks of members; and in the archive who did it from where, and what restoring all this needs.
--
-- Locks: ACCESS EXCLUSIVE on events, messages, rooms, members, room_state and member_state until the migration ends. Columns are added
-- without rewriting rows; the new indexes read messages, events, members and rooms once each, so it takes the longer the more there is.

-- The archive.

ALTER TABLE events
  ADD COLUMN session_id  text,
  ADD COLUMN message_seq bigint;

-- Edits of a message, to blank them with it; its delete, to blank edits that come after it. Reactions and pins hold no content.
CREATE INDEX events_about ON events (room_id, message_seq) WHERE message_seq IS NOT NULL;
-- Who did what to whom, in a room that is mostly messages.
CREATE INDEX events_audit ON events (room_id, seq) WHERE type IN ('kick', 'ban', 'mute', 'role', 'room', 'pin', 'join', 'leave', 'delete');

COMMENT ON TABLE events IS 'The archive: every event of every room, exactly as it was in the room''s log; of deleted messages and their edits, the tombstones.';
COMMENT ON COLUMN events.session_id IS 'Session of whoever did it, where the log has it; not always a UUID, for tokens of a foreign issuer.';
COMMENT ON COLUMN events.message_seq IS 'Of an edit or a delete: the message.';
COMMENT ON COLUMN events.data IS 'The event without its place. Type json, not jsonb: it keeps the text byte for byte, so a replay sends what was sent live. Of a deleted message and its edits: without content.';

ALTER TABLE room_state
  ADD COLUMN settings jsonb  NOT NULL DEFAULT '{}',
  ADD COLUMN members  bigint NOT NULL DEFAULT 0,
  ADD COLUMN owners   bigint NOT NULL DEFAULT 0;

UPDATE room_state
   SET members = counted.members, owners = counted.owners
  FROM (SELECT room_id, count(*) AS members, count(*) FILTER (WHERE role = 'owner') AS owners
          FROM member_state
         WHERE role <> 'none'
         GROUP BY room_id) AS counted
 WHERE counted.room_id = room_state.room_id;

COMMENT ON COLUMN room_state.settings IS 'Further fields of the meta hash, as text: members_max, message_chars_max, slow_mode_s, archived, removed, peers.';
COMMENT ON COLUMN room_state.members IS 'Members now.';
COMMENT ON COLUMN room_state.owners IS 'Owners among them.';
COMMENT ON COLUMN member_state.role IS 'owner, admin, moderator, member; none; kicked: was put out and has not come back.';

-- Rooms and members.

ALTER TABLE rooms
  ADD COLUMN members_max       bigint  NOT NULL DEFAULT 0,
  ADD COLUMN message_chars_max bigint  NOT NULL DEFAULT 0,
  ADD COLUMN slow_mode_s       bigint  NOT NULL DEFAULT 0,
  ADD COLUMN archived          boolean NOT NULL DEFAULT false,
  ADD COLUMN removed           boolean NOT NULL DEFAULT false,
  ADD COLUMN peers             uuid[]  NOT NULL DEFAULT '{}';

DROP INDEX rooms_directory;
CREATE INDEX rooms_directory ON rooms (id) WHERE kind IN ('public', 'protected', 'lobby') AND NOT removed;

COMMENT ON COLUMN rooms.members_max IS 'Most members; 0: no limit of its own.';
COMMENT ON COLUMN rooms.message_chars_max IS 'Longest message in characters; 0: no limit of its own.';
COMMENT ON COLUMN rooms.slow_mode_s IS 'Seconds that a member waits between two messages; 0: none.';
COMMENT ON COLUMN rooms.archived IS 'Whether it can only be read.';
COMMENT ON COLUMN rooms.removed IS 'Whether it was deleted: then it is in no list, and nobody reads it.';
COMMENT ON COLUMN rooms.peers IS 'The two of a DM, else empty.';

ALTER TABLE members
  ADD COLUMN muted_until  bigint NOT NULL DEFAULT 0,
  ADD COLUMN banned_until bigint NOT NULL DEFAULT 0;

DROP INDEX members_user;
CREATE INDEX members_user ON members (user_id, room_id) WHERE role NOT IN ('none', 'kicked');
CREATE INDEX members_role ON members (room_id, role, user_id);
CREATE INDEX members_banned ON members (room_id, user_id) WHERE banned_until > 0;

COMMENT ON COLUMN members.role IS 'owner, admin, moderator, member; none for those who left or never came in; kicked: was put out and has not come back.';
COMMENT ON COLUMN members.joined_seq IS 'Seq of the event by which the user last came in; 0 while not a member.';
COMMENT ON COLUMN members.left_seq IS 'Seq of the event by which the user last went out: leave, kick or ban; NULL for members.';
COMMENT ON COLUMN members.left_at IS 'When the user went out; NULL for members.';
COMMENT ON COLUMN members.muted_until IS 'Epoch milliseconds, 0 for never.';
COMMENT ON COLUMN members.banned_until IS 'Epoch milliseconds, 0 for never.';

-- Messages.

ALTER TABLE messages
  ADD COLUMN edited_at     timestamptz,
  ADD COLUMN deleted       boolean NOT NULL DEFAULT false,
  ADD COLUMN deleted_by    uuid,
  ADD COLUMN thread        bigint,
  ADD COLUMN mentions      uuid[],
  ADD COLUMN mentions_room boolean NOT NULL DEFAULT false,
  ADD COLUMN attachments   json,
  ADD COLUMN reacted       boolean NOT NULL DEFAULT false;

CREATE INDEX messages_thread ON messages (room_id, thread, seq) WHERE thread IS NOT NULL;
CREATE INDEX messages_user ON messages (room_id, user_id, seq);
CREATE INDEX messages_attachments ON messages (room_id, seq) WHERE attachments IS NOT NULL;
CREATE INDEX messages_links ON messages (room_id, seq) WHERE content ~ '[hH][tT][tT][pP][sS]?://[^ \t\r\n]';
CREATE INDEX messages_mentions ON messages (room_id, seq) WHERE mentions IS NOT NULL OR mentions_room;
CREATE INDEX messages_reacted ON messages (room_id, seq) WHERE reacted;

COMMENT ON COLUMN messages.content IS 'Text as last edited, 1–8,000 characters; empty once deleted.';
COMMENT ON COLUMN messages.edited_at IS 'Last edit; NULL for none, and once deleted.';
COMMENT ON COLUMN messages.deleted IS 'Whether it was deleted: then only its place and author are left.';
COMMENT ON COLUMN messages.deleted_by IS 'Who deleted it.';
COMMENT ON COLUMN messages.thread IS 'Seq of the first message of the thread that it is in, if any.';
COMMENT ON COLUMN messages.mentions IS 'Users whom the content names; NULL for none.';
COMMENT ON COLUMN messages.mentions_room IS 'Whether it names everyone, by @room.';
COMMENT ON COLUMN messages.attachments IS 'References to files: url, name, media_type, bytes; NULL for none.';
COMMENT ON COLUMN messages.reacted IS 'Whether it has reactions: rows in reactions.';

CREATE TABLE reactions (
  room_id     uuid   NOT NULL,
  message_seq bigint NOT NULL,
  emoji       text   COLLATE "C" NOT NULL,
  user_id     uuid   NOT NULL,
  seq         bigint NOT NULL,
  PRIMARY KEY (room_id, message_seq, emoji, user_id)
) PARTITION BY HASH (room_id);
COMMENT ON TABLE reactions IS 'Reactions that stand, as of the checkpoint of history: one per message, emoji and person.';
COMMENT ON COLUMN reactions.room_id IS 'Room.';
COMMENT ON COLUMN reactions.message_seq IS 'The message.';
COMMENT ON COLUMN reactions.emoji IS 'One emoji.';
COMMENT ON COLUMN reactions.user_id IS 'Who reacted.';
COMMENT ON COLUMN reactions.seq IS 'Seq of the event: gives the order in which people reacted.';

CREATE TABLE message_edits (
  room_id     uuid        NOT NULL,
  message_seq bigint      NOT NULL,
  seq         bigint      NOT NULL,
  content     text        NOT NULL,
  timestamp   timestamptz NOT NULL,
  edited_at   timestamptz NOT NULL,
  PRIMARY KEY (room_id, message_seq, seq)
) PARTITION BY HASH (room_id);
COMMENT ON TABLE message_edits IS 'What messages said before each of their edits, as of the checkpoint of history; gone once the message is deleted.';
COMMENT ON COLUMN message_edits.room_id IS 'Room.';
COMMENT ON COLUMN message_edits.message_seq IS 'The message.';
COMMENT ON COLUMN message_edits.seq IS 'Seq of the edit that replaced this content.';
COMMENT ON COLUMN message_edits.content IS 'What it said before.';
COMMENT ON COLUMN message_edits.timestamp IS 'When this content was written.';
COMMENT ON COLUMN message_edits.edited_at IS 'When it was replaced.';

CREATE TABLE pins (
  room_id     uuid        NOT NULL,
  message_seq bigint      NOT NULL,
  seq         bigint      NOT NULL,
  pinned_by   uuid        NOT NULL,
  pinned_at   timestamptz NOT NULL,
  PRIMARY KEY (room_id, message_seq)
);
CREATE INDEX pins_newest ON pins (room_id, seq);
COMMENT ON TABLE pins IS 'Messages that are pinned, as of the checkpoint of history.';
COMMENT ON COLUMN pins.room_id IS 'Room.';
COMMENT ON COLUMN pins.message_seq IS 'The message.';
COMMENT ON COLUMN pins.seq IS 'Seq of the event that pinned it.';
COMMENT ON COLUMN pins.pinned_by IS 'Who pinned it.';
COMMENT ON COLUMN pins.pinned_at IS 'When.';

DO $$
BEGIN
  FOR part IN 0..15 LOOP
    EXECUTE format('CREATE TABLE reactions_%s PARTITION OF reactions FOR VALUES WITH (MODULUS 16, REMAINDER %s)', part, part);
    EXECUTE format('COMMENT ON TABLE reactions_%s IS %L', part, 'A sixteenth of reactions.');
    EXECUTE format('CREATE TABLE message_edits_%s PARTITION OF message_edits FOR VALUES WITH (MODULUS 16, REMAINDER %s)', part, part);
    EXECUTE format('COMMENT ON TABLE message_edits_%s IS %L', part, 'A sixteenth of message_edits.');
  END LOOP;
END
$$;
