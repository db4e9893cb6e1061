// Who may do what to whom: the table against one written by hand, and every pair of roles.
import t from 'tap'
import { ROLES, ROOM_KINDS, type RoomKind } from '../../src/domain/events.ts'
import { LEAST, may, outranks, RANK, type Action } from '../../src/domain/permissions.ts'
import type { Role } from '../../src/domain/room.ts'
import { knowing, made, people, roomOf, SOON, when, type Given, type Wish } from './given.ts'

/** Who may, at least: m member, M moderator, A admin, O owner, - nobody. */
const BY_HAND = `
                  public private protected group dm lobby inbox
  send               m      m        m       m   m    m     -
  react              m      m        m       m   m    m     -
  edit own           m      m        m       m   m    m     -
  delete own         m      m        m       m   m    m     -
  delete others      M      M        M       M   -    M     -
  pin                M      M        M       m   m    M     -
  mention room       m      m        m       m   m    M     -
  leave              m      m        m       m   -    -     -
  add                -      M        M       m   -    -     -
  invite             M      M        M       m   -    -     -
  kick               M      M        M       M   -    -     -
  ban                M      M        M       M   -    M     -
  mute               M      M        M       M   -    M     -
  role               A      A        A       A   -    A     -
  update             A      A        A       m   -    A     -
  settings           A      A        A       A   -    A     -
  archive            A      A        A       A   -    -     -
  retain             O      O        O       O   -    O     -
  remove             O      O        O       O   -    -     -
  audit              M      M        M       M   -    M     -
  read edits         M      M        M       M   M    M     -
`
/** Who is at least as high as the letter says. */
const AT_LEAST: Readonly<Record<string, readonly Role[]>> = { m: ['member', 'moderator', 'admin', 'owner'], M: ['moderator', 'admin', 'owner'], A: ['admin', 'owner'], O: ['owner'], '-': [] }
const EVERY_ROLE = [...ROLES, 'none', 'kicked'] as const

t.test('the table says what the one by hand says, of every role, action and kind', async t => {
  const [head, ...lines] = BY_HAND.trim().split('\n')
  const kinds = head!.trim().split(/\s+/) as RoomKind[]
  t.same(kinds.toSorted(), [...ROOM_KINDS].sort(), 'every kind')
  const rows = lines.map(line => /^\s*(\w+(?: \w+)?)\s{2,}(.+)$/.exec(line)!)
  for (const kind of kinds) t.same(Object.keys(LEAST[kind]).toSorted(), rows.map(([, action]) => action).toSorted(), `${kind}: every action`)
  for (const [, action, cells] of rows) {
    for (const [i, letter] of cells!.trim().split(/\s+/).entries()) {
      for (const role of EVERY_ROLE) {
        const counts = kinds[i] === 'lobby' && (role === 'none' || role === 'kicked') ? 'member' : role
        t.equal(may(kinds[i]!, role, action as Action), AT_LEAST[letter]!.includes(counts), `${role} ${action} in ${kinds[i]}`)
      }
    }
  }
})

t.test('ranks: owner, admin, moderator, member, and those who are not in', async t => {
  const order: Role[][] = [['none', 'kicked'], ['member'], ['moderator'], ['admin'], ['owner']]
  for (const [high, roles] of order.entries()) for (const [low, others] of order.entries()) for (const role of roles) for (const other of others) t.equal(outranks(role, other), high > low, `${role} over ${other}`)
  t.same(Object.keys(RANK).toSorted(), [...EVERY_ROLE].sort())
})

