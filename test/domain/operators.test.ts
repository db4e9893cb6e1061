// Operators of the deployment: they keep order in any room, above its owners, without being in it; and nothing else.
import t from 'tap'
import { ROLES, ROOM_KINDS } from '../../src/domain/events.ts'
import { may } from '../../src/domain/permissions.ts'
import { knowing, made, NOW, people, roomOf, SOON, when, type Given, type Wish } from './given.ts'

const OPERATOR = { operator: true } as const
const byOperator = (events: readonly Given[], wish: Wish, facts = {}): ReturnType<typeof when> => when(events, wish, 'op', { ...facts, ...OPERATOR })

t.test('an operator does what an owner may, in rooms of every kind, without being in it', async t => {
  const wishes = [
    ['delete others', { type: 'delete', message_seq: 9 }], ['kick', { type: 'kick', target: 'bob' }], ['ban', { type: 'ban', target: 'bob', until: SOON }], ['mute', { type: 'mute', target: 'bob', until: SOON }],
    ['role', { type: 'role', target: 'bob', role: 'moderator' }], ['update', { type: 'update', name: 'x' }], ['settings', { type: 'update', slow_mode_s: 9 }], ['retain', { type: 'update', retention_days: 9 }], ['remove', { type: 'remove' }],
  ] as const
  for (const kind of ROOM_KINDS) {
    const events: Given[] = [...made(kind), ...(kind === 'dm' || kind === 'lobby' || kind === 'inbox' ? [] : people({ bob: 'member' }))]
    for (const [action, wish] of wishes) {
      const result = byOperator(events, wish as Wish, knowing({ 9: { author: 'bob' } }))
      t.equal(Array.isArray(result), may(kind, 'owner', action), `${action} in ${kind}: ${JSON.stringify(result)}`)
      if (!may(kind, 'owner', action)) t.equal(result, 'forbidden')
      t.equal(when(events, wish as Wish, 'op', knowing({ 9: { author: 'bob' } })) instanceof Array, false, `${action} in ${kind}: nobody else does`)
    }
  }
})

t.test('an operator acts on people of every role', async t => {
  const events: Given[] = [...made('private'), ...people(Object.fromEntries(ROLES.map(role => [role, role])))]
  for (const target of ROLES) {
    for (const wish of [{ type: 'kick', target }, { type: 'ban', target }, { type: 'mute', target }, { type: 'role', target, role: target === 'member' ? 'admin' : 'member' }] as const) t.ok(Array.isArray(byOperator(events, wish)), `${wish.type} ${target}`)
    t.ok(Array.isArray(byOperator(events, { type: 'delete', message_seq: 9 }, knowing({ 9: { author: target } }))), `delete of ${target}`)
  }
})

t.test('a room keeps an owner all the same; the lobby needs none', async t => {
  const events: Given[] = [...made('private'), ...people({ bob: 'member' })]
  for (const wish of [{ type: 'kick', target: 'ada' }, { type: 'ban', target: 'ada' }, { type: 'role', target: 'ada', role: 'admin' }] as const) t.equal(byOperator(events, wish), 'last_owner', wish.type)
  t.ok(Array.isArray(byOperator(events, { type: 'mute', target: 'ada' })), 'but is silenced')
  const two: Given[] = [...events, ['op', { type: 'role', target: 'bob', role: 'owner' }]]
  t.same(byOperator(two, { type: 'ban', target: 'ada' }), [{ type: 'ban', target: 'ada' }])
  const lobby: Given[] = [...made('lobby'), ['op', { type: 'role', target: 'bob', role: 'owner' }]]
  t.same(byOperator(lobby, { type: 'role', target: 'bob', role: 'member' }), [{ type: 'role', target: 'bob', role: 'member' }])
})

t.test('an operator does not talk as such, nor come in, nor act on themselves', async t => {
  const events: Given[] = [...made('public'), ...people({ bob: 'member' })]
  const wishes: Wish[] = [{ type: 'message', content: 'x' }, { type: 'edit', message_seq: 9, content: 'x' }, { type: 'react', message_seq: 9, emoji: '👍' }, { type: 'pin', message_seq: 9 }, { type: 'leave' }, { type: 'add', target: 'eve' }]
  for (const wish of wishes) t.equal(byOperator(events, wish, knowing({ 9: { author: 'op' } })), 'forbidden', wish.type)
  for (const wish of [{ type: 'role', target: 'op', role: 'owner' }, { type: 'unmute', target: 'op' }, { type: 'ban', target: 'op' }] as const) t.equal(byOperator([...events, ...people({ op: 'member' })], wish), 'forbidden', wish.type)
})

t.test('what an operator is in the room does not count: muted, banned or before they came', async t => {
  const events: Given[] = [...made('private', { history: 'joined' }), ...people({ bob: 'member', op: 'member' }), ['ada', { type: 'mute', target: 'op' }], ['ada', { type: 'ban', target: 'op' }]]
  t.same(byOperator(events, { type: 'delete', message_seq: 1 }, knowing({ 1: { author: 'bob' } })), [{ type: 'delete', message_seq: 1 }])
  t.same(byOperator(events, { type: 'update', name: 'Closed' }), [{ type: 'room', change: 'updated', name: 'Closed' }])
})

t.test('what does not exist, or not any more, is not there for operators either', async t => {
  t.equal(when(undefined, { type: 'remove' }, 'op', OPERATOR), 'room_not_found')
  t.equal(byOperator([...made('public'), ['ada', { type: 'room', change: 'deleted' }]], { type: 'remove' }), 'room_not_found')
  t.equal(byOperator(made('public'), { type: 'delete', message_seq: 9 }), 'message_not_found')
  t.equal(byOperator(made('public'), { type: 'kick', target: 'nobody' }), 'target_not_member')
  t.equal(when(roomOf(made('public')), { type: 'ban', target: 'bob', until: '2020-01-01T00:00:00Z' }, 'op', OPERATOR, NOW), 'bad_request')
})
