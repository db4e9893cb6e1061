/**
 * The keys that work everywhere: which there are, and what they do. A key that is typed into a field is the field's, save those with Ctrl or ⌘
 * or Alt. Whoever has dealt with a key says so by preventing its default.
 */
import { useEffect } from 'react'
import { openSearch } from '../search/state.ts'
import { openDialog } from './dialogs.tsx'
import { closePanel, togglePanel } from './panels.tsx'
import { go, route } from './route.ts'

const isApple = /Mac|iPhone|iPad/.test(navigator.platform)
const CTRL = isApple ? '⌘' : 'Ctrl'

/** All keys, as the help shows them; those of the composer, the lists and the messages are dealt with where they are. */
export const SHORTCUTS: ReadonlyArray<{ title: string, keys: ReadonlyArray<{ keys: readonly string[], does: string }> }> = [
  {
    title: 'Everywhere',
    keys: [
      { keys: [CTRL, 'K'], does: 'Go to a room' },
      { keys: [CTRL, 'F'], does: 'Search in this room; once more, in the page' },
      { keys: [CTRL, 'Shift', 'F'], does: 'Search in all rooms' },
      { keys: [CTRL, 'Shift', 'M'], does: 'Where I was named' },
      { keys: ['Alt', '↑'], does: 'The room above' },
      { keys: ['Alt', '↓'], does: 'The room below' },
      { keys: ['?'], does: 'These shortcuts' },
      { keys: ['Esc'], does: 'Close what is open' },
    ],
  },
  {
    title: 'Writing',
    keys: [
      { keys: ['Enter'], does: 'Send' },
      { keys: ['Shift', 'Enter'], does: 'A new line' },
      { keys: ['@'], does: 'Name somebody' },
      { keys: ['↑'], does: 'Edit my last message' },
      { keys: ['Esc'], does: 'Give up an edit or a reply' },
    ],
  },
  {
    title: 'Messages and rooms',
    keys: [
      { keys: ['↑', '↓'], does: 'The one before, the one after' },
      { keys: ['Tab'], does: 'What can be done with a message' },
      { keys: ['End'], does: 'The newest' },
      { keys: ['Esc'], does: 'Back to writing' },
    ],
  },
]

const FIELDS = 'input, textarea, select, [contenteditable=true]'
/** What closes itself with Esc, and has the keys while it is open. */
const OVER = '[role=dialog], [role=menu], [role=presentation].MuiModal-root'

/** The room that stands `step` places below the one that is shown. */
function toNeighbour (step: number): void {
  const rooms = [...document.querySelectorAll<HTMLElement>('[data-testid=room]')]
  const at = rooms.findIndex(room => room.getAttribute('aria-current') === 'page')
  const next = rooms[at === -1 ? 0 : at + step]?.dataset.room
  if (next !== undefined) go(next)
}

function onKeyDown (event: KeyboardEvent): void {
  if (event.defaultPrevented || event.isComposing) return
  const { key, altKey, shiftKey } = event
  const hasCtrl = isApple ? event.metaKey : event.ctrlKey
  const done = (then: () => void): void => {
    event.preventDefault()
    then()
  }
  if (hasCtrl && !altKey && !shiftKey && key.toLowerCase() === 'k') return done(() => { openDialog('switcher') })
  if (hasCtrl && !altKey && key.toLowerCase() === 'f' && (document.querySelector(OVER) === null || document.querySelector('[data-testid=search]') !== null)) {
    if (shiftKey) return done(() => { openSearch('everywhere') })
    const isSearching = event.target instanceof Element && event.target.closest('[data-testid=search]') !== null
    if (!isSearching && route.get().roomId !== undefined) return done(() => { openSearch('room') }) // else the browser's own
  }
  if (document.querySelector(OVER) !== null) return
  if (hasCtrl && shiftKey && !altKey && key.toLowerCase() === 'm') return done(() => { togglePanel('mentions') })
  if (altKey && !hasCtrl && key === 'ArrowUp') return done(() => { toNeighbour(-1) })
  if (altKey && !hasCtrl && key === 'ArrowDown') return done(() => { toNeighbour(1) })
  const isInField = event.target instanceof Element && event.target.matches(FIELDS)
  if (key === '?' && !isInField && !hasCtrl && !altKey) return done(() => { openDialog('shortcuts') })
  if (key === 'Escape' && !isInField) closePanel()
}

export function useShortcuts (): void {
  useEffect(() => {
    window.addEventListener('keydown', onKeyDown)
    return () => { window.removeEventListener('keydown', onKeyDown) }
  }, [])
}
