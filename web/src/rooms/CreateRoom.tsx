/** Makes a room or a group, with people in it where its kind allows to put them in. */
import { useState } from 'react'
import Alert from '@mui/material/Alert'
import Box from '@mui/material/Box'
import Button from '@mui/material/Button'
import Chip from '@mui/material/Chip'
import Dialog from '@mui/material/Dialog'
import DialogActions from '@mui/material/DialogActions'
import DialogContent from '@mui/material/DialogContent'
import DialogTitle from '@mui/material/DialogTitle'
import MenuItem from '@mui/material/MenuItem'
import TextField from '@mui/material/TextField'
import type { NewRoom, User } from '../api/types.ts'
import { go } from '../app/route.ts'
import { useChat } from '../chat/context.tsx'
import { useSubmit } from '../ui/useSubmit.ts'
import { PeoplePicker } from './PeoplePicker.tsx'

const NAME_CHARS_MAX = 100

const WAYS: ReadonlyArray<{ kind: NewRoom['kind'], name: string, text: string }> = [
  { kind: 'public', name: 'Public room', text: 'Anyone finds it, reads it and joins.' },
  { kind: 'private', name: 'Private room', text: 'Only those who are put in or invited know of it.' },
  { kind: 'protected', name: 'Room with a password', text: 'Anyone finds it; the password lets them in.' },
  { kind: 'group', name: 'Group', text: 'A few people, all with the same say.' },
]

export default function CreateRoom ({ onClose }: { onClose: () => void }) {
  const chat = useChat()
  const [kind, setKind] = useState<NewRoom['kind']>('public')
  const [name, setName] = useState('')
  const [topic, setTopic] = useState('')
  const [password, setPassword] = useState('')
  const [members, setMembers] = useState<readonly User[]>([])
  const takesMembers = kind !== 'public'
  const { submit, isBusy, error } = useSubmit(async () => {
    const { id } = await chat.api.createRoom({ name: name.trim(), kind, ...(topic.trim() !== '' && { topic: topic.trim() }), ...(kind === 'protected' && { password }), ...(takesMembers && members.length > 0 && { members: members.map(({ id }) => id) }) })
    await chat.entered(id)
    onClose()
    go(id)
  })
  const toggle = (user: User): void => { setMembers(now => now.some(({ id }) => id === user.id) ? now.filter(({ id }) => id !== user.id) : [...now, user]) }
  return (
    <Dialog open onClose={onClose} aria-labelledby='create-title'>
      <Box component='form' onSubmit={event => { event.preventDefault(); submit() }} sx={{ display: 'contents' }}>
        <DialogTitle id='create-title'>New room</DialogTitle>
        <DialogContent sx={{ display: 'flex', flexDirection: 'column', gap: 2 }}>
          {error !== undefined && <Alert severity='error'>{error}</Alert>}
          <TextField select label='Kind' value={kind} onChange={event => { setKind(event.target.value as NewRoom['kind']) }} helperText={WAYS.find(way => way.kind === kind)?.text} sx={{ mt: 1 }}>
            {WAYS.map(way => <MenuItem key={way.kind} value={way.kind}>{way.name}</MenuItem>)}
          </TextField>
          <TextField autoFocus required label='Name' value={name} onChange={event => { setName(event.target.value) }} slotProps={{ htmlInput: { maxLength: NAME_CHARS_MAX } }} />
          <TextField label='Topic' value={topic} onChange={event => { setTopic(event.target.value) }} slotProps={{ htmlInput: { maxLength: 500 } }} />
          {kind === 'protected' && <TextField required type='password' label='Password of the room' value={password} onChange={event => { setPassword(event.target.value) }} autoComplete='new-password' slotProps={{ htmlInput: { minLength: 4 } }} helperText='At least 4 characters' />}
          {takesMembers && (
            <Box>
              {members.length > 0 && <Box sx={{ display: 'flex', flexWrap: 'wrap', gap: 0.75, mb: 1 }}>{members.map(user => <Chip key={user.id} size='small' label={user.display_name} onDelete={() => { toggle(user) }} />)}</Box>}
              <PeoplePicker onPick={toggle} picked={new Set([chat.userId, ...members.map(({ id }) => id)])} />
            </Box>
          )}
        </DialogContent>
        <DialogActions>
          <Button onClick={onClose}>Cancel</Button>
          <Button type='submit' variant='contained' loading={isBusy}>Create</Button>
        </DialogActions>
      </Box>
    </Dialog>
  )
}
