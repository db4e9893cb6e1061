/** Browsers that are to be told by Web Push, and the keys by which push services know this deployment. */
import type { Queryable, Store } from './pool.ts'

/** Browsers of one user. */
export const PUSH_SUBSCRIPTIONS_MAX = 20

export interface PushSubscription {
  readonly id: string
  readonly session_id: string
  readonly endpoint: string
  readonly p256dh: string
  readonly auth: string
  readonly created_at: Date
  readonly confirmed_at: Date
  readonly sent_at: Date | null
}

const COLUMNS = 'id, session_id, endpoint, p256dh, auth, created_at, confirmed_at, sent_at'

/**
 * Notes a subscription, or that it is still there: an endpoint is one browser, so whoever brings it last has it. Undefined if the user has
 * as many as there may be, and this is another.
 */
export async function putSubscription (store: Store, userId: string, { id, session_id, endpoint, p256dh, auth, now }: { id: string, session_id: string, endpoint: string, p256dh: string, auth: string, now: Date }): Promise<PushSubscription | undefined> {
  return await store.transaction(async tx => {
    await tx.query('SELECT FROM users WHERE id = $1 FOR NO KEY UPDATE', [userId]) // one change of a user's at a time: two that count at once would both find room
    const { rows: [put] } = await tx.query<PushSubscription>(`
      INSERT INTO push_subscriptions AS subscription (id, user_id, session_id, endpoint, p256dh, auth, created_at, confirmed_at)
      SELECT $1, $2, $3, $4, $5, $6, $7, $7
       WHERE (SELECT count(*) FROM push_subscriptions WHERE user_id = $2 AND endpoint <> $4) < $8
          ON CONFLICT (endpoint) DO UPDATE
         SET user_id = excluded.user_id, session_id = excluded.session_id, p256dh = excluded.p256dh, auth = excluded.auth,
             confirmed_at = excluded.confirmed_at, failing_since = NULL
   RETURNING ${COLUMNS}`, [id, userId, session_id, endpoint, p256dh, auth, now, PUSH_SUBSCRIPTIONS_MAX])
    // What was queued for whoever had this browser before is not for whoever has it now.
    if (put !== undefined) await tx.query('DELETE FROM notifications WHERE subscription_id = $1 AND user_id <> $2', [put.id, userId])
    return put
  })
}

/** Newest first. */
export async function subscriptionsOf (db: Queryable, userId: string): Promise<PushSubscription[]> {
  const { rows } = await db.query<PushSubscription>(`SELECT ${COLUMNS} FROM push_subscriptions WHERE user_id = $1 ORDER BY id DESC`, [userId])
  return rows
}

/** Takes a user's subscription away; false if they have none with this ID. */
export async function removeSubscription (db: Queryable, userId: string, id: string): Promise<boolean> {
  const { rowCount } = await db.query('DELETE FROM push_subscriptions WHERE user_id = $1 AND id = $2', [userId, id])
  return rowCount === 1
}

/** Those of a session that has ended and has no row, being of a foreign issuer; with others a trigger does it. */
export async function removeSubscriptionsOf (db: Queryable, userId: string, sessionId: string): Promise<void> {
  await db.query('DELETE FROM push_subscriptions WHERE user_id = $1 AND session_id = $2', [userId, sessionId])
}

export interface SubscriptionToSend extends PushSubscription {
  /** Its session has not ended. */
  readonly alive: boolean
}

/** The subscription, if it is still this user's. */
export async function subscriptionToSend (db: Queryable, id: string, userId: string): Promise<SubscriptionToSend | undefined> {
  const { rows: [subscription] } = await db.query<SubscriptionToSend>(`
    SELECT ${COLUMNS},
           NOT EXISTS (SELECT
                         FROM sessions
                        WHERE sessions.id = CASE WHEN session_id ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN session_id::uuid END
                          AND (revoked_at IS NOT NULL OR expires_at <= now())) AS alive
      FROM push_subscriptions
     WHERE id = $1
       AND user_id = $2`, [id, userId])
  return subscription
}

/** What came of a push: the push service took it, or not; or the subscription is gone. */
export async function noteSent (db: Queryable, id: string, what: 'sent' | 'failed' | 'gone'): Promise<void> {
  if (what === 'gone') await db.query('DELETE FROM push_subscriptions WHERE id = $1', [id])
  else if (what === 'sent') await db.query('UPDATE push_subscriptions SET sent_at = now(), failing_since = NULL WHERE id = $1', [id])
  else await db.query('UPDATE push_subscriptions SET failing_since = coalesce(failing_since, now()) WHERE id = $1', [id])
}

/** Takes away those that no client has spoken of since `unused`, and those that have failed since `failing`; returns how many. */
export async function deleteOldSubscriptions (db: Queryable, { unused, failing }: { unused: Date, failing: Date }): Promise<number> {
  const { rowCount } = await db.query('DELETE FROM push_subscriptions WHERE confirmed_at < $1 OR failing_since < $2', [unused, failing])
  return rowCount ?? 0
}

export interface VapidKeys { readonly public_key: string, readonly private_key: string }

/** The keys of the deployment: those that it has, else these, which it has from then on. */
export async function keepVapidKeys (db: Queryable, made: VapidKeys): Promise<VapidKeys> {
  await db.query('INSERT INTO vapid_keys (public_key, private_key) VALUES ($1, $2) ON CONFLICT DO NOTHING', [made.public_key, made.private_key])
  const { rows: [kept] } = await db.query<VapidKeys>('SELECT public_key, private_key FROM vapid_keys')
  return kept!
}
