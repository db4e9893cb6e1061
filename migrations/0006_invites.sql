-- How people come into rooms that not everyone may enter: passwords of rooms, and invites with an end and a number of uses. Hashes
-- only, here and nowhere else: no event and no hash in Redis has them.
--
-- Locks: nothing that exists; everything here is new.

CREATE TABLE room_passwords (
  room_id       uuid        PRIMARY KEY,
  password_hash text        NOT NULL,
  changed_at    timestamptz NOT NULL
);
COMMENT ON TABLE room_passwords IS 'Passwords of protected rooms. A row may be there before its room, or without one that was never made.';
COMMENT ON COLUMN room_passwords.room_id IS 'Room.';
COMMENT ON COLUMN room_passwords.password_hash IS 'Argon2id as a PHC string.';
COMMENT ON COLUMN room_passwords.changed_at IS 'When it was set.';

-- No foreign key to rooms: that is a read model, which may not have the room yet.
CREATE TABLE invites (
  id         uuid        PRIMARY KEY,
  room_id    uuid        NOT NULL,
  code_hash  bytea       NOT NULL UNIQUE,
  created_by uuid        NOT NULL,
  created_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  uses       integer     NOT NULL CHECK (uses > 0),
  used       integer     NOT NULL DEFAULT 0,
  revoked_at timestamptz,
  CHECK (used BETWEEN 0 AND uses)
);
CREATE INDEX invites_of_room ON invites (room_id, id);
COMMENT ON TABLE invites IS 'Invites to rooms. Those that are over are kept for a while, a bounded number of each room.';
COMMENT ON COLUMN invites.id IS 'UUIDv7; names the invite to those who may see it, and lets nobody in.';
COMMENT ON COLUMN invites.room_id IS 'Room.';
COMMENT ON COLUMN invites.code_hash IS 'SHA-256 of the code that lets people in.';
COMMENT ON COLUMN invites.created_by IS 'Who made it; void once they may not invite any more.';
COMMENT ON COLUMN invites.created_at IS 'When it was made.';
COMMENT ON COLUMN invites.expires_at IS 'Lets nobody in from then on.';
COMMENT ON COLUMN invites.uses IS 'People that it lets in at most.';
COMMENT ON COLUMN invites.used IS 'People that it has let in: the number of its rows in invite_uses.';
COMMENT ON COLUMN invites.revoked_at IS 'When it was taken back; NULL for never.';

CREATE TABLE invite_uses (
  invite_id uuid        NOT NULL REFERENCES invites ON DELETE CASCADE,
  user_id   uuid        NOT NULL,
  used_at   timestamptz NOT NULL,
  PRIMARY KEY (invite_id, user_id)
);
COMMENT ON TABLE invite_uses IS 'Whom an invite has let in. Everyone counts once, however often they come back with it.';
COMMENT ON COLUMN invite_uses.invite_id IS 'Invite.';
COMMENT ON COLUMN invite_uses.user_id IS 'User.';
COMMENT ON COLUMN invite_uses.used_at IS 'When they first came with it.';
