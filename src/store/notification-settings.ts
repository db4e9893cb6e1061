/** When users do not want to be disturbed. What they want to be told of in a room is in `unread.ts`. */
import type { Queryable } from './pool.ts'

export interface Dnd {
  /** Not before then. */
  readonly dnd_until: Date | null
  /** Every day from this time on, `HH:MM` in `time_zone`, to that; over midnight if it is the later one. Both null for no such hours. */
  readonly dnd_from: string | null
  readonly dnd_to: string | null
  /** IANA name. */
  readonly time_zone: string
}

const NEVER: Dnd = Object.freeze({ dnd_until: null, dnd_from: null, dnd_to: null, time_zone: 'UTC' })

export async function settingsOf (db: Queryable, userId: string): Promise<Dnd> {
  const { rows: [settings] } = await db.query<Dnd>('SELECT dnd_until, dnd_from, dnd_to, time_zone FROM notification_settings WHERE user_id = $1', [userId])
  return settings ?? NEVER
}

/** Changes what is given, and leaves the rest. */
export async function changeSettings (db: Queryable, userId: string, change: Partial<Dnd>): Promise<Dnd> {
  const given = (name: keyof Dnd): boolean => name in change
  const { rows: [settings] } = await db.query<Dnd>(`
    INSERT INTO notification_settings AS settings (user_id, dnd_until, dnd_from, dnd_to, time_zone)
    VALUES ($1, $2, $3, $4, coalesce($5, 'UTC'))
        ON CONFLICT (user_id) DO UPDATE
       SET dnd_until = CASE WHEN $6 THEN excluded.dnd_until ELSE settings.dnd_until END,
           dnd_from = CASE WHEN $7 THEN excluded.dnd_from ELSE settings.dnd_from END,
           dnd_to = CASE WHEN $7 THEN excluded.dnd_to ELSE settings.dnd_to END,
           time_zone = coalesce($5, settings.time_zone),
           set_at = now()
 RETURNING dnd_until, dnd_from, dnd_to, time_zone`,
  [userId, change.dnd_until ?? null, change.dnd_from ?? null, change.dnd_to ?? null, change.time_zone ?? null, given('dnd_until'), given('dnd_from')])
  return settings!
}

/** Whether they do not want to be disturbed at that moment. `now`: epoch milliseconds. Pure. */
export function isDnd ({ dnd_until, dnd_from, dnd_to, time_zone }: Dnd, now: number): boolean {
  if (dnd_until !== null && dnd_until.getTime() > now) return true
  if (dnd_from === null || dnd_to === null) return false
  const time = new Intl.DateTimeFormat('en-GB', { timeZone: time_zone, hour: '2-digit', minute: '2-digit', hourCycle: 'h23' }).format(now)
  return dnd_from <= dnd_to ? time >= dnd_from && time < dnd_to : time >= dnd_from || time < dnd_to
}

/** Whether it is the name of a time zone here. */
export function isTimeZone (name: string): boolean {
  try {
    return new Intl.DateTimeFormat('en-GB', { timeZone: name }) !== undefined
  } catch {
    return false
  }
}
