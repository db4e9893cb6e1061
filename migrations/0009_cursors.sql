-- How far users have read and their devices been delivered, and what counting from there needs: unread messages are a difference, never
-- a number kept for each member, so a message costs the same writes in a room of two and of ten thousand. Messages of each author
-- are numbered as those of the room are; deleted ones are tallied in blocks, so that those after any place are the sum of a few rows.
--
-- Locks: ACCESS EXCLUSIVE on messages until the migration ends. Every row of messages is written once (its author_no), so it takes the
-- longer the more there are: about a minute for ten million.

CREATE TABLE marks (
  room_id uuid        NOT NULL,
  user_id uuid        NOT NULL,
  kind    text        NOT NULL CHECK (kind IN ('read', 'delivered')),
  device  text        NOT NULL,
  seq     bigint      NOT NULL,
  at      timestamptz NOT NULL,
  PRIMARY KEY (user_id, room_id, kind, device)
) WITH (fillfactor = 70);
CREATE INDEX marks_room ON marks (room_id);
COMMENT ON TABLE marks IS 'How far users have read, and their devices been delivered: the furthest mark of each. Folded from the partitions'' streams of marks; copied, not folded anew, by a rebuild.';
COMMENT ON COLUMN marks.room_id IS 'Room.';
COMMENT ON COLUMN marks.user_id IS 'Whose mark.';
COMMENT ON COLUMN marks.kind IS 'read: of the user; delivered: of one device.';
COMMENT ON COLUMN marks.device IS 'What the client calls its device, or its session where it said nothing; empty for read.';
COMMENT ON COLUMN marks.seq IS 'Everything up to here. One beyond the head of the log, which may be after a loss, counts for nothing.';
COMMENT ON COLUMN marks.at IS 'When it was moved there.';

CREATE TABLE room_preferences (
  user_id uuid        NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  room_id uuid        NOT NULL,
  level   text        NOT NULL CHECK (level IN ('all', 'mentions', 'none')),
  set_at  timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (user_id, room_id)
);
COMMENT ON TABLE room_preferences IS 'What users want to be told of in which room. Written by them, not projected; without a row: all.';
COMMENT ON COLUMN room_preferences.user_id IS 'Whose wish.';
COMMENT ON COLUMN room_preferences.room_id IS 'Room.';
COMMENT ON COLUMN room_preferences.level IS 'all; mentions: only messages that name them; none: muted, counted but not shown as a badge.';
COMMENT ON COLUMN room_preferences.set_at IS 'When it was last set.';

ALTER TABLE messages ADD COLUMN author_no bigint;
UPDATE messages
   SET author_no = numbered.author_no
  FROM (SELECT room_id, seq, row_number() OVER (PARTITION BY room_id, user_id ORDER BY seq) AS author_no FROM messages) AS numbered
 WHERE messages.room_id = numbered.room_id
   AND messages.seq = numbered.seq;
ALTER TABLE messages ALTER COLUMN author_no SET NOT NULL;
COMMENT ON COLUMN messages.author_no IS 'Which message of its author in the room it is: 1, 2, 3, … Differences of it count their messages.';

-- Everyone is in the lobby, without an event each: what is theirs to read begins when they signed up.
CREATE INDEX messages_lobby ON messages (timestamp, seq) WHERE room_id = '00000000-0000-7000-8000-000000000001';

CREATE TABLE deleted_tallies (
  room_id   uuid     NOT NULL,
  author_id uuid     NOT NULL,
  shift     smallint NOT NULL,
  block     bigint   NOT NULL,
  deleted   bigint   NOT NULL,
  PRIMARY KEY (room_id, author_id, shift, block)
) WITH (fillfactor = 70);
COMMENT ON TABLE deleted_tallies IS 'How many messages were deleted in each block of seqs of a room, as of the checkpoint of history. Blocks of 1, 256, 65,536 and 16,777,216 seqs: those after any place are the sum of four short runs.';
COMMENT ON COLUMN deleted_tallies.room_id IS 'Room.';
COMMENT ON COLUMN deleted_tallies.author_id IS 'Who wrote the messages; 00000000-0000-0000-0000-000000000000: anyone.';
COMMENT ON COLUMN deleted_tallies.shift IS 'Size of the block: 2 to the power of it. 0, 8, 16 or 24.';
COMMENT ON COLUMN deleted_tallies.block IS 'Seqs whose quotient by the size is this.';
COMMENT ON COLUMN deleted_tallies.deleted IS 'How many of them are messages that were deleted.';

