import t from 'tap'
import { problemOfRoomName, trimmedName } from '../../src/domain/room-names.ts'

/** What a title can show of characters that are not to be seen. */
const codesOf = (name: string): string => [...name].map(character => character.codePointAt(0)!.toString(16)).join(' ')

t.test('a room may be called anything that can be seen', async t => {
  for (const name of ['a', 'Tea & cake', 'Ελλάδα', '日本語', 'नमस्ते', '🏴\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}', '👩‍👩‍👧', 'می‌خواهم', '<script>', "Robert'); DROP TABLE rooms;--", '…']) {
    t.equal(problemOfRoomName(name), undefined, name)
  }
})

t.test('control and formatting characters are refused', async t => {
  for (const name of ['a\u0000', 'a\nb', 'a\u007fb', 'a\u0085b', 'a\u2028b', 'a\u202eb', 'a\u2066b', 'a\u00adb', 'a\ufeffb', 'a\ue000b', 'a\ud800b', 'a\u200bb', 'a\u{e0001}b']) {
    t.equal(problemOfRoomName(name), 'must not contain control or formatting characters', codesOf(name))
  }
})

t.test('a name of nothing to see is refused', async t => {
  for (const name of ['', '\u3164', '\u200d', '\u2800', '\u034f', '\u115f\u1160', '\u0301']) t.equal(problemOfRoomName(name), 'must contain a character that can be seen', codesOf(name))
})

t.test('white space at the ends is not kept', async t => {
  t.equal(trimmedName(' \t\u00a0\u3000a  b\u2003\n'), 'a  b')
})
