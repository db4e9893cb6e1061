// Giving roles, stepping down, handing a room over.
import t from 'tap'
import { ROLES } from '../../src/domain/events.ts'
import { memberOf } from '../../src/domain/room.ts'
import { made, people, roomOf, SOON, when, type Given } from './given.ts'

const room: Given[] = [...made('private'), ...people({ bob: 'member', mod: 'moderator', adm: 'admin', adm2: 'admin', own: 'owner' })]
const give = (target: string, role: typeof ROLES[number]) => ({ type: 'role' as const, target, role })

t.test('an owner makes others what they like, but no other owner less', async t => {
  for (const target of ['bob', 'mod', 'adm']) {
    for (const role of ROLES) {
      const same = memberOf(roomOf(room)!, target).role === role
      t.same(when(room, give(target, role), 'ada'), same ? [] : [give(target, role)], `${target} → ${role}`)
    }
  }
  for (const role of ['admin', 'moderator', 'member'] as const) t.equal(when(room, give('own', role), 'ada'), 'forbidden', role)
  t.same(when(room, give('own', 'owner'), 'ada'), [])
})

t.test('an admin makes those below what is below', async t => {
  t.same(when(room, give('bob', 'moderator'), 'adm'), [give('bob', 'moderator')])
  t.same(when(room, give('mod', 'member'), 'adm'), [give('mod', 'member')])
  for (const [target, role] of [['bob', 'admin'], ['bob', 'owner'], ['mod', 'admin'], ['adm2', 'member'], ['own', 'member'], ['adm', 'owner']] as const) t.equal(when(room, give(target, role), 'adm'), 'forbidden', `${target} → ${role}`)
})

t.test('moderators and members give no roles', async t => {
  for (const actor of ['mod', 'bob']) {
    for (const role of ROLES) {
      t.equal(when(room, give('bob', role), actor), 'forbidden', `${actor}: bob → ${role}`)
      t.equal(when(room, give('stranger', role), actor), 'forbidden', 'nor do they learn who is in')
    }
  }
})

t.test('everyone may step down, the last owner not', async t => {
  t.same(when(room, give('mod', 'member'), 'mod'), [give('mod', 'member')])
  t.same(when(room, give('adm', 'member'), 'adm'), [give('adm', 'member')])
  t.same(when(room, give('ada', 'admin'), 'ada'), [give('ada', 'admin')])
  t.equal(when(made('private'), give('ada', 'admin'), 'ada'), 'last_owner')
  t.equal(when([...room, ['own', { type: 'leave' }]], give('ada', 'member'), 'ada'), 'last_owner')
  t.equal(when(room, give('mod', 'admin'), 'mod'), 'forbidden', 'up is not down')
})

t.test('a room is handed over: another owner is made, then one steps down', async t => {
  const handed: Given[] = [...made('private'), ...people({ bob: 'owner' }), ['ada', { type: 'role', target: 'ada', role: 'member' }]]
  t.match(roomOf(handed), { owners: 1, count: 2 })
  t.equal(when(handed, { type: 'remove' }, 'ada'), 'forbidden')
  t.same(when(handed, { type: 'remove' }, 'bob'), [{ type: 'room', change: 'deleted' }])
})

t.test('roles are for those who are in', async t => {
  t.equal(when(room, give('stranger', 'admin'), 'ada'), 'target_not_member')
  t.equal(when([...room, ['ada', { type: 'kick', target: 'bob' }]], give('bob', 'admin'), 'ada'), 'target_not_member')
  t.equal(when([...room, ['ada', { type: 'ban', target: 'bob', until: SOON }]], give('bob', 'admin'), 'ada'), 'target_not_member')
})

t.test('a role moves the rules, and leaves the rest of the record as it is', async t => {
  const muted: Given[] = [...room, ['ada', { type: 'mute', target: 'bob', until: SOON }]]
  const before = roomOf(muted)!
  const after = roomOf([...muted, ['ada', give('bob', 'moderator')]])!
  t.equal(after.rules, before.rules + 1)
  t.same(memberOf(after, 'bob'), { ...memberOf(before, 'bob'), role: 'moderator' })
  t.equal(after.count, before.count)
})

t.test('in the lobby everyone is a member without an event; roles are given above that', async t => {
  const lobby: Given[] = [...made('lobby'), ['system', { type: 'role', target: 'adm', role: 'admin' }]]
  t.same(when(lobby, give('bob', 'moderator'), 'adm'), [give('bob', 'moderator')])
  t.same(when(lobby, give('bob', 'member'), 'adm'), [], 'they are')
  t.equal(when(lobby, give('bob', 'moderator'), 'eve'), 'forbidden')
  t.equal(when([...lobby, ['adm', { type: 'ban', target: 'bob' }]], give('bob', 'moderator'), 'adm'), 'target_not_member')
})

t.test('there are no roles in a direct conversation', async t => {
  for (const role of ROLES) for (const target of ['ada', 'bob']) t.equal(when(made('dm'), give(target, role), 'ada'), 'forbidden', `${target} → ${role}`)
})
