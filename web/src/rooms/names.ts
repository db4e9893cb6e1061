/** What a room is called here: its name; of a direct conversation, who the other one is. */
import type { ListedRoom } from '../api/types.ts'
import { useChat, usePerson } from '../chat/context.tsx'

type Named = Pick<ListedRoom, 'id' | 'name' | 'kind' | 'peers' | 'peer'>

/** The other one of a direct conversation; oneself, where one keeps notes; undefined of all other rooms. */
export function peerIdOf (room: Named, me: string): string | undefined {
  if (room.kind !== 'dm') return undefined
  return room.peer?.user_id ?? room.peers?.find(id => id !== me) ?? me
}

export function useRoomName (room: Named | undefined): string {
  const { userId } = useChat()
  const peerId = room === undefined ? undefined : peerIdOf(room, userId)
  const peer = usePerson(peerId ?? '')
  if (room === undefined) return ''
  if (peerId === userId) return 'Notes to yourself'
  if (room.kind === 'dm') return peer?.display_name ?? room.peer?.display_name ?? '…'
  if (room.kind === 'lobby') return 'Lobby'
  return room.name
}

/** What kinds of room are called. */
export const KINDS: Readonly<Record<string, string>> = {
  public: 'Public room', private: 'Private room', protected: 'With a password', group: 'Group', dm: 'Direct conversation', lobby: 'Everyone is here', inbox: 'Inbox',
}
