/**
 * Who may be named in a room by what was begun: its members, loaded when the first @ is written and again when they change; in the lobby, where
 * everyone is, whoever's name begins like that. And everyone at once, where that is allowed.
 */
import { useCallback, useEffect, useMemo, useState } from 'react'
import type { Api } from '../api/calls.ts'
import { useChat, useRoomItself } from '../chat/context.tsx'
import { may } from '../moderation/permissions.ts'
import { useChanges } from '../rooms/useChanges.ts'
import { isNameable, meant, type Begun, type Nameable } from './naming.ts'

export const SHOWN_MAX = 8
/** Members that are loaded, 200 at a time. */
const LOADED_MAX = 1_000
/** Milliseconds after the last key until people are asked for. */
const WAIT_MS = 150
/** In the place of a user: everyone in the room. */
export const EVERYONE: Nameable = { user_id: '', username: 'room', display_name: 'Everyone in this room', avatar_url: null }

export function useNames (roomId: string, begun: Begun | undefined): readonly Nameable[] {
  const chat = useChat()
  const room = useRoomItself(roomId)
  const isLobby = room?.kind === 'lobby'
  const mayAll = room !== undefined && room.kind !== 'dm' && may(room, 'mention room')
  const people = usePeople(roomId, isLobby, begun?.begin)
  return useMemo(() => {
    if (begun === undefined) return NOBODY
    const recent = [...new Set(chat.timeline(roomId).view.get().rows.map(({ message }) => message.user_id).reverse())]
    const others = people.filter(person => person.user_id !== chat.userId && isNameable(person))
    return meant(mayAll ? [...others, EVERYONE] : others, begun.begin, recent, SHOWN_MAX)
  }, [chat, roomId, people, begun?.begin, mayAll])
}

const NOBODY: readonly Nameable[] = []

function usePeople (roomId: string, isLobby: boolean, begin: string | undefined): readonly Nameable[] {
  const { api, people } = useChat()
  const changes = useChanges(roomId)
  const [found, setFound] = useState(NOBODY)
  const isWanted = begin !== undefined
  const asked = isLobby ? begin ?? '' : ''
  const ask = useCallback(async () => isLobby ? await likeThat(api, asked) : await membersOf(api, roomId), [api, roomId, isLobby, asked])
  useEffect(() => {
    if (!isWanted) return
    let isCurrent = true
    const timer = setTimeout(() => { ask().then(found => { if (isCurrent) setFound(found) }, () => {}) }, isLobby ? WAIT_MS : 0)
    return () => {
      isCurrent = false
      clearTimeout(timer)
    }
  }, [ask, isWanted, isLobby, changes])
  // Without a connection, those whom the page knows from the conversation.
  return found.length > 0 ? found : isWanted ? people.known.entries().map(([, { id, username, display_name, avatar_url }]) => ({ user_id: id, username, display_name, avatar_url })) : NOBODY
}

async function likeThat (api: Api, begin: string): Promise<Nameable[]> {
  const { items } = await api.findUsers(begin, SHOWN_MAX * 2)
  return items.map(({ id, ...user }) => ({ user_id: id, ...user }))
}

async function membersOf (api: Api, roomId: string): Promise<Nameable[]> {
  const members: Nameable[] = []
  let after: string | undefined
  do {
    const { items, next } = await api.members(roomId, after)
    members.push(...items)
    after = next ?? undefined
  } while (after !== undefined && members.length < LOADED_MAX)
  return members
}
