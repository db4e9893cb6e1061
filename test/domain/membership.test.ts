// Making a room, coming in, being put in, going.
import t from 'tap'
import { FIRST_MEMBERS_MAX } from '../../src/domain/decide.ts'
import { ROOM_KINDS } from '../../src/domain/events.ts'
import { reject } from '../../src/domain/rejections.ts'
import { mayRead, memberOf } from '../../src/domain/room.ts'
import { made, NOW, people, roomOf, SOON, when, type Given } from './given.ts'

const join = { type: 'join' as const }
const leave = { type: 'leave' as const }
const add = (target: string) => ({ type: 'add' as const, target })

t.test('a room that is created has its settings, and its maker as owner', async t => {
  t.same(when([], { type: 'create', name: 'Ada’s', kind: 'public', topic: 'engines' }, 'ada'), [{ type: 'room', change: 'created', name: 'Ada’s', kind: 'public', history: 'all', topic: 'engines' }])
  const all = { topic: 'x', history: 'joined', members_max: 5, message_chars_max: 10, slow_mode_s: 3, archived: false } as const
  t.same(when([], { type: 'create', name: 'x', kind: 'group', ...all }, 'ada'), [{ type: 'room', change: 'created', name: 'x', kind: 'group', ...all }])
  const room = roomOf(made('group', all))!
  t.match(room, { kind: 'group', name: 'Engines', ...all, seq: 1, rules: 1, messages: 0, count: 1, owners: 1, peers: [], removed: false })
  t.same(memberOf(room, 'ada'), { role: 'owner', muted_until: 0, banned_until: 0, joined_seq: 1 })
})

t.test('nobody is a member of the lobby or of an inbox by an event', async t => {
  for (const kind of ['lobby', 'inbox'] as const) t.match(roomOf(made(kind)), { count: 0, owners: 0, members: new Map() })
})

t.test('a room is created once, also after it was removed', async t => {
  for (const kind of ROOM_KINDS) t.equal(when(made(kind), { type: 'create', name: 'other', kind: 'public' }, 'bob'), 'room_exists', kind)
  t.equal(when([...made('public'), ['ada', { type: 'room', change: 'deleted' }]], { type: 'create', name: 'other', kind: 'public' }, 'ada'), 'room_exists')
})

t.test('a room begins with those whom its maker puts into it, where that kind allows it', async t => {
  for (const kind of ['private', 'protected', 'group'] as const) {
    const events = when([], { type: 'create', name: 'x', kind, members: ['bob', 'ada', 'eve', 'bob'] }, 'ada')
    t.same(events, [{ type: 'room', change: 'created', name: 'x', kind, history: 'all' }, { type: 'join', target: 'bob' }, { type: 'join', target: 'eve' }])
    t.match(roomOf((events as Array<Given[1]>).map(event => ['ada', event])), { count: 3, owners: 1, members: new Map([['bob', { role: 'member', joined_seq: 2 }], ['eve', { role: 'member', joined_seq: 3 }]]) })
  }
  for (const kind of ['public', 'lobby', 'inbox'] as const) t.equal(when([], { type: 'create', name: 'x', kind, members: ['bob'] }, 'ada'), 'bad_request', kind)
  t.same(when([], { type: 'create', name: 'x', kind: 'public', members: ['ada'] }, 'ada'), [{ type: 'room', change: 'created', name: 'x', kind: 'public', history: 'all' }])
  t.equal(when([], { type: 'create', name: 'x', kind: 'group', members: ['bob'] }, 'ada', { no: reject('user_not_found') }), 'user_not_found')
})

t.test('a room begins with a bounded number of people, and with no more than it may have', async t => {
  const crowd = Array.from({ length: FIRST_MEMBERS_MAX + 1 }, (_, i) => `user ${i}`)
  t.equal(when([], { type: 'create', name: 'x', kind: 'group', members: crowd }, 'ada'), 'bad_request')
  t.equal(when([], { type: 'create', name: 'x', kind: 'group', members: crowd.slice(1) }, 'ada').length, FIRST_MEMBERS_MAX + 1)
  t.equal(when([], { type: 'create', name: 'x', kind: 'group', members: ['bob'], members_max: 1 }, 'ada'), 'room_full')
  t.equal(when([], { type: 'create', name: 'x', kind: 'group', members: ['bob'], members_max: 2 }, 'ada').length, 2)
})

