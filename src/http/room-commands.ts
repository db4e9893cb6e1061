/**
 * What people do with rooms: make, change and delete them, go in and out. Who may is decided with the command; here only the shape
 * of the request is checked.
 *
 * Passwords of rooms are in Postgres, as hashes, and in no event. A room's first one is stored before the room is made.
 */
import Type, { type Static } from 'typebox'
import { PASSWORD_CHARS_MAX, type Passwords } from '../auth/passwords.ts'
import type { Access } from '../commands/access.ts'
import type { Commands } from '../commands/request.ts'
import { FIRST_MEMBERS_MAX } from '../domain/decide.ts'
import { RoomName, Settings } from '../domain/events.ts'
import { may } from '../domain/permissions.ts'
import { REJECTIONS, reject } from '../domain/rejections.ts'
import { problemOfRoomName, trimmedName } from '../domain/room-names.ts'
import { derivedUuid } from '../ids.ts'
import { removeInvites } from '../store/invites.ts'
import type { Store } from '../store/pool.ts'
import { addRoomPassword, changeRoomPassword, removeRoomPassword } from '../store/room-passwords.ts'
import { about, Nothing } from './about.ts'
import { AppendHeaders, commandOf, identityOf, roomIdOf, RoomParams, type App } from './app.ts'
import { Done, doneOf, MAY_BE_EMPTY, UserId } from './done.ts'
import { Refusal, refuse } from './problems.ts'
import { Room, roomOf } from './rooms.ts'

/** A room's password is told to many, so it may be shorter than a user's. */
export const ROOM_PASSWORD_CHARS_MIN = 4

export interface RoomCommandsDeps {
  access: Access
  commands: Commands
  passwords: Passwords
  store: Store
  newId: () => string
  clock: () => number
}

const Password = Type.String({ minLength: ROOM_PASSWORD_CHARS_MIN, maxLength: PASSWORD_CHARS_MAX, description: 'Lets people into a protected room' })
const { archived: _, ...FirstSettings } = Settings.properties
const Create = Type.Object({
  name: RoomName,
  kind: Type.Enum(['public', 'private', 'protected', 'group']),
  password: Type.Optional(Password),
  members: Type.Optional(Type.Array(UserId, { maxItems: FIRST_MEMBERS_MAX, description: 'People who are put into it, where people are put into rooms of this kind' })),
  ...FirstSettings,
})
const Update = Type.Object({ name: Type.Optional(RoomName), password: Type.Optional(Password), ...Settings.properties })
const Join = Type.Object({
  password: Type.Optional(Type.String({ maxLength: PASSWORD_CHARS_MAX })),
  invite: Type.Optional(Type.String({ maxLength: 200 })),
})

