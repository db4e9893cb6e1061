/** Webhooks: where users want their own servers to be told, with what secret, and how that went last. */
import type { Queryable, Store } from './pool.ts'
import type { Kind } from './notifications.ts'

/** Webhooks of one user. */
export const WEBHOOKS_MAX = 10
/** For so long the secret before signs besides, in milliseconds: whoever checks may change over meanwhile. */
export const ROTATION_MS = 24 * 60 * 60 * 1000

const ERROR_CHARS_MAX = 300

export interface Webhook {
  readonly id: string
  readonly url: string
  readonly events: Kind[]
  readonly room_id: string | null
  readonly created_at: Date
  readonly disabled_at: Date | null
  readonly disabled_for: 'owner' | 'gone' | 'failing' | null
  readonly failing_since: Date | null
  readonly last_at: Date | null
  /** HTTP status of the last answer; null for none. */
  readonly last_status: number | null
  readonly last_error: string | null
}

const COLUMNS = 'id, url, events, room_id, created_at, disabled_at, disabled_for, failing_since, last_at, last_status, last_error'

export interface NewWebhook {
  readonly id: string
  readonly url: string
  readonly events: readonly Kind[]
  readonly room_id: string | null
  readonly secret: string
  readonly now: Date
}

/** Undefined if the user has as many as there may be. */
export async function insertWebhook (store: Store, userId: string, { id, url, events, room_id, secret, now }: NewWebhook): Promise<Webhook | undefined> {
  return await store.transaction(async tx => {
    await tx.query('SELECT FROM users WHERE id = $1 FOR NO KEY UPDATE', [userId]) // one change of a user's at a time: two that count at once would both find room
    const { rows: [webhook] } = await tx.query<Webhook>(`
      INSERT INTO webhooks (id, user_id, url, events, room_id, secret, created_at)
      SELECT $1, $2, $3, $4, $5, $6, $7
       WHERE (SELECT count(*) FROM webhooks WHERE user_id = $2) < $8
   RETURNING ${COLUMNS}`, [id, userId, url, events, room_id, secret, now, WEBHOOKS_MAX])
    return webhook
  })
}

/** Newest first. */
export async function webhooksOf (db: Queryable, userId: string): Promise<Webhook[]> {
  const { rows } = await db.query<Webhook>(`SELECT ${COLUMNS} FROM webhooks WHERE user_id = $1 ORDER BY id DESC`, [userId])
  return rows
}

export async function webhookOf (db: Queryable, userId: string, id: string): Promise<Webhook | undefined> {
  const { rows: [webhook] } = await db.query<Webhook>(`SELECT ${COLUMNS} FROM webhooks WHERE id = $2 AND user_id = $1`, [userId, id])
  return webhook
}

export interface WebhookChange {
  readonly url?: string | undefined
  readonly events?: readonly Kind[] | undefined
  /** Whether it is on. Switching it on forgets that it failed. */
  readonly enabled?: boolean | undefined
}

/** Undefined if the user has none with this ID. */
export async function changeWebhook (db: Queryable, userId: string, id: string, { url, events, enabled }: WebhookChange): Promise<Webhook | undefined> {
  const { rows: [webhook] } = await db.query<Webhook>(`
    UPDATE webhooks
       SET url = coalesce($3, url),
           events = coalesce($4, events),
           disabled_at = CASE $5::boolean WHEN true THEN NULL WHEN false THEN coalesce(disabled_at, now()) ELSE disabled_at END,
           disabled_for = CASE $5::boolean WHEN true THEN NULL WHEN false THEN coalesce(disabled_for, 'owner') ELSE disabled_for END,
           failing_since = CASE WHEN $5 THEN NULL ELSE failing_since END
     WHERE id = $2
       AND user_id = $1
 RETURNING ${COLUMNS}`, [userId, id, url ?? null, events ?? null, enabled ?? null])
  return webhook
}

/** False if the user has none with this ID. */
export async function deleteWebhook (db: Queryable, userId: string, id: string): Promise<boolean> {
  const { rowCount } = await db.query('DELETE FROM webhooks WHERE id = $2 AND user_id = $1', [userId, id])
  return rowCount === 1
}

/** Gives it another secret; the one before signs besides for a while. False if the user has none with this ID. */
export async function rotateSecret (db: Queryable, userId: string, id: string, { secret, now }: { secret: string, now: Date }): Promise<boolean> {
  const { rowCount } = await db.query('UPDATE webhooks SET previous_secret = secret, secret = $3, rotated_at = $4 WHERE id = $2 AND user_id = $1', [userId, id, secret, now])
  return rowCount === 1
}

export interface WebhookToSend {
  readonly id: string
  readonly url: string
  readonly secret: string
  readonly previous_secret: string | null
  readonly rotated_at: Date | null
  readonly disabled_at: Date | null
}

export async function webhookToSend (db: Queryable, id: string): Promise<WebhookToSend | undefined> {
  const { rows: [webhook] } = await db.query<WebhookToSend>('SELECT id, url, secret, previous_secret, rotated_at, disabled_at FROM webhooks WHERE id = $1', [id])
  return webhook
}

/**
 * How an attempt went. What failed since before `failingBefore` without a break is switched off, and so is what is gone.
 * @param error null if it went well
 */
export async function noteAttempt (db: Queryable, id: string, { status, error, gone, failingBefore }: { status: number | null, error: string | null, gone: boolean, failingBefore: Date }): Promise<void> {
  await db.query(`
    UPDATE webhooks
       SET last_at = now(),
           last_status = $2,
           last_error = $3,
           failing_since = CASE WHEN $3::text IS NOT NULL THEN coalesce(failing_since, now()) END,
           disabled_at = CASE WHEN $4 OR ($3::text IS NOT NULL AND failing_since < $5) THEN coalesce(disabled_at, now()) ELSE disabled_at END,
           disabled_for = CASE WHEN $4 OR ($3::text IS NOT NULL AND failing_since < $5) THEN coalesce(disabled_for, CASE WHEN $4 THEN 'gone' ELSE 'failing' END) ELSE disabled_for END
     WHERE id = $1`, [id, status, error?.slice(0, ERROR_CHARS_MAX) ?? null, gone, failingBefore])
}
