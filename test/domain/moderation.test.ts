// Kicks, bans and mutes: what they do, and to whom.
import t from 'tap'
import { reject } from '../../src/domain/rejections.ts'
import { FOREVER, memberOf } from '../../src/domain/room.ts'
import { JUST_NOW, made, NOW, people, roomOf, SOON, when, type Given } from './given.ts'

const room: Given[] = [...made('private'), ...people({ bob: 'member', mod: 'moderator', adm: 'admin' })]
const rules = (events: readonly Given[]): number => roomOf(events)!.rules

t.test('a kick puts out a member, who may come back', async t => {
  t.same(when(room, { type: 'kick', target: 'bob' }, 'mod'), [{ type: 'kick', target: 'bob' }])
  t.same(when(room, { type: 'kick', target: 'bob', reason: 'noise' }, 'mod'), [{ type: 'kick', target: 'bob', reason: 'noise' }])
  const kicked: Given[] = [...room, ['mod', { type: 'kick', target: 'bob' }]]
  t.same(memberOf(roomOf(kicked)!, 'bob'), { role: 'kicked', muted_until: 0, banned_until: 0, joined_seq: 0 })
  t.equal(roomOf(kicked)!.count, roomOf(room)!.count - 1)
  t.equal(when(kicked, { type: 'kick', target: 'bob' }, 'mod'), 'target_not_member', 'twice')
  t.same(when(kicked, { type: 'join' }, 'bob', { admitted: true }), [{ type: 'join' }])
})

t.test('only who is in is kicked, and nobody oneself', async t => {
  t.equal(when(room, { type: 'kick', target: 'stranger' }, 'mod'), 'target_not_member')
  t.equal(when(room, { type: 'kick', target: 'mod' }, 'mod'), 'forbidden')
  t.equal(when(room, { type: 'kick', target: 'adm' }, 'mod'), 'forbidden')
  t.equal(when(room, { type: 'kick', target: 'bob' }, 'bob'), 'forbidden')
})

t.test('the kick of a member moves no rules, that of anyone above does', async t => {
  t.equal(rules([...room, ['ada', { type: 'kick', target: 'bob' }]]), rules(room))
  t.equal(rules([...room, ['ada', { type: 'kick', target: 'mod' }]]), rules(room) + 1)
})

t.test('a ban puts out and keeps out, until its time is over or it is lifted', async t => {
  t.same(when(room, { type: 'ban', target: 'bob', until: SOON, reason: 'spam' }, 'mod'), [{ type: 'ban', target: 'bob', until: SOON, reason: 'spam' }])
  const banned: Given[] = [...room, ['mod', { type: 'ban', target: 'bob', until: SOON }]]
  t.same(memberOf(roomOf(banned)!, 'bob'), { role: 'kicked', muted_until: 0, banned_until: Date.parse(SOON), joined_seq: 0 })
  t.equal(roomOf(banned)!.count, roomOf(room)!.count - 1)
  t.equal(when(banned, { type: 'join' }, 'bob', { admitted: true }), 'banned')
  t.equal(when(banned, { type: 'join' }, 'bob', { admitted: true }, Date.parse(SOON) - 1), 'banned')
  t.same(when(banned, { type: 'join' }, 'bob', { admitted: true }, Date.parse(SOON)), [{ type: 'join' }])
  t.same(when(banned, { type: 'unban', target: 'bob' }, 'mod'), [{ type: 'ban', target: 'bob', lifted: true }])
  const lifted: Given[] = [...banned, ['mod', { type: 'ban', target: 'bob', lifted: true }]]
  t.same(when(lifted, { type: 'join' }, 'bob', { admitted: true }), [{ type: 'join' }])
  t.equal(when(lifted, { type: 'message', content: 'x' }, 'bob'), 'room_not_found', 'a ban that was lifted lets nobody in by itself')
})

t.test('a mute silences a member, who stays in', async t => {
  t.same(when(room, { type: 'mute', target: 'bob' }, 'mod'), [{ type: 'mute', target: 'bob' }])
  const muted: Given[] = [...room, ['mod', { type: 'mute', target: 'bob' }]]
  t.match(memberOf(roomOf(muted)!, 'bob'), { role: 'member', muted_until: FOREVER })
  t.equal(roomOf(muted)!.count, roomOf(room)!.count)
  t.same(when(muted, { type: 'leave' }, 'bob'), [{ type: 'leave' }])
  t.same(when(muted, { type: 'unmute', target: 'bob' }, 'mod'), [{ type: 'mute', target: 'bob', lifted: true }])
  t.match(memberOf(roomOf([...muted, ['mod', { type: 'mute', target: 'bob', lifted: true }]])!, 'bob'), { role: 'member', muted_until: 0 })
})

