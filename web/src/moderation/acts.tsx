/** What the user may do with somebody in a room, as a menu; nothing where their role does not allow it. Each asks before it is done. */
import type { ReactNode } from 'react'
import Block from '@mui/icons-material/Block'
import ManageAccountsOutlined from '@mui/icons-material/ManageAccountsOutlined'
import PersonRemoveOutlined from '@mui/icons-material/PersonRemoveOutlined'
import VolumeOffOutlined from '@mui/icons-material/VolumeOffOutlined'
import VolumeUpOutlined from '@mui/icons-material/VolumeUpOutlined'
import ListItemIcon from '@mui/material/ListItemIcon'
import Menu from '@mui/material/Menu'
import MenuItem from '@mui/material/MenuItem'
import type { Member } from '../api/types.ts'
import { openDialog } from '../app/dialogs.tsx'
import type { RoomSummary } from '../chat/rooms.ts'
import { may, outranks } from './permissions.ts'

export interface Act { readonly name: string, readonly icon: ReactNode, readonly isGrave: boolean, readonly run: () => void }

export function actsOn (room: RoomSummary, member: Pick<Member, 'user_id' | 'display_name' | 'role' | 'muted_until'>, me: string): readonly Act[] {
  const props = { roomId: room.id, roomName: room.kind === 'lobby' ? 'the lobby' : room.name, userId: member.user_id, name: member.display_name }
  if (member.user_id === me || !outranks(room.role, member.role)) return []
  const acts: Act[] = []
  if (may(room, 'role')) acts.push({ name: 'Change role…', icon: <ManageAccountsOutlined fontSize='small' />, isGrave: false, run: () => { openDialog('giveRole', { ...props, role: member.role, myRole: room.role ?? 'none' }) } })
  if (may(room, 'mute')) {
    if (member.muted_until !== undefined) acts.push({ name: 'Unmute…', icon: <VolumeUpOutlined fontSize='small' />, isGrave: false, run: () => { openDialog('moderate', { ...props, act: 'unmute' }) } })
    else acts.push({ name: 'Mute…', icon: <VolumeOffOutlined fontSize='small' />, isGrave: false, run: () => { openDialog('moderate', { ...props, act: 'mute' }) } })
  }
  if (may(room, 'kick')) acts.push({ name: 'Remove…', icon: <PersonRemoveOutlined fontSize='small' color='error' />, isGrave: true, run: () => { openDialog('moderate', { ...props, act: 'kick' }) } })
  if (may(room, 'ban')) acts.push({ name: 'Ban…', icon: <Block fontSize='small' color='error' />, isGrave: true, run: () => { openDialog('moderate', { ...props, act: 'ban' }) } })
  return acts
}

export function ActsMenu ({ acts, anchor, onClose }: { acts: readonly Act[], anchor: HTMLElement | null, onClose: () => void }) {
  return (
    <Menu anchorEl={anchor} open={anchor !== null} onClose={onClose}>
      {acts.map(({ name, icon, isGrave, run }) => (
        <MenuItem key={name} onClick={() => { onClose(); run() }} sx={isGrave ? { color: 'error.main' } : {}}><ListItemIcon>{icon}</ListItemIcon>{name}</MenuItem>
      ))}
    </Menu>
  )
}
