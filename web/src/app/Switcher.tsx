/** Goes to a room by a few letters of its name: those with news stand first. */
import { useEffect, useId, useRef, useState, type KeyboardEvent } from 'react'
import Box from '@mui/material/Box'
import Dialog from '@mui/material/Dialog'
import InputBase from '@mui/material/InputBase'
import Typography from '@mui/material/Typography'
import { useRooms } from '../chat/context.tsx'
import type { RoomSummary } from '../chat/rooms.ts'
import { KINDS, useRoomName } from '../rooms/names.ts'
import { RoomAvatar } from '../rooms/RoomAvatar.tsx'
import { go } from './route.ts'

/** Rooms that are offered at a time. */
const SHOWN_MAX = 30

function namesOf ({ name, kind, peer }: RoomSummary): string {
  return `${name} ${kind === 'lobby' ? 'lobby' : ''} ${peer?.display_name ?? ''} ${peer?.username ?? ''}`.toLowerCase()
}

function offered (rooms: readonly RoomSummary[], wanted: string): RoomSummary[] {
  const fitting = rooms.filter(room => wanted.split(/\s+/).every(word => namesOf(room).includes(word)))
  const rank = (room: RoomSummary): number => (namesOf(room).trim().startsWith(wanted) ? 0 : 2) + (room.unread > 0 ? 0 : 1)
  return fitting.toSorted((a, b) => rank(a) - rank(b)).slice(0, SHOWN_MAX)
}

export default function Switcher ({ onClose }: { onClose: () => void }) {
  const rooms = useRooms()
  const [text, setText] = useState('')
  const [at, setAt] = useState(0)
  const id = useId()
  const list = useRef<HTMLUListElement>(null)
  const shown = offered(rooms, text.trim().toLowerCase())
  const optionId = (i: number): string => `${id}-${i}`
  useEffect(() => { list.current?.children[at]?.scrollIntoView({ block: 'nearest' }) }, [at])

  const pick = (room: RoomSummary | undefined): void => {
    if (room === undefined) return
    onClose()
    go(room.id)
  }
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.nativeEvent.isComposing || shown.length === 0) return
    const step = event.key === 'ArrowDown' ? 1 : event.key === 'ArrowUp' ? -1 : 0
    if (step !== 0) setAt((at + step + shown.length) % shown.length)
    else if (event.key === 'Enter') pick(shown[at])
    else return
    event.preventDefault()
  }
  return (
    <Dialog open onClose={onClose} slotProps={{ container: { sx: { alignItems: 'flex-start' } }, paper: { 'aria-label': 'Go to a room', sx: { mt: { xs: 2, sm: '12vh' } } } }}>
      <InputBase
        autoFocus fullWidth value={text} placeholder='Go to…' onKeyDown={onKeyDown} onChange={event => { setText(event.target.value); setAt(0) }}
        slotProps={{ input: { role: 'combobox', 'aria-label': 'Go to a room', 'aria-expanded': true, 'aria-controls': id, 'aria-autocomplete': 'list', 'aria-activedescendant': shown.length > 0 ? optionId(at) : undefined } }}
        sx={{ px: 2.5, py: 1.5, fontSize: 17, borderBottom: 1, borderColor: 'divider' }}
      />
      <Box component='ul' ref={list} id={id} role='listbox' aria-label='Rooms' sx={{ listStyle: 'none', m: 0, p: 1, maxHeight: '50vh', overflowY: 'auto' }}>
        {shown.map((room, i) => <Option key={room.id} id={optionId(i)} room={room} isAt={i === at} onPick={() => { pick(room) }} onAt={() => { setAt(i) }} />)}
      </Box>
      {shown.length === 0 && <Typography role='status' variant='body2' color='textSecondary' sx={{ px: 3, pb: 3, textAlign: 'center' }}>No room of yours is called like that.</Typography>}
    </Dialog>
  )
}

function Option ({ id, room, isAt, onPick, onAt }: { id: string, room: RoomSummary, isAt: boolean, onPick: () => void, onAt: () => void }) {
  const name = useRoomName(room)
  return (
    <Box component='li' id={id} role='option' aria-selected={isAt} onClick={onPick} onMouseMove={onAt} sx={{ display: 'flex', alignItems: 'center', gap: 1.5, px: 1.5, py: 0.75, borderRadius: 2, cursor: 'pointer', bgcolor: isAt ? 'action.selected' : undefined }}>
      <RoomAvatar room={room} size={30} />
      <Typography component='span' noWrap sx={{ flex: 1, minWidth: 0, fontWeight: room.unread > 0 ? 700 : 500 }}>{name}</Typography>
      <Typography component='span' variant='caption' color={room.unread > 0 ? 'primary' : 'textSecondary'} sx={{ flexShrink: 0 }}>{room.unread > 0 ? `${room.unread} unread` : KINDS[room.kind]}</Typography>
    </Box>
  )
}