for (const type of ['ban', 'mute'] as const) {
  t.test(`a ${type} moves the rules once, its lifting too`, async t => {
    for (const target of ['bob', 'mod', 'stranger']) {
      const done: Given[] = [...room, ['ada', { type, target }]]
      t.equal(rules(done), rules(room) + 1, target)
      t.equal(rules([...done, ['ada', { type, target, lifted: true }]]), rules(room) + 2, target)
    }
  })

  t.test(`a ${type} may come before anyone joins, is not for oneself, and ends in the future`, async t => {
    t.same(when(room, { type, target: 'stranger' }, 'mod'), [{ type, target: 'stranger' }])
    t.equal(when(room, { type, target: 'nobody' }, 'mod', { no: reject('user_not_found') }), 'user_not_found')
    t.equal(when(room, { type, target: 'mod' }, 'mod'), 'forbidden')
    t.equal(when(room, { type, target: 'adm' }, 'mod', { no: reject('user_not_found') }), 'forbidden')
    for (const until of [JUST_NOW, new Date(NOW).toISOString(), '2026-13-45T99:99:99Z', 'soon']) t.equal(when(room, { type, target: 'bob', until }, 'mod'), 'bad_request', until)
    t.same(when(room, { type, target: 'bob', until: '2026-11-20T10:00:00.001000000Z' }, 'mod'), [{ type, target: 'bob', until: '2026-11-20T10:00:00.001000000Z' }])
  })

  t.test(`the same ${type} again changes nothing, another end or a reason does`, async t => {
    const done: Given[] = [...room, ['ada', { type, target: 'bob', until: SOON }]]
    t.same(when(done, { type, target: 'bob', until: SOON }, 'mod'), [])
    t.same(when(done, { type, target: 'bob' }, 'mod'), [{ type, target: 'bob' }])
    t.same(when(done, { type, target: 'bob', until: SOON, reason: 'again' }, 'mod'), [{ type, target: 'bob', until: SOON, reason: 'again' }])
    t.same(when([...room, ['ada', { type, target: 'bob' }]], { type, target: 'bob' }, 'mod'), [])
  })

  t.test(`lifting a ${type} that is not there changes nothing`, async t => {
    const lift = { type: type === 'ban' ? 'unban' : 'unmute', target: 'bob' } as const
    t.same(when(room, lift, 'mod'), [])
    t.equal(when(room, lift, 'bob'), 'forbidden')
    t.same(when(room, { ...lift, target: 'stranger' }, 'mod'), [])
    t.equal(when(room, { ...lift, target: 'adm' }, 'mod'), 'forbidden')
  })
}

t.test('whoever does not keep order does not do it to strangers either, whom everyone outranks', async t => {
  for (const type of ['ban', 'unban', 'mute', 'unmute'] as const) {
    const before: Given[] = [...room, ['ada', { type: 'ban', target: 'eve' }], ['ada', { type: 'mute', target: 'eve' }]]
    for (const target of ['stranger', 'eve']) t.equal(when(before, { type, target }, 'bob'), 'forbidden', `${type} ${target}`)
    for (const target of ['stranger', 'ada']) t.equal(when(made('dm'), { type, target }, 'bob'), 'forbidden', `${type} ${target} in a direct conversation`)
    t.equal(when(made('lobby'), { type, target: 'stranger' }, 'bob'), 'forbidden', `${type} in the lobby`)
  }
})

t.test('nobody lifts their own mute', async t => {
  t.equal(when([...room, ['ada', { type: 'mute', target: 'adm' }]], { type: 'unmute', target: 'adm' }, 'adm'), 'forbidden')
})

t.test('a kick leaves a mute as it is, and a role is gone with either', async t => {
  const out: Given[] = [...room, ['ada', { type: 'mute', target: 'mod', until: SOON }], ['ada', { type: 'kick', target: 'mod' }], ['mod', { type: 'join' }]]
  t.match(memberOf(roomOf(out)!, 'mod'), { role: 'member', muted_until: Date.parse(SOON), joined_seq: out.length })
})

t.test('in the lobby those who were given a role keep order by bans and mutes; who was banned is in it again afterwards', async t => {
  const lobby: Given[] = [...made('lobby'), ['system', { type: 'role', target: 'mod', role: 'moderator' }]]
  t.equal(when(lobby, { type: 'kick', target: 'bob' }, 'mod'), 'forbidden')
  t.same(when(lobby, { type: 'ban', target: 'bob', until: SOON }, 'mod'), [{ type: 'ban', target: 'bob', until: SOON }])
  t.same(when(lobby, { type: 'mute', target: 'bob' }, 'mod'), [{ type: 'mute', target: 'bob' }])
  t.equal(when(lobby, { type: 'ban', target: 'mod' }, 'bob'), 'forbidden')
  const banned: Given[] = [...lobby, ['mod', { type: 'ban', target: 'bob', until: SOON }]]
  t.equal(when(banned, { type: 'message', content: 'x' }, 'bob'), 'banned')
  t.same(when(banned, { type: 'message', content: 'x' }, 'bob', {}, Date.parse(SOON)), [{ type: 'message', content: 'x' }])
  t.equal(roomOf(banned)!.count, 1, 'only who was given a role is counted')
})
