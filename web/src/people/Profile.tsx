/** Who somebody is, and what can be done: write to them, keep them as a contact, block them; in a room, what the user's role there allows. */
import { useCallback, useEffect, useState } from 'react'
import Block from '@mui/icons-material/Block'
import ChatBubbleOutlined from '@mui/icons-material/ChatBubbleOutlined'
import EditOutlined from '@mui/icons-material/EditOutlined'
import PersonAddOutlined from '@mui/icons-material/PersonAddOutlined'
import PersonRemoveOutlined from '@mui/icons-material/PersonRemoveOutlined'
import Alert from '@mui/material/Alert'
import Box from '@mui/material/Box'
import Button from '@mui/material/Button'
import Chip from '@mui/material/Chip'
import Dialog from '@mui/material/Dialog'
import DialogActions from '@mui/material/DialogActions'
import DialogContent from '@mui/material/DialogContent'
import Typography from '@mui/material/Typography'
import type { Member, Status } from '../api/types.ts'
import { openDialog } from '../app/dialogs.tsx'
import { go } from '../app/route.ts'
import { useChat, useMe, usePerson, usePresence, useRoom } from '../chat/context.tsx'
import { actsOn } from '../moderation/acts.tsx'
import { may, ROLE_NAMES } from '../moderation/permissions.ts'
import { useChanges } from '../rooms/useChanges.ts'
import { Avatar } from '../ui/Avatar.tsx'
import { useLoaded } from '../ui/useLoaded.ts'
import { useSubmit } from '../ui/useSubmit.ts'
import { peopleCalls, type PeopleList } from './calls.ts'

const SAID: Readonly<Record<Status, string>> = { online: 'Online', away: 'Away', dnd: 'Do not disturb', offline: 'Offline' }

interface ProfileProps { userId: string, roomId?: string, onClose: () => void }

export default function Profile ({ userId, roomId, onClose }: ProfileProps) {
  const chat = useChat()
  const me = useMe()
  const isMe = userId === chat.userId
  const person = usePerson(userId)
  const status = usePresence(userId)
  useEffect(() => { chat.api.presence(userId).then(presence => { chat.people.told(presence) }, () => {}) }, [chat, userId]) // of strangers nothing is told
  const shown = isMe && me !== undefined ? me : person
  return (
    <Dialog open onClose={onClose} aria-labelledby='profile-title'>
      <DialogContent sx={{ display: 'flex', flexDirection: 'column', alignItems: 'center', gap: 1, textAlign: 'center', pt: 4 }} data-testid='profile'>
        <Avatar id={userId} name={shown?.display_name ?? '·'} url={shown?.avatar_url} size={88} status={status ?? 'offline'} />
        <Typography variant='h5' component='h2' id='profile-title' sx={{ mt: 1, overflowWrap: 'anywhere' }}>{shown?.display_name ?? '…'}</Typography>
        <Typography variant='body2' color='textSecondary'>@{shown?.username ?? '…'}{shown?.kind === 'guest' ? ' · guest' : ''}{status === undefined ? '' : ` · ${SAID[status]}`}</Typography>
        {shown?.status_text != null && <Typography sx={{ overflowWrap: 'anywhere' }}>{shown.status_text}</Typography>}
        {isMe
          ? <Button variant='outlined' startIcon={<EditOutlined />} onClick={() => { openDialog('settings', { section: 0 }) }} sx={{ mt: 1 }}>Edit my profile</Button>
          : <Others userId={userId} name={shown?.display_name ?? ''} onClose={onClose} />}
        {roomId !== undefined && <InRoom roomId={roomId} userId={userId} name={shown?.display_name ?? ''} />}
      </DialogContent>
      <DialogActions><Button onClick={onClose}>Close</Button></DialogActions>
    </Dialog>
  )
}

