// The little markup of messages: what is a mark and what is a letter, that links lead where they say, and that no input takes long.
import t from 'tap'
import { inline, isOnlyEmoji, parse, type Inline } from '../../web/src/conversation/markdown.ts'

/** The tree in short: b(…) for bold, and so on. */
const SIGNS = { bold: 'b', italic: 'i', struck: 's', code: 'c', link: 'a', mention: '@' } as const
const short = (nodes: readonly Inline[]): string => nodes.map(node => node.type === 'text' ? node.text : `${SIGNS[node.type]}(${'children' in node ? short(node.children) : node.text})`).join('')

t.test('marks within a line', async t => {
  const cases: Array<[string, string]> = [
    ['plain', 'plain'],
    ['**bold** and *italic* and _italic_ and ~~struck~~', 'b(bold) and i(italic) and i(italic) and s(struck)'],
    ['**bold with *italic* in it**', 'b(bold with i(italic) in it)'],
    ['snake_case_name and 2*3*4', 'snake_case_name and 2*3*4'],
    ['** not bold ** and *no end', '** not bold ** and *no end'],
    ['`**code**` and ``a ` b``', 'c(**code**) and c(a ` b)'],
    ['`no end', '`no end'],
    ['see https://example.com/a_b_c?d=1#e.', 'see a(https://example.com/a_b_c?d=1#e).'],
    ['(https://example.com/x) and https://en.wikipedia.org/wiki/A_(b)', '(a(https://example.com/x)) and a(https://en.wikipedia.org/wiki/A_(b))'],
    ['javascript:alert(1) and xhttps://no.example', 'javascript:alert(1) and xhttps://no.example'],
    ['@ada, @bob.smith. and a@b.example', '@(@ada), @(@bob.smith). and a@b.example'],
    ['<b>&amp;</b>', '<b>&amp;</b>'],
  ]
  for (const [text, tree] of cases) t.equal(short(inline(text)), tree, text)
})

t.test('blocks: code, quotes, paragraphs', async t => {
  t.same(parse('a\n```ts\nlet x = **1**\n```\nb').map(({ type }) => type), ['paragraph', 'code', 'paragraph'])
  t.match(parse('```ts\nlet x\n```')[0], { type: 'code', language: 'ts', text: 'let x' })
  t.same(parse('```no end').map(block => 'children' in block ? short(block.children) : block.text), ['```no end'])
  t.same(parse('> one\n> two\nthree').map(({ type }) => type), ['quote', 'paragraph'])
  t.same(parse('\n\n'), [])
})

t.test('only emoji are large, letters and digits are not', async t => {
  for (const text of ['🚀', '👍🏽 ❤️', '👩‍💻', '🇫🇷']) t.equal(isOnlyEmoji(text), true, text)
  for (const text of ['1', '#', 'ok 👍', '', '🚀'.repeat(30)]) t.equal(isOnlyEmoji(text), false, text)
})

t.test('the longest message that says nothing is read in no time', async t => {
  for (const piece of ['*', '_', '**a', '*a _b ', '`', '@', 'https://', '~~x', '> ', '```\n', '***', '(*']) {
    const from = performance.now()
    parse(piece.repeat(Math.ceil(8000 / piece.length)))
    const ms = performance.now() - from
    t.ok(ms < 1500, `${JSON.stringify(piece)}: ${Math.round(ms)} ms`)
  }
})
