/**
 * The dialogs, each loaded when it is opened for the first time. To add one: a component with `onClose` and whatever else it takes, as the
 * default export of a file, a line in DIALOGS, and `openDialog('name', { … })` where it is wanted.
 */
import { lazy, Suspense, type ComponentProps, type ComponentType } from 'react'
import { Observable, useValue } from '../chat/observable.ts'

const DIALOGS = {
  directory: lazy(async () => await import('../rooms/Directory.tsx')),
  createRoom: lazy(async () => await import('../rooms/CreateRoom.tsx')),
  direct: lazy(async () => await import('../rooms/NewDirect.tsx')),
  shortcuts: lazy(async () => await import('./Shortcuts.tsx')),
  switcher: lazy(async () => await import('./Switcher.tsx')),
  settings: lazy(async () => await import('../settings/Settings.tsx')),
  confirm: lazy(async () => await import('../ui/Confirm.tsx')),
  roomSettings: lazy(async () => await import('../rooms/RoomSettings.tsx')),
  addPeople: lazy(async () => await import('../rooms/AddPeople.tsx')),
  moderate: lazy(async () => await import('../moderation/Moderate.tsx')),
  giveRole: lazy(async () => await import('../moderation/GiveRole.tsx')),
  profile: lazy(async () => await import('../people/Profile.tsx')),
}

type Dialogs = typeof DIALOGS
export type DialogName = keyof Dialogs
type PropsOf<N extends DialogName> = Omit<ComponentProps<Dialogs[N]>, 'onClose'>

const open = new Observable<{ readonly name: DialogName, readonly props: object } | undefined>(undefined)

export function openDialog<N extends DialogName> (...[name, props]: object extends PropsOf<N> ? [name: N, props?: PropsOf<N>] : [name: N, props: PropsOf<N>]): void {
  open.set({ name, props: props ?? {} })
}

export function closeDialog (): void { open.set(undefined) }

/** Whichever dialog is open. */
export function Dialogs () {
  const shown = useValue(open)
  if (shown === undefined) return null
  const Dialog = DIALOGS[shown.name] as ComponentType<{ onClose: () => void }>
  return <Suspense fallback={null}><Dialog {...shown.props} onClose={closeDialog} /></Suspense>
}
