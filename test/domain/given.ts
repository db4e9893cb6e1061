// given(events).when(command, actor).then(events or rejection): the rules of chat without any I/O.
import { decide } from '../../src/domain/decide.ts'
import type { Command } from '../../src/domain/commands.ts'
import type { EventBody } from '../../src/domain/events.ts'
import { emptyRoom, evolve, type Room } from '../../src/domain/room.ts'

export const NOW = Date.parse('2026-11-20T10:00:00.000Z')
export const ROOM = '019aa000-0000-7000-8000-000000000001'

export type Given = [user: string, body: EventBody]

/** The room after these events, undefined if there are none. */
export function roomOf (events: readonly Given[]): Room | undefined {
  if (events.length === 0) return undefined
  const room = emptyRoom(ROOM)
  events.forEach(([user_id, body], i) => evolve(room, { ...body, user_id }, i + 1))
  return room
}

/** What `decide` answers: the events' bodies, or the code of the rejection. */
export function when (events: readonly Given[], command: Command, actor: string, now = NOW): EventBody[] | string {
  const decision = decide(command, roomOf(events), actor, now)
  return 'rejection' in decision ? decision.rejection.code : decision.events
}
