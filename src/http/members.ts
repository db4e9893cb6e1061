/**
 * Who is in a room, and as what: putting people in, giving roles, putting them out. One may leave this way too.
 */
import Type from 'typebox'
import type { Access } from '../commands/access.ts'
import type { Commands, Outcome } from '../commands/request.ts'
import type { GivenRole as Role } from '../domain/commands.ts'
import { decide } from '../domain/decide.ts'
import { GivenRole, Reason } from '../domain/events.ts'
import { may } from '../domain/permissions.ts'
import { STRANGER } from '../domain/room.ts'
import { about } from './about.ts'
import { AppendHeaders, commandOf, roomIdOf, type App } from './app.ts'
import { Done, doneOf, MAY_BE_EMPTY, RoomUserParams, targetOf } from './done.ts'

export interface MembersDeps {
  access: Access
  commands: Commands
  clock: () => number
}

const Put = Type.Object({ role: Type.Optional(GivenRole) })
const Kick = Type.Object({ reason: Type.Optional(Reason) })

export function membersRoutes (app: App, { access, commands, clock }: MembersDeps): void {
  const schema = { params: RoomUserParams, headers: AppendHeaders, response: { 200: Done } }

  // Two events where somebody comes in with a role. The second has the request's key, so that sending it again finds the end.
  app.put('/rooms/:id/members/:user', { ...MAY_BE_EMPTY, schema: { ...about('Members', 'Put somebody into a room, give them a role, or both', 'forbidden', 'user_not_found', 'target_not_member', 'blocked', 'room_full', 'room_archived', 'last_owner'), ...schema, body: Put } }, async request => {
    const [room_id, target, by, { role }] = [roomIdOf(request), targetOf(request), commandOf(request), request.body]
    if (role === undefined) return doneOf(await commands.execute({ ...by, command: { type: 'add', room_id, target } }), TARGET)
    const added = await addFor(role, room_id, target, by)
    const given = doneOf(await commands.execute({ ...by, command: { type: 'role', room_id, target, role } }), TARGET)
    return given.changed || added === undefined ? given : doneOf(added)
  })

  app.delete('/rooms/:id/members/:user', { ...MAY_BE_EMPTY, schema: { ...about('Members', 'Put somebody out of a room; oneself: leave it', 'forbidden', 'target_not_member', 'last_owner'), ...schema, body: Kick } }, async request => {
    const [room_id, target, by, { reason }] = [roomIdOf(request), targetOf(request), commandOf(request), request.body]
    if (target === by.user_id) return doneOf(await commands.execute({ ...by, command: { type: 'leave', room_id } }))
    return doneOf(await commands.execute({ ...by, command: { type: 'kick', room_id, target, reason } }), TARGET)
  })

  /**
   * Puts `target` in, if people are put into rooms of this kind and they are not in it. Nobody is put in by somebody who could not
   * give them the role then: half of a request that fails is not done.
   */
  async function addFor (role: Role, room_id: string, target: string, by: ReturnType<typeof commandOf>): Promise<Outcome | undefined> {
    const [mine, theirs] = await Promise.all([access.reading(room_id, by.user_id), access.reading(room_id, target)])
    if (!mine.allowed || !mine.inside || !may(mine.room.kind, 'owner', 'add') || (theirs.allowed && theirs.inside)) return undefined
    const room = { ...mine.room, members: new Map([[by.user_id, mine.member], [target, { ...STRANGER, role: 'member' as const }]]) }
    const then = decide({ type: 'role', room_id, target, role }, room, by.user_id, clock())
    if ('rejection' in then) doneOf({ ok: false, rejection: then.rejection })
    const outcome = await commands.execute({ ...by, client_id: by.client_id === undefined ? undefined : `${by.client_id} add`, command: { type: 'add', room_id, target } })
    doneOf(outcome, TARGET)
    return outcome
  }
}

const TARGET = { user_not_found: 'user' } as const
