/**
 * A room as commands see it, and how events change it. Pure.
 *
 * `effectsOf` is the one place that knows what an event changes. Its effects become the patches of the append script
 * (Redis), the archive's `room_state` and `member_state` (Postgres) and, by `evolve`, the state in memory: so the three
 * cannot drift apart.
 */
import { SETTING_NAMES, type EventBody, type RoomKind } from './events.ts'
import { RANK, type Role } from './permissions.ts'

export type { Role }

/** What a room holds on one user. Times are epoch milliseconds, 0 for never. */
export interface Member {
  readonly role: Role
  readonly muted_until: number
  readonly banned_until: number
  /** `seq` of the event by which the user came in; 0 while not a member. */
  readonly joined_seq: number
}

export const STRANGER: Member = Object.freeze({ role: 'none', muted_until: 0, banned_until: 0, joined_seq: 0 })
/** For good: the end of the year 9999, epoch milliseconds. */
export const FOREVER = 253_402_300_799_999

/** Texts of the room's `meta`: its name, kind and settings as they are kept. Numbers are decimal, yes is `1`. */
export type MetaField = 'kind' | 'name' | 'topic' | 'history' | 'members_max' | 'message_chars_max' | 'slow_mode_s' | 'archived' | 'retention_days' | 'removed' | 'peers'
export type CountField = 'messages' | 'rules' | 'members' | 'owners'

/** The state that commands are decided on. Only the members that somebody asked for are in `members`. */
export interface Room {
  readonly id: string
  kind: RoomKind
  name: string
  topic: string
  history: 'all' | 'joined'
  /** Most members; 0: no limit of its own. */
  members_max: number
  /** Longest message in characters; 0: no limit of its own. */
  message_chars_max: number
  /** Seconds between two messages of a member; 0: none. */
  slow_mode_s: number
  /** Whether it can only be read. */
  archived: boolean
  /** Days for which messages are kept; 0: as long as in all rooms. */
  retention_days: number
  /** Whether it was deleted: then it does not exist for anybody. */
  removed: boolean
  /** The two of a DM, else empty. */
  peers: readonly string[]
  /** `seq` of the newest event. */
  seq: number
  /** Messages so far: the `message_no` of the newest. */
  messages: number
  /** Moves with every change of role, ban, mute, kind or setting; a message is appended only if it has not moved. */
  rules: number
  /** How many are in it, and how many of them own it. In the lobby only those are counted who were given a role. */
  count: number
  owners: number
  members: Map<string, Member>
}

export type Effect =
  | { readonly on: 'meta', readonly field: MetaField, readonly value: string }
  | { readonly on: 'count', readonly field: CountField, readonly by: number }
  /** `joined_seq` of `member` is the event's own seq when `joins` is set. */
  | { readonly on: 'member', readonly user_id: string, readonly member: Member, readonly joins: boolean }
  /** The content of this message is to be seen nowhere any more. */
  | { readonly on: 'deleted', readonly message_seq: number }

type RecordOf = (userId: string) => Member
/** An event as far as it changes a room. */
export type Happening = EventBody & { user_id: string }

/**
 * What `event` changes. `recordOf` gives the record of a user before it: its author's and its target's are asked for.
 * An unknown type changes nothing, so that a newer version's events do no harm.
 */
export function effectsOf (event: Happening, recordOf: RecordOf): Effect[] {
  switch (event.type) {
    case 'message':
      return [COUNT_MESSAGE]
    case 'delete':
      return [{ on: 'deleted', message_seq: event.message_seq }]
    case 'join': {
      const user = event.target ?? event.user_id
      return memberEffects(user, recordOf(user), { role: 'member' }, { joins: true })
    }
    case 'leave':
      return memberEffects(event.user_id, recordOf(event.user_id), { role: 'none' })
    case 'kick':
      return memberEffects(event.target, recordOf(event.target), { role: 'kicked' })
    case 'ban':
      return memberEffects(event.target, recordOf(event.target), event.lifted === true ? { banned_until: 0 } : { role: 'kicked', banned_until: timeOf(event.until) }, { rules: true })
    case 'mute':
      return memberEffects(event.target, recordOf(event.target), { muted_until: event.lifted === true ? 0 : timeOf(event.until) }, { rules: true })
    case 'role':
      return memberEffects(event.target, recordOf(event.target), { role: event.role }, { rules: true })
    case 'room':
      return roomEffects(event, recordOf)
    default:
      return []
  }
}

const COUNT_MESSAGE: Effect = Object.freeze({ on: 'count', field: 'messages', by: 1 })
const COUNT_RULES: Effect = Object.freeze({ on: 'count', field: 'rules', by: 1 })

/** The end of a ban or a mute, epoch milliseconds. */
export function timeOf (until: string | undefined): number {
  const time = until === undefined ? FOREVER : Date.parse(until)
  return Number.isNaN(time) ? FOREVER : time
}

