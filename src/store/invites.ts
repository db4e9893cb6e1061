/**
 * Invites to rooms: making, listing, revoking and redeeming them. Of a code only its hash is kept, so whoever reads the table
 * gets into no room. Who may do so is not asked here.
 *
 * Redeeming is one statement: under any number of people at once an invite lets in at most `uses`, and each of them counts once.
 */
import { hash } from 'node:crypto'
import { sqlStateOf, type Queryable, type Store } from './pool.ts'

/** Invites of one room that may be good at the same time. */
export const INVITES_PER_ROOM_MAX = 100
/** Invites of one room that are over and still kept, the newest of them; their holders are told that they are over. */
const OVER_KEPT_MAX = 1000
const UNIQUE_VIOLATION = '23505'

export interface Invite {
  readonly id: string
  readonly room_id: string
  readonly created_by: string
  readonly created_at: Date
  readonly expires_at: Date
  /** People that it lets in at most, and that it has let in. */
  readonly uses: number
  readonly used: number
}

const COLUMNS = 'id, room_id, created_by, created_at, expires_at, uses, used'
/** What is not over. `$2` is now. */
const GOOD = 'revoked_at IS NULL AND expires_at > $2 AND used < uses'

const hashOf = (code: string): Buffer => hash('sha256', code, 'buffer')

/** Adds an invite; `full` if the room has as many as it may. */
export async function addInvite (store: Store, { code, ...invite }: Omit<Invite, 'used'> & { readonly code: string }): Promise<'added' | 'full'> {
  const { id, room_id, created_by, created_at, expires_at, uses } = invite
  return await store.transaction(async db => {
    // One at a time in each room: two that count at once would both find room for one more.
    await db.query('SELECT pg_advisory_xact_lock(hashtextextended($1, 0))', [`invites of ${room_id}`])
    const { rowCount } = await db.query(`
      INSERT INTO invites (id, room_id, code_hash, created_by, created_at, expires_at, uses)
      SELECT $3, $1, $4, $5, $2, $6, $7
       WHERE (SELECT count(*) FROM invites WHERE room_id = $1 AND ${GOOD}) < $8`,
    [room_id, created_at, id, hashOf(code), created_by, expires_at, uses, INVITES_PER_ROOM_MAX])
    if (rowCount === 0) return 'full'
    await db.query(`
      DELETE FROM invites
       WHERE id IN (
             SELECT id
               FROM invites
              WHERE room_id = $1
                AND NOT (${GOOD})
              ORDER BY id DESC
             OFFSET $3)`, [room_id, created_at, OVER_KEPT_MAX])
    return 'added'
  })
}

/** The good invites of a room, newest first, at most INVITES_PER_ROOM_MAX; with `by` those that this user made. */
export async function invitesOf (db: Queryable, roomId: string, { by, now }: { by?: string | undefined, now: Date }): Promise<Invite[]> {
  const { rows } = await db.query<Invite>(`
    SELECT ${COLUMNS}
      FROM invites
     WHERE room_id = $1
       AND ${GOOD}
       AND ($3::uuid IS NULL OR created_by = $3)
     ORDER BY id DESC`, [roomId, now, by ?? null])
  return rows
}

/** Takes an invite back, by its ID or by its code; with `by` only if this user made it. False if there is none that is good. */
export async function revokeInvite (db: Queryable, roomId: string, which: { id: string } | { code: string }, { by, now }: { by?: string | undefined, now: Date }): Promise<boolean> {
  const { rowCount } = await db.query(`
    UPDATE invites
       SET revoked_at = $2
     WHERE room_id = $1
       AND ${GOOD}
       AND ($3::uuid IS NULL OR created_by = $3)
       AND ${'id' in which ? 'id = $4' : 'code_hash = $4'}`, [roomId, now, by ?? null, 'id' in which ? which.id : hashOf(which.code)])
  return rowCount === 1
}

/** Takes the invites of a room away: it is no more. */
export async function removeInvites (db: Queryable, roomId: string): Promise<void> {
  await db.query('DELETE FROM invites WHERE room_id = $1', [roomId])
}

export interface Redemption {
  readonly room_id: string
  readonly code: string
  readonly user_id: string
  readonly now: Date
  /** Whether the maker of the invite may still invite; asked only where the rest is well. Left out: not asked. */
  readonly mayInvite?: ((maker: string) => Promise<boolean>) | undefined
}

/**
 * Lets the user in by an invite. `spent`: it is real, but expired, used up or revoked, or its maker has lost the right; `unknown`:
 * this room has no such invite. Whom it has let in before it lets in again, uncounted, while it is neither expired nor revoked.
 * Not for use inside a transaction: it may have to fail and look again.
 */
export async function redeemInvite (db: Queryable, { room_id, code, user_id, now, mayInvite }: Redemption): Promise<'good' | 'spent' | 'unknown'> {
  const found = await findInvite(db, { room_id, code, user_id, now })
  if (found === undefined) return 'unknown'
  if (found.over || (found.used_up && !found.used_before)) return 'spent'
  if (mayInvite !== undefined && !await mayInvite(found.created_by)) return 'spent'
  if (found.used_before || await countUse(db, { id: found.id, user_id, now })) return 'good'
  // Somebody was quicker; if that was the same user by another request, they are let in.
  return (await findInvite(db, { room_id, code, user_id, now }))?.used_before === true ? 'good' : 'spent'
}

interface Found {
  readonly id: string
  readonly created_by: string
  /** Expired or revoked. */
  readonly over: boolean
  readonly used_up: boolean
  /** By this user. */
  readonly used_before: boolean
}

async function findInvite (db: Queryable, { room_id, code, user_id, now }: Redemption): Promise<Found | undefined> {
  const { rows: [found] } = await db.query<Found>(`
    SELECT id,
           created_by,
           revoked_at IS NOT NULL OR expires_at <= $4 AS over,
           used >= uses AS used_up,
           EXISTS (SELECT FROM invite_uses WHERE invite_id = invites.id AND user_id = $3) AS used_before
      FROM invites
     WHERE room_id = $1
       AND code_hash = $2`, [room_id, hashOf(code), user_id, now])
  return found
}

/** Who waits for the row of the invite looks at it again as it is then: so it is never used more often than it may. */
async function countUse (db: Queryable, { id, user_id, now }: { id: string, user_id: string, now: Date }): Promise<boolean> {
  try {
    const { rowCount } = await db.query(`
      WITH counted AS (
           UPDATE invites
              SET used = used + 1
            WHERE id = $1
              AND ${GOOD}
        RETURNING id
      )
      INSERT INTO invite_uses (invite_id, user_id, used_at)
      SELECT id, $3, $2
        FROM counted`, [id, now, user_id])
    return rowCount === 1
  } catch (error) {
    // The same user is counted already: then this statement has done nothing at all.
    if (sqlStateOf(error) === UNIQUE_VIOLATION) return false
    throw error
  }
}
