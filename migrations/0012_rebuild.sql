-- Read models that are rebuilt beside the live ones: which version of each projection is live, which rebuilds are half done, and which
-- tables were replaced and wait to be dropped. The tables that are being filled are in schemas of their own (`rebuild_<name>`), those
-- that were replaced too (`retired_<name>_<time>`); neither is made here. Why: docs/adr/0011-rebuild.md.
--
-- Locks: nothing that exists; everything here is new. checkpoints is read once.

CREATE TABLE projection_versions (
  name    text        PRIMARY KEY,
  version integer     NOT NULL CHECK (version > 0),
  since   timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE projection_versions IS 'Which version of each projection its tables are of. A projector whose code is of another one leaves them alone; a rebuild moves it, in the transaction that exchanges the tables.';
COMMENT ON COLUMN projection_versions.name IS 'Name of the projection.';
COMMENT ON COLUMN projection_versions.version IS 'The live version: the checkpoints that count are those of <name>_v<version>.';
COMMENT ON COLUMN projection_versions.since IS 'When these tables became the live ones: first start, or switch of a rebuild.';

-- What is there was written by the code that wrote its checkpoints; a projector of a newer version must not take it for its own.
INSERT INTO projection_versions (name, version)
SELECT substring(projection FROM '^(.*)_v[0-9]+$'), max(substring(projection FROM '_v([0-9]+)$')::int)
  FROM checkpoints
 WHERE projection ~ '_v[0-9]+$'
 GROUP BY 1;

CREATE TABLE rebuilds (
  name      text        PRIMARY KEY,
  version   integer     NOT NULL,
  structure text        NOT NULL,
  begun_at  timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE rebuilds IS 'Rebuilds that are half done: the tables are in the schema rebuild_<name>, their checkpoints are those of <name>_rebuild_v<version>.';
COMMENT ON COLUMN rebuilds.name IS 'Name of the projection.';
COMMENT ON COLUMN rebuilds.version IS 'Version of the code that fills the tables.';
COMMENT ON COLUMN rebuilds.structure IS 'Fingerprint of the columns and indexes of the live tables that they were copied from: where these have changed since, the rebuild begins again.';
COMMENT ON COLUMN rebuilds.begun_at IS 'When it began.';

CREATE TABLE retired_tables (
  schema     text        PRIMARY KEY,
  name       text        NOT NULL,
  version    integer     NOT NULL,
  forgotten  text[]      NOT NULL,
  retired_at timestamptz NOT NULL,
  drop_after timestamptz NOT NULL
);
COMMENT ON TABLE retired_tables IS 'Tables of read models that a rebuild has replaced, by the schema that they were moved to. Nothing reads them; dropped after a while.';
COMMENT ON COLUMN retired_tables.schema IS 'Where they are.';
COMMENT ON COLUMN retired_tables.name IS 'Name of the projection.';
COMMENT ON COLUMN retired_tables.version IS 'Version that they are of.';
COMMENT ON COLUMN retired_tables.forgotten IS 'Groups whose checkpoints, parked rooms and leases go with them.';
COMMENT ON COLUMN retired_tables.retired_at IS 'When they were replaced.';
COMMENT ON COLUMN retired_tables.drop_after IS 'Dropped from then on.';

-- For reads: which checkpoints are those of the tables that the same statement reads. The body is bound when it is made, so nobody's
-- search path changes what it reads, and who may read nothing else may call it.
CREATE FUNCTION live_group (asked text) RETURNS text LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER
BEGIN ATOMIC
  SELECT coalesce((SELECT name || '_v' || version FROM projection_versions WHERE name = regexp_replace(asked, '_v[0-9]+$', '')), asked);
END;
COMMENT ON FUNCTION live_group IS 'Of a projection, given as <name>_v<any version>: <name>_v<live version>. In a query as (SELECT live_group($1)), so that it is asked once.';
