/**
 * Rooms, as operators see and moderate them: any room, the lobby included, by the same commands as its owner would, above everybody
 * in it. The events have the operator as author and say that it was one. Nobody becomes a member by it, and no message is read.
 */
import type { FastifyRequest } from 'fastify'
import Type, { type Static } from 'typebox'
import type { Operators } from '../auth/operators.ts'
import type { Commands, Outcome, Request } from '../commands/request.ts'
import type { Command } from '../domain/commands.ts'
import { GivenRole, NAME_CHARS_MAX, Reason, RoomName, Settings, Until } from '../domain/events.ts'
import { resolveRoomId } from '../domain/lobby.ts'
import type { RoomLog } from '../log/log.ts'
import { removeInvites } from '../store/invites.ts'
import { checkpointsOf, knownRoom, knownRooms, type KnownRoom } from '../store/operators.ts'
import { listParked } from '../store/parked.ts'
import type { Store } from '../store/pool.ts'
import { removeRoomPassword } from '../store/room-passwords.ts'
import { about, Nothing } from './about.ts'
import { AppendHeaders, commandOf, Limit, listOf, Position, roomIdOf, RoomParams, UUID_PATTERN, type App } from './app.ts'
import { Done, doneOf, MAY_BE_EMPTY, RoomSeqParams, RoomUserParams, targetOf } from './done.ts'
import { operatorOf } from './operator.ts'
import { refuse } from './problems.ts'

export interface AdminRoomsDeps {
  operators: Operators
  commands: Commands
  log: RoomLog
  store: Store
}

const MaybeText = Type.Union([Type.String(), Type.Null()])
const Known = {
  id: Type.String(),
  name: Type.String(),
  kind: Type.String(),
  topic: Type.String(),
  members: Type.Integer({ description: 'How many are in it; of the lobby, those with a role' }),
  messages: Type.Integer({ description: 'Messages so far' }),
  archived: Type.Boolean(),
  removed: Type.Boolean({ description: 'Whether it was deleted' }),
  created_by: MaybeText,
  created_at: MaybeText,
}
const Listed = Type.Object(Known)
const Room = Type.Object({
  ...Known,
  head: Type.Union([Position, Type.Null()], { description: 'End of its log; null where Redis has none of it' }),
  checkpoints: Type.Array(Type.Object({ projection: Type.String(), seq: Type.Integer(), chain: Type.String(), updated_at: Type.String() }), { description: 'How far each projection has applied it' }),
  parked: Type.Array(Type.Object({ projection: Type.String(), seq: Type.Integer(), error_code: Type.String(), error: Type.String(), parked_at: Type.String(), attempts: Type.Integer() }), { description: 'Projections that stand still in it' }),
})
const Search = Type.Object({
  query: Type.Optional(Type.String({ maxLength: NAME_CHARS_MAX, pattern: '^[^\\u0000\\ud800-\\udfff]*$', description: 'Part of the name, or the ID of a room' })),
  after: Type.Optional(Type.String({ pattern: UUID_PATTERN, description: '`next` of the page before' })),
  limit: Limit,
})
const Update = Type.Object({ name: Type.Optional(RoomName), ...Settings.properties })
const Lay = Type.Object({ until: Type.Optional(Until), reason: Type.Optional(Reason) })
const OF_A_ROOM = ['room_not_found', 'forbidden'] as const

const listedOf = ({ last_seq: _, created_at, ...room }: KnownRoom): Static<typeof Listed> => ({ ...room, created_at: created_at?.toISOString() ?? null })

