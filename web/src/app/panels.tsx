/**
 * What may stand beside a conversation; on a phone in its place. To add one: a component with `roomId` and `onClose` as the default export of
 * a file, a line in PANELS, and `togglePanel('name')` where it is wanted. A thread is open as long as the address says so, over what was open before.
 */
import { lazy, Suspense, type ComponentType } from 'react'
import { Observable, useValue } from '../chat/observable.ts'
import { go, goToThread, leaveThread, route, useRoute } from './route.ts'

export interface PanelProps { roomId: string, onClose: () => void }
/** Of a panel that is there without a room as well. */
export interface EverywhereProps { roomId: string | undefined, onClose: () => void }

/** From this width on there is room for a panel beside the conversation. */
export const WIDER = '(min-width: 1200px)'

const PANELS = {
  inspector: lazy(async () => await import('../inspector/Inspector.tsx')),
  details: lazy(async () => await import('../rooms/RoomDetails.tsx')),
  pins: lazy(async () => await import('../pins/Pins.tsx')),
  thread: lazy(async () => await import('../threads/ThreadPanel.tsx')),
  search: lazy(async () => await import('../search/SearchPanel.tsx')),
  mentions: lazy(async () => await import('../mentions/MentionsPanel.tsx')),
}
export type PanelName = keyof typeof PANELS

/** What they are called. */
export const PANEL_NAMES: Readonly<Record<PanelName, string>> = { inspector: 'Inspector', details: 'Details', pins: 'Pinned messages', thread: 'Thread', search: 'Search', mentions: 'Mentions' }
const EVERYWHERE: ReadonlySet<PanelName> = new Set(['search', 'mentions'])

const open = new Observable<PanelName | undefined>(undefined)

/** The panel that is shown. */
export function usePanel (): PanelName | undefined {
  const { roomId, thread } = useRoute()
  const name = useValue(open)
  if (roomId !== undefined && thread !== undefined) return 'thread'
  return name === undefined || roomId !== undefined || EVERYWHERE.has(name) ? name : undefined
}

/** What had the focus when the panel was opened: it gets it back. */
let opener: Element | null = null
let threadOpener: Element | null = null

function giveBack (to: Element | null): void { if (to instanceof HTMLElement && to.isConnected) to.focus() }

export function openPanel (name: PanelName): void {
  if (open.get() === undefined) opener = document.activeElement
  leaveThread()
  open.set(name)
}

/** Opens a thread, at one of its answers if that is named. */
export function openThread (roomId: string, seq: number, answer?: number): void {
  if (route.get().thread === undefined) threadOpener = document.activeElement
  goToThread(roomId, seq, answer)
}

export function togglePanel (name: PanelName): void {
  if (open.get() === name && route.get().thread === undefined) closePanel()
  else openPanel(name)
}

export function closePanel (): void {
  if (route.get().thread !== undefined) {
    leaveThread()
    return giveBack(threadOpener)
  }
  if (open.get() === undefined) return
  open.set(undefined)
  giveBack(opener)
}

/** Shows a message of which a panel tells: beside the panel where there is room for both, else in its place. */
export function jumpFromPanel (roomId: string, seq: number): void {
  if (!matchMedia(WIDER).matches) open.set(undefined)
  go(roomId, seq)
}

export function Panel ({ roomId, name }: { roomId: string | undefined, name: PanelName }) {
  const { thread } = useRoute()
  const Content = PANELS[name] as ComponentType<EverywhereProps>
  const key = EVERYWHERE.has(name) ? name : `${name} ${roomId} ${name === 'thread' ? thread : ''}`
  return <Suspense fallback={null}><Content key={key} roomId={roomId} onClose={closePanel} /></Suspense>
}
