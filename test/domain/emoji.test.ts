// What is one emoji, and how it is spelled.
import fc from 'fast-check'
import t from 'tap'
import { emojiOf } from '../../src/domain/emoji.ts'

const PICTURE = '\ufe0f'
const JOINER = '\u200d'

t.test('any emoji that people use is one', async t => {
  for (const emoji of [
    '😀', '👍', '👍🏽', '🫱🏻‍🫲🏿', '🧑🏿‍🚀', '👩‍💻', '👨‍👩‍👧‍👦', '👩‍❤️‍💋‍👨', '❤️', '❤️‍🔥', '☝🏽', '✈️', '☀️', '⭐', '✅', '❗', '‼️', '©️', '™️', '🅰️', '㊗️',
    '🇩🇪', '🇺🇳', '🇪🇺', '🏴󠁧󠁢󠁥󠁮󠁧󠁿', '🏴‍☠️', '🏳️‍🌈', '🏳️‍⚧️', '1️⃣', '0️⃣', '#️⃣', '*️⃣', '🔟', '👁️‍🗨️', '🕵️‍♂️', '🕵🏻‍♂️', '🐻‍❄️', '🧔‍♀️', '⛹🏿‍♀️', '🙂‍↕️', '⛓️‍💥', '🐦‍🔥', '🏻',
  ]) t.equal(emojiOf(emoji), emoji, emoji)
})

t.test('an emoji has one spelling, with U+FE0F and without', async t => {
  for (const emoji of ['❤️', '✈️', '©️', '1️⃣', '#️⃣', '🏳️‍🌈', '🏴‍☠️', '👁️‍🗨️', '🕵️‍♂️', '🕵🏻‍♂️', '👩‍❤️‍💋‍👨', '❤️‍🔥']) t.equal(emojiOf(emoji.replaceAll(PICTURE, '')), emoji, emoji)
  t.equal(emojiOf(`😀${PICTURE}`), '😀')
  t.equal(emojiOf(`☝${PICTURE}🏽`), '☝🏽')
  t.equal(emojiOf('👁️‍🗨'), '👁️‍🗨️')
})

t.test('a pictograph that is kept for an emoji to come is one', async t => {
  t.equal(emojiOf('\u{1faff}'), '\u{1faff}')
})

t.test('whatever else is none', async t => {
  for (const text of [
    '', 'a', 'A', '1', '0', '#', '*', ' ', '.', 'é', '愛', '\n', '\u0000', ':)', ':smile:', '<3', '★', '→', '∞', JOINER, PICTURE, `${JOINER}${JOINER}`, '\u20e3', `${PICTURE}\u20e3`, '\u{e007f}',
    '😀😀', '😀 ', ' 😀', '😀a', '👍🏽🏽', '❤️❤️', `😀${JOINER}`, `${JOINER}😀`, `😀${JOINER}😀`, '🇩', '🇩🇪🇩', '🇽🇽', 'a\u20e3', '\ud83d', '\ude00', '❤\ufe0e', '👍\u0301', '1️', '🏴󠁧󠁢', '😀\n',
  ]) t.equal(emojiOf(text), undefined, JSON.stringify(text))
})

t.test('every symbol that Unicode recommends by itself is one, and its spelling does not change', async t => {
  let symbols = 0
  const wrong: string[] = []
  for (let point = 0; point <= 0x10ffff; point++) {
    const bare = point >= 0xd800 && point < 0xe000 ? '' : String.fromCodePoint(point)
    for (const text of [bare, bare + PICTURE]) {
      if (!/^\p{RGI_Emoji}$/v.test(text)) continue
      symbols += 1
      if (emojiOf(bare) !== text || emojiOf(bare + PICTURE) !== text) wrong.push(text)
    }
  }
  t.ok(symbols > 1300, String(symbols))
  t.same(wrong, [])
})

t.test('of any text: the spelling of a spelling is itself, and no text without a pictograph, flag or keycap has one', async () => {
  const unit = fc.constantFrom('❤', '😀', '👩', '🏽', '🇩', '🇪', '1', '\u20e3', PICTURE, '\ufe0e', JOINER, 'a', '🏳', '🌈', '☠', '🏴')
  fc.assert(fc.property(fc.string({ unit, maxLength: 6 }), text => {
    const spelled = emojiOf(text)
    return spelled === undefined || (emojiOf(spelled) === spelled && /\p{RGI_Emoji}|\p{Extended_Pictographic}/v.test(spelled))
  }), { numRuns: 5000 })
  fc.assert(fc.property(fc.string({ unit: fc.constantFrom('a', '1', '#', PICTURE, JOINER, '🇩', ' '), maxLength: 1 }), text => emojiOf(text) === undefined))
})
