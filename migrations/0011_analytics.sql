-- What people read besides the server itself. For analysts: the schema `analytics`, views whose names and columns stay what they are
-- while the tables below them change, and the role `millrace_analyst`, which reads them and nothing else. For pages of users: row-level
-- security as the second fence behind the access check [G9], and the role `millrace_reader`, under which such pages are read
-- (src/store/reader.ts). And when events were archived, which nothing told so far.
--
-- Roles belong to the whole cluster, so both may be there already. Where this user may not make roles (some managed servers), the
-- migration goes on without them and warns; docs/ANALYTICS.md says what an administrator then runs. Until then pages are read as
-- before, behind the first fence only.
--
-- Locks: ACCESS EXCLUSIVE on events, messages, message_edits, reactions, pins and members, for a moment: no row is read or written.

-- A default only, and set after the column is there: rows that are archived already were at a time that nobody knows, so they keep NULL,
-- and no row is rewritten. In inserting, 8 bytes and no time that could be measured (batches of 1,000, two cores: 5.4 to 7.2 µs a row
-- with it, 5.5 to 7.8 without).
ALTER TABLE events ADD COLUMN archived_at timestamptz;
ALTER TABLE events ALTER COLUMN archived_at SET DEFAULT now();
COMMENT ON COLUMN events.archived_at IS 'When the transaction began that archived it, by the clock of Postgres; NULL for what was archived before this was noted.';

DO $$
DECLARE
  made text;
BEGIN
  FOREACH made IN ARRAY ARRAY['millrace_analyst', 'millrace_reader'] LOOP
    BEGIN
      IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = made) THEN
        EXECUTE format('CREATE ROLE %I NOLOGIN', made);
      END IF;
    EXCEPTION
      WHEN duplicate_object OR unique_violation THEN NULL; -- another database of the cluster is migrated at this moment
      WHEN insufficient_privilege THEN RAISE WARNING '% may not make the role %: see docs/ANALYTICS.md', current_user, made;
    END;
  END LOOP;
END
$$;

-- The second fence. A page is read in a transaction that has first said which rooms the access check allowed, as
-- `millrace_reader`; of all others there are no rows then. Owner and superusers are not hindered: projections write as before.
-- NULLIF: outside of such a transaction the setting is NULL or empty, and nothing is readable.
-- The words of search are not behind it: a GIN index is not used for what might leak rows past a policy. Search finds places by it, and
-- the messages that are shown of them are read behind the fence.
CREATE FUNCTION fence_reads () RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  fenced text;
BEGIN
  FOREACH fenced IN ARRAY ARRAY['events', 'messages', 'message_edits', 'reactions', 'pins', 'members'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', fenced);
    EXECUTE format('DROP POLICY IF EXISTS rooms_allowed ON %I', fenced);
    EXECUTE format('CREATE POLICY rooms_allowed ON %I FOR SELECT USING (room_id = ANY (NULLIF(current_setting(''millrace.rooms'', true), '''')::uuid[]))', fenced);
    EXECUTE format('COMMENT ON POLICY rooms_allowed ON %I IS ''Only rows of rooms that the transaction says were allowed: set_config(millrace.rooms).''', fenced);
  END LOOP;
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'millrace_reader') THEN RETURN; END IF;
  GRANT SELECT ON events, messages, message_edits, reactions, pins, members, rooms, checkpoints TO millrace_reader;
  -- Who is in a room, and on which device something was done: no hashes, no addresses.
  GRANT SELECT (id, username, username_key, display_name, avatar_url, kind, created_at) ON users TO millrace_reader;
  GRANT SELECT (id, device_id) ON sessions TO millrace_reader;
  -- Whoever makes a role may take it on only if it is granted to them; from 16 on, being a member is not enough.
  IF NOT pg_has_role(current_user, 'millrace_reader', CASE WHEN current_setting('server_version_num')::int >= 160000 THEN 'SET' ELSE 'MEMBER' END) THEN
    BEGIN
      EXECUTE format('GRANT millrace_reader TO %I', current_user);
    EXCEPTION
      WHEN insufficient_privilege THEN RAISE WARNING '% may not take on the role millrace_reader: see docs/ANALYTICS.md', current_user;
    END;
  END IF;
