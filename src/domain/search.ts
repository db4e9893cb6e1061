/**
 * What people type to search, and how texts are cut into words for it. Pure.
 *
 * Index and search cut and fold words by the same code here, not by a text search configuration of Postgres: its parser takes `a/b`
 * for a path, drops `<b>`, and keeps no words of scripts without spaces; folding away accents there takes an extension that may be
 * missing; and `websearch_to_tsquery` knows no prefix. So Postgres is given finished `tsvector`s and `tsquery`s, and whether a text
 * matches can be asked here too. No language is assumed: words are not stemmed and none is left out.
 *
 * A search is words, all of which must be there; `"two words"` in a row; `-without`; `this or that`; and the filters `from:name`,
 * `in:room`, `has:link|attachment|mention`, `before:2026-11-20`, `after:2026-11-20` (days in UTC, the day itself is in neither). The
 * last word may be the beginning of one, unless a space follows it.
 */
import { hasLink } from './messages.ts'

export const SEARCH_CHARS_MAX = 1000
/** Words and filters of one search. */
export const SEARCH_TERMS_MAX = 64
/** Longer words are cut, in texts and searches alike: Postgres takes 2,046 bytes. */
const WORD_CHARS_MAX = 64

export const SEARCH_HAS = ['link', 'attachment', 'mention'] as const
export type SearchHas = typeof SEARCH_HAS[number]

/** Words in a row; with `prefix`, the last one may go on. */
export interface Phrase { readonly words: readonly string[], readonly prefix: boolean }
/** All of `all` and none of `none`. */
export interface Alternative { readonly all: readonly Phrase[], readonly none: readonly Phrase[] }

export interface Search {
  /** One of them must hold; none: the filters alone say what is looked for. */
  readonly alternatives: readonly Alternative[]
  /** User names, room names: any of them. */
  readonly from: readonly string[]
  readonly in: readonly string[]
  /** All of them. */
  readonly has: readonly SearchHas[]
  /** Epoch milliseconds: from the one on, up to but without the other. */
  readonly since: number | undefined
  readonly until: number | undefined
}

export interface Word {
  /** As it is compared. */
  readonly word: string
  /** Where it is in the text, in UTF-16 code units. */
  readonly from: number
  readonly to: number
}

/** Signs of scripts that put no spaces between words are words by themselves, and so are emoji; two of them in a search are a phrase. */
const WORDS = /[\p{sc=Han}\p{sc=Hiragana}\p{sc=Katakana}]|\p{Extended_Pictographic}|(?:(?![\p{sc=Han}\p{sc=Hiragana}\p{sc=Katakana}])[\p{L}\p{N}\p{M}])+/gu
/** Nothing else is ever in a word: it can be put between quotes. */
const NOT_IN_WORDS = /[^\p{L}\p{N}\p{M}\p{Extended_Pictographic}]/gu

/** The words of a text, in order. */
export function wordsOf (text: string): Word[] {
  const words: Word[] = []
  for (const { 0: found, index } of text.matchAll(WORDS)) {
    const word = folded(found)
    if (word !== '') words.push({ word, from: index, to: index + found.length })
  }
  return words
}

/** Without case, accents and variants of letters. */
function folded (word: string): string {
  if (/^[\x20-\x7e]+$/.test(word)) return word.toLowerCase().slice(0, WORD_CHARS_MAX)
  const plain = word.toLowerCase().normalize('NFKD').replace(/[\u0300-\u036f]/g, '').toLowerCase().normalize('NFKC').replaceAll('ς', 'σ').replace(NOT_IN_WORDS, '')
  return [...plain].slice(0, WORD_CHARS_MAX).join('')
}

const TERM = /(-)?(?:(from|in|has|before|after):(?=[^\s]))?(?:"([^"]*)"?|([^\s"]+))/giu
const DAY_MS = 86_400_000

