/**
 * Notifications on their way: rooms that are due, who of a room wants to be told, what was queued for whom, and what became of it. The
 * deciding is done by `jobs/notify.ts`, the sending by `jobs/deliver.ts`.
 */
import { LOBBY_ID } from '../domain/lobby.ts'
import type { Queryable } from './pool.ts'
import type { Dnd } from './notification-settings.ts'
import { HISTORY } from './messages.ts'
import type { Level } from './unread.ts'

export type Kind = 'message' | 'mention'
export type Via = 'push' | 'webhook'

/** After so long a room that could not be looked at is due again. */
const POSTPONED_MS = 5000
/** Characters of a reason that are kept. */
const REASON_CHARS_MAX = 300
/** Characters of a message that a notification may need. */
const CONTENT_CHARS_MAX = 8000

export interface DueRoom {
  readonly room_id: string
  readonly first_seq: number
  /** The last message that is old enough; null while none is, or the archive or the read model is not that far. */
  readonly cut_seq: number | null
  /** The archive's chain there. */
  readonly chain: string
}

/** Rooms of which the first message has waited for the delay, those that wait longest first. */
export async function dueRooms (db: Queryable, { delayMs, limit }: { delayMs: number, limit: number }): Promise<DueRoom[]> {
  const { rows } = await db.query<DueRoom>({
    name: 'notification_due',
    text: `
    SELECT due.room_id, due.first_seq, cut.seq AS cut_seq, cut.chain
      FROM (SELECT room_id, first_seq, last_seq
              FROM notification_rooms
             WHERE waiting_since <= now() - $1 * interval '1 millisecond'
             ORDER BY waiting_since
             LIMIT $2) AS due
      LEFT JOIN checkpoints
             ON checkpoints.projection = (SELECT live_group($3))
            AND checkpoints.room_id = due.room_id
      LEFT JOIN LATERAL (
           SELECT seq, chain
             FROM events
            WHERE events.room_id = due.room_id
              AND seq BETWEEN due.first_seq AND due.last_seq
              AND seq <= checkpoints.seq -- no least(): that passes over NULL, and a room that the read model has not begun would be settled unseen
              AND type = 'message'
              AND archived_at <= now() - $1 * interval '1 millisecond'
            ORDER BY seq DESC
            LIMIT 1) AS cut
             ON true`,
    values: [delayMs, limit, HISTORY],
  })
  return rows
}

/**
 * A room was looked at up to `cut`. What came later waits from now on: where people go on talking, all of a delay is told at once, and not
 * each message, one after the other, when it is old enough.
 */
export async function settleRoom (db: Queryable, roomId: string, cut: number): Promise<void> {
  const { rowCount } = await db.query('DELETE FROM notification_rooms WHERE room_id = $1 AND last_seq <= $2', [roomId, cut])
  if (rowCount !== 0) return
  await db.query('UPDATE notification_rooms SET first_seq = $2 + 1, waiting_since = now() WHERE room_id = $1', [roomId, cut])
}

/** Puts a room off that cannot be looked at now: it is due again in a while, behind all that are due now, however long it has waited. */
export async function postponeRoom (db: Queryable, roomId: string, { delayMs }: { delayMs: number }): Promise<void> {
  await db.query("UPDATE notification_rooms SET waiting_since = now() - $2 * interval '1 millisecond' WHERE room_id = $1", [roomId, delayMs - POSTPONED_MS])
}

export interface NewMessage {
  readonly seq: number
  readonly user_id: string
  readonly content: string
  readonly timestamp: Date
  readonly mentions: readonly string[]
  readonly mentions_room: boolean
}

/** Messages of a room that are not deleted, the newest first. `db`: as a reader of that room. */
export async function messagesBetween (db: Queryable, roomId: string, { from, to, limit }: { from: number, to: number, limit: number }): Promise<NewMessage[]> {
  const { rows } = await db.query<NewMessage>({
    name: 'notification_messages',
    text: `
    SELECT seq, user_id, left(content, ${CONTENT_CHARS_MAX}) AS content, timestamp, coalesce(mentions, '{}') AS mentions, mentions_room
      FROM messages
     WHERE room_id = $1
       AND seq BETWEEN $2 AND $3
       AND NOT deleted
     ORDER BY seq DESC
     LIMIT $4`,
    values: [roomId, from, to, limit],
  })
  return rows
}