END
$$;
COMMENT ON FUNCTION fence_reads () IS 'Puts row-level security on what pages of users are read from, and grants millrace_reader what they need. Again changes nothing; to be called after one of these tables was replaced, or the role was made later.';

CREATE SCHEMA analytics;
COMMENT ON SCHEMA analytics IS 'Views for analysts: names and columns stay as they are. Read by the role millrace_analyst, which is granted nothing else; docs/ANALYTICS.md has examples, and what to run where that role could not be made.';

-- A function, so that views can be pointed at new tables when a read model was rebuilt: a view holds on to the table that it was made of,
-- whatever it is called later. Views read with the rights of their owner, so row-level security does not narrow them.
CREATE FUNCTION define_analytics () RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  CREATE OR REPLACE VIEW analytics.rooms AS
  SELECT id AS room_id, kind, name, topic, history, created_by, created_at, archived, removed, member_count, messages AS message_count, last_seq
    FROM rooms
   WHERE kind <> 'inbox';

  CREATE OR REPLACE VIEW analytics.members AS
  SELECT member.room_id, member.user_id, users.username, users.kind AS user_kind, member.role,
         member.role NOT IN ('none', 'kicked') AS is_member,
         member.joined_at, member.left_at,
         member.muted_until > extract(epoch FROM now()) * 1000 AS is_muted,
         member.banned_until > extract(epoch FROM now()) * 1000 AS is_banned
    FROM members AS member
    LEFT JOIN users ON users.id = member.user_id;

  -- The joins and the counts cost nothing in a query that does not name their columns.
  CREATE OR REPLACE VIEW analytics.messages AS
  SELECT message.room_id, message.seq, message.message_no, message.event_id, message.user_id, users.username, message.timestamp AS sent_at,
         CASE WHEN NOT message.deleted THEN message.content END AS content,
         CASE WHEN NOT message.deleted THEN length(message.content) END AS content_chars,
         message.edited_at, message.deleted, message.reply_to, message.thread,
         coalesce(cardinality(message.mentions), 0) AS mention_count, message.mentions_room,
         coalesce(json_array_length(message.attachments), 0) AS attachment_count,
         (SELECT count(*)
            FROM reactions
           WHERE reactions.room_id = message.room_id
             AND reactions.message_seq = message.seq
             AND message.reacted) AS reaction_count
    FROM messages AS message
    LEFT JOIN users ON users.id = message.user_id;

  CREATE OR REPLACE VIEW analytics.daily_active_users AS
  SELECT (timestamp AT TIME ZONE 'UTC')::date AS day, count(DISTINCT user_id) AS active_users, count(DISTINCT room_id) AS active_rooms, count(*) AS messages
    FROM messages
   GROUP BY 1;

  CREATE OR REPLACE VIEW analytics.room_activity_hourly AS
  SELECT room_id, date_trunc('hour', timestamp, 'UTC') AS hour, count(*) AS messages, count(DISTINCT user_id) AS active_users,
         count(*) FILTER (WHERE reply_to IS NOT NULL OR thread IS NOT NULL) AS replies
    FROM messages
   GROUP BY 1, 2;

  -- What follows by somebody else is where the next turn begins. Looking for it from each message would cost a monologue its length squared;
  -- so turns are marked in one pass, and the nearest beginning is carried back in another.
  CREATE OR REPLACE VIEW analytics.response_times AS
  WITH turns AS (
         SELECT room_id, seq, user_id, timestamp, user_id IS DISTINCT FROM lag(user_id) OVER (PARTITION BY room_id ORDER BY seq) AS begins
           FROM messages
       ), placed AS (
         SELECT room_id, seq, user_id, timestamp,
                min(CASE WHEN begins THEN seq END) OVER (PARTITION BY room_id ORDER BY seq DESC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS next_seq
           FROM turns
       ), answers AS (
         SELECT answer.room_id, answer.reply_to AS seq, min(answer.seq) AS reply_seq
           FROM messages AS answer
           JOIN messages AS asked ON asked.room_id = answer.room_id AND asked.seq = answer.reply_to
          WHERE answer.user_id <> asked.user_id
          GROUP BY 1, 2
       )
  SELECT placed.room_id, placed.seq, placed.user_id, placed.timestamp AS sent_at,
         placed.next_seq, next.user_id AS next_user_id, extract(epoch FROM next.timestamp - placed.timestamp)::double precision AS next_seconds,
         answers.reply_seq, reply.user_id AS reply_user_id, extract(epoch FROM reply.timestamp - placed.timestamp)::double precision AS reply_seconds
    FROM placed
    LEFT JOIN messages AS next ON next.room_id = placed.room_id AND next.seq = placed.next_seq
    LEFT JOIN answers ON answers.room_id = placed.room_id AND answers.seq = placed.seq
    LEFT JOIN messages AS reply ON reply.room_id = answers.room_id AND reply.seq = answers.reply_seq;

  CREATE OR REPLACE VIEW analytics.retention_cohorts AS
  WITH active AS (
         SELECT DISTINCT user_id, date_trunc('week', timestamp AT TIME ZONE 'UTC')::date AS week
           FROM messages
       ), joined AS (
         SELECT user_id, min(week) AS cohort_week
           FROM (SELECT user_id, week FROM active
                  UNION ALL
                 SELECT id, date_trunc('week', created_at AT TIME ZONE 'UTC')::date FROM users WHERE kind <> 'imported') AS seen
          GROUP BY user_id
       ), cohorts AS (
         SELECT cohort_week, count(*) AS users
           FROM joined
          GROUP BY cohort_week
       ), weeks AS (
         SELECT joined.cohort_week, (active.week - joined.cohort_week) / 7 AS week_no, count(*) AS active_users
           FROM active
           JOIN joined USING (user_id)
          GROUP BY 1, 2
       )
  SELECT cohorts.cohort_week, week_no, cohorts.users, coalesce(weeks.active_users, 0) AS active_users,
         round(coalesce(weeks.active_users, 0)::numeric / cohorts.users, 4) AS retention
    FROM cohorts
   CROSS JOIN LATERAL generate_series(0, ((SELECT greatest(max(week), cohorts.cohort_week) FROM active) - cohorts.cohort_week) / 7) AS week_no
    LEFT JOIN weeks USING (cohort_week, week_no);

  CREATE OR REPLACE VIEW analytics.delivery_latency AS
  SELECT event.room_id, event.seq, event.type, event.timestamp AS happened_at, event.archived_at,
         extract(epoch FROM event.archived_at - event.timestamp)::double precision AS archive_seconds
    FROM events AS event
    LEFT JOIN users ON users.id = event.user_id
   WHERE event.archived_at IS NOT NULL
     AND users.kind IS DISTINCT FROM 'imported';

  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'millrace_analyst') THEN RETURN; END IF;
  GRANT USAGE ON SCHEMA analytics TO millrace_analyst;
  GRANT SELECT ON ALL TABLES IN SCHEMA analytics TO millrace_analyst;