/**
 * A record that changes, and what is counted of it: who is in, who owns, and whether the rules of others moved with it.
 * @param rules whether they move in any case
 */
function memberEffects (user_id: string, before: Member, change: Partial<Member>, { joins = false, rules = false } = {}): Effect[] {
  const changed = { ...before, ...change }
  const member = RANK[changed.role] < 0 ? { ...changed, joined_seq: 0 } : changed
  const effects: Effect[] = [{ on: 'member', user_id, member, joins }]
  const came = Number(RANK[member.role] >= 0) - Number(RANK[before.role] >= 0)
  const owns = Number(member.role === 'owner') - Number(before.role === 'owner')
  if (came !== 0) effects.push({ on: 'count', field: 'members', by: came })
  if (owns !== 0) effects.push({ on: 'count', field: 'owners', by: owns })
  // A plain member's going changes nobody's rights but their own, which their own record guards.
  if (rules || (came < 0 && RANK[before.role] > 0)) effects.push(COUNT_RULES)
  return effects
}

function roomEffects (event: Happening & { type: 'room' }, recordOf: RecordOf): Effect[] {
  const effects: Effect[] = []
  const set = (field: MetaField, value: string): void => { effects.push({ on: 'meta', field, value }) }
  if (event.change === 'deleted') set('removed', '1')
  else {
    if (event.name !== undefined) set('name', event.name)
    for (const name of SETTING_NAMES) {
      const value = event[name]
      if (value !== undefined) set(name, typeof value === 'boolean' ? (value ? '1' : '') : String(value))
    }
  }
  if (event.change === 'created') {
    set('kind', event.kind)
    if (event.members !== undefined) set('peers', event.members.join(' '))
    const inside = event.kind === 'dm' ? new Set(event.members) : event.kind === 'lobby' || event.kind === 'inbox' ? [] : [event.user_id]
    for (const user of inside) effects.push(...memberEffects(user, recordOf(user), { role: event.kind === 'dm' ? 'member' : 'owner' }, { joins: true }))
  }
  effects.push(COUNT_RULES)
  return effects
}

/** A room before its first event. */
export function emptyRoom (id: string): Room {
  return {
    id,
    kind: 'private',
    name: '',
    topic: '',
    history: 'all',
    members_max: 0,
    message_chars_max: 0,
    slow_mode_s: 0,
    archived: false,
    retention_days: 0,
    removed: false,
    peers: [],
    seq: 0,
    messages: 0,
    rules: 0,
    count: 0,
    owners: 0,
    members: new Map(),
  }
}

/** Reads one text of `meta` into the room. */
export function setMeta (room: Room, field: MetaField, value: string): void {
  switch (field) {
    case 'kind': room.kind = value as RoomKind; break
    case 'name': room.name = value; break
    case 'topic': room.topic = value; break
    case 'history': room.history = value === 'joined' ? 'joined' : 'all'; break
    case 'members_max': case 'message_chars_max': case 'slow_mode_s': case 'retention_days': room[field] = Number(value); break
    case 'archived': case 'removed': room[field] = value === '1'; break
    case 'peers': room.peers = value === '' ? [] : value.split(' '); break
  }
}

/** Applies one event at `seq` to the room in place, and returns its effects. */
export function evolve (room: Room, event: Happening, seq: number): Effect[] {
  const effects = effectsOf(event, userId => memberOf(room, userId))
  room.seq = seq
  for (const effect of effects) {
    switch (effect.on) {
      case 'count':
        if (effect.field === 'members') room.count += effect.by
        else room[effect.field] += effect.by
        break
      case 'member': room.members.set(effect.user_id, effect.joins ? { ...effect.member, joined_seq: seq } : effect.member); break
      case 'meta': setMeta(room, effect.field, effect.value); break
    }
  }
  return effects
}

/** The user's record in the room; a stranger's where there is none. */
export function memberOf (room: Pick<Room, 'members'>, userId: string): Member {
  return room.members.get(userId) ?? STRANGER
}

export type Place = Pick<Room, 'kind' | 'removed' | 'id'>

/** Whether the user is in the room. Everyone is in the lobby, and in their own inbox, without an event each. */
export function isMember ({ kind, removed, id }: Place, member: Member, now: number, userId?: string): boolean {
  if (removed || member.banned_until > now) return false
  if (kind === 'inbox') return userId === id
  return RANK[member.role] >= 0 || kind === 'lobby'
}

/** Who may read the room (PROTOCOL.md, "Who may read what"): members, and in public rooms everyone who is neither banned nor kicked. */
export function mayRead (room: Place, member: Member, now: number, userId?: string): boolean {
  if (isMember(room, member, now, userId)) return true
  return room.kind === 'public' && !room.removed && member.banned_until <= now && member.role !== 'kicked'
}

/** Whether outsiders may know that the room is there. */
export function isKnown ({ kind, removed }: Pick<Room, 'kind' | 'removed'>): boolean {
  return !removed && (kind === 'public' || kind === 'protected' || kind === 'lobby')
}
