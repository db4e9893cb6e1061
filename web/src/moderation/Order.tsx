/** For those who keep order: who is banned, and what was done in the room, newest first. */
import { useCallback, useEffect, useState } from 'react'
import Alert from '@mui/material/Alert'
import Box from '@mui/material/Box'
import Button from '@mui/material/Button'
import List from '@mui/material/List'
import ListItem from '@mui/material/ListItem'
import Skeleton from '@mui/material/Skeleton'
import Typography from '@mui/material/Typography'
import { openDialog } from '../app/dialogs.tsx'
import { useChat, usePerson } from '../chat/context.tsx'
import type { RoomSummary } from '../chat/rooms.ts'
import { useChanges } from '../rooms/useChanges.ts'
import { fully } from '../ui/times.ts'
import { useLoaded } from '../ui/useLoaded.ts'
import { moderation, type Audited, type Banned } from './calls.ts'
import { ROLE_NAMES } from './permissions.ts'

export function Order ({ room }: { room: RoomSummary }) {
  return (
    <Box sx={{ display: 'flex', flexDirection: 'column', gap: 2.5 }}>
      <Bans room={room} />
      <Audit room={room} />
    </Box>
  )
}

function Bans ({ room }: { room: RoomSummary }) {
  const { api } = useChat()
  const { value, error } = useLoaded(useCallback(async () => await moderation(api, room.id).bans(), [api, room.id]), useChanges(room.id))
  return (
    <Box component='section' aria-labelledby='bans-title'>
      <Typography variant='subtitle2' component='h3' id='bans-title'>Banned</Typography>
      {error !== undefined && <Alert severity='error'>{error.message}</Alert>}
      {value?.items.length === 0 && <Typography variant='body2' color='textSecondary' sx={{ py: 1 }}>Nobody is banned.</Typography>}
      <List disablePadding>{value?.items.map(banned => <BanItem key={banned.user_id} room={room} banned={banned} />)}</List>
      {value !== undefined && value.next !== null && <Typography variant='body2' color='textSecondary'>There are more.</Typography>}
    </Box>
  )
}

function BanItem ({ room, banned }: { room: RoomSummary, banned: Banned }) {
  const lift = (): void => { openDialog('moderate', { act: 'unban', roomId: room.id, roomName: room.name, userId: banned.user_id, name: banned.display_name }) }
  return (
    <ListItem disableGutters data-testid='banned' secondaryAction={<Button size='small' aria-label={`Lift the ban of ${banned.display_name}`} onClick={lift}>Lift</Button>}>
      <Box sx={{ minWidth: 0, pr: 5 }}>
        <Typography noWrap sx={{ fontSize: 14, fontWeight: 600 }}>{banned.display_name}</Typography>
        <Typography variant='body2' color='textSecondary' noWrap sx={{ fontSize: 12.5 }}>@{banned.username} · {banned.until === undefined ? 'for good' : `until ${fully(banned.until)}`}</Typography>
      </Box>
    </ListItem>
  )
}

function Audit ({ room }: { room: RoomSummary }) {
  const { api } = useChat()
  const [older, setOlder] = useState<readonly Audited[]>([])
  const [next, setNext] = useState<number | null>(null)
  const { value, error } = useLoaded(useCallback(async () => await moderation(api, room.id).audit(), [api, room.id]), useChanges(room.id, true))
  useEffect(() => {
    setOlder([])
    setNext(value?.next ?? null)
  }, [value])
  const more = (): void => {
    moderation(api, room.id).audit(next ?? undefined).then(page => {
      setOlder(now => [...now, ...page.items])
      setNext(page.next)
    }, () => {}) // the button is still there
  }
  return (
    <Box component='section' aria-labelledby='audit-title'>
      <Typography variant='subtitle2' component='h3' id='audit-title'>What was done</Typography>
      {error !== undefined && <Alert severity='error'>{error.message}</Alert>}
      {value === undefined && error === undefined && [0, 1, 2].map(i => <Skeleton key={i} height={44} />)}
      <List disablePadding aria-labelledby='audit-title'>{[...value?.items ?? [], ...older].map(item => <AuditItem key={item.seq} item={item} />)}</List>
      {next !== null && <Button size='small' onClick={more}>Older</Button>}
    </Box>
  )
}

function AuditItem ({ item }: { item: Audited }) {
  const about = item.target ?? item.author
  return (
    <ListItem disableGutters data-testid='audited' sx={{ display: 'block', py: 0.75 }}>
      <Typography sx={{ fontSize: 13.5, overflowWrap: 'anywhere' }}><Name id={item.user_id} />{item.operator === true ? ' (operator)' : ''} {saidOf(item)}{about !== undefined && about !== item.user_id && <> <Name id={about} /></>}{item.type === 'role' && item.role !== undefined ? ` ${ROLE_NAMES[item.role].toLowerCase()}` : ''}</Typography>
      {item.reason !== undefined && <Typography variant='body2' sx={{ fontSize: 12.5, overflowWrap: 'anywhere' }}>“{item.reason}”</Typography>}
      <Typography variant='body2' color='textSecondary' component='time' sx={{ fontSize: 12 }}>{fully(item.timestamp)}{item.until !== undefined ? ` · until ${fully(item.until)}` : ''}</Typography>
    </ListItem>
  )
}

function Name ({ id }: { id: string }) {
  const person = usePerson(id)
  return <strong>{person?.display_name ?? '…'}</strong>
}

function saidOf ({ type, target, user_id, lifted, added, change, name, topic, archived, author }: Audited): string {
  switch (type) {
    case 'join': return target === undefined ? 'came in' : 'put in'
    case 'leave': return 'left'
    case 'kick': return 'removed'
    case 'ban': return lifted === true ? 'lifted the ban of' : 'banned'
    case 'mute': return lifted === true ? 'unmuted' : 'muted'
    case 'role': return target === user_id ? 'stepped down to' : 'made'
    case 'pin': return added === true ? 'pinned a message' : 'took a pin away'
    case 'delete': return author === undefined || author === user_id ? 'deleted a message of their own' : 'deleted a message of'
    case 'room':
      if (change === 'created') return 'made the room'
      if (change === 'deleted') return 'deleted the room'
      if (archived !== undefined) return archived ? 'archived the room' : 'opened the room again'
      if (name !== undefined) return `called the room “${name}”`
      return topic !== undefined ? 'changed the topic' : 'changed the settings'
    default: return type
  }
}
