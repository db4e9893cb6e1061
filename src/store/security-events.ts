/**
 * What happened to the security of accounts: written in batches, read by the owner, deleted when old.
 */
import type { Queryable } from './pool.ts'

export const SECURITY_EVENT_TYPES = ['signup', 'login', 'login_failed', 'refresh_reuse', 'session_revoked', 'password_changed', 'logout', 'password_reset', 'disabled', 'enabled'] as const
export type SecurityEventType = typeof SECURITY_EVENT_TYPES[number]

export interface SecurityEvent {
  readonly id: string
  /** Null where a log-in named nobody. */
  readonly user_id: string | null
  readonly type: SecurityEventType
  readonly at: Date
  readonly address: string | null
  readonly user_agent: string | null
  readonly session_id: string | null
  /** More facts; never a secret. */
  readonly detail: Readonly<Record<string, unknown>>
}

export async function insertSecurityEvents (db: Queryable, events: readonly SecurityEvent[]): Promise<void> {
  await db.query(`
    INSERT INTO security_events (id, user_id, type, at, address, user_agent, session_id, detail)
    SELECT *
      FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::timestamptz[], $5::text[], $6::text[], $7::text[], $8::jsonb[])
        ON CONFLICT (id) DO NOTHING`, // written before, by a statement whose answer was lost
  [
    events.map(({ id }) => id),
    events.map(({ user_id }) => user_id),
    events.map(({ type }) => type),
    events.map(({ at }) => at),
    events.map(({ address }) => address),
    events.map(({ user_agent }) => user_agent),
    events.map(({ session_id }) => session_id),
    events.map(({ detail }) => JSON.stringify(detail)),
  ])
}

/** Newest first, from below the event `after`; at most `limit`. */
export async function securityEventsOf (db: Queryable, userId: string, { after, limit }: { after?: string | undefined, limit: number }): Promise<SecurityEvent[]> {
  const { rows } = await db.query<SecurityEvent>(`
    SELECT id, user_id, type, at, address, user_agent, session_id, detail
      FROM security_events
     WHERE user_id = $1
       AND ($2::uuid IS NULL OR (at, id) < (SELECT at, id FROM security_events WHERE id = $2 AND user_id = $1))
     ORDER BY at DESC, id DESC
     LIMIT $3`, [userId, after ?? null, limit])
  return rows
}

/** Deletes events older than `before`; returns how many. */
export async function deleteOldSecurityEvents (db: Queryable, before: Date): Promise<number> {
  const { rowCount } = await db.query(`
    DELETE FROM security_events
     WHERE at < $1`, [before])
  return rowCount ?? 0
}
