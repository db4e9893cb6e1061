/**
 * Names of rooms: how one is kept, and which it may be. Pure. They need not be unique, and anyone may write them in any script; what
 * is kept out would only deceive: control and formatting characters, line ends, and names without anything to see.
 */

/** Formatting is let pass where scripts and emoji need it: joiners (U+200C, U+200D), and the tags of flags. */
const FORBIDDEN = /[\p{Cc}\p{Co}\p{Cs}\p{Zl}\p{Zp}]|(?!\p{Join_Control}|[\u{e0020}-\u{e007f}])\p{Cf}/u
/** Something that leaves ink; U+2800 is braille without a dot. */
const VISIBLE = /(?!\p{Default_Ignorable_Code_Point}|\u2800)[\p{L}\p{N}\p{P}\p{S}]/u

/** The name as it is kept: without white space at its ends. */
export function trimmedName (name: string): string {
  return name.trim()
}

/** What is wrong with a trimmed name, as the end of a sentence; undefined if nothing is. */
export function problemOfRoomName (name: string): string | undefined {
  if (FORBIDDEN.test(name)) return 'must not contain control or formatting characters'
  if (!VISIBLE.test(name)) return 'must contain a character that can be seen'
  return undefined
}