END
$$;
COMMENT ON FUNCTION define_analytics () IS 'Makes the views of the schema analytics of the tables as they are now, and grants them to millrace_analyst. Again changes nothing; to be called after a table of a read model was replaced, or the role was made later.';

-- Only the owner calls them: they make what the owner has.
REVOKE EXECUTE ON FUNCTION fence_reads (), define_analytics () FROM PUBLIC;

SELECT fence_reads();
SELECT define_analytics();

COMMENT ON VIEW analytics.rooms IS 'Rooms as they are now, without inboxes.';
COMMENT ON COLUMN analytics.rooms.room_id IS 'Room.';
COMMENT ON COLUMN analytics.rooms.kind IS 'public, private, protected, group, dm or lobby.';
COMMENT ON COLUMN analytics.rooms.name IS 'Name; not unique. Empty for a direct conversation.';
COMMENT ON COLUMN analytics.rooms.topic IS 'Topic, or empty.';
COMMENT ON COLUMN analytics.rooms.history IS 'all: members read from the beginning; joined: from where they last joined.';
COMMENT ON COLUMN analytics.rooms.created_by IS 'User who made it; NULL where the log does not begin with its making.';
COMMENT ON COLUMN analytics.rooms.created_at IS 'When it was made. For an imported room: when it was imported.';
COMMENT ON COLUMN analytics.rooms.archived IS 'Whether it can only be read.';
COMMENT ON COLUMN analytics.rooms.removed IS 'Whether it was deleted.';
COMMENT ON COLUMN analytics.rooms.member_count IS 'Members now. Of the lobby: those with a record of their own only, for everyone is in it.';
COMMENT ON COLUMN analytics.rooms.message_count IS 'Messages so far, deleted ones included.';
COMMENT ON COLUMN analytics.rooms.last_seq IS 'Newest event that the read model has.';

