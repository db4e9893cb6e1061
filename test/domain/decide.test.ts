// What holds for every command: who may know of a room at all, who is held back, and the catalogue of rejections.
import t from 'tap'
import { decide, guards } from '../../src/domain/decide.ts'
import type { Command, CommandType } from '../../src/domain/commands.ts'
import { ROOM_KINDS } from '../../src/domain/events.ts'
import { REJECTIONS, reject, type RejectionCode } from '../../src/domain/rejections.ts'
import { FOREVER, isKnown, isMember, mayRead, memberOf, STRANGER, type Member, type Place } from '../../src/domain/room.ts'
import { knowing, made, NOW, people, ROOM, roomOf, when, type Given, type Wish } from './given.ts'

/** One of each that goes to a room that exists. */
const WISHES: Readonly<Record<Exclude<CommandType, 'create' | 'inform'>, Wish>> = {
  message: { type: 'message', content: 'hi' },
  edit: { type: 'edit', message_seq: 2, content: 'hi' },
  delete: { type: 'delete', message_seq: 2 },
  react: { type: 'react', message_seq: 2, emoji: '👍' },
  unreact: { type: 'unreact', message_seq: 2, emoji: '👍' },
  pin: { type: 'pin', message_seq: 2 },
  unpin: { type: 'unpin', message_seq: 2 },
  join: { type: 'join' },
  leave: { type: 'leave' },
  add: { type: 'add', target: 'eve' },
  kick: { type: 'kick', target: 'ada' },
  ban: { type: 'ban', target: 'ada' },
  unban: { type: 'unban', target: 'ada' },
  mute: { type: 'mute', target: 'ada' },
  unmute: { type: 'unmute', target: 'ada' },
  role: { type: 'role', target: 'ada', role: 'member' },
  update: { type: 'update', name: 'x' },
  remove: { type: 'remove' },
}
const FACTS = knowing({ 2: { author: 'ada' } })
const answer = (events: readonly Given[], wish: Wish, actor: string, facts = FACTS): unknown => {
  const decision = decide({ ...wish, room_id: ROOM } as Command, roomOf(events), actor, NOW, facts)
  return 'rejection' in decision ? decision.rejection : decision.events
}

t.test('a room that is not there, was removed, or is not to be known of, answers the same to everything', async t => {
  for (const [type, wish] of Object.entries(WISHES)) {
    const nothing = answer([], wish, 'eve')
    t.same(nothing, reject('room_not_found'), type)
    for (const kind of ['private', 'group', 'dm', 'inbox'] as const) t.same(answer(made(kind), wish, 'eve'), nothing, `${type} in ${kind}`)
    for (const kind of ROOM_KINDS) t.same(answer([...made(kind), ['ada', { type: 'room', change: 'deleted' }]], wish, 'ada'), nothing, `${type} in a removed ${kind}`)
    for (const out of ['leave', 'kick', 'ban'] as const) {
      const gone: Given = out === 'leave' ? ['bob', { type: 'leave' }] : ['ada', { type: out, target: 'bob' }]
      t.same(answer([...made('private'), ...people({ bob: 'member' }), gone], wish, 'bob'), nothing, `${type} after ${out}`)
    }
  }
})

t.test('facts tell nobody of a room that they may not know of', async t => {
  for (const no of ['wrong_password', 'overloaded', 'blocked', 'user_not_found', 'slow_mode', 'room_not_found'] as const) {
    for (const [type, wish] of Object.entries(WISHES)) t.same(answer(made('private'), wish, 'eve', { no: reject(no) }), reject('room_not_found'), `${type}: ${no}`)
  }
  t.equal(when(made('private'), { type: 'join', invite: 'spent' }, 'eve', { no: reject('bad_invite') }), 'bad_invite', 'an invite that was good once is known to be one')
})

t.test('in a room that is known, outsiders join before they do anything else', async t => {
  for (const kind of ['public', 'protected'] as const) {
    for (const [type, wish] of Object.entries(WISHES)) if (type !== 'join') t.equal(when(made(kind), wish, 'eve', FACTS), 'not_member', `${type} in ${kind}`)
  }
})

t.test('the banned do nothing, join included, until their time is over', async t => {
  for (const kind of ['public', 'protected', 'lobby'] as const) {
    const banned: Given[] = [...made(kind), ['ada', { type: 'ban', target: 'bob' }]]
    for (const [type, wish] of Object.entries(WISHES)) t.equal(when(banned, wish, 'bob', { ...FACTS, admitted: true }), 'banned', `${type} in ${kind}`)
  }
})

t.test('a member who is banned in memory is out as well, to the millisecond', async t => {
  const room = roomOf(made('public'))!
  const code = (member: Partial<Member>, wish: Wish): unknown => {
    room.members.set('bob', { ...STRANGER, role: 'member', joined_seq: 1, ...member })
    return when(room, wish, 'bob')
  }
  for (const wish of [WISHES.message, WISHES.join, WISHES.leave]) t.equal(code({ banned_until: NOW + 1 }, wish), 'banned')
  t.same(code({ banned_until: NOW }, WISHES.message), [{ type: 'message', content: 'hi' }])
  t.equal(code({ muted_until: NOW + 1 }, WISHES.message), 'muted')
  t.same(code({ muted_until: NOW }, WISHES.message), [{ type: 'message', content: 'hi' }])
})

