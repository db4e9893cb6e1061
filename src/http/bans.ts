/**
 * Bans and mutes: laid on a person for good or until a time, and lifted. Laid again, the last one counts. Moderators list those
 * who are banned.
 */
import Type, { type Static } from 'typebox'
import type { Commands } from '../commands/request.ts'
import { Reason, Until } from '../domain/events.ts'
import { may } from '../domain/permissions.ts'
import { FOREVER } from '../domain/room.ts'
import { membersPage, type ListedMember } from '../store/members.ts'
import { about } from './about.ts'
import { AppendHeaders, commandOf, Limit, listOf, Position, roomIdOf, RoomParams, UUID_PATTERN, type App } from './app.ts'
import { Done, doneOf, MAY_BE_EMPTY, RoomUserParams, targetOf } from './done.ts'
import { refuse } from './problems.ts'
import { askedOf, type RoomReads } from './room-reads.ts'

export interface BansDeps extends RoomReads {
  commands: Commands
  clock: () => number
}

const Lay = Type.Object({ until: Type.Optional(Until), reason: Type.Optional(Reason) })

const NullableText = Type.Union([Type.String(), Type.Null()])
const Ban = Type.Object({
  user_id: Type.String(),
  username: NullableText,
  display_name: NullableText,
  until: Type.Optional(Type.String({ description: 'RFC 3339, UTC; left out: for good' })),
})
const Pages = Type.Object({ after: Type.Optional(Type.String({ pattern: UUID_PATTERN, description: '`next` of the page before' })), limit: Limit })

export function bansRoutes (app: App, { commands, clock, ...deps }: BansDeps): void {
  const schema = { params: RoomUserParams, headers: AppendHeaders, response: { 200: Done } }

  app.get('/rooms/:id/bans', { schema: { ...about('Members', 'Who is banned from a room', 'forbidden', 'busy'), params: RoomParams, querystring: Pages, response: { 200: Type.Object({ ...listOf(Ban, Type.String()).properties, as_of: Position }) } } }, async request => {
    const { room_id, reads, inside, room: { kind }, member: { role } } = await askedOf(deps, request)
    if (!inside) refuse('not_member')
    if (!may(kind, role, 'ban')) refuse('forbidden')
    const { after, limit = 100 } = request.query
    const { items, next, as_of } = await deps.gate(async () => await membersPage(reads, { room_id, kind, after: after?.toLowerCase(), limit, role: 'banned', now: clock() }))
    return { items: items.map(banOf), next, as_of }
  })

  for (const [path, lay, lift, word] of [['bans', 'ban', 'unban', 'Ban'], ['mutes', 'mute', 'unmute', 'Mute']] as const) {
    app.put(`/rooms/:id/${path}/:user`, { ...MAY_BE_EMPTY, schema: { ...about('Members', `${word} somebody, for good or until a time`, 'forbidden', 'user_not_found'), ...schema, body: Lay } }, async request => {
      const { until, reason } = request.body
      // The schema has seen the rest: what is wrong with a time that looks like one is that it is none, or is past.
      return doneOf(await commands.execute({ ...commandOf(request), command: { type: lay, room_id: roomIdOf(request), target: targetOf(request), until, reason } }), { bad_request: 'until', user_not_found: 'user' })
    })

    app.delete(`/rooms/:id/${path}/:user`, { schema: { ...about('Members', `Lift a ${lay}`, 'forbidden'), ...schema } }, async request => {
      return doneOf(await commands.execute({ ...commandOf(request), command: { type: lift, room_id: roomIdOf(request), target: targetOf(request) } }))
    })
  }
}

function banOf ({ user_id, username, display_name, banned_until }: ListedMember): Static<typeof Ban> {
  return { user_id, username, display_name, ...(banned_until >= FOREVER ? {} : { until: new Date(banned_until).toISOString() }) }
}
