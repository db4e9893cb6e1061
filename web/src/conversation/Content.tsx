/** What a message says, as elements: its markup is read by `markdown.ts`, and none of it is ever HTML. */
import { memo, useMemo, type ReactNode } from 'react'
import { useMe } from '../chat/context.tsx'
import { inline, isOnlyEmoji, parse, type Block, type Inline } from './markdown.ts'

/** @param editedAt when, in words; it stands at the end of the last line */
export const Content = memo(function Content ({ text, editedAt }: { text: string, editedAt?: string | undefined }) {
  const blocks = useMemo(() => parse(text), [text])
  const note = editedAt !== undefined && <>{' '}<span className='mr-note' title={editedAt}>(edited)</span></>
  if (isOnlyEmoji(text)) return <div className='mr-content mr-large'>{text}{note}</div>
  const isText = blocks.at(-1)?.type === 'paragraph'
  return <div className='mr-content'>{blocks.map((block, i) => shownBlock(block, i, isText && i === blocks.length - 1 && note))}{!isText && note}</div>
})

/** On one line, as in a quote: within something that is pressed, so that nothing in it is. */
export const Summary = memo(function Summary ({ text, charsMax = 200 }: { text: string, charsMax?: number }) {
  const nodes = useMemo(() => inline(text.replaceAll(/^```\S*$/gm, '').replaceAll(/\s+/g, ' ').slice(0, charsMax)), [text, charsMax])
  return <>{nodes.map(shownFlat)}</>
})

function shownBlock (block: Block, i: number, note: ReactNode): ReactNode {
  if (block.type === 'code') return <pre key={i} tabIndex={0}><code>{block.text}</code></pre>
  const children = block.children.map(shown)
  return block.type === 'quote' ? <blockquote key={i}>{children}</blockquote> : <p key={i}>{children}{note}</p>
}

function shown (node: Inline, i: number): ReactNode {
  return 'children' in node ? marked(node.type, node.children.map(shown), i) : leaf(node, i)
}

function marked (type: 'bold' | 'italic' | 'struck', children: ReactNode[], i: number): ReactNode {
  const Mark = MARKS[type]
  return <Mark key={i}>{children}</Mark>
}

function leaf (node: Exclude<Inline, { children: unknown }>, i: number): ReactNode {
  switch (node.type) {
    case 'text': return node.text
    case 'code': return <code key={i}>{node.text}</code>
    case 'mention': return <Mention key={i} text={node.text} />
    case 'link': return <a key={i} href={node.href} target='_blank' rel='noopener noreferrer nofollow ugc'>{node.text}</a>
  }
}

const MARKS = { bold: 'strong', italic: 'em', struck: 's' } as const

/** Addresses lead nowhere here. */
function shownFlat (node: Inline, i: number): ReactNode {
  if ('children' in node) return marked(node.type, node.children.map(shownFlat), i)
  return node.type === 'link' ? <span key={i} className='mr-address'>{node.text}</span> : leaf(node, i)
}

function Mention ({ text }: { text: string }) {
  const me = useMe()
  const name = text.slice(1).toLowerCase()
  const isMe = name === me?.username.toLowerCase() || name === 'room'
  return <span className={isMe ? 'mr-mention mr-me' : 'mr-mention'}>{text}</span>
}
