/**
 * Exports that operators have asked for: what of, and how far they are. An attempt writes only while it is the one that is under way: one that
 * was taken for dead, or whose export was cancelled, is told so by what it writes next.
 */
import type { ExportFormat } from './export-lines.ts'
import type { ExportQuery } from './export.ts'
import type { Queryable } from './pool.ts'

/** Exports that may be asked for and not done. */
export const OPEN_MAX = 10

const ERROR_CHARS_MAX = 300

export interface Export {
  readonly id: string
  readonly operator_id: string
  readonly operator: string
  readonly what: ExportQuery['what']
  readonly format: ExportFormat
  readonly since: Date
  readonly until: Date | null
  readonly room_id: string | null
  readonly state: 'waiting' | 'queued' | 'running' | 'done' | 'failed' | 'cancelled' | 'expired'
  readonly attempts: number
  readonly rows: number
  /** Null until they are counted. */
  readonly total: number | null
  readonly bytes: number
  readonly error: string | null
  readonly file: string | null
  readonly created_at: Date
  readonly started_at: Date | null
  readonly ended_at: Date | null
  readonly expires_at: Date | null
}

const COLUMNS = 'id, operator_id, operator, what, format, since, until, room_id, state, attempts, rows, total, bytes, error, file, created_at, started_at, ended_at, expires_at'
const OPEN = "state IN ('waiting', 'queued', 'running')"

export type NewExport = Pick<Export, 'id' | 'operator_id' | 'operator' | 'what' | 'format' | 'since' | 'until' | 'room_id'>

/** Undefined where there are as many as there may be. */
export async function insertExport (db: Queryable, { id, operator_id, operator, what, format, since, until, room_id }: NewExport): Promise<Export | undefined> {
  const { rows: [made] } = await db.query<Export>(`
    INSERT INTO exports (id, operator_id, operator, what, format, since, until, room_id)
    SELECT $1, $2, $3, $4, $5, $6, $7, $8
     WHERE (SELECT count(*) FROM exports WHERE ${OPEN}) < $9
 RETURNING ${COLUMNS}`, [id, operator_id, operator, what, format, since, until, room_id, OPEN_MAX])
  return made
}

/** Newest first, from below `after`. */
export async function listExports (db: Queryable, { after, limit }: { after?: string | undefined, limit: number }): Promise<Export[]> {
  const { rows } = await db.query<Export>(`
    SELECT ${COLUMNS}
      FROM exports
     WHERE $1::uuid IS NULL OR id < $1
     ORDER BY id DESC
     LIMIT $2`, [after ?? null, limit])
  return rows
}

export async function exportById (db: Queryable, id: string): Promise<Export | undefined> {
  const { rows: [found] } = await db.query<Export>(`SELECT ${COLUMNS} FROM exports WHERE id = $1`, [id])
  return found
}

/** Ends one that is under way, or lets the file of one that is done go. Undefined if there is none; false if there was nothing to do. */
export async function cancelExport (db: Queryable, id: string): Promise<boolean | undefined> {
  const { rowCount } = await db.query(`
    UPDATE exports
       SET state = CASE state WHEN 'done' THEN 'expired' ELSE 'cancelled' END,
           ended_at = coalesce(ended_at, now())
     WHERE id = $1
       AND (${OPEN} OR state = 'done')`, [id])
  return rowCount === 1 ? true : await exportById(db, id) === undefined ? undefined : false
}

/** Takes those that wait: to be queued in the same transaction. */
export async function takeWaiting (tx: Queryable): Promise<string[]> {
  const { rows } = await tx.query<{ id: string }>(`
    UPDATE exports
       SET state = 'queued'
     WHERE id IN (SELECT id FROM exports WHERE state = 'waiting' ORDER BY id FOR UPDATE SKIP LOCKED)
 RETURNING id`)
  return rows.map(({ id }) => id)
}

/** Begins an attempt; undefined if the export is not to be done any more. */
export async function beginExport (db: Queryable, id: string): Promise<Export | undefined> {
  const { rows: [begun] } = await db.query<Export>(`
    UPDATE exports
       SET state = 'running', attempts = attempts + 1, rows = 0, total = NULL, bytes = 0, started_at = now()
     WHERE id = $1
       AND state IN ('queued', 'running')
 RETURNING ${COLUMNS}`, [id])
  return begun
}

export interface Progress { readonly rows: number, readonly total: number | null, readonly bytes: number }
type Attempt = Pick<Export, 'id' | 'attempts'>

/** False if this attempt is to end. */
export async function noteProgress (db: Queryable, { id, attempts }: Attempt, { rows, total, bytes }: Progress): Promise<boolean> {
  const { rowCount } = await db.query(`
    UPDATE exports
       SET rows = $3, total = $4, bytes = $5
     WHERE id = $1
       AND attempts = $2
       AND state = 'running'`, [id, attempts, rows, total, bytes])
  return rowCount === 1
}

/** False if this attempt was not the one. */
export async function finishExport (db: Queryable, { id, attempts }: Attempt, { rows, total, bytes, file, keepH }: Progress & { readonly file: string, readonly keepH: number }): Promise<boolean> {
  const { rowCount } = await db.query(`
    UPDATE exports
       SET state = 'done', rows = $3, total = $4, bytes = $5, file = $6, error = NULL, ended_at = now(), expires_at = now() + $7 * interval '1 hour'
     WHERE id = $1
       AND attempts = $2
       AND state = 'running'`, [id, attempts, rows, total, bytes, file, keepH])
  return rowCount === 1
}

/** Why an attempt failed; another follows. */
export async function noteExportError (db: Queryable, { id, attempts }: Attempt, error: string): Promise<void> {
  await db.query("UPDATE exports SET error = $3 WHERE id = $1 AND attempts = $2 AND state = 'running'", [id, attempts, error.slice(0, ERROR_CHARS_MAX)])
}

/** No attempt follows. */
export async function failExports (db: Queryable, ids: readonly string[]): Promise<void> {
  await db.query(`
    UPDATE exports
       SET state = 'failed', error = coalesce(error, 'each process that began it ended before it was done'), ended_at = now()
     WHERE id = ANY ($1::uuid[])
       AND ${OPEN}`, [ids])
}

/** Lets go of those whose time is over; returns how many. */
export async function expireExports (db: Queryable): Promise<number> {
  const { rowCount } = await db.query("UPDATE exports SET state = 'expired' WHERE state = 'done' AND expires_at <= now()")
  return rowCount ?? 0
}

/** Of these exports: the attempt that is under way, or the file that is to stay. Those of which nothing is to stay are absent. */
export async function keptFiles (db: Queryable, ids: readonly string[]): Promise<Map<string, { readonly attempts: number, readonly file: string | null }>> {
  const { rows } = await db.query<Attempt & Pick<Export, 'file'>>("SELECT id, attempts, file FROM exports WHERE id = ANY ($1::uuid[]) AND state IN ('queued', 'running', 'done')", [ids])
  return new Map(rows.map(({ id, ...kept }) => [id, kept]))
}
