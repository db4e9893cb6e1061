/**
 * Which version of each projection its tables are of: the version pointer. The first projector to start sets it, a rebuild moves it in
 * the transaction that exchanges the tables. Code of another version leaves the tables alone.
 */
import type { Queryable } from './pool.ts'

/** The tables are of another version than the code: it must not write them. The message says what to do. */
export class NotLive extends Error {
  override name = 'NotLive'
}

export interface LiveVersion { readonly name: string, readonly version: number, readonly since: Date }

/** Undefined before the first start. */
export async function liveVersion (db: Queryable, name: string): Promise<number | undefined> {
  const { rows: [row] } = await db.query<{ version: number }>({
    name: 'live_version',
    text: `
    SELECT version
      FROM projection_versions
     WHERE name = $1`,
    values: [name],
  })
  return row?.version
}

/** The live version; this one if there was none yet. */
export async function claimVersion (db: Queryable, name: string, version: number): Promise<number> {
  const live = await liveVersion(db, name)
  if (live !== undefined) return live
  await db.query(`
    INSERT INTO projection_versions (name, version)
    VALUES ($1, $2)
        ON CONFLICT DO NOTHING`, [name, version])
  return await liveVersion(db, name) ?? version
}

/** In the order of names. */
export async function listVersions (db: Queryable): Promise<LiveVersion[]> {
  const { rows } = await db.query<LiveVersion>('SELECT name, version, since FROM projection_versions ORDER BY name')
  return rows
}

/** What to do where code of this version meets tables of that one. */
export function notLive (name: string, version: number, live: number): NotLive {
  const remedy = version > live ? `run npx millrace rebuild ${name}` : 'this is older code, so run the version of Millrace that wrote them'
  return new NotLive(`the tables of ${name} are of version ${live}, and this code writes version ${version}: ${remedy}`)
}
