/** Moves the focus within a list by the arrow keys, so that Tab passes it in one step. The list says what its items are by a selector. */
import type { KeyboardEvent } from 'react'

const STEPS: Readonly<Record<string, number>> = { ArrowDown: 1, ArrowUp: -1, Home: -Infinity, End: Infinity }

/** For `onKeyDown` of what holds the items. True if the focus moved. */
export function rove (event: KeyboardEvent<HTMLElement>, selector: string): boolean {
  const step = STEPS[event.key]
  if (step === undefined || event.defaultPrevented || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return false
  const items = [...event.currentTarget.querySelectorAll<HTMLElement>(selector)]
  const at = items.indexOf(document.activeElement as HTMLElement)
  if (at === -1) return false
  const next = items[Math.min(items.length - 1, Math.max(0, at + step))]!
  event.preventDefault()
  next.focus({ preventScroll: true })
  next.scrollIntoView({ block: 'nearest' })
  return true
}
