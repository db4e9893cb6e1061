/**
 * What Postgres knows of how the deployment fares, for people who look: who serves which projection, how far checkpoints are, what
 * is parked, connections and size, jobs. Sums are made here in SQL; nothing reads more rooms than it is told to.
 */
import type { Queryable } from './pool.ts'

export interface PostgresOverview {
  readonly version: string
  /** Client connections of everybody, and of Millrace. */
  readonly connections: number
  readonly connections_millrace: number
  readonly connections_max: number
  readonly database_bytes: number
  /** A standby: it only reads. */
  readonly in_recovery: boolean
  /** Null before the first start. */
  readonly partitions: number | null
  readonly now: Date
}

export async function postgresOverview (db: Queryable): Promise<PostgresOverview> {
  const { rows: [row] } = await db.query<Omit<PostgresOverview, 'partitions'>>(`
    SELECT current_setting('server_version') AS version,
           (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS connections,
           (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND application_name LIKE 'millrace-%') AS connections_millrace,
           current_setting('max_connections')::int AS connections_max,
           pg_database_size(current_database()) AS database_bytes,
           pg_is_in_recovery() AS in_recovery,
           clock_timestamp() AS now`)
  return { ...row!, partitions: await storedPartitions(db) }
}

/** The number of partitions that this database was first used with; null before that. */
export async function storedPartitions (db: Queryable): Promise<number | null> {
  const { rows: [there] } = await db.query<{ found: boolean }>("SELECT to_regclass('deployment') IS NOT NULL AS found")
  if (there?.found !== true) return null
  const { rows: [row] } = await db.query<{ partitions: number }>('SELECT partitions FROM deployment')
  return row?.partitions ?? null
}

export interface ServedProjection {
  readonly projection: string
  /** Workers that are alive, by the clock of Postgres. */
  readonly workers: number
  /** Partitions with a lease that holds. */
  readonly partitions: number
  readonly parked_rooms: number
  /** Since when the longest of them is parked. */
  readonly parked_since: Date | null
}

/** A projection (name and version), and whose leases it is served by: its own, or those of the archive that it follows. */
export interface AskedProjection {
  readonly projection: string
  readonly leases: string
}

/** Of each projection, given with the version of this code, the one that its tables are of now (`<name>_v<version>`). */
export async function liveProjections (db: Queryable, projections: readonly AskedProjection[]): Promise<AskedProjection[]> {
  const { rows } = await db.query<AskedProjection>(`
    SELECT live_group(projection) AS projection, live_group(leases) AS leases
      FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS asked (projection, leases, n)
     ORDER BY n`, [projections.map(({ projection }) => projection), projections.map(({ leases }) => leases)])
  return rows
}

/** Who serves each of these projections, and what is parked there; in their order. One that is only named is served by leases of its own. */
export async function servedProjections (db: Queryable, named: ReadonlyArray<string | AskedProjection>): Promise<ServedProjection[]> {
  const projections = named.map(one => typeof one === 'string' ? { projection: one, leases: one } : one)
  const { rows } = await db.query<ServedProjection>(`
    SELECT asked.projection,
           (SELECT count(*) FROM workers WHERE workers.projection = asked.leases AND expires_at > now()) AS workers,
           (SELECT count(*) FROM leases WHERE leases.projection = asked.leases AND expires_at > now()) AS partitions,
           parked.rooms AS parked_rooms, parked.since AS parked_since
      FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS asked (projection, leases, n)
     CROSS JOIN LATERAL (
           SELECT count(*) AS rooms, min(parked_at) AS since
             FROM parked_rooms
            WHERE parked_rooms.projection = asked.projection) AS parked
     ORDER BY n`, [projections.map(({ projection }) => projection), projections.map(({ leases }) => leases)])
  return rows
}

export interface RoomCheckpoint { readonly projection: string, readonly room_id: string, readonly seq: number, readonly parked: boolean }

/** Checkpoints of these rooms in these projections; a room that was never applied is absent. */
export async function checkpointsOfRooms (db: Queryable, projections: readonly string[], roomIds: readonly string[]): Promise<RoomCheckpoint[]> {
  const { rows } = await db.query<RoomCheckpoint>(`
    SELECT projection, room_id, checkpoints.seq, parked_rooms.room_id IS NOT NULL AS parked
      FROM checkpoints
      LEFT JOIN parked_rooms USING (projection, room_id)
     WHERE projection = ANY ($1::text[])
       AND room_id = ANY ($2::uuid[])`, [projections, roomIds])
  return rows
}

/** News counted, at most: beyond it the count is too low. */
const NEWS_MAX = 10_000

/** News that is not in its inbox yet, and since when the oldest of it is archived (epoch milliseconds). */
export async function inboxesWaiting (db: Queryable): Promise<{ events: number, since: number | undefined }> {
  const { rows: [row] } = await db.query<{ events: number, since: Date | null }>(`
    SELECT count(*) AS events, min(created_at) AS since
      FROM (SELECT created_at
              FROM inbox_pending
             ORDER BY id
             LIMIT $1) AS oldest`, [NEWS_MAX])
  return { events: row!.events, since: row!.since?.getTime() }
}

export interface JobCount { readonly queue: string, readonly state: string, readonly count: number }

/** Jobs looked at, at most: beyond it the counts are too low. */
const JOBS_MAX = 100_000

/** Jobs by queue and state, but for those that are done; empty where no jobs ever ran. */
export async function jobCounts (db: Queryable): Promise<JobCount[]> {
  const { rows: [there] } = await db.query<{ found: boolean }>("SELECT to_regclass('pgboss.job') IS NOT NULL AS found")
  if (there?.found !== true) return []
  const { rows } = await db.query<JobCount>(`
    SELECT queue, state, count(*) AS count
      FROM (SELECT name AS queue, state::text AS state
              FROM pgboss.job
             WHERE state NOT IN ('completed', 'cancelled')
             LIMIT $1) AS looked_at
     GROUP BY queue, state
     ORDER BY queue, state`, [JOBS_MAX])
  return rows
}

/** Settings of the server by name, as it spells them; those that it does not know are absent. */
export async function postgresSettings (db: Queryable, names: readonly string[]): Promise<Map<string, string>> {
  const { rows } = await db.query<{ name: string, setting: string }>(`
    SELECT name, current_setting(name) AS setting
      FROM pg_settings
     WHERE name = ANY ($1::text[])`, [names])
  return new Map(rows.map(({ name, setting }) => [name, setting]))
}
