/** The user's rooms: what was new last comes first; above them a filter and the ways into more rooms. */
import { useDeferredValue, useState, type KeyboardEvent, type MouseEvent, type ReactNode } from 'react'
import AddRounded from '@mui/icons-material/AddRounded'
import AlternateEmail from '@mui/icons-material/AlternateEmail'
import ChatBubbleOutlined from '@mui/icons-material/ChatBubbleOutlined'
import ExploreOutlined from '@mui/icons-material/ExploreOutlined'
import FilterList from '@mui/icons-material/FilterList'
import GroupAddOutlined from '@mui/icons-material/GroupAddOutlined'
import Search from '@mui/icons-material/Search'
import Box from '@mui/material/Box'
import Button from '@mui/material/Button'
import IconButton from '@mui/material/IconButton'
import InputAdornment from '@mui/material/InputAdornment'
import List from '@mui/material/List'
import ListItemIcon from '@mui/material/ListItemIcon'
import Menu from '@mui/material/Menu'
import MenuItem from '@mui/material/MenuItem'
import Skeleton from '@mui/material/Skeleton'
import TextField from '@mui/material/TextField'
import Tooltip from '@mui/material/Tooltip'
import Typography from '@mui/material/Typography'
import { openDialog } from '../app/dialogs.tsx'
import { togglePanel, usePanel } from '../app/panels.tsx'
import { useChat, useRooms } from '../chat/context.tsx'
import { useSelected, useValue } from '../chat/observable.ts'
import type { RoomSummary } from '../chat/rooms.ts'
import { openSearch } from '../search/state.ts'
import { rove } from '../ui/roving.ts'
import { RoomItem } from './RoomItem.tsx'

function fits (room: RoomSummary, filter: string): boolean {
  return filter === '' || `${room.name} ${room.kind === 'lobby' ? 'lobby' : ''} ${room.peer?.display_name ?? ''} ${room.peer?.username ?? ''}`.toLowerCase().includes(filter)
}

export function RoomList ({ current }: { current: string | undefined }) {
  const [filter, setFilter] = useState('')
  const wanted = useDeferredValue(filter.trim())
  return (
    <>
      <Box sx={{ display: 'flex', alignItems: 'center', gap: 0.5, px: 1.5, pt: 1.5, pb: 0.5 }}>
        <TextField
          value={filter} onChange={event => { setFilter(event.target.value) }} placeholder='Filter rooms'
          slotProps={{ htmlInput: { 'aria-label': 'Filter rooms' }, input: { startAdornment: <InputAdornment position='start'><FilterList fontSize='small' /></InputAdornment>, sx: { bgcolor: 'background.paper', borderRadius: 99, fontSize: 14, height: 38 } } }}
        />
        <NewMenu />
      </Box>
      <Everywhere />
      <Found wanted={wanted} current={current} />
    </>
  )
}

/** The rooms that are wanted. By itself: it renders with each message, and what stands around it does not. */
function Found ({ wanted, current }: { wanted: string, current: string | undefined }) {
  const rooms = useRooms()
  const isStarted = useValue(useChat().isStarted)
  const filter = wanted.toLowerCase()
  const shown = rooms.filter(room => fits(room, filter))
  /** Where Tab comes in; the arrow keys lead on. */
  const entry = shown.some(({ id }) => id === current) ? current : shown[0]?.id
  return (
    <Box component='nav' aria-label='Your rooms' onKeyDown={(event: KeyboardEvent<HTMLElement>) => { rove(event, '[data-testid=room]') }} sx={{ flex: 1, minHeight: 0, overflowY: 'auto', px: 1, pb: 1 }}>
      {!isStarted && <Waiting />}
      {isStarted && shown.length === 0 && (
        <Box sx={{ p: 3, textAlign: 'center' }}>
          <Typography variant='body2' color='textSecondary' sx={{ mb: 1.5 }}>{wanted === '' ? 'You are in no room yet.' : `No room of yours is called “${wanted}”.`}</Typography>
          <Button variant='outlined' size='small' onClick={() => { openDialog('directory') }}>Find rooms</Button>
        </Box>
      )}
      <List disablePadding>
        {shown.map(room => <RoomItem key={room.id} room={room} isCurrent={room.id === current} isEntry={room.id === entry} />)}
      </List>
    </Box>
  )
}

