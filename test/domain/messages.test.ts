// Saying, editing, deleting, replying, threads, reactions, pins.
import t from 'tap'
import { EMOJI_MAX } from '../../src/domain/decide.ts'
import type { Attachment } from '../../src/domain/events.ts'
import { reject } from '../../src/domain/rejections.ts'
import { JUST_NOW, knowing, made, people, roomOf, SOON, when, type Given, type Wish } from './given.ts'

const room: Given[] = [...made('private'), ...people({ bob: 'member', mod: 'moderator' }), ['bob', { type: 'message', content: 'hello' }]]
const HELLO = 5
const facts = knowing({ [HELLO]: { author: 'bob' } })
const say = (content: string, more = {}): Wish => ({ type: 'message', content, ...more })
const muted: Given[] = [...room, ['ada', { type: 'mute', target: 'bob', until: SOON }]]
const archived: Given[] = [...room, ['ada', { type: 'room', change: 'updated', archived: true }]]

t.test('a member says something', async t => {
  t.same(when(room, say('hello'), 'bob'), [{ type: 'message', content: 'hello' }])
})

t.test('messages are counted, other events are not', async t => {
  t.equal(roomOf(room)!.messages, 1)
  t.equal(roomOf([...room, ['bob', { type: 'edit', message_seq: HELLO, content: 'x' }], ['bob', { type: 'delete', message_seq: HELLO }], ['ada', { type: 'message', content: 'b' }]])!.messages, 2)
})

t.test('messages, edits, deletes, reactions and pins move no rules, so a busy room does not fight itself', async t => {
  const before = roomOf(room)!
  const bodies: Given[] = [
    ['bob', { type: 'message', content: 'x' }], ['bob', { type: 'edit', message_seq: HELLO, content: 'x' }], ['bob', { type: 'delete', message_seq: HELLO }],
    ['bob', { type: 'reaction', message_seq: HELLO, emoji: '👍', added: true }], ['mod', { type: 'pin', message_seq: HELLO, added: true }],
  ]
  const after = roomOf([...room, ...bodies])!
  t.same({ ...after, seq: before.seq, messages: before.messages }, before)
})

t.test('a reply names a message of this room', async t => {
  t.same(when(room, say('yes', { reply_to: HELLO }), 'bob', facts), [{ type: 'message', content: 'yes', reply_to: HELLO }])
  t.equal(when(room, say('yes', { reply_to: 4 }), 'bob', facts), 'bad_reply', 'what is no message')
  t.equal(when(room, say('yes', { reply_to: HELLO }), 'bob'), 'bad_reply', 'without facts')
  t.same(when(room, say('yes', { reply_to: HELLO }), 'bob', knowing({ [HELLO]: { author: 'bob', deleted: true } })), [{ type: 'message', content: 'yes', reply_to: HELLO }], 'a deleted one leaves its place')
})

t.test('a thread begins at a message that is in none', async t => {
  t.same(when(room, say('x', { thread: HELLO, reply_to: HELLO }), 'bob', facts), [{ type: 'message', content: 'x', reply_to: HELLO, thread: HELLO }])
  t.equal(when(room, say('x', { thread: 6 }), 'bob', facts), 'bad_reply')
  t.equal(when(room, say('x', { thread: 6 }), 'bob', knowing({ 6: { author: 'ada', thread: HELLO } })), 'bad_reply', 'a thread in a thread')
})

t.test('attachments are stored as the schema knows them; none are none', async t => {
  const url = 'https://files.example.org/a.png'
  t.same(when(room, say('x', { attachments: [{ url }, { url, name: 'a', media_type: 'image/png', bytes: 0 }] }), 'bob'), [{ type: 'message', content: 'x', attachments: [{ url }, { url, name: 'a', media_type: 'image/png', bytes: 0 }] }])
  t.same(when(room, say('x', { attachments: [] }), 'bob'), [{ type: 'message', content: 'x' }])
  t.same(when(room, say('x', { attachments: [{ url, evil: '\u0000' } as Attachment] }), 'bob'), [{ type: 'message', content: 'x', attachments: [{ url }] }], 'what a client adds would be stored unchecked')
})

t.test('a message is as long as its room allows, in characters', async t => {
  const short: Given[] = [...room, ['ada', { type: 'room', change: 'updated', message_chars_max: 3 }]]
  for (const content of ['abc', '😀😀😀', 'a']) t.same(when(short, say(content), 'bob'), [{ type: 'message', content }])
  for (const content of ['abcd', '😀😀😀😀', '😀abc']) {
    t.equal(when(short, say(content), 'bob'), 'content_too_long', content)
    t.equal(when(short, { type: 'edit', message_seq: HELLO, content }, 'bob', facts), 'content_too_long', content)
  }
  t.same(when(room, say('x'.repeat(8000)), 'bob'), [{ type: 'message', content: 'x'.repeat(8000) }], 'a room without a limit of its own')
})

