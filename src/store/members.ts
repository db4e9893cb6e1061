/**
 * Members of a room, page by page in the order of their IDs: the read model joined with the log, so that whoever has just
 * added, promoted or kicked somebody finds it in the list. One query for a page, however large the room.
 *
 * Everyone is in the lobby: its list is that of the users, with the records of those who have one.
 */
import type { RoomKind } from '../domain/events.ts'
import { RANK } from '../domain/permissions.ts'
import { START, type Position } from '../domain/position.ts'
import { effectsOf, STRANGER, type Member, type Role } from '../domain/room.ts'
import { HISTORY } from './messages.ts'
import { beyond, readSuffix, type LogReads, type SuffixEvent } from './suffix.ts'

/** What members are listed by. `banned` are those who may not come in now; they are members no more. */
export const MEMBER_ROLES = ['owner', 'admin', 'moderator', 'member', 'banned'] as const

export interface ListedMember {
  readonly user_id: string
  /** Null where there is no such user any more. */
  readonly username: string | null
  readonly display_name: string | null
  readonly avatar_url: string | null
  readonly role: string
  /** Null where the log does not tell. */
  readonly joined_at: string | null
  /** Epoch milliseconds; 0 where that is over, or never was. */
  readonly muted_until: number
  readonly banned_until: number
}

export interface MembersPage {
  readonly items: ListedMember[]
  /** Hand it in as `after` for the next page; null on the last one. */
  readonly next: string | null
  readonly as_of: Position
}

export interface MembersQuery {
  readonly room_id: string
  readonly kind: RoomKind
  /** ID of the last user of the page before. */
  readonly after?: string | undefined
  readonly limit: number
  readonly role?: typeof MEMBER_ROLES[number] | undefined
  /** Epoch milliseconds. */
  readonly now: number
}

interface Row extends Member {
  readonly at_seq: number | null
  readonly at_chain: string
  readonly user_id: string | null
  readonly username: string | null
  readonly display_name: string | null
  readonly avatar_url: string | null
  readonly joined_at: Date | null
}

const FIRST = '00000000-0000-0000-0000-000000000000'

export async function membersPage (deps: LogReads, query: MembersQuery): Promise<MembersPage> {
  const { room_id, after, limit, role, kind } = query
  const suffix = await readSuffix(deps, HISTORY, room_id)
  const touched = usersTouched(suffix.events)
  const source = kind === 'lobby' && (role === undefined || role === 'member') ? 'users' : 'members'
  const { rows } = await deps.store.query<Row>({
    name: `members_${kind === 'lobby' ? 'lobby' : 'room'}_${role ?? 'all'}`,
    text: `
    SELECT checkpoint.seq AS at_seq, checkpoint.chain AS at_chain, member.user_id, users.username, users.display_name, users.avatar_url,
           coalesce(member.role, 'none') AS role, coalesce(member.muted_until, 0) AS muted_until, coalesce(member.banned_until, 0) AS banned_until,
           coalesce(member.joined_seq, 0) AS joined_seq, coalesce(member.joined_at, ${kind === 'lobby' ? 'users.created_at' : 'NULL'}) AS joined_at
      FROM (SELECT) AS always
      LEFT JOIN checkpoints AS checkpoint
             ON checkpoint.projection = (SELECT live_group($1))
            AND checkpoint.room_id = $2
      LEFT JOIN (${source === 'users' ? ofLobby(role) : ofRoom(role)}
           UNION ALL
           (SELECT touched.user_id, role, muted_until, banned_until, joined_seq, joined_at
              FROM unnest($4::uuid[]) AS touched (user_id)
              LEFT JOIN members ON members.room_id = $2 AND members.user_id = touched.user_id)) AS member
             ON true
      LEFT JOIN users
             ON users.id = member.user_id
     ORDER BY member.user_id`,
    values: [HISTORY, room_id, after ?? FIRST, touched, limit + 1, query.now],
  })
  const [first] = rows
  const { events, as_of } = beyond(suffix, first?.at_seq == null ? START : { seq: first.at_seq, chain: first.at_chain }, deps.chainOf)
  const fresh = foldMembers(events, new Map(rows.flatMap(row => row.user_id === null ? [] : [[row.user_id, row]])))
  const all = rows.flatMap(row => {
    if (row.user_id === null) return []
    const { member, joined_at } = fresh.get(row.user_id) ?? { member: row, joined_at: row.joined_at?.toISOString() ?? null }
    return belongs(row.user_id, member, query) ? [listed({ ...row, user_id: row.user_id }, member, joined_at, query)] : []
  })
  const items = all.slice(0, limit)
  return { items, next: all.length > limit ? items.at(-1)!.user_id : null, as_of }
}