INSERT INTO deleted_tallies (room_id, author_id, shift, block, deleted)
SELECT room_id, author_id, shift, seq >> shift, count(*)
  FROM messages
 CROSS JOIN (VALUES (0), (8), (16), (24)) AS size (shift)
 CROSS JOIN LATERAL (VALUES (user_id), ('00000000-0000-0000-0000-000000000000'::uuid)) AS who (author_id)
 WHERE deleted
 GROUP BY room_id, author_id, shift, seq >> shift;

CREATE TABLE message_mentions (
  room_id   uuid   NOT NULL,
  user_id   uuid   NOT NULL,
  seq       bigint NOT NULL,
  author_id uuid   NOT NULL,
  PRIMARY KEY (room_id, user_id, seq)
);
COMMENT ON TABLE message_mentions IS 'Messages that name somebody, as they are now, by whom they name, as of the checkpoint of history. For counting; nothing of deleted messages.';
COMMENT ON COLUMN message_mentions.room_id IS 'Room.';
COMMENT ON COLUMN message_mentions.user_id IS 'Who is named; 00000000-0000-0000-0000-000000000000: everyone, by @room, and then no other of the same message.';
COMMENT ON COLUMN message_mentions.seq IS 'The message.';
COMMENT ON COLUMN message_mentions.author_id IS 'Who wrote it: their own messages are no news to them.';

INSERT INTO message_mentions (room_id, user_id, seq, author_id)
SELECT room_id, named, seq, user_id
  FROM messages
 CROSS JOIN LATERAL (SELECT DISTINCT unnest(CASE WHEN mentions_room THEN ARRAY['00000000-0000-0000-0000-000000000000'::uuid] ELSE mentions END)) AS who (named)
 WHERE NOT deleted
   AND (mentions IS NOT NULL OR mentions_room);

-- The one definition of what counts, for reads and analysts alike. Its work does not grow with the number of messages: two places are
-- looked up and subtracted, for the room and for the reader; deleted messages are the sum of at most four short runs of tallies, and
-- one look tells where there are none. One SELECT, so that it is planned with the query around it; OFFSET 0 keeps each figure from
-- being computed once for each use. Own messages are looked up by ranges, not equality: then no plan goes back through a large room
-- for one who has written little in it.
CREATE FUNCTION messages_after (room uuid, reader uuid, place bigint) RETURNS TABLE (standing bigint, unread bigint, mentions bigint)
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
  SELECT sent - coalesce(gone.all_of_them, 0), (sent - own) - (coalesce(gone.all_of_them, 0) - coalesce(gone.own_gone, 0)), named
    FROM (
         SELECT coalesce((SELECT message_no FROM messages WHERE room_id = room ORDER BY seq DESC LIMIT 1), 0)
                - coalesce((SELECT message_no FROM messages WHERE room_id = room AND seq <= place ORDER BY seq DESC LIMIT 1), 0) AS sent,
                coalesce((SELECT author_no FROM messages WHERE room_id = room AND user_id BETWEEN reader AND reader ORDER BY user_id DESC, seq DESC LIMIT 1), 0)
                - coalesce((SELECT author_no FROM messages WHERE room_id = room AND user_id >= reader AND (user_id, seq) <= (reader, place) ORDER BY user_id DESC, seq DESC LIMIT 1), 0) AS own,
                (SELECT count(*)
                   FROM (SELECT
                           FROM (VALUES (reader), ('00000000-0000-0000-0000-000000000000'::uuid)) AS whom (named)
                           JOIN message_mentions AS mention
                             ON mention.room_id = room
                            AND mention.user_id = whom.named
                            AND mention.seq > place
                            AND mention.author_id <> reader
                          LIMIT 200) AS counted) AS named
         OFFSET 0) AS figures
    LEFT JOIN LATERAL (
         SELECT sum(tally.deleted) FILTER (WHERE tally.author_id <> reader)::bigint AS all_of_them, sum(tally.deleted) FILTER (WHERE tally.author_id = reader)::bigint AS own_gone
           FROM (VALUES (0), (8), (16), (24)) AS size (shift)
          CROSS JOIN (VALUES (reader), ('00000000-0000-0000-0000-000000000000'::uuid)) AS who (author_id)
           JOIN deleted_tallies AS tally
             ON tally.room_id = room
            AND tally.author_id = who.author_id
            AND tally.shift = size.shift
            AND tally.block > place >> size.shift
            AND tally.block <= CASE WHEN size.shift = 24 THEN 9223372036854775807 ELSE (place >> size.shift) | 255 END
          WHERE (SELECT block FROM deleted_tallies WHERE room_id = room AND author_id = '00000000-0000-0000-0000-000000000000' AND shift = 24 ORDER BY block DESC LIMIT 1) >= place >> 24) AS gone
           ON true