/** Members of the room (in the lobby: all) with an ID after `after` who have somewhere to be told at. */
export async function reachableIn (db: Queryable, roomId: string, { after, limit }: { after: string, limit: number }): Promise<string[]> {
  const { rows } = await db.query<{ user_id: string }>(roomId === LOBBY_ID
    ? {
        name: 'notification_reachable',
        text: `
        SELECT user_id
          FROM ((SELECT DISTINCT user_id FROM push_subscriptions WHERE user_id > $1 ORDER BY user_id LIMIT $2)
                 UNION
                (SELECT DISTINCT user_id FROM webhooks WHERE user_id > $1 AND disabled_at IS NULL ORDER BY user_id LIMIT $2)) AS reachable
         ORDER BY user_id
         LIMIT $2`,
        values: [after, limit],
      }
    : {
        name: 'notification_members',
        text: `
        SELECT user_id
          FROM members
         WHERE room_id = $1
           AND user_id > $2
           AND role NOT IN ('none', 'kicked')
           AND (EXISTS (SELECT FROM push_subscriptions WHERE push_subscriptions.user_id = members.user_id)
                OR EXISTS (SELECT FROM webhooks WHERE webhooks.user_id = members.user_id AND disabled_at IS NULL))
         ORDER BY user_id
         LIMIT $3`,
        values: [roomId, after, limit],
      })
  return rows.map(({ user_id }) => user_id)
}

export interface Recipient extends Dnd {
  readonly user_id: string
  /** Their account is shut. */
  readonly shut: boolean
  readonly level: Level
  /** The furthest mark of any kind and device, as far as it is in Postgres; not beyond `head`. */
  readonly mark: number
  /** In the lobby: the newest message from before they signed up. */
  readonly since: number
  /** Up to where something was queued for them; null for never. */
  readonly notified_seq: number | null
  readonly notified_newest: Date | null
  /** That place is in a history that does not stand. */
  readonly parted: boolean
  /** Those of `authors` whom they have blocked. */
  readonly blocked: readonly string[]
}

/** What these users want, and how far they are in the room. */
export async function recipientsOf (db: Queryable, roomId: string, userIds: readonly string[], { head, authors }: { head: number, authors: readonly string[] }): Promise<Recipient[]> {
  const { rows } = await db.query<Recipient>({
    name: 'notification_recipients',
    text: `
    SELECT asked.user_id, coalesce(preference.level, 'all') AS level,
           EXISTS (SELECT FROM users WHERE users.id = asked.user_id AND users.disabled_at IS NOT NULL) AS shut,
           coalesce((SELECT max(seq) FROM marks WHERE marks.user_id = asked.user_id AND marks.room_id = $1 AND seq <= $3), 0) AS mark,
           CASE WHEN $1 = '${LOBBY_ID}'::uuid THEN coalesce((SELECT seq FROM lobby_since(asked.user_id)), 0) ELSE 0 END AS since,
           notified.seq AS notified_seq, notified.newest AS notified_newest,
           notified.seq IS NOT NULL AND NOT EXISTS (SELECT FROM events WHERE events.room_id = $1 AND events.seq = notified.seq AND events.chain = notified.chain) AS parted,
           ARRAY(SELECT blocked_id FROM blocks WHERE blocks.user_id = asked.user_id AND blocked_id = ANY ($4::uuid[])) AS blocked,
           settings.dnd_until, settings.dnd_from, settings.dnd_to, coalesce(settings.time_zone, 'UTC') AS time_zone
      FROM unnest($2::uuid[]) AS asked (user_id)
      LEFT JOIN room_preferences AS preference
             ON preference.user_id = asked.user_id
            AND preference.room_id = $1
      LEFT JOIN notified
             ON notified.user_id = asked.user_id
            AND notified.room_id = $1
      LEFT JOIN notification_settings AS settings
             ON settings.user_id = asked.user_id`,
    values: [roomId, userIds, head, authors],
  })
  return rows
}

/** Whom to tell of which messages. */
export interface Telling {
  readonly user_id: string
  readonly kind: Kind
  /** Whether there are messages among them that they hear of as such, and not by being named only. */
  readonly messages: boolean
  readonly from_seq: number
  readonly to_seq: number
}

/** Up to where a room was looked at. */
export interface Cut {
  readonly room_id: string
  readonly seq: number
  readonly chain: string
  readonly newest: Date
}

export interface Queued {
  readonly id: string
  readonly via: Via
  /** Where it goes. */
  readonly url: string
}