/** The search, or what is wrong with it, as a sentence. */
export function parseSearch (text: string): Search | string {
  const alternatives: Array<{ all: Phrase[], none: Phrase[] }> = [{ all: [], none: [] }]
  const found = { from: [] as string[], in: [] as string[], has: [] as SearchHas[], since: undefined as number | undefined, until: undefined as number | undefined }
  let terms = 0

  function take ({ 1: minus, 2: filter, 3: quoted, 4: plain = '', index, 0: { length } }: RegExpExecArray): string | undefined {
    const isLast = index + length === text.length
    if (filter !== undefined) return filterBy(filter.toLowerCase(), quoted ?? plain, minus !== undefined)
    const current = alternatives.at(-1)!
    const isEmpty = current.all.length + current.none.length === 0
    if (/^or$/i.test(plain) && minus === undefined && !isEmpty && text.slice(index + length).trim() !== '') {
      alternatives.push({ all: [], none: [] })
      return undefined
    }
    const words = wordsOf(quoted ?? plain).map(({ word }) => word)
    if (words.length === 0) return undefined
    terms += words.length
    if (minus === undefined) current.all.push({ words, prefix: quoted === undefined && isLast })
    else current.none.push({ words, prefix: false })
    return undefined
  }

  function filterBy (filter: string, value: string, not: boolean): string | undefined {
    terms++
    if (not) return `-${filter}: is not possible: filters say what must be`
    if (filter === 'from' || filter === 'in') {
      found[filter].push(value)
    } else if (filter === 'has') {
      const has = SEARCH_HAS.find(has => has === value.toLowerCase())
      if (has === undefined) return `has: is one of ${SEARCH_HAS.join(', ')}`
      found.has.push(has)
    } else {
      const day = dayOf(value)
      if (day === undefined) return `${filter}: takes a day, such as ${filter}:2026-11-20`
      if (filter === 'before') found.until = Math.min(day, found.until ?? day)
      else found.since = Math.max(day + DAY_MS, found.since ?? 0)
    }
    return undefined
  }

  for (const match of text.matchAll(TERM)) {
    const problem = take(match as RegExpExecArray)
    if (problem !== undefined) return problem
    if (terms > SEARCH_TERMS_MAX) return `a search has at most ${SEARCH_TERMS_MAX} words and filters`
  }
  const filled = alternatives.filter(({ all, none }) => all.length + none.length > 0)
  const isFound = found.from.length + found.has.length > 0
  if (!isFound && (filled.length === 0 || filled.some(({ all }) => all.length === 0))) return 'a search needs a word to look for, or from: or has:'
  return { alternatives: filled, ...found }
}

/** When the day begins, in epoch milliseconds. */
function dayOf (text: string): number | undefined {
  if (!/^\d{4}-\d\d-\d\d$/.test(text)) return undefined
  const at = Date.parse(`${text}T00:00:00Z`)
  return Number.isNaN(at) || new Date(at).toISOString().slice(0, 10) !== text ? undefined : at
}

/** The words of a search as a `tsquery`; undefined where it has none. */
export function tsqueryOf ({ alternatives }: Search): string | undefined {
  if (alternatives.length === 0) return undefined
  const phrase = ({ words, prefix }: Phrase): string => `(${words.map(word => `'${word}'`).join(' <-> ')}${prefix ? ':*' : ''})`
  return alternatives.map(({ all, none }) => `(${[...all.map(phrase), ...none.map(not => `!${phrase(not)}`)].join(' & ')})`).join(' | ')
}

/**
 * The search with its whole words only, which finds all that it finds and more. Undefined where it has no beginning of a word, or nothing
 * besides one.
 */
export function wholeWordsOf (search: Search): Search | undefined {
  if (!search.alternatives.some(({ all }) => all.some(({ prefix }) => prefix))) return undefined
  const alternatives = search.alternatives.map(({ all }) => ({
    all: all.map(({ words, prefix }) => ({ words: prefix ? words.slice(0, -1) : words, prefix: false })).filter(({ words }) => words.length > 0),
    none: [],
  }))
  return alternatives.some(({ all }) => all.length === 0) ? undefined : { ...search, alternatives }
}

