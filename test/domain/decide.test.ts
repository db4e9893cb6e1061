import t from 'tap'
import { REJECTIONS, reject, type RejectionCode } from '../../src/domain/rejections.ts'
import { isMember, mayRead, memberOf, STRANGER, type Member } from '../../src/domain/room.ts'
import { ROOM_KINDS, type EventBody, type RoomKind } from '../../src/domain/events.ts'
import { NOW, ROOM, roomOf, when, type Given } from './given.ts'

const created = (kind: RoomKind): EventBody => ({ type: 'room', change: 'created', name: 'Ada’s', kind, history: 'all' })
const publicRoom: Given[] = [['ada', created('public')]]
const lobby: Given[] = [['system', created('lobby')]]
const say = (content: string, reply_to?: number) => ({ type: 'message' as const, room_id: ROOM, content, reply_to })
const join = { type: 'join' as const, room_id: ROOM }
const leave = { type: 'leave' as const, room_id: ROOM }

t.test('a room that is created has its settings, and its maker as owner', async t => {
  t.same(when([], { type: 'create', room_id: ROOM, name: 'Ada’s', kind: 'public', topic: 'engines' }, 'ada'), [{ type: 'room', change: 'created', name: 'Ada’s', kind: 'public', topic: 'engines', history: 'all' }])
  const room = roomOf(publicRoom)!
  t.match(room, { kind: 'public', name: 'Ada’s', history: 'all', seq: 1, rules: 1, messages: 0 })
  t.same(memberOf(room, 'ada'), { role: 'owner', muted_until: 0, banned_until: 0, joined_seq: 1 })
})

t.test('a room is created once', async t => {
  t.equal(when(publicRoom, { type: 'create', room_id: ROOM, name: 'other', kind: 'public' }, 'bob'), 'room_exists')
})

t.test('a member says something', async t => {
  t.same(when(publicRoom, say('hello'), 'ada'), [{ type: 'message', content: 'hello' }])
})

t.test('a reply names a message that is there', async t => {
  t.same(when(publicRoom, say('yes', 1), 'ada'), [{ type: 'message', content: 'yes', reply_to: 1 }])
  t.equal(when(publicRoom, say('yes', 2), 'ada'), 'bad_reply', 'beyond the head')
  t.equal(when(publicRoom, say('yes', 0), 'ada'), 'bad_reply', 'before the first')
})

t.test('an outsider joins a public room before speaking in it', async t => {
  t.equal(when(publicRoom, say('hi'), 'bob'), 'not_member')
  t.same(when(publicRoom, join, 'bob'), [{ type: 'join' }])
  t.same(when([...publicRoom, ['bob', { type: 'join' }]], say('hi'), 'bob'), [{ type: 'message', content: 'hi' }])
})

t.test('joining again changes nothing', async t => {
  t.same(when(publicRoom, join, 'ada'), [])
})

t.test('who has left is a stranger again, and may come back', async t => {
  const left: Given[] = [...publicRoom, ['bob', { type: 'join' }], ['bob', { type: 'leave' }]]
  t.equal(when(left, say('hi'), 'bob'), 'not_member')
  t.equal(when(left, leave, 'bob'), 'not_member')
  t.same(when(left, join, 'bob'), [{ type: 'join' }])
  t.same(memberOf(roomOf([...left, ['bob', { type: 'join' }]])!, 'bob'), { role: 'member', muted_until: 0, banned_until: 0, joined_seq: 4 })
})

t.test('everyone is in the lobby, and nobody leaves it', async t => {
  t.same(when(lobby, say('hi'), 'anyone'), [{ type: 'message', content: 'hi' }])
  t.same(when(lobby, join, 'anyone'), [])
  t.equal(when(lobby, leave, 'anyone'), 'forbidden')
})

t.test('a room that is not there, or not to be known of, does not exist', async t => {
  for (const command of [say('hi'), join, leave]) {
    t.equal(when([], command, 'bob'), 'room_not_found')
    for (const kind of ['private', 'group', 'dm', 'inbox'] as const) t.equal(when([['ada', created(kind)]], command, 'bob'), 'room_not_found', kind)
  }
  t.equal(when([['ada', created('protected')]], join, 'bob'), 'forbidden')
})

t.test('rules move with the leaving of an owner, not with joins, leaves and messages of members', async t => {
  const busy: Given[] = [...publicRoom, ['bob', { type: 'join' }], ['bob', { type: 'message', content: 'x' }], ['bob', { type: 'leave' }]]
  t.equal(roomOf(busy)!.rules, 1)
  t.equal(roomOf([...busy, ['ada', { type: 'leave' }]])!.rules, 2)
})

t.test('messages are counted, other events are not', async t => {
  t.equal(roomOf([...publicRoom, ['ada', { type: 'message', content: 'a' }], ['bob', { type: 'join' }], ['ada', { type: 'message', content: 'b' }]])!.messages, 2)
})

t.test('an event of an unknown type changes nothing but the seq', async t => {
  const room = roomOf([...publicRoom, ['ada', { type: 'sparkle' } as never]])!
  t.match(room, { seq: 2, rules: 1, messages: 0 })
})

t.test('the muted do not speak and the banned do nothing, until their time is over', async t => {
  const room = roomOf(publicRoom)!
  const { decide } = await import('../../src/domain/decide.ts')
  const code = (member: Partial<Member>, command: typeof join | typeof leave | ReturnType<typeof say>): string => {
    room.members.set('bob', { ...STRANGER, role: 'member', joined_seq: 1, ...member })
    const decision = decide(command, room, 'bob', NOW)
    return 'rejection' in decision ? decision.rejection.code : 'allowed'
  }
  t.equal(code({ muted_until: NOW + 1 }, say('x')), 'muted')
  t.equal(code({ muted_until: NOW + 1 }, leave), 'allowed')
  t.equal(code({ muted_until: NOW }, say('x')), 'allowed')
  for (const command of [say('x'), join, leave]) t.equal(code({ banned_until: NOW + 1 }, command), 'banned')
  t.equal(code({ banned_until: NOW }, say('x')), 'allowed')
})

t.test('reading is for members, public rooms for all who are not banned, the lobby for everyone', async t => {
  const member = { ...STRANGER, role: 'member' as const }
  const banned = { ...member, banned_until: NOW + 1 }
  for (const kind of ROOM_KINDS) {
    t.equal(mayRead(kind, member, NOW), true, `${kind}: a member`)
    t.equal(mayRead(kind, banned, NOW), false, `${kind}: a banned one`)
    t.equal(mayRead(kind, STRANGER, NOW), kind === 'public' || kind === 'lobby', `${kind}: a stranger`)
    t.equal(isMember(kind, STRANGER, NOW), kind === 'lobby', `${kind}: a stranger is no member`)
  }
})

t.test('every rejection has a status, a text and a word on retrying', async t => {
  for (const [code, { status, message, retry }] of Object.entries(REJECTIONS)) {
    t.match(code, /^[a-z_]+$/)
    t.ok(status >= 400 && status < 600 && message.length > 10 && typeof retry === 'boolean', code)
    t.same(reject(code as RejectionCode), { code, message })
  }
  t.same(reject('busy', 'wait', 5), { code: 'busy', message: 'wait', retry_after_ms: 5 })
})
