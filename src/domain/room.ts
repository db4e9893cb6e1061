/**
 * A room as commands see it, and how events change it. Pure.
 *
 * `effectsOf` is the one place that knows what an event changes. Its effects become the patches of the append script
 * (Redis), the archive's `room_state` and `member_state` (Postgres) and, by `evolve`, the state in memory: so the three
 * cannot drift apart.
 */
import type { EventBody, RoomKind } from './events.ts'

export type Role = 'owner' | 'admin' | 'moderator' | 'member' | 'none'

/** What a room holds on one user. Times are epoch milliseconds, 0 for never. */
export interface Member {
  readonly role: Role
  readonly muted_until: number
  readonly banned_until: number
  /** `seq` of the event by which the user came in; 0 while not a member. */
  readonly joined_seq: number
}

export const STRANGER: Member = Object.freeze({ role: 'none', muted_until: 0, banned_until: 0, joined_seq: 0 })

/** The state that commands are decided on. Only the members that somebody asked for are in `members`. */
export interface Room {
  readonly id: string
  kind: RoomKind
  name: string
  topic: string
  history: 'all' | 'joined'
  /** `seq` of the newest event. */
  seq: number
  /** Messages so far: the `message_no` of the newest. */
  messages: number
  /** Moves with every change of role, ban, mute, kind or setting; a message is appended only if it has not moved. */
  rules: number
  members: Map<string, Member>
}

export type Effect =
  | { readonly on: 'meta', readonly field: 'kind' | 'name' | 'topic' | 'history', readonly value: string }
  | { readonly on: 'count', readonly field: 'messages' | 'rules' }
  /** `joined_seq` of `member` is the event's own seq when `joins` is set. */
  | { readonly on: 'member', readonly user_id: string, readonly member: Member, readonly joins: boolean }

/**
 * What `event` changes. `member` is the record of its author before it.
 * An unknown type changes nothing, so that a newer version's events do no harm.
 */
export function effectsOf (event: EventBody & { user_id: string }, member: Member): Effect[] {
  switch (event.type) {
    case 'message':
      return [{ on: 'count', field: 'messages' }]
    case 'join':
      return [{ on: 'member', user_id: event.user_id, member: { ...member, role: 'member' }, joins: true }]
    case 'leave': {
      const left: Effect = { on: 'member', user_id: event.user_id, member: { ...member, role: 'none', joined_seq: 0 }, joins: false }
      // A plain member's leaving changes nobody's rights but their own, which their own record guards.
      return member.role === 'member' ? [left] : [left, { on: 'count', field: 'rules' }]
    }
    case 'room':
      return [
        { on: 'meta', field: 'kind', value: event.kind },
        { on: 'meta', field: 'name', value: event.name },
        { on: 'meta', field: 'topic', value: event.topic ?? '' },
        { on: 'meta', field: 'history', value: event.history },
        { on: 'count', field: 'rules' },
        ...(event.kind === 'lobby' ? [] : [{ on: 'member', user_id: event.user_id, member: { ...STRANGER, role: 'owner' }, joins: true } as const]),
      ]
    default:
      return []
  }
}

/** A room before its first event. */
export function emptyRoom (id: string): Room {
  return { id, kind: 'private', name: '', topic: '', history: 'all', seq: 0, messages: 0, rules: 0, members: new Map() }
}

/** Applies one event at `seq` to the room in place, and returns its effects. */
export function evolve (room: Room, event: EventBody & { user_id: string }, seq: number): Effect[] {
  const effects = effectsOf(event, memberOf(room, event.user_id))
  room.seq = seq
  for (const effect of effects) {
    switch (effect.on) {
      case 'count': room[effect.field] += 1; break
      case 'member': room.members.set(effect.user_id, effect.joins ? { ...effect.member, joined_seq: seq } : effect.member); break
      case 'meta': room[effect.field] = effect.value as never; break
    }
  }
  return effects
}

/** The user's record in the room; a stranger's where there is none. */
export function memberOf (room: Room, userId: string): Member {
  return room.members.get(userId) ?? STRANGER
}

/** Whether the user is in the room. Everyone is in the lobby, without an event each. */
export function isMember (kind: RoomKind, member: Member, now: number): boolean {
  if (member.banned_until > now) return false
  return member.role !== 'none' || kind === 'lobby'
}

/** Who may read the room (PROTOCOL.md, "Who may read what"): members, and in public rooms everyone who is not banned. */
export function mayRead (kind: RoomKind, member: Member, now: number): boolean {
  return isMember(kind, member, now) || (kind === 'public' && member.banned_until <= now)
}
