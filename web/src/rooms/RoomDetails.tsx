/** All about a room, beside its conversation: what it is, who is in it, its invites, and what those who keep order do. Only what the user's role allows is there. */
import { useEffect, useState } from 'react'
import Close from '@mui/icons-material/Close'
import Box from '@mui/material/Box'
import IconButton from '@mui/material/IconButton'
import Tab from '@mui/material/Tab'
import Tabs from '@mui/material/Tabs'
import Typography from '@mui/material/Typography'
import type { PanelProps } from '../app/panels.tsx'
import { useRoom } from '../chat/context.tsx'
import type { RoomSummary } from '../chat/rooms.ts'
import { Order } from '../moderation/Order.tsx'
import { may } from '../moderation/permissions.ts'
import { About } from './About.tsx'
import { Invites } from './Invites.tsx'
import { Members } from './Members.tsx'

type TabName = 'About' | 'Members' | 'Invites' | 'Order'

function tabsOf (room: RoomSummary): TabName[] {
  if (room.kind === 'dm') return ['About']
  return ['About', 'Members', ...may(room, 'invite') ? ['Invites' as const] : [], ...may(room, 'audit') ? ['Order' as const] : []]
}

export default function RoomDetails ({ roomId, onClose }: PanelProps) {
  const room = useRoom(roomId)
  const [tab, setTab] = useState<TabName>('About')
  const isGone = room === undefined
  useEffect(() => { if (isGone) onClose() }, [isGone, onClose])
  if (room === undefined) return null
  const tabs = tabsOf(room)
  const shown = tabs.includes(tab) ? tab : 'About'
  return (
    <Box sx={{ display: 'flex', flexDirection: 'column', height: '100%', minHeight: 0 }} data-testid='room-details'>
      <Box component='header' sx={{ display: 'flex', alignItems: 'center', height: 60, px: 2, flexShrink: 0, borderBottom: tabs.length > 1 ? 0 : 1, borderColor: 'divider' }}>
        <Typography variant='h6' component='h2' sx={{ flex: 1 }}>Details</Typography>
        <IconButton edge='end' aria-label='Close the details' onClick={onClose}><Close /></IconButton>
      </Box>
      {tabs.length > 1 && (
        <Tabs value={shown} onChange={(_, next: TabName) => { setTab(next) }} variant='fullWidth' aria-label='Details of the room' sx={{ borderBottom: 1, borderColor: 'divider', flexShrink: 0, '& .MuiTab-root': { minWidth: 0, px: 1 } }}>
          {tabs.map(name => <Tab key={name} value={name} label={name} id={`details-${name}`} aria-controls='details-panel' />)}
        </Tabs>
      )}
      <Box role={tabs.length > 1 ? 'tabpanel' : undefined} id='details-panel' aria-labelledby={tabs.length > 1 ? `details-${shown}` : undefined} sx={{ flex: 1, minHeight: 0, overflowY: 'auto', p: 2 }}>
        {shown === 'About' && <About room={room} />}
        {shown === 'Members' && <Members room={room} />}
        {shown === 'Invites' && <Invites room={room} />}
        {shown === 'Order' && <Order room={room} />}
      </Box>
    </Box>
  )
}
