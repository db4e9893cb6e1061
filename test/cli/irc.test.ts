// The reader of IRC logs: each kind of line by example, the clock, and, for any text at all, that it does not throw and
// that every line is accounted for once.

import t from 'tap'
import fc from 'fast-check'
import { readFileSync } from 'node:fs'
import { parseIrc, type IrcAction } from '../../src/cli/irc.ts'

const fixture = (name: string) => readFileSync(new URL(`../fixtures/irc/${name}`, import.meta.url), 'utf8')
const parse = (...lines: string[]) => parseIrc(lines.join('\n'), { file: '2020-02-28.txt' })
const brief = ({ line, at, form, nick, to, content }: IrcAction) => [line, at.slice(5, 16), form, nick, content ?? to].filter(part => part !== undefined)

t.test('a log of the old style is read: actions without a time, spaces in nicks, midnight', async t => {
  const { actions, unread, lines, blank } = parseIrc(fixture('2004-12-31.old.txt'), { file: 'logs/2004-12-31.old.txt' })
  t.strictSame(actions.map(brief), [
    [1, '12-31T23:40', 'join', 'rosa'],
    [2, '12-31T23:40', 'message', 'wheel', 'good evening, is the sluice open?'],
    [3, '12-31T23:41', 'message', 'rosa', 'it is'],
    [4, '12-31T23:41', 'action', 'rosa', '/me nods'],
    [5, '12-31T23:41', 'join', 'Pond[] Life'],
    [6, '12-31T23:41', 'join', '[Otter]'],
    [7, '12-31T23:58', 'message', 'Pond[] Life', 'happy new year in two minutes'],
    [8, '12-31T23:58', 'message', '[Otter]', 'already here'],
    [9, '12-31T23:58', 'action', 'Pond[] Life', '/me waves at everyone'],
    [11, '01-01T00:01', 'message', 'wheel', ' two spaces before, one after '],
    [12, '01-01T00:01', 'rename', 'wheel', '[night] wheel'],
    [14, '01-01T00:01', 'part', '[Otter]'],
    [15, '01-01T00:01', 'part', 'rosa'],
  ])
  t.match(unread, [
    { line: 10, text: '=== mode/#mill [+o rosa]  by MillServ', why: 'a change of channel modes' },
    { line: 13, text: '=== nobody here says this', why: 'a === line that is no change of membership, by nobody whom the log knows' },
  ])
  t.strictSame([lines, blank], [15, 0])
  t.equal(actions.at(-1)?.at, '2005-01-01T00:01:00.000Z', 'into the next year')
})

t.test('a log of the new style is read, and what is not is listed with the reason', async t => {
  const { actions, unread, lines, blank } = parseIrc(fixture('2015-03-01.new.txt'), { file: '2015-03-01.new.txt' })
  t.strictSame(actions.map(brief), [
    [1, '03-01T09:00', 'message', 'miller', 'morning'],
    [2, '03-01T09:00', 'action', 'miller', '/me grinds the corn'],
    [3, '03-01T09:01', 'action', '[stone]', '/me turns slowly'],
    [4, '03-01T09:01', 'rename', 'miller', 'miller|away'],
    [5, '03-01T09:01', 'join', 'grain'],
    [6, '03-01T09:01', 'quit', 'grain'],
    [7, '03-01T09:01', 'quit', 'chaff'],
    [8, '03-01T09:01', 'kick', 'weevil'],
    [12, '03-01T09:02', 'message', 'chaff', '   '],
    [13, '03-01T09:03', 'message', 'miller', '<chaff> said nothing, === and [09:00] are only text'],
  ])
  t.strictSame(actions.map(({ kind }) => kind).join(' '), 'message message message rename join leave leave leave message message')
  t.strictSame(unread.map(({ line, why }) => [line, why]), [
    [9, 'a change of the topic'],
    [10, 'the message is empty'],
    [14, 'after the time comes neither <nick> nor * nick'],
    [15, '24:00 is no time of day'],
    [16, 'the message is empty'],
    [17, 'it begins with neither [HH:MM] nor ==='],
  ])
  t.strictSame([lines, blank], [17, 1])
})

t.test('the date is the given one, else that of the name, else an error', async t => {
  const text = fixture('undated.txt')
  const at = (options: { file: string, date?: string }) => parseIrc(text, options).actions[0]?.at
  t.equal(at({ file: 'undated.txt', date: '2004-02-29' }), '2004-02-29T12:00:00.000Z')
  t.equal(at({ file: '/logs/1999-01-01/#mill.2004-02-29.txt' }), '2004-02-29T12:00:00.000Z')
  t.equal(at({ file: '2004-02-29.txt', date: '2010-01-01' }), '2010-01-01T12:00:00.000Z')
  t.throws(() => at({ file: '/logs/1999-01-01/undated.txt' }), /undated.txt: no date in the name \(as in 2004-12-25.txt\) and none given/)
  t.throws(() => at({ file: '2005-02-29.txt' }), /"2005-02-29" is not a date/)
  t.throws(() => at({ file: 'undated.txt', date: 'yesterday' }), /"yesterday" is not a date \(YYYY-MM-DD\)/)
})

