/** What the user is told of while no page is open: on which devices, when not, and how much of each room. */
import { useState } from 'react'
import Box from '@mui/material/Box'
import List from '@mui/material/List'
import ListItem from '@mui/material/ListItem'
import TextField from '@mui/material/TextField'
import Typography from '@mui/material/Typography'
import { useRooms } from '../chat/context.tsx'
import type { RoomSummary } from '../chat/rooms.ts'
import { QuietTimes } from '../notifications/QuietTimes.tsx'
import { RoomLevel } from '../notifications/RoomLevel.tsx'
import { ThisDevice } from '../notifications/ThisDevice.tsx'
import { useRoomName } from '../rooms/names.ts'
import { RoomAvatar } from '../rooms/RoomAvatar.tsx'

/** From so many rooms on they can be looked for. */
const SEARCHED_MIN = 8

export function Notifications () {
  return (
    <Box sx={{ display: 'flex', flexDirection: 'column', gap: 3 }}>
      <ThisDevice />
      <QuietTimes />
      <Rooms />
    </Box>
  )
}

function Rooms () {
  const rooms = useRooms()
  const [text, setText] = useState('')
  return (
    <Box component='section' aria-labelledby='rooms-title'>
      <Typography variant='subtitle2' component='h3' id='rooms-title'>Rooms</Typography>
      {rooms.length >= SEARCHED_MIN && <TextField label='Find a room' value={text} onChange={event => { setText(event.target.value) }} sx={{ mt: 1 }} />}
      <List disablePadding aria-labelledby='rooms-title'>{rooms.map(room => <Item key={room.id} room={room} text={text.trim().toLowerCase()} />)}</List>
    </Box>
  )
}

/** Of a direct conversation the other one's name is known here only: so each says for itself whether it is looked for. */
function Item ({ room, text }: { room: RoomSummary, text: string }) {
  const name = useRoomName(room)
  if (!name.toLowerCase().includes(text)) return null
  return (
    <ListItem disableGutters sx={{ gap: 1.5 }} data-testid='room-level'>
      <Box aria-hidden sx={{ flexShrink: 0 }}><RoomAvatar room={room} size={32} /></Box>
      <Typography noWrap sx={{ flex: 1, minWidth: 0, fontSize: 14 }}>{name}</Typography>
      <Box sx={{ width: { xs: 150, sm: 230 }, flexShrink: 0 }}><RoomLevel room={room} of={name} /></Box>
    </ListItem>
  )
}