export function roomCommandsRoutes (app: App, { access, commands, passwords, store, newId, clock }: RoomCommandsDeps): void {
  const schema = { params: RoomParams, headers: AppendHeaders, response: { 200: Done } }

  app.post('/rooms', { schema: { ...about('Rooms', 'Make a room', 'user_not_found', 'room_full', 'room_exists', 'room_not_found', 'not_member', 'banned'), headers: AppendHeaders, body: Create, response: { 201: Room } } }, async (request, reply) => {
    const { password, name, members, ...more } = request.body
    if ((more.kind === 'protected') !== (password !== undefined)) refuse('bad_request', password === undefined ? 'password is missing: a protected room has one' : 'password is for protected rooms only', 'password')
    const by = commandOf(request)
    const room_id = by.client_id === undefined ? newId() : roomIdOfKey(by.user_id, by.client_id)
    const command = { type: 'create', room_id, ...more, name: nameOf(name), members: members?.map(id => id.toLowerCase()) } as const
    const hash = password === undefined ? undefined : await hashOf(password)
    if (hash !== undefined) await addRoomPassword(store, room_id, hash, new Date(clock()))
    const outcome = await commands.execute({ ...by, command })
    // The ID is made of the key: where it exists, this request was done before, however long ago.
    if (!outcome.ok && !(outcome.rejection.code === 'room_exists' && by.client_id !== undefined)) {
      // Whether it was made is not known where trying again may help.
      if (hash !== undefined && !REJECTIONS[outcome.rejection.code].retry) await removeRoomPassword(store, room_id, hash)
      doneOf(outcome, { user_not_found: 'members', bad_request: 'members', room_full: 'members_max' })
    }
    const reading = await access.reading(room_id, by.user_id)
    if (!reading.allowed) throw new Refusal(reading.rejection)
    return reply.code(201).header('location', `/rooms/${room_id}`).send(roomOf(reading))
  })

  app.patch('/rooms/:id', { schema: { ...about('Rooms', 'Change a room', 'forbidden', 'muted', 'room_archived'), ...schema, body: Update } }, async request => {
    const { password, name, ...settings } = request.body
    const room_id = roomIdOf(request)
    if (password === undefined) return await update()
    // The permission first, then the hash, which costs far more; the events before the password, which is refused least.
    await checkPasswordChange(room_id, identityOf(request).user_id)
    const hash = await hashOf(password)
    const done = Object.keys(request.body).length > 1 ? await update() : { room_id, changed: true }
    await changeRoomPassword(store, room_id, hash, new Date(clock()))
    return { ...done, changed: true }

    async function update (): Promise<Static<typeof Done>> {
      return doneOf(await commands.execute({ ...commandOf(request), command: { type: 'update', room_id, ...settings, name: name === undefined ? undefined : nameOf(name) } }))
    }
  })

  app.delete('/rooms/:id', { schema: { ...about('Rooms', 'Delete a room, for everybody', 'forbidden'), params: RoomParams, headers: AppendHeaders, response: { 204: Nothing } } }, async (request, reply) => {
    const room_id = roomIdOf(request)
    doneOf(await commands.execute({ ...commandOf(request), command: { type: 'remove', room_id } }))
    await Promise.all([removeRoomPassword(store, room_id), removeInvites(store, room_id)])
    return reply.code(204).send()
  })

  app.post('/rooms/:id/join', { ...MAY_BE_EMPTY, schema: { ...about('Rooms', 'Join a room', 'wrong_password', 'bad_invite', 'room_full', 'room_archived'), ...schema, body: Join } }, async request => {
    const { password, invite } = request.body
    return doneOf(await commands.execute({ ...commandOf(request), command: { type: 'join', room_id: roomIdOf(request), password, invite } }), { wrong_password: 'password', bad_invite: 'invite' })
  })

  app.post('/rooms/:id/leave', { schema: { ...about('Rooms', 'Leave a room', 'forbidden', 'last_owner'), ...schema } }, async request => {
    return doneOf(await commands.execute({ ...commandOf(request), command: { type: 'leave', room_id: roomIdOf(request) } }))
  })

  async function hashOf (password: string): Promise<string> {
    const hash = await passwords.hash(password)
    if (hash === 'overloaded') throw new Refusal(reject('overloaded', 'Too many passwords are being checked: try again', 1000))
    return hash
  }

  /** Whoever may change a protected room may change its password. It is no event, so nothing else asks. */
  async function checkPasswordChange (roomId: string, userId: string): Promise<void> {
    const reading = await access.reading(roomId, userId)
    if (!reading.allowed) throw new Refusal(reading.rejection)
    const { inside, room: { kind }, member: { role } } = reading
    if (!inside) refuse('not_member')
    if (!may(kind, role, 'update')) refuse('forbidden')
    if (kind !== 'protected') refuse('bad_request', 'password is for protected rooms only', 'password')
  }
}

function nameOf (given: string): string {
  const name = trimmedName(given)
  const problem = problemOfRoomName(name)
  if (problem !== undefined) refuse('bad_request', `name ${problem}`, 'name')
  return name
}

/** The same key of the same user is the same room. */
export function roomIdOfKey (userId: string, key: string): string {
  return derivedUuid(`room of ${userId} under ${key}`)
}
