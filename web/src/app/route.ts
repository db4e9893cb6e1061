/**
 * Which room is shown, as it stands in the address: `#/room/<id>`, `?at=<seq>` for a message in it, `?thread=<seq>` for a thread beside it. The
 * part behind the # is never sent to the server, so that no route of its API is in the way.
 */
import { Observable, useValue } from '../chat/observable.ts'

export interface Route {
  readonly roomId?: string | undefined
  /** The message to be shown. */
  readonly at?: number | undefined
  /** The message at which the thread begins that is open. */
  readonly thread?: number | undefined
  /** The answer in it to be shown. */
  readonly answer?: number | undefined
  /** Of an invite link: `#/invite/<room>/<code>`. */
  readonly invite?: string | undefined
}

function read (): Route {
  const [path = '', query = ''] = location.hash.slice(1).split('?')
  const [, place, roomId, code] = path.split('/')
  if (place === 'invite' && roomId !== undefined && code !== undefined) return { roomId, invite: decodeURIComponent(code) }
  if (place !== 'room' || roomId === undefined || roomId === '') return {}
  const given = new URLSearchParams(query)
  const seqOf = (name: string): number => Number(given.get(name) ?? NaN)
  const places = { at: seqOf('at'), thread: seqOf('thread'), answer: seqOf('answer') }
  return { roomId, ...Object.fromEntries(Object.entries(places).filter(([, seq]) => Number.isSafeInteger(seq))) }
}

export const route = new Observable<Route>(read())
window.addEventListener('hashchange', () => { route.set(read()) })

export function useRoute (): Route { return useValue(route) }

export const roomHref = (roomId: string, at?: number): string => `#/room/${roomId}${at === undefined ? '' : `?at=${at}`}`
export const threadHref = (roomId: string, thread: number, answer?: number): string => `#/room/${roomId}?thread=${thread}${answer === undefined ? '' : `&answer=${answer}`}`

/** Shows a room, or the list of them. The same place again is told again: who jumps twice to a message means it. */
export function go (roomId?: string, at?: number): void {
  const hash = roomId === undefined ? '#/' : roomHref(roomId, at)
  if (location.hash === hash) route.set(read())
  else location.hash = hash
}

/** Opens a thread beside its room; the way back of the browser closes it. */
export function goToThread (roomId: string, thread: number, answer?: number): void {
  const hash = threadHref(roomId, thread, answer)
  if (location.hash === hash) route.set(read())
  else location.hash = hash
}

/** Closes the thread that is open. */
export function leaveThread (): void {
  const { roomId, thread } = route.get()
  if (roomId === undefined || thread === undefined) return
  history.replaceState(null, '', roomHref(roomId))
  route.set(read())
}
