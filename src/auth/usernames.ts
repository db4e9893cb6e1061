/**
 * User names: which a new one may be, and when two are the same. Pure.
 *
 * Compared by `usernameKey`: NFKC, lower case, runs of white space as one, without what cannot be seen; so `Ann`, `ann` and `a\u200dnn` are
 * one name. Letters of different scripts that look the same are different; so that nobody passes for another by one such letter, a name
 * does not mix those scripts whose letters look alike.
 */

export const USERNAME_CHARS_MAX = 64

/** Ends the name of an imported user whose own name belongs to somebody else already; refused to everyone else. */
const IMPORTED = ' (imported)'

/** Control, private, half a character, line ends; and formatting (bidi overrides, …) but for the joiners that some scripts and emoji need. */
const FORBIDDEN = /[\p{Cc}\p{Co}\p{Cs}\p{Zl}\p{Zp}]|(?![\u200c\u200d])\p{Cf}/u
/** At least one must be there: something that leaves ink. U+2800 is braille without a dot. */
const VISIBLE = /(?!\p{Default_Ignorable_Code_Point}|\u2800)[\p{L}\p{N}\p{P}\p{S}]/u

/** Their letters look alike: `аnn` with a Cyrillic а cannot be told from `ann`. */
const ALIKE = [/\p{Script=Latin}/u, /\p{Script=Cyrillic}/u, /\p{Script=Greek}/u]

/** What is wrong with this name for a new user, as the end of a sentence; undefined if nothing is. */
export function problemOfUsername (name: string): string | undefined {
  if (name === '' || [...name].length > USERNAME_CHARS_MAX) return `must have 1 to ${USERNAME_CHARS_MAX} characters`
  if (name.trim() !== name) return 'must not begin or end with white space'
  if (FORBIDDEN.test(name)) return 'must not contain control or formatting characters'
  if (!VISIBLE.test(name)) return 'must contain a character that can be seen'
  if (ALIKE.filter(script => script.test(usernameKey(name))).length > 1) return 'must not mix Latin, Cyrillic and Greek letters'
  if (usernameKey(name).endsWith(IMPORTED)) return `must not end in "${IMPORTED.trim()}"`
  return undefined
}

/** What is wrong with this display name, as the end of a sentence; undefined if nothing is. It need not be unique, and is bounded by its schema. */
export function problemOfDisplayName (name: string): string | undefined {
  if (FORBIDDEN.test(name)) return 'must not contain control or formatting characters'
  if (!VISIBLE.test(name)) return 'must contain a character that can be seen'
  return undefined
}

/** Two names are the same if their keys are. Every text that is not empty has one. */
export function usernameKey (name: string): string {
  const folded = name.normalize('NFKC').toLowerCase().normalize('NFKC')
  const key = folded.replace(/\p{Default_Ignorable_Code_Point}/gu, '').replace(/\s+/gu, ' ').trim()
  return key === '' ? folded : key // an imported name may consist of such characters alone
}

/** The name that an imported user gets when its own belongs to somebody who is not imported. */
export function importedName (name: string): string {
  return name + IMPORTED
}