export function adminRoomsRoutes (app: App, { operators, commands, log, store }: AdminRoomsDeps): void {
  const inRoom = { params: RoomParams, headers: AppendHeaders, response: { 200: Done } }
  const onUser = { ...inRoom, params: RoomUserParams }

  /** Has the command done as an operator, and writes it down if it did anything. */
  async function act (request: FastifyRequest & { headers: Static<typeof AppendHeaders> }, command: Command, detail: Readonly<Record<string, unknown>> = {}): Promise<Outcome> {
    const by = operatorOf(request)
    const given: Request = { ...commandOf(request), operator: true, command }
    const outcome = await commands.execute(given)
    if (outcome.ok && outcome.changed && !outcome.duplicate) {
      await operators.note(by, { action: command.type, room_id: command.room_id, user_id: 'target' in command ? command.target : undefined, detail: { seq: outcome.seq, ...detail } })
    }
    return outcome
  }

  app.get('/admin/rooms', { schema: { ...about('Operators', 'Rooms, by a part of their names', 'not_found'), querystring: Search, response: { 200: listOf(Listed, Type.String()) } } }, async ({ query: { query = '', after, limit = 50 } }) => {
    const id = resolveRoomId(query)
    if (id !== undefined) {
      const room = await knownRoom(store, id)
      return { items: room === undefined ? [] : [listedOf(room)], next: null }
    }
    const found = await knownRooms(store, { query, after, limit: limit + 1 })
    const items = found.slice(0, limit)
    return { items: items.map(listedOf), next: found.length > limit ? items.at(-1)!.id : null }
  })

  app.get('/admin/rooms/:id', { schema: { ...about('Operators', 'A room: its head, checkpoints, and where it is parked', 'room_not_found'), params: RoomParams, response: { 200: Room } } }, async request => {
    const id = roomIdOf(request)
    const [known, { heads }, checkpoints, parked] = await Promise.all([knownRoom(store, id), log.heads([id]), checkpointsOf(store, id), listParked(store, { room_id: id })])
    const room = known ?? await ofLog(id) ?? refuse('room_not_found')
    return {
      ...listedOf(room),
      head: heads.get(id) ?? null,
      checkpoints: checkpoints.map(({ updated_at, ...checkpoint }) => ({ ...checkpoint, updated_at: updated_at.toISOString() })),
      parked: parked.map(({ projection, seq, error_code, error, parked_at, attempts }) => ({ projection, seq, error_code, error, parked_at: parked_at.toISOString(), attempts })),
    }
  })

  /** Where the read model does not have it: it may be parked from its first event on. */
  async function ofLog (id: string): Promise<KnownRoom | undefined> {
    const meta = (await log.room(id, []))?.meta
    if (meta === undefined) return undefined
    const [text, number] = [(field: string) => meta.get(field) ?? '', (field: string) => Number(meta.get(field) ?? 0)]
    return { id, name: text('name'), kind: text('kind'), topic: text('topic'), members: number('members'), messages: number('messages'), last_seq: number('seq'), archived: text('archived') === '1', removed: text('removed') === '1', created_by: null, created_at: null }
  }

  app.patch('/admin/rooms/:id', { schema: { ...about('Operators', 'Change a room', ...OF_A_ROOM, 'room_archived'), ...inRoom, body: Update } }, async request => {
    return doneOf(await act(request, { type: 'update', room_id: roomIdOf(request), ...request.body }, request.body))
  })

  app.delete('/admin/rooms/:id', { schema: { ...about('Operators', 'Delete a room, for everybody', ...OF_A_ROOM), params: RoomParams, headers: AppendHeaders, response: { 204: Nothing } } }, async (request, reply) => {
    const room_id = roomIdOf(request)
    doneOf(await act(request, { type: 'remove', room_id }))
    await Promise.all([removeRoomPassword(store, room_id), removeInvites(store, room_id)])
    return reply.code(204).send()
  })

  app.delete('/admin/rooms/:id/messages/:seq', { schema: { ...about('Operators', 'Delete a message of anybody', ...OF_A_ROOM, 'message_not_found'), ...inRoom, params: RoomSeqParams } }, async request => {
    return doneOf(await act(request, { type: 'delete', room_id: roomIdOf(request), message_seq: request.params.seq }, { message_seq: request.params.seq }))
  })

  app.put('/admin/rooms/:id/members/:user', { schema: { ...about('Operators', 'Give a member a role', ...OF_A_ROOM, 'target_not_member', 'last_owner'), ...onUser, body: Type.Object({ role: GivenRole }) } }, async request => {
    const { role } = request.body
    return doneOf(await act(request, { type: 'role', room_id: roomIdOf(request), target: targetOf(request), role }, { role }))
  })

  app.delete('/admin/rooms/:id/members/:user', { ...MAY_BE_EMPTY, schema: { ...about('Operators', 'Put somebody out of a room', ...OF_A_ROOM, 'target_not_member', 'last_owner'), ...onUser, body: Type.Object({ reason: Type.Optional(Reason) }) } }, async request => {
    const { reason } = request.body
    return doneOf(await act(request, { type: 'kick', room_id: roomIdOf(request), target: targetOf(request), reason }, { ...request.body }))
  })

  for (const [path, lay, lift, word] of [['bans', 'ban', 'unban', 'Ban'], ['mutes', 'mute', 'unmute', 'Mute']] as const) {
    app.put(`/admin/rooms/:id/${path}/:user`, { ...MAY_BE_EMPTY, schema: { ...about('Operators', `${word} somebody, for good or until a time`, ...OF_A_ROOM, 'user_not_found', 'last_owner'), ...onUser, body: Lay } }, async request => {
      const { until, reason } = request.body
      return doneOf(await act(request, { type: lay, room_id: roomIdOf(request), target: targetOf(request), until, reason }, { ...request.body }), { bad_request: 'until', user_not_found: 'user' })
    })

    app.delete(`/admin/rooms/:id/${path}/:user`, { schema: { ...about('Operators', `Lift a ${lay}`, ...OF_A_ROOM), ...onUser } }, async request => {
      return doneOf(await act(request, { type: lift, room_id: roomIdOf(request), target: targetOf(request) }))
    })
  }
}
