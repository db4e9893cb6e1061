// Naming somebody in the composer: where a name is being written, who is meant first, and what stands there then.
import t from 'tap'
import { namesIn } from '../../src/domain/decide.ts'
import { begunAt, isNameable, meant, named } from '../../web/src/composer/naming.ts'

const person = (username: string, display_name = username) => ({ user_id: `id-${username}`, username, display_name, avatar_url: null })

t.test('a name is written after an @ at the beginning of a word, up to the caret', async t => {
  const cases: Array<[text: string, begin: string | undefined]> = [
    ['@', ''], ['@ad', 'ad'], ['hello @ad', 'ad'], ['(@ad', 'ad'], ['**@ad', 'ad'], ['@ad.b-c', 'ad.b-c'], ['@ÜB', 'ÜB'],
    ['me@ad', undefined], ['@ad ', undefined], ['@@ad', undefined], ['https://x.example/@ad', undefined], ['', undefined],
  ]
  for (const [text, begin] of cases) t.equal(begunAt(text, text.length)?.begin, begin, text)
  t.match(begunAt('hello @adam', 9), { from: 6, to: 9, begin: 'ad' }, 'what follows the caret is not looked at')
})

t.test('who can be named is as the server reads names', async t => {
  for (const username of ['ada', 'bob.smith', 'x-1', '_a', 'Ünal', 'room', 'roomy', 'नमस्ते', 'two words', '.ada', 'ada.', 'a@b', '😀']) t.equal(isNameable({ username }), namesIn(`@${username}`).includes(username), username)
})

t.test('the likeliest comes first: the name itself, who spoke last, then by name', async t => {
  const people = [person('zoe'), person('adam'), person('ada'), person('bob', 'Adele Smith'), person('cleo', 'Cleo Adams'), person('kada')]
  t.same(meant(people, 'ada', ['id-adam'], 9).map(({ username }) => username), ['ada', 'adam', 'cleo', 'kada'])
  t.same(meant(people, '', ['id-zoe', 'id-bob'], 3).map(({ username }) => username), ['zoe', 'bob', 'ada'])
  t.same(meant(people, 'smi', [], 9).map(({ username }) => username), ['bob'])
})

t.test('the name takes the place of what was begun, and one space follows', async t => {
  t.same(named('hi @ad, you', { from: 3, to: 6, begin: 'ad' }, 'ada'), { text: 'hi @ada , you', caret: 8 })
  t.same(named('hi @ad you', { from: 3, to: 6, begin: 'ad' }, 'ada'), { text: 'hi @ada you', caret: 8 })
})