t.test('reading is for members; public rooms are read by all who were not put out; the lobby by everyone', async t => {
  const member = { ...STRANGER, role: 'member' as const }
  const kicked = { ...STRANGER, role: 'kicked' as const }
  for (const kind of ROOM_KINDS) {
    const place: Place = { id: ROOM, kind, removed: false }
    const inbox = kind === 'inbox'
    t.equal(mayRead(place, member, NOW, 'bob'), !inbox, `${kind}: a member`)
    t.equal(mayRead(place, { ...member, banned_until: NOW + 1 }, NOW, 'bob'), false, `${kind}: a banned one`)
    t.equal(mayRead(place, { ...kicked, banned_until: NOW }, NOW, 'bob'), kind === 'lobby', `${kind}: one who was banned`)
    t.equal(mayRead(place, kicked, NOW, 'bob'), kind === 'lobby', `${kind}: a kicked one`)
    t.equal(mayRead(place, STRANGER, NOW, 'bob'), kind === 'public' || kind === 'lobby', `${kind}: a stranger`)
    t.equal(isMember(place, STRANGER, NOW, 'bob'), kind === 'lobby', `${kind}: a stranger is no member`)
    t.equal(isMember(place, STRANGER, NOW, ROOM), kind === 'lobby' || inbox, `${kind}: whose ID it has`)
    t.equal(isMember(place, member, NOW), !inbox, `${kind}: nobody by name`)
    t.equal(mayRead({ ...place, removed: true }, member, NOW, ROOM), false, `${kind}: removed`)
    t.equal(isKnown(place), kind === 'public' || kind === 'protected' || kind === 'lobby', `${kind}: known`)
    t.equal(isKnown({ ...place, removed: true }), false, `${kind}: removed, not known`)
  }
})

t.test('who was banned is out of a public room until they come back, though the ban has ended or was lifted', async t => {
  for (const end of [{ type: 'ban', target: 'bob', until: '2026-11-20T10:00:00.000Z' }, { type: 'ban', target: 'bob', lifted: true }] as const) {
    const room = roomOf([...made('public'), ...people({ bob: 'member' }), ['ada', { type: 'ban', target: 'bob' }], ['ada', end]])!
    t.equal(mayRead(room, memberOf(room, 'bob'), NOW, 'bob'), false)
    t.same(when(room, { type: 'join' }, 'bob'), [{ type: 'join' }])
  }
})

t.test('an event of an unknown type changes nothing but the seq', async t => {
  const before = roomOf(made('public'))!
  const after = roomOf([...made('public'), ['ada', { type: 'sparkle' } as never]])!
  t.same({ ...after, seq: 1 }, before)
  t.equal(after.seq, 2)
})

t.test('a decision names what it rests on', async t => {
  const on = (wish: Wish, events = made('public'), facts = {}) => guards({ ...wish, room_id: ROOM } as Command, roomOf(events)!, facts)
  const none = { users: [], count: false, undeleted: undefined }
  for (const [type, wish] of Object.entries(WISHES)) t.same(on(wish), { ...none, users: 'target' in wish ? [wish.target] : [], undeleted: type === 'edit' ? 2 : undefined }, type)
  const small = made('group', { members_max: 3 })
  t.same(on(WISHES.join, small), { ...none, count: true })
  t.same(on(WISHES.add, small), { ...none, users: ['eve'], count: true })
  t.same(on(WISHES.message, small), none)
  t.same(on(WISHES.message, small, { mentions: ['bob', 'eve'] }), { ...none, users: ['bob', 'eve'] }, 'those who are named')
})

t.test('for good is later than any time that can be named', async t => {
  t.equal(memberOf(roomOf([...made('public'), ['ada', { type: 'ban', target: 'bob' }]])!, 'bob').banned_until, FOREVER)
  t.equal(memberOf(roomOf([...made('public'), ['ada', { type: 'ban', target: 'bob', until: 'whenever' }]])!, 'bob').banned_until, FOREVER, 'a time that is none')
  t.ok(Date.parse('9999-12-31T23:59:59.999Z') <= FOREVER)
})

t.test('every rejection has a status, a text and a word on retrying', async t => {
  for (const [code, { status, message, retry }] of Object.entries(REJECTIONS)) {
    t.match(code, /^[a-z_]+$/)
    t.ok(status >= 400 && status < 600 && message.length > 10 && typeof retry === 'boolean', code)
    t.same(reject(code as RejectionCode), { code, message })
  }
  t.same(reject('busy', 'wait', 5), { code: 'busy', message: 'wait', retry_after_ms: 5 })
})
