/**
 * Who may do what to whom. Pure, and the only place that says so: one table of the least role for each action and kind of
 * room, and one rule for actions on people: only on those of a lower role (DESIGN.md §4, PROTOCOL.md).
 */
import type { RoomKind } from './events.ts'

/** `kicked`: was put out and has not come back; such a person does not read a public room either. */
export type Role = 'owner' | 'admin' | 'moderator' | 'member' | 'none' | 'kicked'

export type Action =
  | 'send' | 'react' | 'edit own' | 'delete own' | 'delete others' | 'pin' | 'mention room'
  | 'leave' | 'add' | 'invite' | 'kick' | 'ban' | 'mute' | 'role'
  /** Name and topic; everything else that may be set; whether it can only be read; for how long messages are kept. */
  | 'update' | 'settings' | 'archive' | 'retain'
  | 'remove' | 'audit' | 'read edits'

/** Higher may act on lower. Those who are not in the room have no rank. */
export const RANK: Readonly<Record<Role, number>> = { none: -1, kicked: -1, member: 0, moderator: 1, admin: 2, owner: 3 }

type Least = Exclude<Role, 'none' | 'kicked'> | 'nobody'
type Table = Readonly<Record<Action, Least>>

const OPEN: Table = {
  send: 'member',
  react: 'member',
  'edit own': 'member',
  'delete own': 'member',
  'delete others': 'moderator',
  pin: 'moderator',
  'mention room': 'member',
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
  'read edits': 'moderator',
}
const TWO: Table = {
  ...OPEN,
  'delete others': 'nobody',
  pin: 'member',
  leave: 'nobody',
  add: 'nobody',
  invite: 'nobody',
  kick: 'nobody',
  ban: 'nobody',
  mute: 'nobody',
  role: 'nobody',
  update: 'nobody',
  settings: 'nobody',
  archive: 'nobody',
  retain: 'nobody',
  remove: 'nobody',
  audit: 'nobody',
}

export const LEAST: Readonly<Record<RoomKind, Table>> = {
  // People join a public room by themselves: nobody is put into it.
  public: { ...OPEN, add: 'nobody' },
  private: OPEN,
  protected: OPEN,
  group: { ...OPEN, pin: 'member', add: 'member', invite: 'member', update: 'member' },
  dm: TWO,
  // Everyone is in it: nobody is put in or out, and nobody shuts it; its moderators keep order by banning and muting.
  lobby: { ...OPEN, 'mention room': 'moderator', leave: 'nobody', add: 'nobody', invite: 'nobody', kick: 'nobody', remove: 'nobody', archive: 'nobody' },
  inbox: Object.fromEntries(Object.keys(OPEN).map(action => [action, 'nobody'])) as Table,
}

/** Whether a member with this role may do this in a room of this kind. Everyone in the lobby counts as a member. */
export function may (kind: RoomKind, role: Role, action: Action): boolean {
  const least = LEAST[kind][action]
  const rank = kind === 'lobby' ? Math.max(0, RANK[role]) : RANK[role]
  return least !== 'nobody' && rank >= RANK[least]
}

/** Whether somebody with this role may act on somebody with that one: only downwards. */
export function outranks (role: Role, other: Role): boolean {
  return RANK[role] > RANK[other]
}