/**
 * Queues a notification for each browser and server of those who are to be told, once: whoever was told up to there by another has none.
 * `tx` is a transaction: the jobs that send them are to be made in it.
 */
export async function queueNotifications (tx: Queryable, cut: Cut, tellings: readonly Telling[], newId: () => string): Promise<Queued[]> {
  const { rows: moved } = await tx.query<{ user_id: string }>(`
    INSERT INTO notified (user_id, room_id, seq, chain, newest)
    SELECT user_id, $2, $3, $4, $5
      FROM unnest($1::uuid[]) AS told (user_id)
      JOIN users ON users.id = told.user_id
     ORDER BY user_id
        ON CONFLICT (user_id, room_id) DO UPDATE
       SET seq = excluded.seq, chain = excluded.chain, newest = excluded.newest, at = now()
     WHERE notified.seq < excluded.seq
        OR notified.newest < excluded.newest
 RETURNING user_id`, [tellings.map(({ user_id }) => user_id), cut.room_id, cut.seq, cut.chain, cut.newest])
  const told = new Map(tellings.map(telling => [telling.user_id, telling]))
  const users = moved.map(({ user_id }) => user_id)
  // Locked, so that none of them is gone when its row is written. One that is being deleted is passed over: whoever ends the sessions of a user
  // deletes theirs in no order, and to wait for one of them while holding another could be to wait in a circle.
  const { rows: subscriptions } = await tx.query<{ id: string, user_id: string, url: string }>('SELECT id, user_id, endpoint AS url FROM push_subscriptions WHERE user_id = ANY ($1::uuid[]) ORDER BY id FOR KEY SHARE SKIP LOCKED', [users])
  const { rows: webhooks } = await tx.query<{ id: string, user_id: string, url: string, events: Kind[] }>(`
    SELECT id, user_id, url, events
      FROM webhooks
     WHERE user_id = ANY ($1::uuid[])
       AND disabled_at IS NULL
       AND (room_id IS NULL OR room_id = $2)
     ORDER BY id
       FOR KEY SHARE SKIP LOCKED`, [users, cut.room_id])
  const rows = [
    ...subscriptions.map(({ id: target, user_id, url }) => ({ id: newId(), via: 'push' as const, target, url, telling: told.get(user_id)!, kind: told.get(user_id)!.kind })),
    ...webhooks.flatMap(({ id: target, user_id, url, events }) => {
      const telling = told.get(user_id)!
      const kind = telling.kind === 'mention' && events.includes('mention') ? 'mention' : telling.messages && events.includes('message') ? 'message' : undefined
      return kind === undefined ? [] : [{ id: newId(), via: 'webhook' as const, target, url, telling, kind }]
    }),
  ]
  if (rows.length === 0) return []
  await tx.query(`
    INSERT INTO notifications (id, user_id, room_id, subscription_id, webhook_id, kind, from_seq, to_seq)
    SELECT id, user_id, $1, CASE WHEN via = 'push' THEN target END, CASE WHEN via = 'webhook' THEN target END, kind, from_seq, to_seq
      FROM unnest($2::uuid[], $3::uuid[], $4::text[], $5::uuid[], $6::text[], $7::bigint[], $8::bigint[]) AS queued (id, user_id, via, target, kind, from_seq, to_seq)`,
  [cut.room_id, rows.map(({ id }) => id), rows.map(({ telling }) => telling.user_id), rows.map(({ via }) => via), rows.map(({ target }) => target), rows.map(({ kind }) => kind), rows.map(({ telling }) => telling.from_seq), rows.map(({ telling }) => telling.to_seq)])
  return rows.map(({ id, via, url }) => ({ id, via, url }))
}

/** A notification that is to be sent. */
export interface Notification {
  readonly id: string
  readonly user_id: string
  readonly room_id: string
  readonly subscription_id: string | null
  readonly webhook_id: string | null
  readonly kind: Kind
  readonly from_seq: number
  readonly to_seq: number
  readonly created_at: Date
}

/** The notification, while it waits to be sent; undefined if it was, or is gone. */
export async function waitingNotification (db: Queryable, id: string): Promise<Notification | undefined> {
  const { rows: [notification] } = await db.query<Notification>(`
    SELECT id, user_id, room_id, subscription_id, webhook_id, kind, from_seq, to_seq, created_at
      FROM notifications
     WHERE id = $1
       AND state = 'waiting'`, [id])
  return notification
}

