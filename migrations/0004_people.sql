-- People: what users say of themselves, users of a foreign issuer, contacts and blocks, where a session was opened and why it
-- ended, and what happened to an account's security.
--
-- Locks: ACCESS EXCLUSIVE on users and sessions while their rows are checked against the new constraints and indexed; no row is
-- rewritten (100,000 users: some 0.3 s). The rest is new.

ALTER TABLE users
  ADD COLUMN avatar_url   text,
  ADD COLUMN status_text  text,
  ADD COLUMN last_seen_at timestamptz,
  ADD COLUMN issuer       text,
  ADD COLUMN external_id  text,
  DROP CONSTRAINT users_kind_check,
  ADD CONSTRAINT users_kind_check CHECK (kind IN ('person', 'guest', 'imported', 'foreign')),
  ADD CONSTRAINT users_foreign_check CHECK ((kind = 'foreign') = (issuer IS NOT NULL) AND (issuer IS NULL) = (external_id IS NULL)),
  ADD CONSTRAINT users_external_key UNIQUE (issuer, external_id);

COMMENT ON COLUMN users.kind IS 'person: signed up with a password; guest: without; imported: a name out of an imported log, which never logs in; foreign: comes with tokens of another issuer.';
COMMENT ON COLUMN users.avatar_url IS 'http or https URL of a picture, as its owner gave it; never fetched by Millrace.';
COMMENT ON COLUMN users.status_text IS 'What the user says about how they are.';
COMMENT ON COLUMN users.last_seen_at IS 'When the user was last connected, as far as it was noted; NULL for never.';
COMMENT ON COLUMN users.issuer IS 'Claim iss of the tokens of a foreign user, empty if they have none; NULL for our own.';
COMMENT ON COLUMN users.external_id IS 'What the issuer calls the user; unique for the issuer.';

ALTER TABLE sessions
  ADD COLUMN address text,
  DROP CONSTRAINT sessions_revoked_for_check,
  ADD CONSTRAINT sessions_revoked_for_check CHECK (revoked_for IN ('logout', 'reuse', 'owner', 'password'));

-- What a gateway asks at its start and after each time that Redis was away: whose access tokens are void.
CREATE INDEX sessions_revoked ON sessions (revoked_at) WHERE revoked_at IS NOT NULL;

COMMENT ON COLUMN sessions.address IS 'Address of the client at log-in.';
COMMENT ON COLUMN sessions.user_id IS 'Whose session it is.';
COMMENT ON COLUMN sessions.created_at IS 'When it was opened.';
COMMENT ON COLUMN sessions.revoked_at IS 'When it was ended before its time.';
COMMENT ON COLUMN sessions.revoked_for IS 'logout; reuse: an old refresh token was used again; owner: ended from another session; password: the password was changed in another session.';
COMMENT ON COLUMN users.created_at IS 'When the user signed up, was imported, or was first seen.';

CREATE TABLE contacts (
  user_id    uuid NOT NULL REFERENCES users ON DELETE CASCADE,
  contact_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
  created_at timestamptz NOT NULL,
  PRIMARY KEY (user_id, contact_id),
  CHECK (user_id <> contact_id)
);

CREATE INDEX contacts_listed_by ON contacts (contact_id, user_id);

COMMENT ON TABLE contacts IS 'Whom users list as their contacts. One-sided: nobody is asked.';
COMMENT ON COLUMN contacts.user_id IS 'Whose list it is.';
COMMENT ON COLUMN contacts.contact_id IS 'Who is on it.';
COMMENT ON COLUMN contacts.created_at IS 'Since when.';

CREATE TABLE blocks (
  user_id    uuid NOT NULL REFERENCES users ON DELETE CASCADE,
  blocked_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
  created_at timestamptz NOT NULL,
  PRIMARY KEY (user_id, blocked_id),
  CHECK (user_id <> blocked_id)
);

CREATE INDEX blocks_by_blocked ON blocks (blocked_id, user_id);

COMMENT ON TABLE blocks IS 'Who does not want to be written to by whom.';
COMMENT ON COLUMN blocks.user_id IS 'Who blocks.';
COMMENT ON COLUMN blocks.blocked_id IS 'Who is blocked: cannot write the other directly.';
COMMENT ON COLUMN blocks.created_at IS 'Since when.';

-- No foreign key to users: an event is written after the fact, when its user may be gone.
CREATE TABLE security_events (
  id         uuid PRIMARY KEY,
  user_id    uuid,
  type       text NOT NULL CHECK (type IN ('signup', 'login', 'login_failed', 'refresh_reuse', 'session_revoked', 'password_changed', 'logout')),
  at         timestamptz NOT NULL,
  address    text,
  user_agent text,
  session_id text,
  detail     jsonb NOT NULL
);

CREATE INDEX security_events_of_user ON security_events (user_id, at DESC, id DESC);
CREATE INDEX security_events_by_age ON security_events (at);

COMMENT ON TABLE security_events IS 'What happened to the security of accounts; kept for 90 days.';
COMMENT ON COLUMN security_events.id IS 'UUIDv7.';
COMMENT ON COLUMN security_events.user_id IS 'Whose account; NULL where a log-in named nobody.';
COMMENT ON COLUMN security_events.type IS 'What happened.';
COMMENT ON COLUMN security_events.at IS 'When it happened, by the clock of the gateway.';
COMMENT ON COLUMN security_events.address IS 'Address of the client.';
COMMENT ON COLUMN security_events.user_agent IS 'The header of that name, at most 200 characters.';
COMMENT ON COLUMN security_events.session_id IS 'The session that it happened in, or that was ended; not always a UUID, for tokens of a foreign issuer.';
COMMENT ON COLUMN security_events.detail IS 'More facts, by type; never a secret.';
