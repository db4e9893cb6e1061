/** Somebody's picture, or the first letters of their name on a colour that is always theirs; with a dot that says how they are. */
import { memo, useState } from 'react'
import type { Status } from '../api/types.ts'

/** Hues that are told apart, each dark enough for white letters (at least 4.5 to 1). */
const COLOURS = ['#0b6e62', '#a0410d', '#7a3e9d', '#1f5fa8', '#9c2753', '#4d6b0f', '#8a5300', '#40508f', '#7d4a3a', '#0d6a86', '#b0323a', '#5b5a1d']

/** Always the same for an ID. */
export function colourOf (id: string): string {
  let hash = 0
  for (let i = 0; i < id.length; i++) hash = Math.imul(hash ^ id.charCodeAt(i), 0x01000193)
  return COLOURS[((hash ^ (hash >>> 15)) >>> 0) % COLOURS.length]!
}

function initialsOf (name: string): string {
  const words = name.trim().split(/[\s._-]+/).filter(word => word !== '')
  const letters = words.length > 1 ? [words[0]!, words.at(-1)!] : words
  return letters.map(word => [...word][0]!.toUpperCase()).join('')
}

const SAID: Record<Status, string> = { online: 'online', away: 'away', dnd: 'do not disturb', offline: 'offline' }

interface AvatarProps { id: string, name: string, url?: string | null | undefined, size?: number, status?: Status | undefined, square?: boolean }

/** Plain elements: there is one with each group of messages, and they come fast. */
export const Avatar = memo(function Avatar ({ id, name, url, size = 36, status, square = false }: AvatarProps) {
  const [broken, setBroken] = useState<string>()
  const isPictured = url !== undefined && url !== null && url !== broken
  const style = { width: size, height: size, fontSize: size * 0.38, borderRadius: square ? Math.round(size * 0.28) : '50%', backgroundColor: isPictured ? undefined : colourOf(id) }
  const picture = (
    <span className='mr-avatar' aria-hidden style={style}>
      {isPictured ? <img src={url} alt='' referrerPolicy='no-referrer' loading='lazy' onError={() => { setBroken(url) }} /> : initialsOf(name) || '?'}
    </span>
  )
  if (status === undefined) return picture
  const dot = Math.max(10, size * 0.32)
  return (
    <span className='mr-present'>
      {picture}
      {status !== 'offline' && <span role='img' aria-label={SAID[status]} className={`mr-dot mr-${status}`} style={{ width: dot, height: dot }} />}
    </span>
  )
})