t.test('anyone joins a public room; joining again changes nothing', async t => {
  t.same(when(made('public'), join, 'bob'), [{ type: 'join' }])
  t.same(when([...made('public'), ...people({ bob: 'member' })], join, 'bob'), [])
  t.same(when(made('public'), join, 'ada'), [])
})

t.test('who has left is a stranger again, and may come back', async t => {
  const left: Given[] = [...made('public'), ['bob', { type: 'join' }], ['bob', { type: 'leave' }]]
  t.equal(when(left, leave, 'bob'), 'not_member')
  t.same(memberOf(roomOf(left)!, 'bob'), { role: 'none', muted_until: 0, banned_until: 0, joined_seq: 0 })
  t.same(when(left, join, 'bob'), [{ type: 'join' }])
  t.same(memberOf(roomOf([...left, ['bob', { type: 'join' }]])!, 'bob'), { role: 'member', muted_until: 0, banned_until: 0, joined_seq: 4 })
})

t.test('a mute outlives leaving and coming back', async t => {
  const back: Given[] = [...made('public'), ...people({ bob: 'member' }), ['ada', { type: 'mute', target: 'bob', until: SOON }], ['bob', { type: 'leave' }], ['bob', { type: 'join' }]]
  t.equal(when(back, { type: 'message', content: 'x' }, 'bob'), 'muted')
})

t.test('everyone is in the lobby, and nobody leaves it', async t => {
  t.same(when(made('lobby'), { type: 'message', content: 'hi' }, 'anyone'), [{ type: 'message', content: 'hi' }])
  t.same(when(made('lobby'), join, 'anyone'), [])
  t.equal(when(made('lobby'), leave, 'anyone'), 'forbidden')
})

t.test('a protected room is joined with its password, or with an invite', async t => {
  t.equal(when(made('protected'), join, 'bob'), 'wrong_password')
  t.equal(when(made('protected'), join, 'bob', { no: reject('wrong_password') }), 'wrong_password')
  t.equal(when(made('protected'), join, 'bob', { no: reject('bad_invite') }), 'bad_invite')
  t.same(when(made('protected'), join, 'bob', { admitted: true }), [{ type: 'join' }])
})

t.test('private rooms and groups are joined with an invite; nobody comes into a direct conversation or an inbox', async t => {
  for (const kind of ['private', 'group'] as const) {
    t.same(when(made(kind), join, 'bob', { admitted: true }), [{ type: 'join' }], kind)
    t.equal(when(made(kind), join, 'bob'), 'room_not_found', kind)
    t.equal(when([...made(kind), ['ada', { type: 'ban', target: 'bob' }]], join, 'bob', { admitted: true }), 'banned', kind)
  }
  for (const kind of ['dm', 'inbox'] as const) t.equal(when(made(kind), join, 'eve', { admitted: true }), 'room_not_found', kind)
})

t.test('a full or archived room takes nobody in, before a right password as little as after it', async t => {
  for (const kind of ['public', 'protected', 'private', 'group'] as const) {
    const facts = kind === 'public' ? {} : { admitted: true }
    const two: Given[] = [...made(kind, { members_max: 2 }), ...people({ eve: 'member' })]
    t.equal(when(two, join, 'bob', facts), 'room_full', kind)
    t.same(when([...two, ['eve', { type: 'leave' }]], join, 'bob', facts), [{ type: 'join' }], kind)
    t.equal(when([...made(kind), ['ada', { type: 'room', change: 'updated', archived: true }]], join, 'bob', facts), 'room_archived', kind)
  }
})

