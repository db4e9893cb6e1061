// given(events).when(command, actor, facts).then(events or rejection): the rules of chat without any I/O.
import { decide } from '../../src/domain/decide.ts'
import type { Command, Facts, MessageFact } from '../../src/domain/commands.ts'
import type { EventBody, RoomKind, Settings } from '../../src/domain/events.ts'
import { emptyRoom, evolve, type Role, type Room } from '../../src/domain/room.ts'

export const NOW = Date.parse('2026-11-20T10:00:00.000Z')
/** A minute later, and a minute before, as they stand in events. */
export const SOON = '2026-11-20T10:01:00.000Z'
export const JUST_NOW = '2026-11-20T09:59:00.000Z'
export const ROOM = '019aa000-0000-7000-8000-000000000001'

export type Given = [user: string, body: EventBody]
/** A command as a test writes it: to ROOM. */
export type Wish = Command extends infer C ? C extends Command ? Omit<C, 'room_id'> : never : never

/** The room after these events, undefined if there are none. */
export function roomOf (events: readonly Given[], id = ROOM): Room | undefined {
  if (events.length === 0) return undefined
  const room = emptyRoom(id)
  events.forEach(([user_id, body], i) => evolve(room, { ...body, user_id }, i + 1))
  return room
}

/** What `decide` answers: the events' bodies, or the code of the rejection. */
export function when (events: readonly Given[] | Room | undefined, wish: Wish, actor: string, facts: Facts = {}, now = NOW): EventBody[] | string {
  const room = Array.isArray(events) ? roomOf(events) : events as Room | undefined
  const decision = decide({ ...wish, room_id: ROOM } as Command, room, actor, now, facts)
  return 'rejection' in decision ? decision.rejection.code : decision.events
}

/** `ada` makes the room. */
export function made (kind: RoomKind, settings: Settings = {}): Given[] {
  if (kind === 'dm') return [['ada', { type: 'room', change: 'created', name: '', kind, history: 'all', members: ['ada', 'bob'] }]]
  return [['ada', { type: 'room', change: 'created', name: 'Engines', kind, history: 'all', ...settings }]]
}

/** These come in, each with a role. `none`: nothing; `kicked`: in and out again. */
export function people (roles: Readonly<Record<string, Role>>): Given[] {
  return Object.entries(roles).flatMap(([user, role]): Given[] => {
    if (role === 'none') return []
    const joined: Given = [user, { type: 'join' }]
    if (role === 'kicked') return [joined, ['ada', { type: 'kick', target: user }]]
    return role === 'member' ? [joined] : [joined, ['ada', { type: 'role', target: user, role }]]
  })
}

/** Facts that know these messages. */
export function knowing (messages: Readonly<Record<number, Partial<MessageFact> & { author: string }>>, more: Facts = {}): Facts {
  return { ...more, messages: new Map(Object.entries(messages).map(([seq, fact]) => [Number(seq), { deleted: false, ...fact }])) }
}
