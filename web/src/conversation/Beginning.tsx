/** What stands before the first message of a room. */
import Box from '@mui/material/Box'
import Typography from '@mui/material/Typography'
import { useRoom } from '../chat/context.tsx'
import { KINDS, useRoomName } from '../rooms/names.ts'
import { RoomAvatar } from '../rooms/RoomAvatar.tsx'

export function Beginning ({ roomId }: { roomId: string }) {
  const room = useRoom(roomId)
  const name = useRoomName(room)
  if (room === undefined) return null
  return (
    <Box sx={{ px: { xs: 2, sm: 2.5 }, pt: 5, pb: 2 }}>
      <RoomAvatar room={room} size={56} />
      <Typography variant='h5' component='h2' sx={{ mt: 1.5 }}>{name}</Typography>
      <Typography variant='body2' color='textSecondary'>{room.topic !== undefined && room.topic !== '' ? room.topic : `${KINDS[room.kind] ?? 'A room'}. This is where it begins.`}</Typography>
    </Box>
  )
}
