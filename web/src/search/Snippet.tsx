/** The part of a message in which something was found, with what was found marked: as nodes, never as HTML. */
import type { ReactNode } from 'react'
import type { FoundItem } from '../api/types.ts'

export function Snippet ({ item: { content, snippet: { text, at, highlights } } }: { item: Pick<FoundItem, 'content' | 'snippet'> }) {
  const nodes: ReactNode[] = []
  let end = 0
  for (const { from, to } of highlights) {
    if (from < end || to > text.length) continue
    nodes.push(text.slice(end, from), <mark key={from}>{text.slice(from, to)}</mark>)
    end = to
  }
  return <span className='mr-snippet'>{at > 0 && '… '}{nodes}{text.slice(end)}{at + text.length < content.length && ' …'}</span>
}
