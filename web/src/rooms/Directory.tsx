/** The directory: rooms that anyone may find, with a way in. */
import { useCallback, useState } from 'react'
import LockOutlined from '@mui/icons-material/LockOutlined'
import Alert from '@mui/material/Alert'
import Box from '@mui/material/Box'
import Button from '@mui/material/Button'
import Dialog from '@mui/material/Dialog'
import DialogActions from '@mui/material/DialogActions'
import DialogContent from '@mui/material/DialogContent'
import DialogTitle from '@mui/material/DialogTitle'
import List from '@mui/material/List'
import ListItem from '@mui/material/ListItem'
import Skeleton from '@mui/material/Skeleton'
import TextField from '@mui/material/TextField'
import Typography from '@mui/material/Typography'
import type { ListedRoom } from '../api/types.ts'
import { openDialog } from '../app/dialogs.tsx'
import { go } from '../app/route.ts'
import { useChat, useRoom } from '../chat/context.tsx'
import { useSearch } from '../ui/useSearch.ts'
import { useSubmit } from '../ui/useSubmit.ts'
import { RoomAvatar } from './RoomAvatar.tsx'

export default function Directory ({ onClose }: { onClose: () => void }) {
  const { api } = useChat()
  const [name, setName] = useState('')
  const { found, error } = useSearch(name.trim(), useCallback(async (text: string) => await api.directory(text), [api]))
  const rooms = found?.items.filter(({ kind }) => kind !== 'lobby')
  return (
    <Dialog open onClose={onClose} maxWidth='sm' aria-labelledby='directory-title'>
      <DialogTitle id='directory-title'>Public rooms</DialogTitle>
      <DialogContent sx={{ minHeight: 360 }}>
        <TextField autoFocus label='Part of the name' value={name} onChange={event => { setName(event.target.value) }} sx={{ mt: 1, mb: 1 }} />
        {error !== undefined && <Alert severity='error'>The directory could not be read: {error.message}</Alert>}
        {rooms === undefined && error === undefined && [0, 1, 2].map(i => <Skeleton key={i} height={56} />)}
        {rooms?.length === 0 && <Typography variant='body2' color='textSecondary' sx={{ py: 3, textAlign: 'center' }}>{name === '' ? 'There is no public room yet. Create the first one.' : 'No room is called like that.'}</Typography>}
        <List disablePadding>{rooms?.map(room => <Found key={room.id} room={room} onIn={onClose} />)}</List>
      </DialogContent>
      <DialogActions>
        <Button onClick={() => { openDialog('createRoom') }}>Create a room</Button>
        <Button onClick={onClose}>Close</Button>
      </DialogActions>
    </Dialog>
  )
}

function Found ({ room, onIn }: { room: ListedRoom, onIn: () => void }) {
  const chat = useChat()
  const isIn = useRoom(room.id) !== undefined
  const [password, setPassword] = useState<string>()
  const needsPassword = room.kind === 'protected' && !isIn
  const { submit, isBusy, error } = useSubmit(async () => {
    if (!isIn) {
      await chat.api.join(room.id, password === undefined ? {} : { password })
      await chat.entered(room.id)
    }
    onIn()
    go(room.id)
  })
  return (
    <ListItem disableGutters sx={{ display: 'block', py: 1 }}>
      <Box sx={{ display: 'flex', alignItems: 'center', gap: 1.5 }}>
        <RoomAvatar room={room} />
        <Box sx={{ flex: 1, minWidth: 0 }}>
          <Typography noWrap sx={{ fontWeight: 600 }}>{room.name}{room.kind === 'protected' && <LockOutlined sx={{ fontSize: 15, ml: 0.75, verticalAlign: '-2px' }} titleAccess='With a password' />}</Typography>
          <Typography variant='body2' color='textSecondary' noWrap>{[room.members === undefined ? '' : `${room.members} ${room.members === 1 ? 'member' : 'members'}`, room.topic ?? ''].filter(Boolean).join(' · ')}</Typography>
        </Box>
        <Button
          variant={isIn ? 'text' : 'outlined'} size='small' loading={isBusy} aria-label={`${isIn ? 'Open' : 'Join'} ${room.name}`}
          onClick={() => { needsPassword && password === undefined ? setPassword('') : submit() }}
        >
          {isIn ? 'Open' : 'Join'}
        </Button>
      </Box>
      {needsPassword && password !== undefined && <TextField autoFocus type='password' label='Password of the room' value={password} onChange={event => { setPassword(event.target.value) }} onKeyDown={event => { if (event.key === 'Enter') submit() }} sx={{ mt: 1.5 }} autoComplete='off' />}
      {error !== undefined && <Alert severity='error' sx={{ mt: 1 }}>{error}</Alert>}
    </ListItem>
  )
}
