/** Where the search was asked to look; told anew each time that somebody wants to search, so that the field has the focus again. */
import { openPanel } from '../app/panels.tsx'
import { Observable } from '../chat/observable.ts'

export type Scope = 'room' | 'everywhere'

export const asked = new Observable<{ readonly scope: Scope }>({ scope: 'everywhere' })

export function openSearch (scope: Scope): void {
  asked.set({ scope })
  openPanel('search')
}
