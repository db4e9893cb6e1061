-- Accounts: who people are, and the devices on which they are signed in. Events name users by `users.id` only; password
-- hashes and refresh tokens live here and nowhere else.
--
-- Locks: nothing that exists; everything here is new.

CREATE TABLE users (
  id            uuid PRIMARY KEY,
  username      text NOT NULL,
  -- "C": unique by code points whatever the database's locale, and the same index serves prefix search and paging.
  username_key  text COLLATE "C" NOT NULL UNIQUE,
  display_name  text NOT NULL,
  email         text,
  password_hash text,
  kind          text NOT NULL CHECK (kind IN ('person', 'guest', 'imported')),
  created_at    timestamptz NOT NULL,
  CHECK (kind <> 'person' OR password_hash IS NOT NULL),
  CHECK (kind = 'person' OR password_hash IS NULL)
);

COMMENT ON TABLE users IS 'Everyone who can be the author of an event.';
COMMENT ON COLUMN users.id IS 'UUIDv7, made by Millrace.';
COMMENT ON COLUMN users.username IS 'As its owner wrote it.';
COMMENT ON COLUMN users.username_key IS 'The username as it is compared: NFKC, lower case, without characters that cannot be seen.';
COMMENT ON COLUMN users.display_name IS 'How clients show the user; need not be unique.';
COMMENT ON COLUMN users.email IS 'As given at sign-up; not verified, shown to its owner only.';
COMMENT ON COLUMN users.password_hash IS 'Argon2id as a PHC string; NULL where nobody can log in with a password.';
COMMENT ON COLUMN users.kind IS 'person: signed up with a password; guest: without; imported: a name out of an imported log, which never logs in.';

CREATE TABLE sessions (
  id             uuid PRIMARY KEY,
  user_id        uuid NOT NULL REFERENCES users ON DELETE CASCADE,
  device_id      text,
  user_agent     text,
  -- A refresh token is a handle that stays for the life of the session and a secret that changes with each use; both hashed.
  refresh_family bytea NOT NULL UNIQUE,
  refresh_hash   bytea NOT NULL,
  created_at     timestamptz NOT NULL,
  used_at        timestamptz NOT NULL,
  expires_at     timestamptz NOT NULL,
  revoked_at     timestamptz,
  revoked_for    text CHECK (revoked_for IN ('logout', 'reuse')),
  CHECK ((revoked_at IS NULL) = (revoked_for IS NULL))
);

CREATE INDEX sessions_of_user ON sessions (user_id, created_at DESC);

COMMENT ON TABLE sessions IS 'One row for each log-in of a device.';
COMMENT ON COLUMN sessions.id IS 'The claim sid of the access tokens of this session.';
COMMENT ON COLUMN sessions.device_id IS 'What the client calls its device, if it says so.';
COMMENT ON COLUMN sessions.user_agent IS 'The header of that name at log-in, at most 200 characters.';
COMMENT ON COLUMN sessions.refresh_family IS 'SHA-256 of the part of the refresh token that stays.';
COMMENT ON COLUMN sessions.refresh_hash IS 'SHA-256 of the only refresh token that is valid now.';
COMMENT ON COLUMN sessions.used_at IS 'Last refresh.';
COMMENT ON COLUMN sessions.expires_at IS 'When the refresh token ends unless it is used before.';
COMMENT ON COLUMN sessions.revoked_for IS 'logout, or reuse: an old refresh token was used again.';
