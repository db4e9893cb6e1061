/** The settings of Postgres that matter: commits must be on disk before Redis lets go of what they hold, and there must be room for all pools. */
import { statfs } from 'node:fs/promises'
import { missingMigrations } from '../store/migrate.ts'
import { postgresOverview, postgresSettings, type PostgresOverview } from '../store/overview.ts'
import type { Queryable } from '../store/pool.ts'
import { check, clockCheck, diskCheck, type Check } from './checkup.ts'
import { isHere } from './checkup-redis.ts'

const SETTINGS = ['server_version_num', 'max_connections', 'superuser_reserved_connections', 'reserved_connections', 'synchronous_commit', 'fsync', 'full_page_writes', 'autovacuum', 'default_transaction_read_only', 'server_encoding', 'data_directory', 'idle_session_timeout']
const OLDEST = 150_000
/** Roles that the migrations make where they may. */
const READER = 'millrace_reader'

export interface Pools {
  /** Processes that hold a pool, as far as is known. */
  readonly processes: number
  /** POSTGRES_CONNECTIONS_MAX. */
  readonly connectionsEach: number
}

/** What else connects: the queue of jobs (2), the command line, people. */
const CONNECTIONS_BESIDES = 10

/** Throws what Postgres throws. */
export async function checkPostgres (db: Queryable, url: string, pools: Pools): Promise<Check[]> {
  const settings = await postgresSettings(db, SETTINGS)
  const asked = Date.now()
  const overview = await postgresOverview(db)
  const halfMs = (Date.now() - asked) / 2
  const { rows: [roles] } = await db.query<{ reader: boolean }>('SELECT to_regrole($1) IS NOT NULL AS reader', [READER])
  const missing = await missingMigrations(db)
  return [
    check('postgres', 'version', overview.version, Number(settings.get('server_version_num')) >= OLDEST, { why: 'Millrace needs Postgres 15 or newer', change: 'pg_upgrade   # to a version that is still maintained' }),
    check('postgres', 'role', overview.in_recovery ? 'standby' : 'primary', !overview.in_recovery, { why: 'a standby only reads', change: 'DATABASE_URL=postgres://…   # of the primary' }),
    check('postgres', 'migrations', missing.length === 0 ? 'up to date' : `${missing.length} missing: ${missing.slice(0, 3).join(', ')}${missing.length > 3 ? ', …' : ''}`, missing.length === 0, { why: 'this version needs the newer schema', change: 'npx millrace migrate' }),
    ...durability(settings),
    ...connections(settings, overview, pools),
    ...others(settings),
    check('postgres', `role ${READER}`, roles?.reader === true ? 'is there' : 'is not there', roles?.reader === true, { verdict: 'better', why: 'reads go without row-level security, the second fence around rooms', change: `CREATE ROLE ${READER} NOLOGIN;   -- as a superuser, then: npx millrace migrate` }),
    // As of the middle of the statement, which asks for more than the time: the larger the database, the less exact.
    clockCheck('postgres', 'clock', overview.now.getTime() - (asked + halfMs), halfMs),
    ...await disk(settings, url),
  ]
}

function durability (settings: ReadonlyMap<string, string>): Check[] {
  const [commit = '?', fsync = '?', pages = '?'] = ['synchronous_commit', 'fsync', 'full_page_writes'].map(name => settings.get(name))
  return [
    check('postgres', 'synchronous_commit', commit, commit !== 'off', { why: 'a crash loses the last commits, and Redis may have let go of those events already: a hole that nothing fills', change: 'synchronous_commit = on' }),
    check('postgres', 'fsync', fsync, fsync === 'on', { why: 'a crash of the machine ruins the database', change: 'fsync = on' }),
    check('postgres', 'full_page_writes', pages, pages === 'on', { why: 'a page that is half written in a crash cannot be mended', change: 'full_page_writes = on' }),
  ]
}

function connections (settings: ReadonlyMap<string, string>, { connections_max, connections, connections_millrace }: PostgresOverview, { processes, connectionsEach }: Pools): Check[] {
  const reserved = Number(settings.get('superuser_reserved_connections') ?? 0) + Number(settings.get('reserved_connections') ?? 0)
  const others = connections - connections_millrace
  const needed = processes * connectionsEach + CONNECTIONS_BESIDES + others + reserved
  return [check('postgres', 'max_connections', `${connections_max}, and ${processes} processes with ${connectionsEach} connections each may need ${needed}`, connections_max >= needed, {
    why: 'when all processes are busy some are turned away',
    change: `max_connections = ${Math.ceil(needed * 1.2 / 10) * 10}`,
  })]
}

function others (settings: ReadonlyMap<string, string>): Check[] {
  const [vacuum = '?', readOnly = '?', encoding = '?', idle = '0'] = ['autovacuum', 'default_transaction_read_only', 'server_encoding', 'idle_session_timeout'].map(name => settings.get(name))
  return [
    check('postgres', 'autovacuum', vacuum, vacuum === 'on', { why: 'checkpoints are updated all the time: their table and its indexes grow without end', change: 'autovacuum = on' }),
    check('postgres', 'default_transaction_read_only', readOnly, readOnly === 'off', { why: 'nothing can be projected', change: 'default_transaction_read_only = off' }),
    check('postgres', 'server_encoding', encoding, encoding === 'UTF8', { why: 'messages hold any character of Unicode', change: "CREATE DATABASE millrace ENCODING 'UTF8' TEMPLATE template0;" }),
    check('postgres', 'idle_session_timeout', idle, idle === '0', { verdict: 'better', why: 'idle connections of the pools are cut, and opened again each time', change: 'idle_session_timeout = 0' }),
  ]
}

/** Only where Postgres is on this host and this account may know of its directory and see it. */
async function disk (settings: ReadonlyMap<string, string>, url: string): Promise<Check[]> {
  const dir = settings.get('data_directory')
  if (dir === undefined || !isHere(url)) return []
  try {
    const { bavail, blocks, bsize } = await statfs(dir)
    return [diskCheck('postgres', dir, { free: bavail * bsize, size: blocks * bsize })]
  } catch {
    return []
  }
}