export interface Fate {
  readonly state: 'waiting' | 'sent' | 'suppressed' | 'dead'
  readonly reason: string | null
  /** HTTP status of the answer; null for none. */
  readonly status: number | null
}

/** What became of an attempt; while there are others to come, the state stays `waiting`. */
export async function settleNotification (db: Queryable, id: string, { state, reason, status }: Fate): Promise<void> {
  await db.query(`
    UPDATE notifications
       SET state = $2,
           reason = $3,
           status = $4,
           attempts = attempts + ($2 <> 'suppressed')::int,
           tried_at = now()
     WHERE id = $1
       AND state = 'waiting'`, [id, state, reason?.slice(0, REASON_CHARS_MAX) ?? null, status])
}

/** Those that nobody will try any more: their attempts ended without a word. */
export async function buryNotifications (db: Queryable, ids: readonly string[]): Promise<number> {
  const { rowCount } = await db.query(`
    UPDATE notifications
       SET state = 'dead', reason = coalesce(reason, 'the attempts ended without an answer'), tried_at = now()
     WHERE id = ANY ($1::uuid[])
       AND state = 'waiting'`, [ids])
  return rowCount ?? 0
}

export interface Delivery {
  readonly id: string
  readonly room_id: string
  readonly kind: Kind
  readonly from_seq: number
  readonly to_seq: number
  readonly state: 'waiting' | 'sent' | 'suppressed' | 'dead' | 'again'
  readonly reason: string | null
  readonly attempts: number
  readonly status: number | null
  readonly created_at: Date
  readonly tried_at: Date | null
}

/** Deliveries of a webhook, newest first, before the one with the ID `before`. */
export async function deliveriesOf (db: Queryable, webhookId: string, { before, state, limit }: { before?: string | undefined, state?: string | undefined, limit: number }): Promise<Delivery[]> {
  const { rows } = await db.query<Delivery>(`
    SELECT id, room_id, kind, from_seq, to_seq, state, reason, attempts, status, created_at, tried_at
      FROM notifications
     WHERE webhook_id = $1
       AND ($2::uuid IS NULL OR id < $2)
       AND ($3::text IS NULL OR state = $3)
     ORDER BY id DESC
     LIMIT $4`, [webhookId, before ?? null, state ?? null, limit])
  return rows
}

/** Asks for a dead or suppressed delivery of this webhook to be tried again; undefined if there is no such delivery. */
export async function askAgain (db: Queryable, webhookId: string, id: string): Promise<'asked' | 'under way' | undefined> {
  const { rows: [row] } = await db.query<{ asked: boolean }>(`
    WITH asked AS (
         UPDATE notifications
            SET state = 'again'
          WHERE id = $2
            AND webhook_id = $1
            AND state IN ('dead', 'suppressed', 'sent')
      RETURNING id)
    SELECT EXISTS (SELECT FROM asked) AS asked
      FROM notifications
     WHERE id = $2
       AND webhook_id = $1`, [webhookId, id])
  return row === undefined ? undefined : row.asked ? 'asked' : 'under way'
}

/** Takes on deliveries that were asked for again. `tx` is a transaction: the jobs that send them are to be made in it. */
export async function takeAgain (tx: Queryable, limit: number): Promise<Queued[]> {
  const { rows } = await tx.query<{ id: string, url: string }>(`
    UPDATE notifications
       SET state = 'waiting', attempts = 0
      FROM webhooks
     WHERE notifications.id = ANY (ARRAY(SELECT id FROM notifications WHERE state = 'again' ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED))
       AND webhooks.id = notifications.webhook_id
 RETURNING notifications.id, webhooks.url`, [limit])
  return rows.map(({ id, url }) => ({ id, via: 'webhook', url }))
}

/** Deletes what was queued before `before`, some at a time; returns how many there were. */
export async function deleteOldNotifications (db: Queryable, before: Date): Promise<number> {
  const batch = 5000
  let deleted = 0
  for (const [table, key, column] of [['notifications', 'id', 'created_at'], ['notified', '(user_id, room_id)', 'at']] as const) {
    for (;;) {
      const { rowCount } = await db.query(`DELETE FROM ${table} WHERE ${key} IN (SELECT ${key.replace(/[()]/g, '')} FROM ${table} WHERE ${column} < $1 LIMIT ${batch})`, [before])
      deleted += rowCount ?? 0
      if ((rowCount ?? 0) < batch) break
    }
  }
  return deleted
}