/** Whether somebody of this role may do it to one of each of these: by hand. */
const ON_WHOM: ReadonlyArray<{ what: string, wish: (target: string) => Wish, of: Readonly<Record<typeof ROLES[number], readonly Role[]>> }> = [
  ...(['kick', 'ban', 'unban', 'mute', 'unmute'] as const).map(type => ({
    what: type,
    wish: (target: string): Wish => ({ type, target }),
    of: { owner: ['admin', 'moderator', 'member'], admin: ['moderator', 'member'], moderator: ['member'], member: [] } as const,
  })),
  { what: 'delete the message of', wish: () => ({ type: 'delete', message_seq: 99 }), of: { owner: ['admin', 'moderator', 'member'], admin: ['moderator', 'member'], moderator: ['member'], member: [] } },
  { what: 'make an owner of', wish: target => ({ type: 'role', target, role: 'owner' }), of: { owner: ['owner', 'admin', 'moderator', 'member'], admin: ['owner'], moderator: [], member: [] } },
  { what: 'make an admin of', wish: target => ({ type: 'role', target, role: 'admin' }), of: { owner: ['admin', 'moderator', 'member'], admin: ['admin'], moderator: [], member: [] } },
  { what: 'make a moderator of', wish: target => ({ type: 'role', target, role: 'moderator' }), of: { owner: ['admin', 'moderator', 'member'], admin: ['moderator', 'member'], moderator: [], member: [] } },
  { what: 'make a member of', wish: target => ({ type: 'role', target, role: 'member' }), of: { owner: ['admin', 'moderator', 'member'], admin: ['moderator', 'member'], moderator: [], member: [] } },
]

t.test('who acts on whom: all pairs of roles, in every kind that has roles', async t => {
  for (const kind of ['public', 'private', 'protected', 'group', 'lobby'] as const) {
    for (const actor of ROLES) {
      for (const target of ROLES) {
        const events: Given[] = kind === 'lobby'
          ? [...made(kind), ['system', { type: 'role', target: 'actor', role: actor }], ['system', { type: 'role', target: 'target', role: target }]]
          : [...made(kind), ...people({ actor, target })]
        for (const { what, wish, of } of ON_WHOM) {
          const result = when(events, wish('target'), 'actor', knowing({ 99: { author: 'target' } }))
          const allowed = of[actor].includes(target) && !(kind === 'lobby' && what === 'kick')
          t.equal(Array.isArray(result), allowed, `${actor} ${what} ${target} in ${kind}: ${JSON.stringify(result)}`)
          if (!allowed) t.equal(result, 'forbidden')
        }
      }
    }
  }
})

t.test('each command asks for the action of its name', async t => {
  const wishes: ReadonlyArray<[Action, Wish]> = [
    ['send', { type: 'message', content: 'x' }], ['react', { type: 'react', message_seq: 9, emoji: '👍' }], ['react', { type: 'unreact', message_seq: 9, emoji: '👍' }],
    ['edit own', { type: 'edit', message_seq: 9, content: 'x' }], ['delete own', { type: 'delete', message_seq: 9 }], ['delete others', { type: 'delete', message_seq: 8 }],
    ['pin', { type: 'pin', message_seq: 9 }], ['pin', { type: 'unpin', message_seq: 9 }], ['leave', { type: 'leave' }], ['add', { type: 'add', target: 'new' }], ['kick', { type: 'kick', target: 'low' }],
    ['ban', { type: 'ban', target: 'low', until: SOON }], ['mute', { type: 'mute', target: 'low', until: SOON }], ['role', { type: 'role', target: 'low', role: 'member' }],
    ['update', { type: 'update', name: 'x' }], ['settings', { type: 'update', slow_mode_s: 9 }], ['archive', { type: 'update', archived: true }], ['retain', { type: 'update', retention_days: 30 }], ['remove', { type: 'remove' }],
  ]
  for (const kind of ['public', 'private', 'protected', 'group', 'lobby'] as const) {
    for (const role of ROLES) {
      const room = roomOf(made(kind))!
      for (const [user, has] of [['actor', role], ['low', 'member']] as const) room.members.set(user, { role: has, muted_until: 0, banned_until: 0, joined_seq: 1 })
      room.owners = 2
      for (const [action, wish] of wishes) {
        const result = when(room, wish, 'actor', knowing({ 8: { author: 'low' }, 9: { author: 'actor' } }))
        // Nobody acts on an equal: a member on a member.
        t.equal(Array.isArray(result), may(kind, role, action), `${role} ${action} in ${kind}: ${JSON.stringify(result)}`)
      }
    }
  }
})