/** What there is of all rooms at once. */
function Everywhere () {
  const panel = usePanel()
  const mentions = useSelected(useChat().rooms.all, rooms => Object.values(rooms).reduce((sum, room) => sum + room.mentions, 0))
  return (
    <Box role='group' aria-label='In all rooms' sx={{ display: 'flex', gap: 0.75, px: 1.5, pb: 0.75 }}>
      <Beside icon={<Search fontSize='small' />} isOpen={panel === 'search'} label='Search all rooms' onClick={() => { openSearch('everywhere') }}>Search</Beside>
      <Beside icon={<AlternateEmail fontSize='small' />} isOpen={panel === 'mentions'} onClick={() => { togglePanel('mentions') }}>
        Mentions{mentions > 0 && <Box component='span' aria-hidden sx={{ ml: 'auto', minWidth: 20, px: 0.625, borderRadius: 99, bgcolor: 'secondary.main', color: 'secondary.contrastText', fontSize: 11.5, fontWeight: 700, lineHeight: '20px' }}>{Math.min(mentions, 99)}</Box>}{mentions > 0 && <span className='mr-hidden'>, {mentions} unread</span>}
      </Beside>
    </Box>
  )
}

function Beside ({ icon, label, isOpen, onClick, children }: { icon: ReactNode, label?: string, isOpen: boolean, onClick: () => void, children: ReactNode }) {
  return (
    <Button color='inherit' size='small' startIcon={icon} aria-label={label} aria-pressed={isOpen} onClick={onClick} sx={{ flex: 1, minWidth: 0, justifyContent: 'flex-start', px: 1.25, py: 0.625, borderRadius: 1, fontSize: 13.5, color: isOpen ? 'primary.main' : 'text.primary', bgcolor: isOpen ? 'action.selected' : 'action.hover' }}>
      {children}
    </Button>
  )
}

function NewMenu () {
  const [anchor, setAnchor] = useState<HTMLElement | null>(null)
  const pick = (name: 'directory' | 'createRoom' | 'direct') => () => {
    setAnchor(null)
    openDialog(name)
  }
  return (
    <>
      <Tooltip title='New conversation'><IconButton aria-label='New conversation' color='primary' onClick={(event: MouseEvent<HTMLElement>) => { setAnchor(event.currentTarget) }}><AddRounded /></IconButton></Tooltip>
      <Menu anchorEl={anchor} open={anchor !== null} onClose={() => { setAnchor(null) }}>
        <MenuItem onClick={pick('direct')}><ListItemIcon><ChatBubbleOutlined fontSize='small' /></ListItemIcon>Write to somebody</MenuItem>
        <MenuItem onClick={pick('createRoom')}><ListItemIcon><GroupAddOutlined fontSize='small' /></ListItemIcon>Create a room or group</MenuItem>
        <MenuItem onClick={pick('directory')}><ListItemIcon><ExploreOutlined fontSize='small' /></ListItemIcon>Browse public rooms</MenuItem>
      </Menu>
    </>
  )
}

function Waiting () {
  return (
    <Box aria-hidden sx={{ p: 1, display: 'flex', flexDirection: 'column', gap: 2 }}>
      {[72, 54, 64, 48].map((width, i) => (
        <Box key={i} sx={{ display: 'flex', gap: 1.5, alignItems: 'center' }}>
          <Skeleton variant='rounded' width={40} height={40} />
          <Box sx={{ flex: 1 }}><Skeleton width={`${width}%`} /><Skeleton width='85%' /></Box>
        </Box>
      ))}
    </Box>
  )
}