t.test('only its author edits a message, and not after it was deleted', async t => {
  const edit: Wish = { type: 'edit', message_seq: HELLO, content: 'hallo' }
  t.same(when(room, edit, 'bob', facts), [{ type: 'edit', message_seq: HELLO, content: 'hallo' }])
  for (const other of ['ada', 'mod']) t.equal(when(room, edit, other, facts), 'forbidden', other)
  t.equal(when(room, edit, 'bob', knowing({ [HELLO]: { author: 'bob', deleted: true } })), 'message_deleted')
  t.equal(when(room, edit, 'bob'), 'message_not_found')
})

t.test('a message is deleted by its author, or by one of a higher role; twice is once', async t => {
  const wish: Wish = { type: 'delete', message_seq: HELLO }
  const deleted = [{ type: 'delete', message_seq: HELLO }]
  for (const who of ['bob', 'mod', 'ada']) t.same(when(room, wish, who, facts), deleted, who)
  t.equal(when(room, wish, 'mod', knowing({ [HELLO]: { author: 'ada' } })), 'forbidden', 'upwards')
  t.same(when(room, wish, 'mod', knowing({ [HELLO]: { author: 'long gone' } })), deleted, 'of one who left')
  t.equal(when([...room, ...people({ eve: 'member' })], wish, 'eve', facts), 'forbidden')
  t.same(when(room, wish, 'bob', knowing({ [HELLO]: { author: 'bob', deleted: true } })), [])
  t.equal(when(room, wish, 'bob'), 'message_not_found')
})

t.test('what is deleted is named as an effect', async t => {
  const before = roomOf(room)!
  const { effectsOf, memberOf } = await import('../../src/domain/room.ts')
  t.same(effectsOf({ type: 'delete', message_seq: HELLO, user_id: 'bob' }, user => memberOf(before, user)), [{ on: 'deleted', message_seq: HELLO }])
})

t.test('a reaction is one emoji in its one spelling, added as often as one likes: it is a set', async t => {
  const react = (emoji: string): Wish => ({ type: 'react', message_seq: HELLO, emoji })
  t.same(when(room, react('👍'), 'mod', facts), [{ type: 'reaction', message_seq: HELLO, emoji: '👍', added: true }])
  for (const emoji of ['❤', '❤️']) {
    t.same(when(room, react(emoji), 'mod', facts), [{ type: 'reaction', message_seq: HELLO, emoji: '❤️', added: true }])
    t.same(when(room, { type: 'unreact', message_seq: HELLO, emoji }, 'mod', facts), [{ type: 'reaction', message_seq: HELLO, emoji: '❤️', added: false }])
  }
  for (const emoji of ['a', '👍👍', '', '1', '\u200d']) t.equal(when(room, react(emoji), 'mod', facts), 'bad_emoji', JSON.stringify(emoji))
  t.equal(when(room, { type: 'unreact', message_seq: HELLO, emoji: 'a' }, 'mod', facts), 'bad_emoji')
  t.equal(when(room, react('👍'), 'mod'), 'message_not_found')
  const gone = knowing({ [HELLO]: { author: 'bob', deleted: true } })
  for (const type of ['react', 'unreact'] as const) t.equal(when(room, { type, message_seq: HELLO, emoji: '👍' }, 'mod', gone), 'message_deleted', type)
})

t.test('a message has a bounded number of different emoji; more of the same, and fewer, always go', async t => {
  const emoji = new Set(Array.from({ length: EMOJI_MAX - 1 }, (_, i) => String.fromCodePoint(0x1f600 + i)).concat('❤️'))
  t.equal(emoji.size, EMOJI_MAX)
  const full = knowing({ [HELLO]: { author: 'bob', emoji } })
  t.equal(when(room, { type: 'react', message_seq: HELLO, emoji: '🥇' }, 'bob', full), 'too_many_reactions')
  t.same(when(room, { type: 'react', message_seq: HELLO, emoji: '❤' }, 'bob', full), [{ type: 'reaction', message_seq: HELLO, emoji: '❤️', added: true }])
  t.same(when(room, { type: 'unreact', message_seq: HELLO, emoji: '🥇' }, 'bob', full), [{ type: 'reaction', message_seq: HELLO, emoji: '🥇', added: false }])
  emoji.delete('❤️')
  t.same(when(room, { type: 'react', message_seq: HELLO, emoji: '🥇' }, 'bob', full), [{ type: 'reaction', message_seq: HELLO, emoji: '🥇', added: true }])
})

