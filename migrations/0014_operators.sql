-- Operators: people who look after the deployment itself, accounts that they have shut, what they did, and who skipped what in a
-- read model and why.
--
-- Locks: ACCESS EXCLUSIVE on users, sessions, security_events and skipped until the migration ends. Columns are added without
-- rewriting rows; the two new constraints read sessions and security_events once each (1,000,000 rows: some 0.2 s).

ALTER TABLE users
  ADD COLUMN operator    boolean NOT NULL DEFAULT false,
  ADD COLUMN disabled_at timestamptz;

CREATE INDEX users_operators ON users (username_key) WHERE operator;

COMMENT ON COLUMN users.operator IS 'Whether the user may act for the deployment itself: routes under /admin, in any room with the permissions of an owner.';
COMMENT ON COLUMN users.disabled_at IS 'Since when the account is shut by an operator: nobody logs in with it; NULL where it is not.';

ALTER TABLE sessions
  DROP CONSTRAINT sessions_revoked_for_check,
  ADD CONSTRAINT sessions_revoked_for_check CHECK (revoked_for IN ('logout', 'reuse', 'owner', 'password', 'operator'));

COMMENT ON COLUMN sessions.revoked_for IS 'logout; reuse: an old refresh token was used again; owner: ended from another session; password: the password was changed in another session; operator: ended by an operator.';

ALTER TABLE security_events
  DROP CONSTRAINT security_events_type_check,
  ADD CONSTRAINT security_events_type_check CHECK (type IN ('signup', 'login', 'login_failed', 'refresh_reuse', 'session_revoked', 'password_changed', 'logout', 'password_reset', 'disabled', 'enabled'));

CREATE TABLE operator_acts (
  id          uuid        PRIMARY KEY,
  at          timestamptz NOT NULL DEFAULT now(),
  operator_id uuid,
  operator    text        NOT NULL,
  action      text        NOT NULL,
  user_id     uuid,
  room_id     uuid,
  detail      jsonb       NOT NULL DEFAULT '{}',
  address     text
);
CREATE INDEX operator_acts_newest ON operator_acts (at DESC, id DESC);

COMMENT ON TABLE operator_acts IS 'What operators did, over HTTP and by the command line. Kept for good: nothing deletes from it.';
COMMENT ON COLUMN operator_acts.id IS 'UUIDv7.';
COMMENT ON COLUMN operator_acts.at IS 'When it was done, by the clock of Postgres.';
COMMENT ON COLUMN operator_acts.operator_id IS 'The operator; NULL for the command line, which asks nobody to sign in.';
COMMENT ON COLUMN operator_acts.operator IS 'Name of the operator then; for the command line, account and host that it ran under.';
COMMENT ON COLUMN operator_acts.action IS 'What was done: ban, disable, park skip, …';
COMMENT ON COLUMN operator_acts.user_id IS 'To whom, where it was done to a person.';
COMMENT ON COLUMN operator_acts.room_id IS 'To which room, or in which.';
COMMENT ON COLUMN operator_acts.detail IS 'More facts, by action; never a secret.';
COMMENT ON COLUMN operator_acts.address IS 'Address of the client; NULL for the command line.';

ALTER TABLE skipped
  ADD COLUMN event_id   text,
  ADD COLUMN skipped_by text,
  ADD COLUMN reason     text;

COMMENT ON TABLE skipped IS 'What somebody skipped by hand: in the archive, holes that neither Redis nor Postgres can fill (who resumes across one is told); in another projection, an event that it could not apply, and never will under this version.';
COMMENT ON COLUMN skipped.projection IS 'Name and version of the projection that went on behind it; the archive''s own are the ones that nobody can read any more.';
COMMENT ON COLUMN skipped.from_seq IS 'First event that is missing, or was skipped.';
COMMENT ON COLUMN skipped.to_seq IS 'Last event that is missing, or was skipped.';
COMMENT ON COLUMN skipped.event_id IS 'The event that was skipped; NULL for holes.';
COMMENT ON COLUMN skipped.skipped_by IS 'Who: name of an operator, or account and host of the command line; NULL before this was noted.';
COMMENT ON COLUMN skipped.reason IS 'Why, in their words.';
