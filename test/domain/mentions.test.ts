// Whom a text names.
import fc from 'fast-check'
import t from 'tap'
import { MENTIONS_MAX, namesIn, NAME_MENTIONED_CHARS_MAX, NAMES_MAX } from '../../src/domain/decide.ts'
import type { EventBody, RoomKind } from '../../src/domain/events.ts'
import { made, people, when, type Given } from './given.ts'

t.test('a name follows an @ that begins a word', async t => {
  const table: Array<[content: string, names: string[]]> = [
    ['@ann', ['ann']],
    ['hi @ann, @bob and (@eve)!', ['ann', 'bob', 'eve']],
    ['@ann. @bob... @eve- @x.y', ['ann.', 'ann', 'bob...', 'bob', 'eve-', 'eve', 'x.y']],
    ['@ann_b @ann-b @1st @_x', ['ann_b', 'ann-b', '1st', '_x']],
    ['@Ann @ANN @ann @ann', ['Ann', 'ANN', 'ann']],
    ['@Jürgen @Ольга @愛 @عمر @हिन्दी @e\u0301mile', ['Jürgen', 'Ольга', '愛', 'عمر', 'हिन्दी', 'e\u0301mile']],
    ['@نیم\u200cفاصله', ['نیم\u200cفاصله']],
    ['@ann\'s @ann:', ['ann']],
    ['>@ann/@bob,@eve\n@joe', ['ann', 'bob', 'eve', 'joe']],
    ['@ann @ bob @', ['ann']],
    ['@@ann @.ann @-ann @\u200dann', []],
    ['ann@example.org x@y 1@2 _@_ e\u0301@x', []],
    ['see https://example.org/@ann and http://bob@example.org HTTPS://x/@y', []],
    ['https://example.org/x @ann', ['ann']],
    ['nobody', []],
    ['', []],
  ]
  for (const [content, names] of table) t.same(namesIn(content), names, JSON.stringify(content))
})

t.test('names are as long as a user name, and bounded in number', async t => {
  const longest = '愛'.repeat(NAME_MENTIONED_CHARS_MAX)
  t.same(namesIn(`@${longest}`), [longest])
  t.same(namesIn(`@${longest}愛`), [], 'not the beginning of a longer word')
  t.same(namesIn(`@${longest}.`), [longest])
  const many = namesIn(Array.from({ length: 500 }, (_, i) => `@n${i}.`).join(' '))
  t.equal(many.length, NAMES_MAX)
  t.same(many.slice(0, 4), ['n0.', 'n0', 'n1.', 'n1'])
})

t.test('no text takes long or gives a name that cannot be one', async () => {
  for (const content of [`@a${'.'.repeat(7990)}b`, '@'.repeat(8000), '@a'.repeat(4000), '@a.'.repeat(2600), `@${'a-.'.repeat(2660)}`, 'http://'.repeat(1140) + '@a']) {
    const since = performance.now()
    namesIn(content)
    t.ok(performance.now() - since < 1_000, `${content.slice(0, 10)}: ${performance.now() - since} ms`)
  }
  fc.assert(fc.property(fc.string({ unit: fc.constantFrom('@', 'a', '.', '-', ' ', 'é', '😀', '/', 'room', '\u200d'), maxLength: 40 }), content => {
    const names = namesIn(content)
    return new Set(names).size === names.length && names.every(name => content.includes(`@${name}`) && /^[\p{L}\p{N}_]/u.test(name) && name !== 'room')
  }), { numRuns: 1000 })
})

const said = (kind: RoomKind, content: string, mentions: string[] = [], actor = 'bob'): Partial<EventBody & { type: 'message' }> => {
  const events: Given[] = [...made(kind), ...people(kind === 'dm' || kind === 'lobby' ? {} : { bob: 'member', eve: 'member', out: 'kicked' })]
  const result = when(events, { type: 'message', content }, actor, { mentions })
  return typeof result === 'string' ? {} : result[0] as EventBody & { type: 'message' }
}

t.test('members are named, once each; whoever else is, stays text', async t => {
  t.same(said('private', '@eve', ['eve', 'ada', 'out', 'stranger', 'eve']).mentions, ['eve', 'ada'])
  t.notOk('mentions' in said('private', '@out', ['out']))
  t.same(said('dm', '@ada', ['ada', 'eve']).mentions, ['ada'])
  t.same(said('lobby', '@eve', ['eve', 'anyone']).mentions, ['eve', 'anyone'])
  t.same(when([...made('lobby'), ['ada', { type: 'ban', target: 'eve' }]], { type: 'message', content: '@eve' }, 'bob', { mentions: ['eve'] }), [{ type: 'message', content: '@eve' }])
})

t.test('an edit names anew', async t => {
  const events: Given[] = [...made('private'), ...people({ bob: 'member' })]
  t.same(when(events, { type: 'edit', message_seq: 3, content: '@bob @room' }, 'ada', { mentions: ['bob'], messages: new Map([[3, { author: 'ada', deleted: false }]]) }), [{ type: 'edit', message_seq: 3, content: '@bob @room', mentions: ['bob'], mentions_room: true }])
})

t.test('a message names a bounded number of people', async t => {
  const crowd = Array.from({ length: MENTIONS_MAX + 10 }, (_, i) => `user ${i}`)
  t.same(said('lobby', '@all', crowd).mentions, crowd.slice(0, MENTIONS_MAX))
})

t.test('@room names everyone, in the lobby for those who keep order in it', async t => {
  for (const content of ['@room', 'hi @room!', '@Room: lunch', '@ROOM.', '(@room)', '@room...']) t.equal(said('private', content).mentions_room, true, content)
  for (const content of ['room', '@rooms', '@room-mate', '@room.x', '@room_', 'x@room', '@@room', 'https://x.org/@room', '@room\u0301']) t.equal(said('private', content).mentions_room, undefined, content)
  t.same(namesIn('@room @Room. @ROOM- @ann'), ['ann'])
  for (const kind of ['public', 'protected', 'group', 'dm'] as const) t.equal(said(kind, '@room').mentions_room, true, kind)
  t.equal(said('lobby', '@room').mentions_room, undefined)
  const lobby: Given[] = [...made('lobby'), ['system', { type: 'role', target: 'mod', role: 'moderator' }]]
  t.same(when(lobby, { type: 'message', content: '@room' }, 'mod'), [{ type: 'message', content: '@room', mentions_room: true }])
})