/** Members by their records. */
function ofRoom (role: MembersQuery['role']): string {
  const those = role === 'banned'
    ? 'banned_until > 0 AND banned_until > $6'
    : role === undefined ? "role IN ('owner', 'admin', 'moderator', 'member') AND banned_until <= $6" : `role = '${role}' AND banned_until <= $6`
  return `
           (SELECT user_id, role, muted_until, banned_until, joined_seq, joined_at
              FROM members
             WHERE room_id = $2
               AND user_id > $3
               AND user_id <> ALL ($4::uuid[])
               AND ${those}
             ORDER BY user_id
             LIMIT $5)`
}

/** Everyone, but those who are banned. */
function ofLobby (role: MembersQuery['role']): string {
  return `
           (SELECT id AS user_id, role, muted_until, banned_until, joined_seq, joined_at
              FROM users
              LEFT JOIN members ON members.room_id = $2 AND members.user_id = id
             WHERE id > $3
               AND id <> ALL ($4::uuid[])
               AND coalesce(banned_until, 0) <= $6${role === undefined
    ? ''
    : `
               AND coalesce(role, 'none') NOT IN ('owner', 'admin', 'moderator')`}
             ORDER BY id
             LIMIT $5)`
}

/** Users whose records the events may change. */
function usersTouched (events: readonly SuffixEvent[]): string[] {
  const users = new Set<string>()
  for (const { event } of events) effectsOf(event, user => { users.add(user); return STRANGER })
  return [...users]
}

interface Fresh { readonly member: Member, readonly joined_at: string | null }

/** Records as newer events make them. */
function foldMembers (events: readonly SuffixEvent[], rows: ReadonlyMap<string, Row>): Map<string, Fresh> {
  const fresh = new Map<string, Fresh>()
  const recordOf = (user: string): Member => fresh.get(user)?.member ?? rows.get(user) ?? STRANGER
  for (const { entry, event } of events) {
    for (const effect of effectsOf(event, recordOf)) {
      if (effect.on !== 'member') continue
      const joined_at = effect.joins ? event.timestamp : fresh.get(effect.user_id)?.joined_at ?? rows.get(effect.user_id)?.joined_at?.toISOString() ?? null
      fresh.set(effect.user_id, { member: effect.joins ? { ...effect.member, joined_seq: entry.seq } : effect.member, joined_at })
    }
  }
  return fresh
}

const roleIn = (kind: RoomKind, role: Role): Role => kind === 'lobby' && RANK[role] < 0 ? 'member' : role

function belongs (userId: string, { role, banned_until }: Member, { kind, after, role: wanted, now }: MembersQuery): boolean {
  if (after !== undefined && userId <= after) return false
  if (wanted === 'banned') return banned_until > now
  const shown = roleIn(kind, role)
  return banned_until <= now && RANK[shown] >= 0 && (wanted === undefined || shown === wanted)
}

function listed ({ user_id, username, display_name, avatar_url }: Row & { user_id: string }, { role, muted_until, banned_until }: Member, joined_at: string | null, { kind, now }: MembersQuery): ListedMember {
  const banned = banned_until > now
  return {
    user_id,
    username,
    display_name,
    avatar_url,
    role: banned ? 'none' : roleIn(kind, role),
    joined_at,
    muted_until: muted_until > now ? muted_until : 0,
    banned_until: banned ? banned_until : 0,
  }
}
