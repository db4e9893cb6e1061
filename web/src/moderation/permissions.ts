/**
 * What a role may do in a room, so that only that is offered. The server decides: this table is held to its own by a test. On people one
 * acts downwards only.
 */
import type { Role, RoomKind } from '../api/types.ts'

export type Action = 'pin' | 'mention room' | 'delete others' | 'leave' | 'add' | 'invite' | 'kick' | 'ban' | 'mute' | 'role' | 'update' | 'settings' | 'archive' | 'retain' | 'remove' | 'audit'
type Least = 'member' | 'moderator' | 'admin' | 'owner' | 'nobody'

const RANK: Readonly<Record<Role, number>> = { none: -1, kicked: -1, member: 0, moderator: 1, admin: 2, owner: 3 }
const ACTIONS: Readonly<Record<Action, Least>> = {
  pin: 'moderator',
  'mention room': 'member',
  'delete others': 'moderator',
  leave: 'member',
  add: 'moderator',
  invite: 'moderator',
  kick: 'moderator',
  ban: 'moderator',
  mute: 'moderator',
  role: 'admin',
  update: 'admin',
  settings: 'admin',
  archive: 'admin',
  retain: 'owner',
  remove: 'owner',
  audit: 'moderator',
}
/** Where a kind of room differs. */
const KINDS: Readonly<Partial<Record<RoomKind, Partial<Record<Action, Least>>>>> = {
  public: { add: 'nobody' },
  group: { pin: 'member', add: 'member', invite: 'member', update: 'member' },
  lobby: { 'mention room': 'moderator', leave: 'nobody', add: 'nobody', invite: 'nobody', kick: 'nobody', remove: 'nobody', archive: 'nobody' },
}
/** All that may be done where two talk: both may; in an inbox nobody may anything. */
const OF_TWO: ReadonlySet<Action> = new Set(['pin', 'mention room'])

/** Everyone in the lobby counts as a member. */
function rankOf (kind: RoomKind, role: Role): number {
  return kind === 'lobby' ? Math.max(0, RANK[role]) : RANK[role]
}

export function may (room: { kind: RoomKind, role?: Role | undefined }, action: Action): boolean {
  if (room.kind === 'inbox') return false
  if (room.kind === 'dm') return OF_TWO.has(action) && rankOf(room.kind, room.role ?? 'none') >= RANK.member
  const least = KINDS[room.kind]?.[action] ?? ACTIONS[action]
  return least !== 'nobody' && rankOf(room.kind, room.role ?? 'none') >= RANK[least]
}

/** Whether somebody with this role may act on somebody with that one. */
export function outranks (role: Role | undefined, other: Role): boolean {
  return RANK[role ?? 'none'] > RANK[other]
}

export const GIVEN_ROLES = ['owner', 'admin', 'moderator', 'member'] as const
export type GivenRole = typeof GIVEN_ROLES[number]

/** The roles that somebody with this role may give: those below their own; an owner, any. */
export function rolesToGive (role: Role | undefined): readonly GivenRole[] {
  return role === 'owner' ? GIVEN_ROLES : GIVEN_ROLES.filter(given => outranks(role, given))
}

export const ROLE_NAMES: Readonly<Record<Role, string>> = { owner: 'Owner', admin: 'Admin', moderator: 'Moderator', member: 'Member', none: 'Not a member', kicked: 'Removed' }