t.test('people are put into rooms by those who may, and into groups by everyone in them', async t => {
  for (const kind of ['private', 'protected', 'group'] as const) {
    const room: Given[] = [...made(kind), ...people({ bob: 'member', mod: 'moderator' })]
    t.same(when(room, add('eve'), 'mod'), [{ type: 'join', target: 'eve' }], kind)
    if (kind === 'group') t.same(when(room, add('eve'), 'bob'), [{ type: 'join', target: 'eve' }])
    else t.equal(when(room, add('eve'), 'bob'), 'forbidden', kind)
    t.same(when(room, add('bob'), 'mod'), [], 'who is in is in')
    t.same(memberOf(roomOf([...room, ['mod', { type: 'join', target: 'eve' }]])!, 'eve').role, 'member')
  }
  for (const kind of ['public', 'dm', 'lobby'] as const) t.equal(when(made(kind), add('eve'), 'ada'), 'forbidden', kind)
})

t.test('nobody is put in who does not exist, has blocked, is banned, or does not fit in', async t => {
  const room = made('group', { members_max: 2 })
  t.equal(when(room, add('eve'), 'ada', { no: reject('user_not_found') }), 'user_not_found')
  t.equal(when(room, add('eve'), 'ada', { no: reject('blocked') }), 'blocked')
  t.equal(when([...room, ['ada', { type: 'ban', target: 'eve' }]], add('eve'), 'ada'), 'banned')
  t.equal(when([...room, ...people({ bob: 'member' })], add('eve'), 'ada'), 'room_full')
  t.equal(when([...room, ['ada', { type: 'room', change: 'updated', archived: true }]], add('eve'), 'ada'), 'room_archived')
  t.same(when([...room, ...people({ eve: 'kicked' })], add('eve'), 'ada'), [{ type: 'join', target: 'eve' }], 'but a kick is no ban')
  const banned: Given[] = [...room, ['ada', { type: 'ban', target: 'eve', until: SOON }]]
  t.equal(when(banned, add('eve'), 'ada', {}, Date.parse(SOON) - 1), 'banned')
  t.same(when(banned, add('eve'), 'ada', {}, Date.parse(SOON)), [{ type: 'join', target: 'eve' }], 'and a ban is over to the millisecond')
})

t.test('a room keeps its last owner', async t => {
  const two: Given[] = [...made('private'), ...people({ bob: 'owner' })]
  t.equal(when(made('private'), leave, 'ada'), 'last_owner')
  t.same(when(two, leave, 'ada'), [{ type: 'leave' }])
  t.equal(when([...two, ['ada', { type: 'leave' }]], leave, 'bob'), 'last_owner')
  t.same(when([...two, ...people({ eve: 'admin' })], leave, 'eve'), [{ type: 'leave' }])
})

t.test('rules move with the leaving of anyone above member, not with joins and leaves of members', async t => {
  const busy: Given[] = [...made('public'), ...people({ bob: 'member' }), ['bob', { type: 'message', content: 'x' }], ['bob', { type: 'leave' }], ['ada', { type: 'join', target: 'eve' }]]
  t.equal(roomOf(busy)!.rules, 1)
  for (const role of ['moderator', 'admin', 'owner'] as const) {
    const stays: Given[] = [...busy, ...people({ mod: role })]
    t.equal(roomOf([...stays, ['mod', { type: 'leave' }]])!.rules, roomOf(stays)!.rules + 1, role)
  }
})

t.test('who is in and who owns is counted', async t => {
  t.match(roomOf([...made('group'), ...people({ bob: 'member', eve: 'owner', joe: 'kicked', mod: 'moderator' })]), { count: 4, owners: 2 })
  t.match(roomOf([...made('group'), ...people({ bob: 'owner' }), ['ada', { type: 'leave' }]]), { count: 1, owners: 1 })
})

t.test('who was kicked reads a public room again when they have come back', async t => {
  const kicked: Given[] = [...made('public'), ...people({ bob: 'kicked' })]
  const reads = (events: Given[]): boolean => { const room = roomOf(events)!; return mayRead(room, memberOf(room, 'bob'), NOW, 'bob') }
  t.equal(reads(kicked), false)
  t.same(when(kicked, join, 'bob'), [{ type: 'join' }])
  t.equal(reads([...kicked, ['bob', { type: 'join' }]]), true)
  t.equal(reads([...kicked, ['bob', { type: 'join' }], ['bob', { type: 'leave' }]]), true, 'leaving is not being put out')
})
