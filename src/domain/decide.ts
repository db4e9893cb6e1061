/**
 * `decide(command, room, actor, now)`: the rules of chat, pure. Returns the events to append, none if nothing would change,
 * or a rejection. What it looked at is guarded while appending: the room's rules version and the actor's member record
 * (see `commands/commands.ts`), so a decision on old state is never appended.
 */
import type { Command } from './commands.ts'
import type { EventBody } from './events.ts'
import { isMember, memberOf, type Room } from './room.ts'
import { reject, type Rejection } from './rejections.ts'

export type Decision = { readonly events: EventBody[] } | { readonly rejection: Rejection }

const no = (code: Parameters<typeof reject>[0], detail?: string): Decision => ({ rejection: reject(code, detail) })

/**
 * @param room the room's state, or undefined if it does not exist
 * @param actor ID of the user whose command it is
 * @param now epoch milliseconds
 */
export function decide (command: Command, room: Room | undefined, actor: string, now: number): Decision {
  if (command.type === 'create') {
    if (room !== undefined) return no('room_exists')
    const { name, kind, topic, history } = command
    return { events: [{ type: 'room', change: 'created', name, kind, ...(topic === undefined ? {} : { topic }), history: history ?? 'all' }] }
  }
  if (room === undefined) return no('room_not_found')
  const member = memberOf(room, actor)
  const inside = isMember(room.kind, member, now)
  // To those who may not know of a room, it does not exist (G9).
  if (!inside && room.kind !== 'public' && room.kind !== 'protected' && room.kind !== 'lobby') return no('room_not_found')
  if (member.banned_until > now) return no('banned')

  switch (command.type) {
    case 'message':
      if (!inside) return no('not_member')
      if (member.muted_until > now) return no('muted')
      if (command.reply_to !== undefined && (command.reply_to < 1 || command.reply_to > room.seq)) return no('bad_reply')
      return { events: [{ type: 'message', content: command.content, ...(command.reply_to === undefined ? {} : { reply_to: command.reply_to }) }] }
    case 'join':
      if (inside) return { events: [] }
      if (room.kind !== 'public') return no('forbidden', 'This room cannot be joined without an invitation')
      return { events: [{ type: 'join' }] }
    case 'leave':
      if (!inside) return no('not_member')
      if (room.kind === 'lobby') return no('forbidden', 'Everyone is in the lobby')
      return { events: [{ type: 'leave' }] }
  }
}
