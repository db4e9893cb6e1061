/** What a room is, how much the user wants to hear of it, and the ways to change it and out of it. */
import { useCallback, useEffect } from 'react'
import DeleteOutlined from '@mui/icons-material/DeleteOutlined'
import Logout from '@mui/icons-material/Logout'
import PersonOutlined from '@mui/icons-material/PersonOutlined'
import TuneOutlined from '@mui/icons-material/TuneOutlined'
import Alert from '@mui/material/Alert'
import Box from '@mui/material/Box'
import Button from '@mui/material/Button'
import Typography from '@mui/material/Typography'
import type { Room } from '../api/types.ts'
import { openDialog } from '../app/dialogs.tsx'
import { go } from '../app/route.ts'
import { useChat, usePerson } from '../chat/context.tsx'
import type { RoomSummary } from '../chat/rooms.ts'
import { may, ROLE_NAMES } from '../moderation/permissions.ts'
import { RoomLevel } from '../notifications/RoomLevel.tsx'
import { useLoaded } from '../ui/useLoaded.ts'
import { roomCalls } from './calls.ts'
import { KINDS, peerIdOf, useRoomName } from './names.ts'
import { RoomAvatar } from './RoomAvatar.tsx'
import { useChanges } from './useChanges.ts'

export function About ({ room }: { room: RoomSummary }) {
  const chat = useChat()
  const name = useRoomName(room)
  const { value: details, error } = useLoaded(useCallback(async () => await chat.api.room(room.id), [chat, room.id]), useChanges(room.id))
  useEffect(() => { if (details !== undefined) chat.rooms.change(room.id, { role: details.role, ...(details.members !== undefined && { members: details.members }) }) }, [chat, room.id, details])
  return (
    <Box sx={{ display: 'flex', flexDirection: 'column', gap: 2.5 }}>
      <Box sx={{ display: 'flex', flexDirection: 'column', alignItems: 'center', textAlign: 'center', gap: 1, pt: 1 }}>
        <RoomAvatar room={room} size={72} />
        <Typography variant='h5' component='h3' sx={{ overflowWrap: 'anywhere' }}>{name}</Typography>
        {room.kind !== 'dm' && <Typography variant='body2' color='textSecondary' sx={{ overflowWrap: 'anywhere', whiteSpace: 'pre-line' }}>{room.topic === undefined || room.topic === '' ? KINDS[room.kind] : room.topic}</Typography>}
      </Box>
      {error !== undefined && <Alert severity='error'>{error.message}</Alert>}
      {room.kind === 'dm' ? <Peer room={room} /> : details !== undefined && <Facts room={details} />}
      <RoomLevel room={room} />
      <Ways room={room} details={details} name={name} />
    </Box>
  )
}

function Facts ({ room }: { room: Room }) {
  const { slow_mode_s = 0, members_max = 0, retention_days = 0 } = room
  const facts: Array<[string, string]> = [
    ['Kind', KINDS[room.kind] ?? room.kind],
    ['My role', room.kind === 'lobby' && room.role === 'none' ? ROLE_NAMES.member : ROLE_NAMES[room.role]],
    ...room.kind === 'lobby' ? [] : [['Members', members_max > 0 ? `${room.members ?? '…'} of at most ${members_max}` : String(room.members ?? '…')] as [string, string]],
    ['Messages', String(room.messages ?? '…')],
    ...room.kind === 'lobby' ? [] : [['Newcomers read', room.history === 'joined' ? 'from when they came' : 'from the beginning'] as [string, string]],
    ...slow_mode_s > 0 ? [['Slow mode', spanOf(slow_mode_s)] as [string, string]] : [],
    ...retention_days > 0 ? [['Messages are kept', `${retention_days} ${retention_days === 1 ? 'day' : 'days'}`] as [string, string]] : [],
    ...room.archived === true ? [['Archived', 'It can only be read'] as [string, string]] : [],
  ]
  return (
    <Box component='dl' sx={{ m: 0, p: 1.5, borderRadius: 2, bgcolor: 'background.paper', border: 1, borderColor: 'divider', display: 'grid', gridTemplateColumns: 'auto 1fr', columnGap: 2, rowGap: 0.75, fontSize: 13.5, '& dt': { color: 'text.secondary' }, '& dd': { m: 0, textAlign: 'right', overflowWrap: 'anywhere' } }}>
      {facts.map(([what, is]) => [<dt key={what}>{what}</dt>, <dd key={`${what}-is`}>{is}</dd>])}
    </Box>
  )
}

/** 30 s, 5 min, 1 h: as people say it. */
function spanOf (seconds: number): string {
  const [n, unit] = seconds % 3600 === 0 ? [seconds / 3600, 'h'] : seconds % 60 === 0 ? [seconds / 60, 'min'] : [seconds, 's']
  return `${n} ${unit} between two messages`
}

function Peer ({ room }: { room: RoomSummary }) {
  const { userId } = useChat()
  const peerId = peerIdOf(room, userId) ?? userId
  const person = usePerson(peerId)
  return (
    <>
      <Typography variant='body2' color='textSecondary' sx={{ textAlign: 'center', mt: -2 }}>@{person?.username ?? '…'}{person?.status_text != null ? ` · ${person.status_text}` : ''}</Typography>
      <Button variant='outlined' startIcon={<PersonOutlined />} onClick={() => { openDialog('profile', { userId: peerId }) }}>Profile</Button>
    </>
  )
}

function Ways ({ room, details, name }: { room: RoomSummary, details: Room | undefined, name: string }) {
  const chat = useChat()
  const leave = (): void => {
    openDialog('confirm', {
      title: `Leave ${name}?`,
      text: room.kind === 'public' ? 'You can come back at any time.' : 'You read nothing of it any more, and come back only if you are let in again.',
      action: 'Leave',
      async run () {
        await chat.leave(room.id)
        go()
      },
    })
  }
  const remove = (): void => {
    openDialog('confirm', {
      title: `Delete ${name}?`,
      text: 'It is gone for everybody who is in it, with all that was said. This cannot be taken back.',
      action: 'Delete the room',
      async run () {
        await roomCalls(chat.api, room.id).remove()
        chat.rooms.remove(room.id)
        go()
      },
    })
  }
  return (
    <Box sx={{ display: 'flex', flexDirection: 'column', gap: 1 }}>
      {may(room, 'update') && details !== undefined && <Button variant='outlined' startIcon={<TuneOutlined />} onClick={() => { openDialog('roomSettings', { room: details }) }}>Room settings</Button>}
      {may(room, 'leave') && <Button variant='outlined' color='error' startIcon={<Logout />} onClick={leave}>Leave</Button>}
      {may(room, 'remove') && <Button color='error' startIcon={<DeleteOutlined />} onClick={remove}>Delete the room</Button>}
    </Box>
  )
}