function Others ({ userId, name, onClose }: { userId: string, name: string, onClose: () => void }) {
  const chat = useChat()
  const { value, reload } = useLoaded(useCallback(async () => {
    const calls = peopleCalls(chat.api)
    const [isContact, isBlocked] = await Promise.all([calls.has('contacts', userId), calls.has('blocks', userId)])
    return { isContact, isBlocked }
  }, [chat, userId]))
  const [failure, setFailure] = useState<string>()
  const { submit: write, isBusy, error } = useSubmit(async () => {
    const { id } = await chat.api.direct(userId)
    await chat.entered(id)
    onClose()
    go(id)
  })
  const set = (list: PeopleList, isIn: boolean): void => {
    setFailure(undefined)
    const calls = peopleCalls(chat.api)
    void (isIn ? calls.put(list, userId) : calls.remove(list, userId)).then(reload, (failed: Error) => { setFailure(failed.message) })
  }
  const { isContact = false, isBlocked = false } = value ?? {}
  return (
    <>
      {isBlocked && <Alert severity='info' sx={{ width: '100%', textAlign: 'left' }}>You have blocked {name}: they cannot write to you directly.</Alert>}
      {(error ?? failure) !== undefined && <Alert severity='error' sx={{ width: '100%', textAlign: 'left' }}>{error ?? failure}</Alert>}
      <Box sx={{ display: 'flex', flexWrap: 'wrap', justifyContent: 'center', gap: 1, mt: 1 }}>
        <Button variant='contained' startIcon={<ChatBubbleOutlined />} loading={isBusy} onClick={write}>Message</Button>
        <Button variant='outlined' disabled={value === undefined} startIcon={isContact ? <PersonRemoveOutlined /> : <PersonAddOutlined />} onClick={() => { set('contacts', !isContact) }}>{isContact ? 'Remove contact' : 'Add contact'}</Button>
        <Button variant='outlined' color='error' disabled={value === undefined} startIcon={<Block />} onClick={() => { set('blocks', !isBlocked) }}>{isBlocked ? 'Unblock' : 'Block'}</Button>
      </Box>
    </>
  )
}

/** Their role where one came from, and what may be done there. */
function InRoom ({ roomId, userId, name }: { roomId: string, userId: string, name: string }) {
  const { api, userId: me } = useChat()
  const room = useRoom(roomId)
  const { value: member } = useLoaded(useCallback(async () => await memberOf(api, roomId, userId), [api, roomId, userId]), useChanges(roomId))
  if (room === undefined || room.kind === 'dm' || member === undefined) return null
  const acts = actsOn(room, member ?? { user_id: userId, display_name: name, role: 'none' }, me)
  return (
    <Box component='section' aria-label='In this room' sx={{ width: '100%', mt: 1.5, pt: 1.5, borderTop: 1, borderColor: 'divider' }}>
      <Typography variant='body2' color='textSecondary' sx={{ mb: 1 }}>In this room: <Chip size='small' variant='outlined' label={ROLE_NAMES[member?.role ?? (room.kind === 'lobby' ? 'member' : 'none')]} />{member?.muted_until !== undefined && <Chip size='small' color='warning' variant='outlined' label='Muted' sx={{ ml: 0.5 }} />}</Typography>
      {(member !== null || may(room, 'ban')) && acts.length > 0 && (
        <Box sx={{ display: 'flex', flexWrap: 'wrap', justifyContent: 'center', gap: 1 }}>
          {acts.filter(({ name }) => member !== null || room.kind === 'lobby' || name === 'Ban…').map(({ name, isGrave, run }) => <Button key={name} size='small' variant='outlined' color={isGrave ? 'error' : 'primary'} onClick={run}>{name}</Button>)}
        </Box>
      )}
    </Box>
  )
}

/** Pages of members that are looked through. */
const PAGES_MAX = 5

/** Null if they are not in the room, as far as was looked. */
async function memberOf (api: ReturnType<typeof useChat>['api'], roomId: string, userId: string): Promise<Member | null> {
  let after: string | undefined
  for (let pages = 0; pages < PAGES_MAX; pages++) {
    const { items, next } = await api.members(roomId, after)
    const found = items.find(({ user_id }) => user_id === userId)
    if (found !== undefined) return found
    if (next === null) return null
    after = next
  }
  return null
}
