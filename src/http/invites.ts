/**
 * Invites: codes that let people into a room, for a time and a number of people. The code is shown once, to whoever made it; lists
 * name an invite by its ID. They are used with `POST /rooms/:id/join`.
 */
import { randomBytes } from 'node:crypto'
import Type, { type Static } from 'typebox'
import type { Access } from '../commands/access.ts'
import { may, RANK } from '../domain/permissions.ts'
import { reject } from '../domain/rejections.ts'
import { addInvite, INVITES_PER_ROOM_MAX, invitesOf, revokeInvite, type Invite as InviteRow } from '../store/invites.ts'
import type { Store } from '../store/pool.ts'
import { about, Nothing } from './about.ts'
import { identityOf, listOf, roomIdOf, RoomParams, UUID_PATTERN, type App } from './app.ts'
import { MAY_BE_EMPTY } from './done.ts'
import { Refusal, refuse } from './problems.ts'

const DAY_S = 86_400
const LIFETIME_S = 7 * DAY_S
const LIFETIME_S_MAX = 30 * DAY_S
/** People whom one invite lets in at most. */
const USES_MAX = 1000
const CODE_BYTES = 16

export interface InvitesDeps {
  access: Access
  store: Store
  newId: () => string
  clock: () => number
}

const Invite = Type.Object({
  id: Type.String({ description: 'Names the invite; lets nobody in' }),
  room_id: Type.String(),
  created_by: Type.String(),
  created_at: Type.String({ description: 'RFC 3339, UTC' }),
  expires_at: Type.String({ description: 'RFC 3339, UTC' }),
  uses: Type.Integer({ description: 'People that it lets in at most' }),
  used: Type.Integer({ description: 'People that it has let in' }),
})
const NewInvite = Type.Object({ ...Invite.properties, code: Type.String({ description: 'Lets people in; shown this once' }) })
const Make = Type.Object({
  expires_in: Type.Optional(Type.Integer({ minimum: 1, maximum: LIFETIME_S_MAX, description: `Seconds that it is good for; ${LIFETIME_S} if left out` })),
  uses: Type.Optional(Type.Integer({ minimum: 1, maximum: USES_MAX, description: `People that it lets in at most; ${USES_MAX} if left out` })),
})
const InviteParams = Type.Object({ ...RoomParams.properties, invite: Type.String({ minLength: 1, maxLength: 100, pattern: '^[\\w-]+$', description: 'ID of the invite, or its code' }) })
const UUID = new RegExp(UUID_PATTERN)

export function invitesRoutes (app: App, { access, store, newId, clock }: InvitesDeps): void {
  app.post('/rooms/:id/invites', { ...MAY_BE_EMPTY, schema: { ...about('Members', 'Make an invite', 'forbidden', 'too_many'), params: RoomParams, body: Make, response: { 201: NewInvite } } }, async (request, reply) => {
    const room_id = roomIdOf(request)
    const { user_id } = await inviter(room_id, identityOf(request).user_id)
    const { expires_in = LIFETIME_S, uses = USES_MAX } = request.body
    const now = clock()
    const code = randomBytes(CODE_BYTES).toString('base64url')
    const invite = { id: newId(), room_id, created_by: user_id, created_at: new Date(now), expires_at: new Date(now + expires_in * 1000), uses }
    if (await addInvite(store, { ...invite, code }) === 'full') refuse('too_many', `A room has at most ${INVITES_PER_ROOM_MAX} invites that are good: revoke some`)
    return reply.code(201).header('cache-control', 'no-store').send({ ...inviteOf({ ...invite, used: 0 }), code })
  })

  app.get('/rooms/:id/invites', { schema: { ...about('Members', 'Invites that are good: my own, to moderators all', 'forbidden'), params: RoomParams, response: { 200: listOf(Invite, Type.String()) } } }, async request => {
    const room_id = roomIdOf(request)
    const { user_id, all } = await inviter(room_id, identityOf(request).user_id)
    const invites = await invitesOf(store, room_id, { by: all ? undefined : user_id, now: new Date(clock()) })
    return { items: invites.map(inviteOf), next: null }
  })

  app.delete('/rooms/:id/invites/:invite', { schema: { ...about('Members', 'Revoke an invite', 'forbidden', 'not_found'), params: InviteParams, response: { 204: Nothing } } }, async (request, reply) => {
    const room_id = roomIdOf(request)
    const { user_id, all } = await inviter(room_id, identityOf(request).user_id)
    const { invite } = request.params
    const which = UUID.test(invite) ? { id: invite } : { code: invite }
    if (!await revokeInvite(store, room_id, which, { by: all ? undefined : user_id, now: new Date(clock()) })) refuse('not_found', 'There is no such invite that is good')
    return reply.code(204).send()
  })

  /** Whoever asks, if they may invite; `all`: moderators see and revoke what others made. */
  async function inviter (roomId: string, user_id: string): Promise<{ user_id: string, all: boolean }> {
    const reading = await access.reading(roomId, user_id)
    if (!reading.allowed) throw new Refusal(reading.rejection)
    if (!reading.inside) throw new Refusal(reject('not_member'))
    const { room: { kind }, member: { role } } = reading
    if (!may(kind, role, 'invite')) refuse('forbidden')
    return { user_id, all: RANK[role] >= RANK.moderator }
  }
}

function inviteOf ({ id, room_id, created_by, created_at, expires_at, uses, used }: InviteRow): Static<typeof Invite> {
  return { id, room_id, created_by, created_at: created_at.toISOString(), expires_at: expires_at.toISOString(), uses, used }
}
