// Direct conversations, and inboxes.
import t from 'tap'
import { reject } from '../../src/domain/rejections.ts'
import { isMember, memberOf } from '../../src/domain/room.ts'
import { knowing, made, NOW, ROOM, roomOf, when, type Given, type Wish } from './given.ts'

const talk = (members: string[]): Wish => ({ type: 'create', name: '', kind: 'dm', members })

t.test('a direct conversation is made for its two, whoever of them begins', async t => {
  for (const who of ['ada', 'bob']) t.same(when([], talk(['ada', 'bob']), who), [{ type: 'room', change: 'created', name: '', kind: 'dm', history: 'all', members: ['ada', 'bob'] }], who)
  const room = roomOf(made('dm'))!
  t.match(room, { kind: 'dm', peers: ['ada', 'bob'], count: 2, owners: 0, rules: 1 })
  for (const who of ['ada', 'bob']) t.same(memberOf(room, who), { role: 'member', muted_until: 0, banned_until: 0, joined_seq: 1 }, who)
})

t.test('notes to oneself are a conversation of one', async t => {
  const alone = [{ type: 'room', change: 'created', name: '', kind: 'dm', history: 'all', members: ['ada'] }] as const
  t.same(when([], talk(['ada']), 'ada'), alone)
  t.same(when([], talk(['ada', 'ada']), 'ada'), alone)
  t.match(roomOf([['ada', { ...alone[0], members: ['ada', 'ada'] }]]), { count: 1 }, 'counted once, whatever the event says')
  for (const members of [undefined, []]) t.match(roomOf([['ada', { ...alone[0], members } as never]]), { count: 0, peers: [] }, 'nobody is made up')
})

t.test('nobody makes a conversation for others, or for more than two', async t => {
  t.equal(when([], talk(['ada', 'bob']), 'eve'), 'bad_request')
  t.equal(when([], talk(['ada', 'bob', 'eve']), 'eve'), 'bad_request')
  t.equal(when([], talk([]), 'eve'), 'bad_request')
  t.equal(when([], { type: 'create', name: '', kind: 'dm' }, 'eve'), 'bad_request')
})

t.test('who is blocked, or does not exist, is not written to', async t => {
  for (const code of ['blocked', 'user_not_found'] as const) t.equal(when([], talk(['ada', 'bob']), 'ada', { no: reject(code) }), code)
  t.equal(when(made('dm'), { type: 'message', content: 'x' }, 'bob', { no: reject('blocked') }), 'blocked')
})

t.test('in a direct conversation one talks; nobody leaves, comes in, rules or deletes what the other said', async t => {
  const facts = knowing({ 2: { author: 'ada' } })
  t.same(when(made('dm'), { type: 'message', content: 'x' }, 'bob'), [{ type: 'message', content: 'x' }])
  t.same(when(made('dm'), { type: 'join' }, 'bob'), [])
  const never: Wish[] = [
    { type: 'leave' }, { type: 'add', target: 'eve' }, { type: 'kick', target: 'ada' }, { type: 'ban', target: 'ada' }, { type: 'unban', target: 'ada' }, { type: 'mute', target: 'ada' },
    { type: 'unmute', target: 'ada' }, { type: 'role', target: 'bob', role: 'owner' }, { type: 'update', topic: 'x' }, { type: 'remove' }, { type: 'delete', message_seq: 2 }, { type: 'edit', message_seq: 2, content: 'x' },
  ]
  for (const wish of never) t.equal(when(made('dm'), wish, 'bob', facts), 'forbidden', wish.type)
})

const inbox: Given[] = [[ROOM, { type: 'room', change: 'created', name: 'inbox', kind: 'inbox', history: 'all' }]]

t.test('an inbox is told what there is to know', async t => {
  t.same(when(inbox, { type: 'inform', event: 'mentioned', about: 'room', source_seq: 5, by: 'bob', reason: 'r' }, 'system'), [{ type: 'inbox', event: 'mentioned', room_id: 'room', source_seq: 5, by: 'bob', reason: 'r' }])
  for (const event of ['added', 'removed', 'mentioned', 'revoked'] as const) t.same(when(inbox, { type: 'inform', event }, 'system'), [{ type: 'inbox', event }], event)
  t.equal(when([], { type: 'inform', event: 'added' }, 'system'), 'room_not_found')
  for (const kind of ['public', 'lobby', 'dm'] as const) t.equal(when(made(kind), { type: 'inform', event: 'added' }, 'ada'), 'forbidden', kind)
})

t.test('only whose inbox it is, is in it; what it is told changes nothing else', async t => {
  const room = roomOf([...inbox, ['system', { type: 'inbox', event: 'added', room_id: 'room' }]])!
  t.equal(isMember(room, memberOf(room, ROOM), NOW, ROOM), true)
  t.equal(isMember(room, memberOf(room, 'bob'), NOW, 'bob'), false)
  t.match(room, { seq: 2, rules: 1, messages: 0, count: 0 })
})

t.test('nobody writes into an inbox, not even whose it is', async t => {
  const facts = knowing({ 2: { author: ROOM } })
  t.same(when(inbox, { type: 'join' }, ROOM), [])
  const wishes: Wish[] = [
    { type: 'message', content: 'x' }, { type: 'edit', message_seq: 2, content: 'x' }, { type: 'delete', message_seq: 2 }, { type: 'react', message_seq: 2, emoji: '👍' }, { type: 'pin', message_seq: 2 }, { type: 'leave' },
    { type: 'add', target: 'eve' }, { type: 'kick', target: 'eve' }, { type: 'ban', target: 'eve' }, { type: 'unban', target: 'eve' }, { type: 'role', target: ROOM, role: 'owner' }, { type: 'update', name: 'x' }, { type: 'remove' },
  ]
  for (const wish of wishes) {
    t.equal(when(inbox, wish, ROOM, facts), 'forbidden', wish.type)
    t.equal(when(inbox, wish, 'bob', facts), 'room_not_found', wish.type)
  }
})
