/** The picture of a room: of a direct conversation the other one's, with a dot for presence; of others a square with a letter. */
import type { ListedRoom } from '../api/types.ts'
import { useChat, usePerson, usePresence } from '../chat/context.tsx'
import { Avatar } from '../ui/Avatar.tsx'
import { peerIdOf, useRoomName } from './names.ts'

export function RoomAvatar ({ room, size = 40 }: { room: Pick<ListedRoom, 'id' | 'name' | 'kind' | 'peers' | 'peer'>, size?: number }) {
  const { userId } = useChat()
  const name = useRoomName(room)
  const peerId = peerIdOf(room, userId)
  if (peerId !== undefined) return <PeerAvatar id={peerId} name={name} size={size} />
  return <Avatar id={room.id} name={name} size={size} square />
}

function PeerAvatar ({ id, name, size }: { id: string, name: string, size: number }) {
  const person = usePerson(id)
  const status = usePresence(id)
  return <Avatar id={id} name={name} url={person?.avatar_url} size={size} status={status ?? 'offline'} />
}