t.test('a clock that goes back has passed midnight, unless it was set back by an hour', async t => {
  const log = parse('=== a [h]  has joined #m', '[22:30] <a> 1', '=== a [h]  has left #m', '[00:10] <a> 2', '[23:59] <a> 3', '[23:10] <a> 4', '[01:00] <a> 5')
  t.strictSame(log.actions.map(({ at }) => at.slice(5, 16)), ['02-28T22:30', '02-28T22:30', '02-28T22:30', '02-29T00:10', '02-29T23:59', '02-29T23:10', '03-01T01:00'])
  t.equal(parse('=== a [h]  has joined #m').actions[0]?.at, '2020-02-28T00:00:00.000Z', 'a log without any time begins at midnight')
  t.equal(parse('[10:00] <a>', '=== a [h]  has joined #m').actions[0]?.at, '2020-02-28T10:00:00.000Z', 'what is not taken still tells the time')
})

t.test('a message that Millrace could not take is not read', async t => {
  const why = (content: string) => parse(`[10:00] <a> ${content}`).unread.map(({ why }) => why)[0]
  t.equal(why('null \0 byte'), 'it has a U+0000')
  t.equal(why('half a \uD83D face'), 'it is not well-formed Unicode')
  t.equal(why('x'.repeat(8001)), 'the message has over 8,000 characters')
  t.equal(why('x'.repeat(8000)), undefined)
  t.equal(why('😀'.repeat(8000)), undefined, 'a character outside the first plane is one character')
  t.equal(why('\b\u2028\u0085'), undefined, 'other control characters and separators are content')
  t.match(parse('[10:00] < > hm').unread, [{ why: 'the nick is empty' }])
  t.match(parse('[10:00] <a\0> hm', '=== a\0 is now known as b').unread, [{ why: 'it has a U+0000' }, { why: 'it has a U+0000' }])
  t.match(parse('=== a', '===', '=====').unread.length, 3)
})

t.test('files with a byte order mark, carriage returns or no last newline read the same', async t => {
  const plain = parse('[10:00] <a> hello', '[10:01] <b> you')
  t.strictSame(parseIrc('\uFEFF[10:00] <a> hello\r\n[10:01] <b> you\r\n', { file: '2020-02-28.txt' }), plain)
  t.strictSame(parseIrc('', { file: '2020-02-28.txt' }), { actions: [], unread: [], lines: 0, blank: 0 })
  t.equal(parse('[10:00] <a> hello', '', '').lines, 2, 'only the last newline ends nothing')
})

t.test('no text makes it throw, and every line is accounted for once', async t => {
  const part = fc.constantFrom('[10:00]', '[99:99]', ' ', '  ', '* ', '<', '>', '=== ', '[', ']', '] ', 'nick', 'has joined #m', ' has left #m', ' has quit', ' is now known as ', 'mode/#', '\r', '\0', '\uD800', '\u2028')
  const line = fc.oneof(fc.string({ unit: 'binary' }), fc.array(part, { maxLength: 12 }).map(parts => parts.join('')))
  const text = fc.oneof(fc.string({ unit: 'binary', maxLength: 200 }), fc.array(line, { maxLength: 30 }).map(lines => lines.join('\n')))
  fc.assert(fc.property(text, text => {
    const { actions, unread, lines, blank } = parseIrc(text, { file: '2020-02-28.txt' })
    const numbers = [...actions, ...unread].map(({ line }) => line)
    if (new Set(numbers).size !== numbers.length) throw new Error('a line is there twice')
    if (numbers.some(line => line < 1 || line > lines)) throw new Error('a line is there that is not')
    if (numbers.length + blank !== lines) throw new Error(`${numbers.length} read or listed and ${blank} blank of ${lines}`)
    for (const { at, nick, kind, content = '' } of actions) {
      if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d:00\.000Z$/.test(at) || nick === '') throw new Error('an action without a time or a nick')
      if (kind === 'message' && (content === '' || content.includes('\0') || !content.isWellFormed())) throw new Error('a message that Millrace could not take')
    }
  }), { numRuns: 3000 })
  const long = '] '.repeat(200000)
  const before = performance.now()
  parse(`=== ${long}`, `[10:00]  * ${long}`, `[10:00] <${long}`, `=== x${' '.repeat(200000)}`, `=== x [${'['.repeat(200000)}`)
  t.ok(performance.now() - before < 2000, 'and a long line costs no more than its length')
})