t.test('those who keep order pin; in groups and direct conversations everyone does; a deleted message is only taken down', async t => {
  const pinned = [{ type: 'pin', message_seq: HELLO, added: true }]
  const unpinned = [{ type: 'pin', message_seq: HELLO, added: false }]
  const gone = knowing({ [HELLO]: { author: 'bob', deleted: true } })
  t.same(when(room, { type: 'pin', message_seq: HELLO }, 'mod', facts), pinned)
  t.same(when(room, { type: 'unpin', message_seq: HELLO }, 'mod', facts), unpinned)
  t.equal(when(room, { type: 'pin', message_seq: HELLO }, 'bob', facts), 'forbidden')
  t.equal(when(room, { type: 'unpin', message_seq: HELLO }, 'bob', facts), 'forbidden')
  for (const kind of ['group', 'dm'] as const) t.same(when([...made(kind), ...people(kind === 'dm' ? {} : { bob: 'member' })], { type: 'pin', message_seq: HELLO }, 'bob', facts), pinned, kind)
  t.equal(when(room, { type: 'pin', message_seq: HELLO }, 'mod', gone), 'message_deleted')
  t.same(when(room, { type: 'unpin', message_seq: HELLO }, 'mod', gone), unpinned)
  t.equal(when(room, { type: 'pin', message_seq: 1 }, 'mod', facts), 'message_not_found')
})

t.test('the muted take back what they did, and do nothing else that is seen', async t => {
  for (const wish of [say('x'), { type: 'edit', message_seq: HELLO, content: 'x' }, { type: 'react', message_seq: HELLO, emoji: '👍' }] satisfies Wish[]) t.equal(when(muted, wish, 'bob', facts), 'muted', wish.type)
  t.same(when(muted, { type: 'delete', message_seq: HELLO }, 'bob', facts), [{ type: 'delete', message_seq: HELLO }])
  t.same(when(muted, { type: 'unreact', message_seq: HELLO, emoji: '👍' }, 'bob', facts), [{ type: 'reaction', message_seq: HELLO, emoji: '👍', added: false }])
  const over: Given[] = [...room, ['ada', { type: 'mute', target: 'bob', until: JUST_NOW }]]
  t.same(when(over, say('x'), 'bob'), [{ type: 'message', content: 'x' }])
  const lifted: Given[] = [...muted, ['ada', { type: 'mute', target: 'bob', lifted: true }]]
  t.same(when(lifted, say('x'), 'bob'), [{ type: 'message', content: 'x' }])
  const mutedMod: Given[] = [...room, ['ada', { type: 'mute', target: 'mod' }]]
  t.equal(when(mutedMod, { type: 'pin', message_seq: HELLO }, 'mod', facts), 'muted')
})

t.test('in an archived room messages are only deleted', async t => {
  for (const wish of [say('x'), { type: 'edit', message_seq: HELLO, content: 'x' }, { type: 'react', message_seq: HELLO, emoji: '👍' }, { type: 'unreact', message_seq: HELLO, emoji: '👍' }] satisfies Wish[]) t.equal(when(archived, wish, 'bob', facts), 'room_archived', wish.type)
  for (const type of ['pin', 'unpin'] as const) t.equal(when(archived, { type, message_seq: HELLO }, 'mod', facts), 'room_archived', type)
  t.same(when(archived, { type: 'delete', message_seq: HELLO }, 'bob', facts), [{ type: 'delete', message_seq: HELLO }])
})

t.test('a reason from outside the room is passed on', async t => {
  for (const code of ['slow_mode', 'blocked'] as const) t.equal(when(room, say('x'), 'bob', { no: reject(code) }), code)
})

t.test('where newcomers do not see what was before, it is not there to act on either, but for one’s own', async t => {
  const before: Given[] = [...made('private', { history: 'joined' }), ['ada', { type: 'message', content: 'secret' }], ...people({ bob: 'member' }), ['bob', { type: 'role', target: 'bob', role: 'moderator' }]]
  const known = knowing({ 2: { author: 'ada' }, 3: { author: 'ada' } })
  for (const wish of [{ type: 'react', message_seq: 2, emoji: '👍' }, { type: 'pin', message_seq: 2 }, { type: 'delete', message_seq: 2 }, { type: 'edit', message_seq: 2, content: 'x' }] satisfies Wish[]) t.equal(when(before, wish, 'bob', known), 'message_not_found', wish.type)
  t.equal(when(before, say('x', { reply_to: 2 }), 'bob', known), 'bad_reply')
  t.equal(when(before, say('x', { thread: 2 }), 'bob', known), 'bad_reply')
  t.same(when(before, say('x', { reply_to: 3 }), 'bob', known), [{ type: 'message', content: 'x', reply_to: 3 }], 'from where they came in')
  t.same(when(before, say('x', { reply_to: 2 }), 'ada', known), [{ type: 'message', content: 'x', reply_to: 2 }])
  t.same(when(before, { type: 'delete', message_seq: 2 }, 'bob', knowing({ 2: { author: 'bob' } })), [{ type: 'delete', message_seq: 2 }], 'one’s own, from an earlier stay')
  t.same(when(made('lobby', { history: 'joined' }), say('x', { reply_to: 2 }), 'anyone', known), [{ type: 'message', content: 'x', reply_to: 2 }])
})