$$;
COMMENT ON FUNCTION messages_after IS 'Of the messages of a room with seq > place: standing, those not deleted; unread, those of them by others than the reader; mentions, those of them that name the reader or everyone, at most 200.';

CREATE FUNCTION lobby_since (reader uuid) RETURNS TABLE (seq bigint, at timestamptz)
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
  SELECT messages.seq, messages.timestamp
    FROM users
    JOIN LATERAL (
         SELECT seq, timestamp
           FROM messages
          WHERE room_id = '00000000-0000-7000-8000-000000000001'
            AND timestamp < users.created_at
          ORDER BY timestamp DESC, seq DESC
          LIMIT 1) AS messages
      ON true
   WHERE users.id = reader
$$;
COMMENT ON FUNCTION lobby_since IS 'The newest message of the lobby from before the reader signed up: what comes after it is theirs to read. No row: all of it.';

CREATE VIEW unread_counts AS
SELECT members.user_id, members.room_id, counted.unread, counted.mentions, mark.seq AS read_seq, rooms.last_seq AS head_seq
  FROM members
  JOIN rooms ON rooms.id = members.room_id
  LEFT JOIN marks AS mark
         ON mark.user_id = members.user_id
        AND mark.room_id = members.room_id
        AND mark.kind = 'read'
        AND mark.device = ''
 CROSS JOIN LATERAL messages_after(members.room_id, members.user_id, greatest(members.joined_seq, mark.seq)) AS counted
 WHERE members.role NOT IN ('none', 'kicked')
   AND rooms.kind NOT IN ('inbox', 'lobby')
   AND NOT rooms.removed;
COMMENT ON VIEW unread_counts IS 'Unread messages of every member of every room, as of the checkpoint of history; without the lobby, which everyone is in.';
COMMENT ON COLUMN unread_counts.user_id IS 'Member.';
COMMENT ON COLUMN unread_counts.room_id IS 'Room.';
COMMENT ON COLUMN unread_counts.unread IS 'Messages by others, not deleted, after the read mark and after the member last came in.';
COMMENT ON COLUMN unread_counts.mentions IS 'Those of them that name the member or everyone; at most 200.';
COMMENT ON COLUMN unread_counts.read_seq IS 'The read mark; NULL for none.';
COMMENT ON COLUMN unread_counts.head_seq IS 'Last event applied.';

CREATE VIEW offline_queue AS
SELECT mark.user_id, mark.device, members.room_id, greatest(members.joined_seq, mark.seq) + 1 AS from_seq, rooms.last_seq AS to_seq, counted.standing AS count
  FROM marks AS mark
  JOIN members ON members.user_id = mark.user_id AND members.room_id = mark.room_id
  JOIN rooms ON rooms.id = members.room_id
 CROSS JOIN LATERAL messages_after(members.room_id, members.user_id, greatest(members.joined_seq, mark.seq)) AS counted
 WHERE mark.kind = 'delivered'
   AND members.role NOT IN ('none', 'kicked')
   AND rooms.kind NOT IN ('inbox', 'lobby')
   AND NOT rooms.removed
   AND rooms.last_seq > greatest(members.joined_seq, mark.seq);
COMMENT ON VIEW offline_queue IS 'What devices that have marked something in a room were not delivered of it since, as of the checkpoint of history; without the lobby.';
COMMENT ON COLUMN offline_queue.user_id IS 'Whose device.';
COMMENT ON COLUMN offline_queue.device IS 'Device.';
COMMENT ON COLUMN offline_queue.room_id IS 'Room.';
COMMENT ON COLUMN offline_queue.from_seq IS 'First event not delivered.';
COMMENT ON COLUMN offline_queue.to_seq IS 'Last event applied.';
COMMENT ON COLUMN offline_queue.count IS 'Messages among them that are not deleted.';
