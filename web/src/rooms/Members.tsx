/** Who is in a room: those who run it first, with a dot for how they are, a filter, and for each what the user may do. */
import { useCallback, useDeferredValue, useEffect, useMemo, useState, type MouseEvent } from 'react'
import MoreVert from '@mui/icons-material/MoreVert'
import PersonAddOutlined from '@mui/icons-material/PersonAddOutlined'
import Alert from '@mui/material/Alert'
import Box from '@mui/material/Box'
import Button from '@mui/material/Button'
import Chip from '@mui/material/Chip'
import IconButton from '@mui/material/IconButton'
import List from '@mui/material/List'
import ListItem from '@mui/material/ListItem'
import ListItemButton from '@mui/material/ListItemButton'
import Skeleton from '@mui/material/Skeleton'
import TextField from '@mui/material/TextField'
import Typography from '@mui/material/Typography'
import type { Member } from '../api/types.ts'
import { openDialog } from '../app/dialogs.tsx'
import { useChat, usePresence } from '../chat/context.tsx'
import type { RoomSummary } from '../chat/rooms.ts'
import { actsOn, ActsMenu } from '../moderation/acts.tsx'
import { may, ROLE_NAMES } from '../moderation/permissions.ts'
import { Avatar } from '../ui/Avatar.tsx'
import { useLoaded } from '../ui/useLoaded.ts'
import { useChanges } from './useChanges.ts'

/** Members that are loaded; in larger rooms the filter says that there are more. */
const LOADED_MAX = 1_000
const ORDER = ['owner', 'admin', 'moderator', 'member', 'none', 'kicked']

export function Members ({ room }: { room: RoomSummary }) {
  const chat = useChat()
  const { api, people } = chat
  const { value, error } = useLoaded(useCallback(async () => {
    const members: Member[] = []
    let after: string | undefined
    do {
      const { items, next } = await api.members(room.id, after)
      members.push(...items)
      after = next ?? undefined
    } while (after !== undefined && members.length < LOADED_MAX)
    return { members, isAll: after === undefined }
  }, [api, room.id]), useChanges(room.id))
  useEffect(() => { for (const member of value?.members ?? []) people.seen(member) }, [people, value])
  const [filter, setFilter] = useState('')
  const wanted = useDeferredValue(filter.trim().toLowerCase())
  const shown = useMemo(() => value?.members
    .filter(({ username, display_name }) => `${display_name} ${username}`.toLowerCase().includes(wanted))
    .sort((a, b) => ORDER.indexOf(a.role) - ORDER.indexOf(b.role) || a.display_name.localeCompare(b.display_name)), [value, wanted])
  return (
    <>
      <Box sx={{ display: 'flex', gap: 1, mb: 1 }}>
        <TextField label='Find a member' value={filter} onChange={event => { setFilter(event.target.value) }} autoComplete='off' />
        {may(room, 'add') && <Button variant='outlined' startIcon={<PersonAddOutlined />} onClick={() => { openDialog('addPeople', { roomId: room.id, members: value?.members.map(({ user_id }) => user_id) ?? [] }) }} sx={{ flexShrink: 0 }}>Add</Button>}
      </Box>
      {error !== undefined && <Alert severity='error'>{error.message}</Alert>}
      {shown === undefined && error === undefined && [0, 1, 2].map(i => <Skeleton key={i} height={52} />)}
      {value?.isAll === false && <Typography variant='body2' color='textSecondary' sx={{ py: 1 }}>The first {LOADED_MAX.toLocaleString()} members are listed.</Typography>}
      {shown?.length === 0 && <Typography variant='body2' color='textSecondary' sx={{ py: 3, textAlign: 'center' }}>Nobody here is called like that.</Typography>}
      <List disablePadding aria-label='Members' sx={{ mx: -1 }}>{shown?.map(member => <MemberItem key={member.user_id} room={room} member={member} />)}</List>
    </>
  )
}

function MemberItem ({ room, member }: { room: RoomSummary, member: Member }) {
  const { userId } = useChat()
  const [anchor, setAnchor] = useState<HTMLElement | null>(null)
  const acts = actsOn(room, member, userId)
  const isMuted = member.muted_until !== undefined
  return (
    <ListItem disablePadding data-testid='member' data-user={member.username} secondaryAction={acts.length > 0 && <IconButton edge='end' aria-label={`What to do with ${member.display_name}`} aria-haspopup='menu' onClick={(event: MouseEvent<HTMLElement>) => { setAnchor(event.currentTarget) }} sx={{ mr: -0.5 }}><MoreVert fontSize='small' /></IconButton>}>
      <ListItemButton onClick={() => { openDialog('profile', { userId: member.user_id, roomId: room.id }) }} sx={{ borderRadius: 2, gap: 1.5, px: 1, py: 0.75 }}>
        <MemberAvatar member={member} />
        <Box sx={{ flex: 1, minWidth: 0 }}>
          <Typography noWrap sx={{ fontWeight: 600, fontSize: 14 }}>{member.display_name}{member.user_id === userId ? ' (you)' : ''}</Typography>
          <Typography variant='body2' color='textSecondary' noWrap sx={{ fontSize: 12.5 }}>@{member.username}{isMuted ? ' · muted' : ''}</Typography>
        </Box>
        {ORDER.indexOf(member.role) < ORDER.indexOf('member') && <Chip size='small' label={ROLE_NAMES[member.role]} color={member.role === 'owner' ? 'primary' : 'default'} variant='outlined' />}
      </ListItemButton>
      <ActsMenu acts={acts} anchor={anchor} onClose={() => { setAnchor(null) }} />
    </ListItem>
  )
}

function MemberAvatar ({ member: { user_id, display_name, avatar_url } }: { member: Member }) {
  const status = usePresence(user_id)
  return <Avatar id={user_id} name={display_name} url={avatar_url} status={status ?? 'offline'} />
}