COMMENT ON VIEW analytics.members IS 'Who is or was in a room: one row for each room and user. Of the lobby, which everyone is in, those with a record of their own only.';
COMMENT ON COLUMN analytics.members.room_id IS 'Room.';
COMMENT ON COLUMN analytics.members.user_id IS 'User.';
COMMENT ON COLUMN analytics.members.username IS 'Name of the user; NULL where there is no such user any more.';
COMMENT ON COLUMN analytics.members.user_kind IS 'person, guest, imported or foreign; NULL where there is no such user any more.';
COMMENT ON COLUMN analytics.members.role IS 'owner, admin, moderator, member; none for those who left or never came in; kicked: was put out and has not come back.';
COMMENT ON COLUMN analytics.members.is_member IS 'Whether the user is in the room now.';
COMMENT ON COLUMN analytics.members.joined_at IS 'When the user last came in.';
COMMENT ON COLUMN analytics.members.left_at IS 'When the user last went out; NULL for members.';
COMMENT ON COLUMN analytics.members.is_muted IS 'Whether the user may read and not write now.';
COMMENT ON COLUMN analytics.members.is_banned IS 'Whether the user may not come in now.';

COMMENT ON VIEW analytics.messages IS 'Messages as they are now: edited, or deleted and without content. One row for each.';
COMMENT ON COLUMN analytics.messages.room_id IS 'Room.';
COMMENT ON COLUMN analytics.messages.seq IS 'Place in the room''s log; with room_id, the key.';
COMMENT ON COLUMN analytics.messages.message_no IS 'Which message of the room it is: 1, 2, 3, …';
COMMENT ON COLUMN analytics.messages.event_id IS 'ID of its event.';
COMMENT ON COLUMN analytics.messages.user_id IS 'Author.';
COMMENT ON COLUMN analytics.messages.username IS 'Name of the author; NULL where there is no such user any more.';
COMMENT ON COLUMN analytics.messages.sent_at IS 'When it was sent, by the clock of the gateway that took it; of imported messages, the time in the log, which may know minutes only.';
COMMENT ON COLUMN analytics.messages.content IS 'Text as last edited; NULL once deleted.';
COMMENT ON COLUMN analytics.messages.content_chars IS 'Length of content in characters; NULL once deleted.';
COMMENT ON COLUMN analytics.messages.edited_at IS 'Last edit; NULL for none, and once deleted.';
COMMENT ON COLUMN analytics.messages.deleted IS 'Whether it was deleted: then only its place and author are left.';
COMMENT ON COLUMN analytics.messages.reply_to IS 'Seq of the message that it answers, if any.';
COMMENT ON COLUMN analytics.messages.thread IS 'Seq of the first message of the thread that it is in, if any.';
COMMENT ON COLUMN analytics.messages.mention_count IS 'Users whom the content names.';
COMMENT ON COLUMN analytics.messages.mentions_room IS 'Whether it names everyone, by @room.';
COMMENT ON COLUMN analytics.messages.attachment_count IS 'Files that it refers to.';
COMMENT ON COLUMN analytics.messages.reaction_count IS 'Reactions that stand.';

