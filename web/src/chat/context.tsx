/** The chat in components: who it is, and hooks for what they show. Each hook renders its component again only when its own part changes. */
import { createContext, use, useEffect, useMemo } from 'react'
import type { State } from 'millrace/client'
import type { Me, Status } from '../api/types.ts'
import type { Chat } from './chat.ts'
import { useKey, useSelected, useValue } from './observable.ts'
import type { Person } from './people.ts'
import { inOrder, type Rooms, type RoomSummary } from './rooms.ts'
import type { Timeline, TimelineView } from './timeline.ts'

/** Milliseconds after which a room that could not be loaded is tried again. */
const AGAIN_MS = 3_000

const ChatContext = createContext<Chat | undefined>(undefined)

export const ChatProvider = ChatContext.Provider

export function useChat (): Chat {
  const chat = use(ChatContext)
  if (chat === undefined) throw new Error('There is no ChatProvider around this component')
  return chat
}

/** What is true of the connection now. */
export function useConnection (): State { return useValue(useChat().state) }

/** Whether there is a connection: what needs the server at once can be done. */
export function useIsConnected (): boolean {
  return useSelected(useChat().state, ({ name }) => name === 'live' || name === 'catching up')
}

export function useMe (): Me | undefined { return useValue(useChat().me) }

/** The rooms in the order of the list. */
export function useRooms (): readonly RoomSummary[] {
  const rooms: Rooms = useValue(useChat().rooms.all)
  return useMemo(() => inOrder(rooms), [rooms])
}

/** A room of the list; undefined if the user is not in it. */
export function useRoom (id: string): RoomSummary | undefined {
  return useSelected(useChat().rooms.all, rooms => rooms[id])
}

/** What changes of a room with each message, and with each that is read. */
const LIVELY = new Set<string>(['head_seq', 'last_message', 'at', 'unread', 'mentions', 'read_seq'] satisfies Array<keyof RoomSummary>)

function isSameItself (a: RoomSummary | undefined, b: RoomSummary | undefined): boolean {
  if (a === b || a === undefined || b === undefined) return a === b
  const names = new Set([...Object.keys(a), ...Object.keys(b)]) as Set<keyof RoomSummary>
  return [...names].every(name => LIVELY.has(name) || a[name] === b[name])
}

/** A room as it is whatever is said in it (name, kind, role, …): whoever shows no more does not render with each message. Its lively parts are old. */
export function useRoomItself (id: string): RoomSummary | undefined {
  return useSelected(useChat().rooms.all, rooms => rooms[id], isSameItself)
}

/** Somebody; fetched if they are not known. */
export function usePerson (id: string): Person | undefined {
  const { people } = useChat()
  const person = useKey(people.known, id)
  useEffect(() => { if (person === undefined && id !== '') people.want(id) }, [people, id, person])
  return person
}

/** How somebody is; asked if it is not known. */
export function usePresence (id: string): Status | undefined {
  const { people } = useChat()
  const status = useKey(people.presence, id)
  useEffect(() => { if (id !== '') people.wantPresence(id) }, [people, id])
  return status
}

/** A room's conversation, opened: its newest messages are loaded, and it is followed. */
export function useTimeline (roomId: string): { timeline: Timeline, view: TimelineView } {
  const chat = useChat()
  const isStarted = useValue(chat.isStarted)
  const timeline = chat.timeline(roomId)
  const view = useValue(timeline.view)
  const isConnected = useIsConnected()
  const hasFailed = view.status === 'failed'
  useEffect(() => { if (isStarted) chat.open(roomId).catch(() => {}) }, [chat, roomId, isStarted, isConnected])
  useEffect(() => {
    if (!isConnected) return
    timeline.retry()
    const again = hasFailed ? setInterval(() => { timeline.retry() }, AGAIN_MS) : undefined
    return () => { clearInterval(again) }
  }, [timeline, hasFailed, isConnected])
  return { timeline, view }
}