/** What is known of a message besides its words. Found by lexemes that no word can be, so that one index finds all. */
export const facetOf = {
  /** The random end of an ID: others that share it are told apart by the row. */
  room: (roomId: string): string => `=r${roomId.replaceAll('-', '').slice(-12)}`,
  user: (userId: string): string => `=u${userId.replaceAll('-', '').slice(-12)}`,
  has: (has: SearchHas): string => `=${has}`,
}

/** A text as a `tsvector`, with facets. Of a word that comes often, Postgres keeps the first 255 places. */
export function tsvectorOf (text: string, facets: readonly string[]): string {
  const places = new Map<string, number[]>()
  for (const [i, { word }] of wordsOf(text).entries()) {
    const at = places.get(word)
    if (at === undefined) places.set(word, [i + 1])
    else if (at.length < 255) at.push(i + 1)
  }
  return [...facets.map(facet => `'${facet}'`), ...[...places].map(([word, at]) => `'${word}':${at.join()}`)].join(' ')
}

/** What is asked of messages by `has:`. */
export interface Searched {
  readonly content: string
  readonly mentions?: readonly string[] | undefined
  readonly mentions_room?: boolean | undefined
  readonly attachments?: readonly unknown[] | undefined
}

export function hasOf ({ content, mentions = [], mentions_room, attachments }: Searched): SearchHas[] {
  const has = { link: hasLink(content), attachment: attachments !== undefined, mention: mentions.length > 0 || mentions_room === true }
  return SEARCH_HAS.filter(name => has[name])
}

/** Whether the message, as it is now, has what is looked for: words, and `has`. The index may be behind it. */
export function isFoundIn ({ alternatives, has }: Search, message: Searched): boolean {
  const words = wordsOf(message.content).map(({ word }) => word)
  const isIn = (phrase: Phrase): boolean => words.some((_, i) => isAt(phrase, words, i))
  const really = hasOf(message)
  return has.every(name => really.includes(name)) &&
    (alternatives.length === 0 || alternatives.some(({ all, none }) => all.every(isIn) && !none.some(isIn)))
}

function isAt ({ words: wanted, prefix }: Phrase, words: readonly string[], at: number): boolean {
  return wanted.every((word, i) => words[at + i] === word || (prefix && i === wanted.length - 1 && words[at + i]?.startsWith(word) === true))
}

export interface Snippet {
  /** A part of the content, as it is. */
  readonly text: string
  /** Where in the content it begins, in UTF-16 code units. */
  readonly at: number
  /** What was found in `text`, in UTF-16 code units: it begins at `from` and ends before `to`. */
  readonly highlights: Array<{ readonly from: number, readonly to: number }>
}

const SNIPPET_CHARS_MAX = 240
/** Shown before the first word that was found. */
const BEFORE_CHARS = 60

/** The part of a content around the first that was found. Plain text: what shows it escapes it. */
export function snippetOf ({ alternatives }: Search, content: string): Snippet {
  const words = wordsOf(content)
  const plain = words.map(({ word }) => word)
  const marked = new Set<number>()
  for (const { all } of alternatives) {
    for (const phrase of all) {
      for (let i = 0; i < plain.length; i++) if (isAt(phrase, plain, i)) phrase.words.forEach((_, n) => marked.add(i + n))
    }
  }
  const found = words.filter((_, i) => marked.has(i))
  const first = found[0]?.from ?? 0
  const start = first <= BEFORE_CHARS * 2 ? 0 : whole(content, words.find(({ from }) => from >= first - BEFORE_CHARS)?.from ?? first)
  const end = whole(content, Math.min(content.length, start + SNIPPET_CHARS_MAX))
  return {
    text: content.slice(start, end),
    at: start,
    highlights: found.filter(({ to }) => to <= end).map(({ from, to }) => ({ from: from - start, to: to - start })),
  }
}

/** Not between the halves of a character. */
function whole (text: string, at: number): number {
  return at > 0 && at < text.length && /[\udc00-\udfff]/.test(text[at]!) && /[\ud800-\udbff]/.test(text[at - 1]!) ? at - 1 : at
}