COMMENT ON VIEW analytics.daily_active_users IS 'For each day on which anything was said: how many people said it. Who only read is not counted.';
COMMENT ON COLUMN analytics.daily_active_users.day IS 'Day, in UTC.';
COMMENT ON COLUMN analytics.daily_active_users.active_users IS 'Users who sent a message.';
COMMENT ON COLUMN analytics.daily_active_users.active_rooms IS 'Rooms in which a message was sent.';
COMMENT ON COLUMN analytics.daily_active_users.messages IS 'Messages, those deleted since included.';

COMMENT ON VIEW analytics.room_activity_hourly IS 'For each room and hour in which anything was said there: how much, and by how many.';
COMMENT ON COLUMN analytics.room_activity_hourly.room_id IS 'Room.';
COMMENT ON COLUMN analytics.room_activity_hourly.hour IS 'Beginning of the hour, of UTC.';
COMMENT ON COLUMN analytics.room_activity_hourly.messages IS 'Messages, those deleted since included.';
COMMENT ON COLUMN analytics.room_activity_hourly.active_users IS 'Users who sent one.';
COMMENT ON COLUMN analytics.room_activity_hourly.replies IS 'Messages among them that answer another or are in a thread.';

COMMENT ON VIEW analytics.response_times IS 'For each message: the next one by somebody else in the room, and the first answer to it by somebody else. Times are of the gateways'' clocks, so they may be below zero by as much as these differ.';
COMMENT ON COLUMN analytics.response_times.room_id IS 'Room.';
COMMENT ON COLUMN analytics.response_times.seq IS 'The message.';
COMMENT ON COLUMN analytics.response_times.user_id IS 'Its author.';
COMMENT ON COLUMN analytics.response_times.sent_at IS 'When it was sent.';
COMMENT ON COLUMN analytics.response_times.next_seq IS 'The next message by somebody else in the room; NULL where there is none yet.';
COMMENT ON COLUMN analytics.response_times.next_user_id IS 'Its author.';
COMMENT ON COLUMN analytics.response_times.next_seconds IS 'Seconds from the message to it.';
COMMENT ON COLUMN analytics.response_times.reply_seq IS 'The first message by somebody else that answers it (reply_to); NULL where there is none.';
COMMENT ON COLUMN analytics.response_times.reply_user_id IS 'Its author.';
COMMENT ON COLUMN analytics.response_times.reply_seconds IS 'Seconds from the message to it.';

COMMENT ON VIEW analytics.retention_cohorts IS 'Users by the week in which they came, and how many of them said something in each week since. A user came when they signed up, or with their first message where that was earlier or where they were imported.';
COMMENT ON COLUMN analytics.retention_cohorts.cohort_week IS 'Monday of the week in which they came, in UTC.';
COMMENT ON COLUMN analytics.retention_cohorts.week_no IS 'Weeks since: 0 is the week itself. Up to the week of the newest message.';
COMMENT ON COLUMN analytics.retention_cohorts.users IS 'Users who came in that week.';
COMMENT ON COLUMN analytics.retention_cohorts.active_users IS 'Those of them who sent a message in week week_no.';
COMMENT ON COLUMN analytics.retention_cohorts.retention IS 'active_users / users, from 0 to 1.';

COMMENT ON VIEW analytics.delivery_latency IS 'For each event: how long it took from the gateway into the archive. When it came to the sockets of others is in no table (the metrics of the gateways tell); this is an upper bound of what the log itself adds, and tells how far projections are behind. Without what was imported, and without what was archived before that time was noted.';
COMMENT ON COLUMN analytics.delivery_latency.room_id IS 'Room.';
COMMENT ON COLUMN analytics.delivery_latency.seq IS 'Place in the room''s log.';
COMMENT ON COLUMN analytics.delivery_latency.type IS 'What happened: message, edit, join, …';
COMMENT ON COLUMN analytics.delivery_latency.happened_at IS 'When it happened, by the clock of the gateway.';
COMMENT ON COLUMN analytics.delivery_latency.archived_at IS 'When the transaction began that archived it, by the clock of Postgres.';
COMMENT ON COLUMN analytics.delivery_latency.archive_seconds IS 'Seconds between the two; may be below zero by as much as the clocks differ.';
