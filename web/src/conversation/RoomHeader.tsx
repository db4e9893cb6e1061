/** The bar above a conversation: which room it is, and what can be looked at beside it. To add a button, add it to BESIDE. */
import { memo, useState, type MouseEvent, type ReactNode } from 'react'
import ArrowBack from '@mui/icons-material/ArrowBack'
import InfoOutlined from '@mui/icons-material/InfoOutlined'
import MoreVert from '@mui/icons-material/MoreVert'
import PushPinOutlined from '@mui/icons-material/PushPinOutlined'
import SearchIcon from '@mui/icons-material/Search'
import TerminalOutlined from '@mui/icons-material/TerminalOutlined'
import Box from '@mui/material/Box'
import IconButton from '@mui/material/IconButton'
import ListItemIcon from '@mui/material/ListItemIcon'
import Menu from '@mui/material/Menu'
import MenuItem from '@mui/material/MenuItem'
import Tooltip from '@mui/material/Tooltip'
import Typography from '@mui/material/Typography'
import type { Status } from '../api/types.ts'
import { ConnectionChip } from '../app/ConnectionChip.tsx'
import { togglePanel, usePanel, type PanelName } from '../app/panels.tsx'
import { go } from '../app/route.ts'
import { useChat, usePresence, useRoomItself } from '../chat/context.tsx'
import { KINDS, peerIdOf, useRoomName } from '../rooms/names.ts'
import { RoomAvatar } from '../rooms/RoomAvatar.tsx'
import { openSearch } from '../search/state.ts'

const SAID: Record<Status, string> = { online: 'Online', away: 'Away', dnd: 'Do not disturb', offline: 'Offline' }

const BESIDE: ReadonlyArray<{ panel: PanelName, name: string, more: string, icon: ReactNode }> = [
  { panel: 'pins', name: 'Pinned messages', more: 'Pinned messages', icon: <PushPinOutlined /> },
  { panel: 'details', name: 'Details', more: 'Details: members, settings, invites', icon: <InfoOutlined /> },
  { panel: 'inspector', name: 'Inspector', more: 'Inspector: the room’s log, and the plug', icon: <TerminalOutlined /> },
]

export const RoomHeader = memo(function RoomHeader ({ roomId, isWide }: { roomId: string, isWide: boolean }) {
  const { userId } = useChat()
  const room = useRoomItself(roomId)!
  const name = useRoomName(room)
  const panel = usePanel()
  const status = usePresence(peerIdOf(room, userId) ?? '')
  const members = room.members === undefined || room.kind === 'lobby' ? undefined : `${room.members} ${room.members === 1 ? 'member' : 'members'}`
  const about = room.kind === 'dm' ? (status === undefined ? '' : SAID[status]) : [members ?? KINDS[room.kind], room.topic].filter(text => text !== undefined && text !== '').join(' · ')
  return (
    <Box component='header' sx={{ display: 'flex', alignItems: 'center', gap: { xs: 0.75, sm: 1.25 }, height: 60, px: { xs: 1, sm: 2 }, flexShrink: 0, borderBottom: 1, borderColor: 'divider' }}>
      {!isWide && <IconButton edge='start' aria-label='Back to the rooms' onClick={() => { go() }}><ArrowBack /></IconButton>}
      <RoomAvatar room={room} size={36} />
      <Box sx={{ flex: 1, minWidth: 0 }}>
        <Typography component='h2' variant='h6' noWrap sx={{ lineHeight: 1.3 }}>{name}</Typography>
        <Typography component='p' variant='body2' color='textSecondary' noWrap sx={{ fontSize: 12.5, lineHeight: 1.3 }}>{about}</Typography>
      </Box>
      {!isWide && <ConnectionChip />}
      <Tooltip title='Search in this room'>
        <IconButton aria-label='Search in this room' color={panel === 'search' ? 'primary' : 'default'} onClick={() => { openSearch('room') }}><SearchIcon /></IconButton>
      </Tooltip>
      {isWide
        ? BESIDE.map(({ panel: beside, name, more, icon }) => (
          <Tooltip key={beside} title={more}>
            <IconButton aria-label={name} aria-pressed={panel === beside} color={panel === beside ? 'primary' : 'default'} onClick={() => { togglePanel(beside) }}>{icon}</IconButton>
          </Tooltip>
        ))
        : <More />}
    </Box>
  )
})

/** On a phone there is room for one button more. */
function More () {
  const [anchor, setAnchor] = useState<HTMLElement | null>(null)
  return (
    <>
      <IconButton aria-label='More of this room' aria-haspopup='menu' onClick={(event: MouseEvent<HTMLElement>) => { setAnchor(event.currentTarget) }}><MoreVert /></IconButton>
      <Menu anchorEl={anchor} open={anchor !== null} onClose={() => { setAnchor(null) }}>
        {BESIDE.map(({ panel, name, icon }) => <MenuItem key={panel} onClick={() => { setAnchor(null); togglePanel(panel) }}><ListItemIcon>{icon}</ListItemIcon>{name}</MenuItem>)}
      </Menu>
    </>
  )
}
