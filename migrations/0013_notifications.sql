-- Notifications: which rooms have messages that nobody was told of outside of a socket yet, where users want to be told (browsers by Web
-- Push, servers by webhooks), what was sent to whom, and how far old messages were erased where they are kept for a limited time only.
-- A message costs one row for its room and batch, however many members there are: who is told is found when the delay is over.
--
-- Locks: SHARE ROW EXCLUSIVE on sessions, for a moment: no row is read or written. Everything else here is new.

CREATE TABLE notification_start (
  only_row   boolean     PRIMARY KEY DEFAULT true CHECK (only_row),
  started_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO notification_start DEFAULT VALUES;
COMMENT ON TABLE notification_start IS 'One row: since when messages are news to anybody.';
COMMENT ON COLUMN notification_start.only_row IS 'Always true: there is one row.';
COMMENT ON COLUMN notification_start.started_at IS 'Messages from before notify nobody: the projection begins with the oldest of the archive.';

CREATE TABLE notification_rooms (
  room_id       uuid        PRIMARY KEY,
  first_seq     bigint      NOT NULL,
  last_seq      bigint      NOT NULL,
  waiting_since timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);
CREATE INDEX notification_rooms_due ON notification_rooms (waiting_since);
COMMENT ON TABLE notification_rooms IS 'Rooms with messages of which it was not looked yet whom to notify, as of the checkpoint of notifications. A row goes when it was.';
COMMENT ON COLUMN notification_rooms.room_id IS 'Room.';
COMMENT ON COLUMN notification_rooms.first_seq IS 'The first such message.';
COMMENT ON COLUMN notification_rooms.last_seq IS 'The last.';
COMMENT ON COLUMN notification_rooms.waiting_since IS 'When the first came, by the clock of Postgres: looked at once the delay has gone by since then.';

CREATE TABLE notification_settings (
  user_id   uuid        PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
  dnd_until timestamptz,
  dnd_from  text        CHECK (dnd_from ~ '^([01]\d|2[0-3]):[0-5]\d$'),
  dnd_to    text        CHECK (dnd_to ~ '^([01]\d|2[0-3]):[0-5]\d$'),
  time_zone text        NOT NULL DEFAULT 'UTC',
  set_at    timestamptz NOT NULL DEFAULT now(),
  CHECK ((dnd_from IS NULL) = (dnd_to IS NULL))
);
COMMENT ON TABLE notification_settings IS 'When users do not want to be disturbed. Written by them, not projected; without a row: never.';
COMMENT ON COLUMN notification_settings.user_id IS 'Whose wish.';
COMMENT ON COLUMN notification_settings.dnd_until IS 'Not before then; NULL for no such time.';
COMMENT ON COLUMN notification_settings.dnd_from IS 'Every day from this time on, HH:MM in time_zone; NULL for no such hours.';
COMMENT ON COLUMN notification_settings.dnd_to IS 'To this time; before dnd_from: to the next day.';
COMMENT ON COLUMN notification_settings.time_zone IS 'IANA name of the time zone of these hours.';
COMMENT ON COLUMN notification_settings.set_at IS 'When it was last set.';

CREATE TABLE vapid_keys (
  only_row    boolean     PRIMARY KEY DEFAULT true CHECK (only_row),
  public_key  text        NOT NULL,
  private_key text        NOT NULL,
  created_at  timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE vapid_keys IS 'At most one row: the keys by which push services know this deployment (RFC 8292), made at the first start that was given none.';
COMMENT ON COLUMN vapid_keys.only_row IS 'Always true: there is one row.';
COMMENT ON COLUMN vapid_keys.public_key IS 'P-256, uncompressed, base64url: what browsers subscribe with.';
COMMENT ON COLUMN vapid_keys.private_key IS 'P-256, base64url. A secret.';
COMMENT ON COLUMN vapid_keys.created_at IS 'When they were made.';

CREATE TABLE push_subscriptions (
  id            uuid        PRIMARY KEY,
  user_id       uuid        NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  -- No foreign key: sessions of a foreign issuer have no row.
  session_id    text        NOT NULL,
  endpoint      text        NOT NULL UNIQUE,
  p256dh        text        NOT NULL,
  auth          text        NOT NULL,
  created_at    timestamptz NOT NULL,
  confirmed_at  timestamptz NOT NULL,
  sent_at       timestamptz,
  failing_since timestamptz
);
CREATE INDEX push_subscriptions_user ON push_subscriptions (user_id);
CREATE INDEX push_subscriptions_session ON push_subscriptions (session_id);
COMMENT ON TABLE push_subscriptions IS 'Browsers that are to be told by Web Push (RFC 8030). Each ends with the session that made it.';
COMMENT ON COLUMN push_subscriptions.id IS 'UUIDv7.';
COMMENT ON COLUMN push_subscriptions.user_id IS 'Whose.';
COMMENT ON COLUMN push_subscriptions.session_id IS 'Session that it belongs to; not always a UUID, for tokens of a foreign issuer.';
COMMENT ON COLUMN push_subscriptions.endpoint IS 'URL at the push service. Whoever has it can be sent to, so it is shown to its owner only.';
COMMENT ON COLUMN push_subscriptions.p256dh IS 'Key of the browser for encryption (RFC 8291), base64url.';
COMMENT ON COLUMN push_subscriptions.auth IS 'Secret shared with the browser for encryption, base64url.';
COMMENT ON COLUMN push_subscriptions.created_at IS 'Since when.';
COMMENT ON COLUMN push_subscriptions.confirmed_at IS 'When the client last said that it still has it.';
COMMENT ON COLUMN push_subscriptions.sent_at IS 'When the push service last took a push; NULL for never.';
COMMENT ON COLUMN push_subscriptions.failing_since IS 'Since when every push failed; NULL where the last was taken.';

-- A trigger, not a statement beside each of those that end sessions: a path that forgot it would go on sending messages to a device that
-- somebody has lost.
CREATE FUNCTION end_push_subscriptions () RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM push_subscriptions WHERE session_id = OLD.id::text;
  RETURN NULL;
END
$$;
COMMENT ON FUNCTION end_push_subscriptions () IS 'With a session that is revoked or deleted, its push subscriptions go.';
CREATE TRIGGER session_revoked AFTER UPDATE OF revoked_at ON sessions FOR EACH ROW WHEN (NEW.revoked_at IS NOT NULL) EXECUTE FUNCTION end_push_subscriptions();
CREATE TRIGGER session_deleted AFTER DELETE ON sessions FOR EACH ROW EXECUTE FUNCTION end_push_subscriptions();

CREATE TABLE webhooks (
  id              uuid        PRIMARY KEY,
  user_id         uuid        NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  url             text        NOT NULL,
  events          text[]      NOT NULL CHECK (events <@ ARRAY['message', 'mention'] AND cardinality(events) > 0),
  room_id         uuid,
  secret          text        NOT NULL,
  previous_secret text,
  rotated_at      timestamptz,
  created_at      timestamptz NOT NULL,
  disabled_at     timestamptz,
  disabled_for    text        CHECK (disabled_for IN ('owner', 'gone', 'failing')),
  failing_since   timestamptz,
  last_at         timestamptz,
  last_status     integer,
  last_error      text,
  CHECK ((disabled_at IS NULL) = (disabled_for IS NULL))
);
CREATE INDEX webhooks_user ON webhooks (user_id, id);
COMMENT ON TABLE webhooks IS 'Servers that users want to be told at, by signed requests (Standard Webhooks).';
COMMENT ON COLUMN webhooks.id IS 'UUIDv7.';
COMMENT ON COLUMN webhooks.user_id IS 'Whose.';
COMMENT ON COLUMN webhooks.url IS 'http or https URL that is posted to.';
COMMENT ON COLUMN webhooks.events IS 'What for: message, mention.';
COMMENT ON COLUMN webhooks.room_id IS 'Of this room only; NULL for all.';
COMMENT ON COLUMN webhooks.secret IS 'whsec_ and base64: signs what is sent. A secret, shown when it is made and never again.';
COMMENT ON COLUMN webhooks.previous_secret IS 'The one before: signs besides for a day after the change. A secret.';
COMMENT ON COLUMN webhooks.rotated_at IS 'When the secret was last changed; NULL for never.';
COMMENT ON COLUMN webhooks.created_at IS 'Since when.';
COMMENT ON COLUMN webhooks.disabled_at IS 'When it was switched off; NULL where it is on.';
COMMENT ON COLUMN webhooks.disabled_for IS 'owner: by its owner; gone: it answered 410; failing: it failed for days.';
COMMENT ON COLUMN webhooks.failing_since IS 'Since when every attempt failed; NULL where the last did not.';
COMMENT ON COLUMN webhooks.last_at IS 'Last attempt; NULL for none.';
COMMENT ON COLUMN webhooks.last_status IS 'HTTP status that it was answered with; NULL for no answer.';
COMMENT ON COLUMN webhooks.last_error IS 'Why the last attempt failed; NULL where it did not.';

CREATE TABLE notified (
  user_id uuid        NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  room_id uuid        NOT NULL,
  seq     bigint      NOT NULL,
  chain   text        NOT NULL,
  newest  timestamptz NOT NULL,
  at      timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (user_id, room_id)
) WITH (fillfactor = 70);
CREATE INDEX notified_by_age ON notified (at);
COMMENT ON TABLE notified IS 'Up to where notifications about a room were queued for a user: none is queued twice for the same message, whatever is looked at again.';
COMMENT ON COLUMN notified.user_id IS 'User.';
COMMENT ON COLUMN notified.room_id IS 'Room.';
COMMENT ON COLUMN notified.seq IS 'Up to here.';
COMMENT ON COLUMN notified.chain IS 'Chain of the archive there: another says that the history has parted, and then newest counts.';
COMMENT ON COLUMN notified.newest IS 'Time of the newest message that was queued.';
COMMENT ON COLUMN notified.at IS 'When it was last moved.';

CREATE TABLE notifications (
  id              uuid        PRIMARY KEY,
  user_id         uuid        NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  room_id         uuid        NOT NULL,
  subscription_id uuid        REFERENCES push_subscriptions (id) ON DELETE CASCADE,
  webhook_id      uuid        REFERENCES webhooks (id) ON DELETE CASCADE,
  kind            text        NOT NULL CHECK (kind IN ('message', 'mention')),
  from_seq        bigint      NOT NULL,
  to_seq          bigint      NOT NULL,
  state           text        NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'sent', 'suppressed', 'dead', 'again')),
  reason          text,
  attempts        integer     NOT NULL DEFAULT 0,
  status          integer,
  created_at      timestamptz NOT NULL DEFAULT now(),
  tried_at        timestamptz,
  CHECK ((subscription_id IS NULL) <> (webhook_id IS NULL))
) WITH (fillfactor = 70);
CREATE INDEX notifications_webhook ON notifications (webhook_id, id) WHERE webhook_id IS NOT NULL;
CREATE INDEX notifications_subscription ON notifications (subscription_id) WHERE subscription_id IS NOT NULL;
CREATE INDEX notifications_again ON notifications (id) WHERE state = 'again';
CREATE INDEX notifications_by_age ON notifications (created_at);
COMMENT ON TABLE notifications IS 'Pushes and webhook deliveries: one for all new messages of a room, to one browser or server of a user. No content: that is read when it is sent. Kept for 30 days.';
COMMENT ON COLUMN notifications.id IS 'UUIDv7; the webhook-id of a delivery, in every attempt.';
COMMENT ON COLUMN notifications.user_id IS 'Who is told.';
COMMENT ON COLUMN notifications.room_id IS 'Of which room.';
COMMENT ON COLUMN notifications.subscription_id IS 'To which browser; NULL for a webhook.';
COMMENT ON COLUMN notifications.webhook_id IS 'To which server; NULL for a push.';
COMMENT ON COLUMN notifications.kind IS 'mention: one of the messages names the user; else message.';
COMMENT ON COLUMN notifications.from_seq IS 'First of the messages that it is about.';
COMMENT ON COLUMN notifications.to_seq IS 'Last of them.';
COMMENT ON COLUMN notifications.state IS 'waiting: a job of pg-boss has it; sent; suppressed: not wanted any more when it was its turn; dead: given up, to be tried again by hand; again: that was asked for.';
COMMENT ON COLUMN notifications.reason IS 'Why it was suppressed, or why the last attempt failed.';
COMMENT ON COLUMN notifications.attempts IS 'Attempts so far.';
COMMENT ON COLUMN notifications.status IS 'HTTP status of the last answer; NULL for none.';
COMMENT ON COLUMN notifications.created_at IS 'When it was queued.';
COMMENT ON COLUMN notifications.tried_at IS 'When it was last tried, or suppressed.';

CREATE TABLE retention (
  room_id uuid   PRIMARY KEY,
  seq     bigint NOT NULL,
  tables  oid[]  NOT NULL
);
COMMENT ON TABLE retention IS 'How far the old messages of a room were erased, where messages are kept for a limited time (RETENTION_DAYS).';
COMMENT ON COLUMN retention.room_id IS 'Room.';
COMMENT ON COLUMN retention.seq IS 'Everything up to here was gone through.';
COMMENT ON COLUMN retention.tables IS 'The tables that it was erased from. Where others stand in their place, as after a rebuild, it begins again.';
