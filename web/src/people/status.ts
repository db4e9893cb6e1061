/** How the user says they are, on this device; kept over reloads, and told again with each connection. */
import type { Client } from 'millrace/client'
import { Observable } from '../chat/observable.ts'

export type OwnStatus = 'online' | 'away' | 'dnd'

const KEY = 'millrace-status'

function read (): OwnStatus {
  const kept = localStorage.getItem(KEY)
  return kept === 'away' || kept === 'dnd' ? kept : 'online'
}

export const ownStatus = new Observable<OwnStatus>(read())

export function setStatus (client: Client, status: OwnStatus): void {
  ownStatus.set(status)
  localStorage.setItem(KEY, status)
  client.presence(status)
}

/** Says what an earlier page has said; whoever is connected is online anyway. */
export function tellStatus (client: Client): void {
  if (ownStatus.get() !== 'online') client.presence(ownStatus.get())
}
