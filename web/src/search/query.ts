/**
 * What is typed into the search, as far as it can be completed: the operators of the server's search, each with what may follow it. Pure. What a
 * search means, and whether it is one, is the server's to say.
 */
export const OPERATORS = ['from', 'in', 'has', 'before', 'after'] as const
export type Operator = typeof OPERATORS[number]

/** What is offered besides words: what to type, and what it does. */
export const HINTS: ReadonlyArray<{ readonly insert: string, readonly says: string }> = [
  { insert: 'from:', says: 'written by somebody' },
  { insert: 'in:', says: 'in a room' },
  { insert: 'has:', says: 'with a link, an attachment or a mention' },
  { insert: 'before:', says: 'before a day' },
  { insert: 'after:', says: 'after a day' },
  { insert: '"…"', says: 'these words in a row' },
  { insert: '-', says: 'without this word' },
  { insert: 'or', says: 'this or that' },
]

/** A piece of the text between spaces; those within quotes are its own. */
export interface Token {
  readonly from: number
  readonly to: number
  readonly text: string
  readonly operator: Operator | undefined
  /** What follows the operator, without its quotes. */
  readonly value: string
}

/** The piece in which the caret stands, empty where it stands between spaces. */
export function tokenAt (text: string, caret: number): Token {
  const found = [...text.matchAll(/(?:"[^"]*"?|[^\s"])+/g)].find(({ index, 0: { length } }) => index <= caret && caret <= index + length)
  if (found === undefined) return { from: caret, to: caret, text: '', operator: undefined, value: '' }
  const [, operator, value = ''] = /^(from|in|has|before|after):(.*)$/is.exec(found[0]) ?? []
  return { from: found.index, to: found.index + found[0].length, text: found[0], operator: operator?.toLowerCase() as Operator | undefined, value: value.replace(/^"|"$/g, '') }
}

/** The text with another piece in the place of that one, and where the caret is then. */
export function replaced (text: string, { from, to }: Token, by: string): { text: string, caret: number } {
  const rest = text.slice(to)
  const piece = by.endsWith(':') ? by : `${by} `
  return { text: `${text.slice(0, from)}${piece}${rest.replace(/^\s+/, '')}`, caret: from + piece.length }
}

/** An operator and its value, in quotes where a space needs them. */
export function termOf (operator: Operator, value: string): string {
  return /\s/.test(value) ? `${operator}:"${value.replaceAll('"', '')}"` : `${operator}:${value}`
}

/** What is asked of the server: without operators that have nothing yet. A space at the end says that the last word is whole. */
export function askedOf (text: string): string {
  return text.replaceAll(/(^|\s)(?:from|in|has|before|after):"?"?(?=\s|$)/gi, '$1').replace(/^\s+/, '').replace(/\s+$/, ' ').replace(/^ $/, '')
}

/** Operators that begin like this. */
export function operatorsLike (begin: string): Operator[] {
  const wanted = begin.toLowerCase()
  return wanted === '' ? [] : OPERATORS.filter(operator => `${operator}:`.startsWith(wanted))
}

const DAY_MS = 86_400_000

/** Days that people mean: what they are called, and how they are written (in UTC, as the server counts). */
export function daysFrom (now: number): ReadonlyArray<{ readonly day: string, readonly says: string }> {
  const ago = (days: number): string => new Date(now - days * DAY_MS).toISOString().slice(0, 10)
  return [{ day: ago(0), says: 'Today' }, { day: ago(1), says: 'Yesterday' }, { day: ago(7), says: 'A week ago' }, { day: ago(30), says: '30 days ago' }, { day: `${ago(0).slice(0, 4)}-01-01`, says: 'The first of January' }]
}
