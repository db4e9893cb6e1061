/**
 * What is one emoji: a sequence that Unicode recommends for interchange, or a single pictograph that is kept for one to come. Pure.
 *
 * Keyboards disagree on U+FE0F ("show it as a picture"): some leave it out. People see the same, so it is the same: each emoji
 * has one spelling, the one that Unicode calls fully qualified, and that is what is stored and counted.
 */

const EMOJI = /^(?:\p{RGI_Emoji}|\p{Extended_Pictographic})$/v
/** What is shown as text unless U+FE0F or a skin tone follows: ❤, ✈, the digits of keycaps. */
const NEEDS_PICTURE = /(?=\p{Emoji})\P{Emoji_Presentation}(?!\p{Emoji_Modifier})/gu

/** The emoji in its one spelling; undefined if the text is anything but exactly one emoji. */
export function emojiOf (text: string): string | undefined {
  const spelled = text.replaceAll('\ufe0f', '').replace(NEEDS_PICTURE, '$&\ufe0f')
  return EMOJI.test(spelled) ? spelled : undefined
}
