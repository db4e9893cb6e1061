/** Who is in a room, for those who are in it. Its moderators also see who is muted, and list those who are banned. */
import Type, { type Static } from 'typebox'
import { may } from '../domain/permissions.ts'
import { MEMBER_ROLES, membersPage, type ListedMember } from '../store/members.ts'
import { about } from './about.ts'
import { Limit, listOf, Position, RoomParams, UUID_PATTERN, type App } from './app.ts'
import { refuse } from './problems.ts'
import { askedOf, type RoomReads } from './room-reads.ts'

const NullableText = Type.Union([Type.String(), Type.Null()])
const Member = Type.Object({
  user_id: Type.String(),
  username: NullableText,
  display_name: NullableText,
  avatar_url: NullableText,
  role: Type.String({ description: 'owner, admin, moderator, member; none for those who are banned' }),
  joined_at: Type.Union([Type.String(), Type.Null()], { description: 'RFC 3339, UTC' }),
  muted_until: Type.Optional(Type.String({ description: 'To moderators; for good is the end of the year 9999' })),
  banned_until: Type.Optional(Type.String({ description: 'To moderators; for good is the end of the year 9999' })),
})
const Page = Type.Object({
  after: Type.Optional(Type.String({ pattern: UUID_PATTERN, description: '`next` of the page before' })),
  limit: Limit,
  role: Type.Optional(Type.Enum([...MEMBER_ROLES], { description: '`banned`: those who may not come in now, to moderators' })),
})

export function membersReadRoutes (app: App, { clock, ...deps }: RoomReads & { clock: () => number }): void {
  app.get('/rooms/:id/members', { schema: { ...about('Members', 'Who is in a room', 'forbidden', 'busy'), params: RoomParams, querystring: Page, response: { 200: Type.Object({ ...listOf(Member, Type.String()).properties, as_of: Position }) } } }, async request => {
    const { room_id, reads, inside, room: { kind }, member } = await askedOf(deps, request)
    if (!inside) refuse('not_member')
    const { after, limit = 100, role } = request.query
    if (role === 'banned' && !may(kind, member.role, 'ban')) refuse('forbidden')
    const { items, next, as_of } = await deps.gate(async () => await membersPage(reads, { room_id, kind, after: after?.toLowerCase(), limit, role, now: clock() }))
    return { items: items.map(memberOf(may(kind, member.role, 'mute'))), next, as_of }
  })
}

const memberOf = (moderates: boolean) => ({ muted_until, banned_until, ...member }: ListedMember): Static<typeof Member> => ({
  ...member,
  ...(moderates && muted_until > 0 ? { muted_until: new Date(muted_until).toISOString() } : {}),
  ...(moderates && banned_until > 0 ? { banned_until: new Date(banned_until).toISOString() } : {}),
})
