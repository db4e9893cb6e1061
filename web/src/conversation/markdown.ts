/**
 * The little markup of messages: bold, italic, struck, code, blocks of code, quotes, links, names. Text goes in, a tree comes out; it is never HTML. Pure,
 * and linear for all practical purposes: marks nest up to DEPTH_MAX deep, and a mark that has no end is looked for once.
 */

/** How deep marks may stand in each other; deeper ones are text. */
const DEPTH_MAX = 6

export type Inline =
  | { readonly type: 'text' | 'code' | 'mention', readonly text: string }
  | { readonly type: 'link', readonly text: string, readonly href: string }
  | { readonly type: 'bold' | 'italic' | 'struck', readonly children: readonly Inline[] }

export type Block =
  | { readonly type: 'paragraph' | 'quote', readonly children: readonly Inline[] }
  | { readonly type: 'code', readonly text: string, readonly language: string }

const MARKS = [['**', 'bold'], ['__', 'bold'], ['~~', 'struck'], ['*', 'italic'], ['_', 'italic']] as const
const WORD = /[\p{L}\p{N}_]/u
const URL_THERE = /https?:\/\/[^\s<>"`]+/y
const NAME_THERE = /@[\p{L}\p{N}_][\p{L}\p{N}_.-]*/uy

export function parse (text: string): Block[] {
  const blocks: Block[] = []
  const parts = text.split(/^```/m)
  parts.forEach((part, i) => {
    const isClosed = i % 2 === 1 && i < parts.length - 1
    if (isClosed) {
      const [, language = '', code = ''] = /^([\w+#.-]*)\n?([\s\S]*)$/.exec(part) ?? []
      const isCode = part.includes('\n')
      blocks.push({ type: 'code', language: isCode ? language : '', text: (isCode ? code : part).replace(/\n$/, '') })
    } else blocks.push(...paragraphs(i % 2 === 1 ? `\`\`\`${part}` : part))
  })
  return blocks
}

/** Runs of lines that are quoted, and of those that are not. */
function paragraphs (text: string): Block[] {
  const blocks: Block[] = []
  let run: string[] = []
  let isQuote = false
  const end = (): void => {
    const content = run.join('\n').replace(/^\n+|\n+$/g, '')
    if (content !== '') blocks.push({ type: isQuote ? 'quote' : 'paragraph', children: inline(content) })
    run = []
  }
  for (const line of text.split('\n')) {
    const quoted = /^> ?/.exec(line)
    if ((quoted !== null) !== isQuote) {
      end()
      isQuote = quoted !== null
    }
    run.push(quoted === null ? line : line.slice(quoted[0].length))
  }
  end()
  return blocks
}

export function inline (text: string, depth = 0): Inline[] {
  const found: Inline[] = []
  const endless = new Set<string>()
  let plain = ''
  let i = 0
  const add = (node: Inline, length: number): void => {
    if (plain !== '') found.push({ type: 'text', text: plain })
    plain = ''
    found.push(node)
    i += length
  }

  while (i < text.length) {
    const before = text[i - 1] ?? ' '
    const char = text[i]!
    if (char === '`') {
      const [ticks] = /^`+/.exec(text.slice(i, i + 8))!
      const end = endless.has(ticks) ? -1 : text.indexOf(ticks, i + ticks.length)
      if (end > i + ticks.length) {
        add({ type: 'code', text: text.slice(i + ticks.length, end) }, end + ticks.length - i)
        continue
      }
      endless.add(ticks)
    } else if (char === 'h' && !WORD.test(before)) {
      URL_THERE.lastIndex = i
      const url = trimmed(URL_THERE.exec(text)?.[0])
      if (url !== undefined) {
        add({ type: 'link', text: url, href: url }, url.length)
        continue
      }
    } else if (char === '@' && !WORD.test(before)) {
      NAME_THERE.lastIndex = i
      const name = NAME_THERE.exec(text)?.[0].replace(/[.-]+$/, '')
      if (name !== undefined) {
        add({ type: 'mention', text: name }, name.length)
        continue
      }
    } else if (depth < DEPTH_MAX) {
      const mark = MARKS.find(([sign]) => text.startsWith(sign, i))
      const end = mark === undefined ? -1 : endOf(text, i, mark[0], endless)
      if (mark !== undefined && end > 0) {
        add({ type: mark[1], children: inline(text.slice(i + mark[0].length, end), depth + 1) }, end + mark[0].length - i)
        continue
      }
      if (mark !== undefined) {
        plain += mark[0]
        i += mark[0].length
        continue
      }
    }
    plain += char
    i++
  }
  if (plain !== '') found.push({ type: 'text', text: plain })
  return found
}

/** Where what `sign` begins at `from` ends; -1 if it begins nothing. Signs within words are letters: snake_case, 2*3*4. */
function endOf (text: string, from: number, sign: string, endless: Set<string>): number {
  const begin = from + sign.length
  if (endless.has(sign) || /\s|^$/.test(text[begin] ?? '') || WORD.test(text[from - 1] ?? ' ')) return -1
  for (let end = text.indexOf(sign, begin + 1); end > 0; end = text.indexOf(sign, end + 1)) {
    if (sign.length === 1 && text[end + 1] === sign) { // the first half of a double sign
      end++
      continue
    }
    if (!/\s/.test(text[end - 1]!) && !WORD.test(text[end + sign.length] ?? ' ')) return end
  }
  endless.add(sign)
  return -1
}

/** Without the punctuation that ends the sentence around it; undefined if it is no address. */
function trimmed (url: string | undefined): string | undefined {
  if (url === undefined) return undefined
  let end = url.replace(/[.,:;!?'*_~]+$/, '')
  if (end.endsWith(')') && !end.includes('(')) end = end.slice(0, -1)
  return URL.canParse(end) ? end : undefined
}

/** Nothing but a few emoji: shown large. */
export function isOnlyEmoji (text: string): boolean {
  return text.length <= 24 && /^(?:\p{Extended_Pictographic}(?:\p{Emoji_Modifier}|\uFE0F|\u200D)*|\p{Regional_Indicator}{2}|\s)+$/u.test(text)
}
