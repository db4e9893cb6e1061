/** Changes a room: its name and topic, for those who run it how it is read and written, for its owner how long it is kept. Only what was changed is sent. */
import { useState } from 'react'
import Alert from '@mui/material/Alert'
import Box from '@mui/material/Box'
import Button from '@mui/material/Button'
import Dialog from '@mui/material/Dialog'
import DialogActions from '@mui/material/DialogActions'
import DialogContent from '@mui/material/DialogContent'
import DialogTitle from '@mui/material/DialogTitle'
import FormControlLabel from '@mui/material/FormControlLabel'
import MenuItem from '@mui/material/MenuItem'
import Switch from '@mui/material/Switch'
import TextField from '@mui/material/TextField'
import type { Room } from '../api/types.ts'
import { useChat } from '../chat/context.tsx'
import { may } from '../moderation/permissions.ts'
import { useSubmit } from '../ui/useSubmit.ts'
import { roomCalls, type RoomChange } from './calls.ts'

const NAME_CHARS_MAX = 100
const TOPIC_CHARS_MAX = 500
const PASSWORD_CHARS_MIN = 4
/** Seconds between two messages of a member. */
const SLOW: ReadonlyArray<[number, string]> = [[0, 'Off'], [5, '5 seconds'], [30, '30 seconds'], [60, '1 minute'], [300, '5 minutes'], [900, '15 minutes'], [3600, '1 hour']]
/** Days that messages are kept. */
const KEPT: ReadonlyArray<[number, string]> = [[0, 'As long as in all rooms'], [1, '1 day'], [7, '1 week'], [30, '30 days'], [90, '90 days'], [365, '1 year']]

/** @param kept one that is not offered, and in force, is offered as well */
function choices (offered: ReadonlyArray<[number, string]>, kept: number, unit: string): ReadonlyArray<[number, string]> {
  return offered.some(([n]) => n === kept) ? offered : [...offered, [kept, `${kept} ${unit}`]]
}

export default function RoomSettings ({ room, onClose }: { room: Room, onClose: () => void }) {
  const chat = useChat()
  const [name, setName] = useState(room.name)
  const [topic, setTopic] = useState(room.topic ?? '')
  const [history, setHistory] = useState(room.history ?? 'all')
  const [slow, setSlow] = useState(room.slow_mode_s ?? 0)
  const [days, setDays] = useState(room.retention_days ?? 0)
  const [isArchived, setArchived] = useState(room.archived === true)
  const [password, setPassword] = useState('')
  const runs = may(room, 'settings')
  const { submit, isBusy, error } = useSubmit(async () => {
    const change: RoomChange = {
      ...(name.trim() !== room.name && { name: name.trim() }),
      ...(topic.trim() !== (room.topic ?? '') && { topic: topic.trim() }),
      ...(history !== (room.history ?? 'all') && { history }),
      ...(slow !== (room.slow_mode_s ?? 0) && { slow_mode_s: slow }),
      ...(days !== (room.retention_days ?? 0) && { retention_days: days }),
      ...(isArchived !== (room.archived === true) && { archived: isArchived }),
      ...(password !== '' && { password }),
    }
    if (Object.keys(change).length > 0) await roomCalls(chat.api, room.id).change(change)
    onClose()
  })
  const willErase = days > 0 && (room.retention_days === undefined || days < room.retention_days)
  return (
    <Dialog open onClose={onClose} aria-labelledby='room-settings-title'>
      <Box component='form' onSubmit={event => { event.preventDefault(); submit() }} sx={{ display: 'contents' }}>
        <DialogTitle id='room-settings-title'>Room settings</DialogTitle>
        <DialogContent sx={{ display: 'flex', flexDirection: 'column', gap: 2 }}>
          {error !== undefined && <Alert severity='error'>{error}</Alert>}
          <TextField autoFocus required label='Name' value={name} onChange={event => { setName(event.target.value) }} slotProps={{ htmlInput: { maxLength: NAME_CHARS_MAX } }} sx={{ mt: 1 }} />
          <TextField multiline maxRows={4} label='Topic' value={topic} onChange={event => { setTopic(event.target.value) }} slotProps={{ htmlInput: { maxLength: TOPIC_CHARS_MAX } }} />
          {runs && room.kind !== 'lobby' && (
            <TextField select label='Newcomers read' value={history} onChange={event => { setHistory(event.target.value as 'all' | 'joined') }}>
              <MenuItem value='all'>From the beginning</MenuItem>
              <MenuItem value='joined'>From when they came</MenuItem>
            </TextField>
          )}
          {runs && (
            <TextField select label='Slow mode' value={slow} onChange={event => { setSlow(Number(event.target.value)) }} helperText='How long members wait between two messages'>
              {choices(SLOW, room.slow_mode_s ?? 0, 'seconds').map(([seconds, said]) => <MenuItem key={seconds} value={seconds}>{said}</MenuItem>)}
            </TextField>
          )}
          {may(room, 'retain') && (
            <TextField select label='Messages are kept' value={days} onChange={event => { setDays(Number(event.target.value)) }} helperText={willErase ? 'What is older is erased for good, within the hour' : 'Then they are erased for good'}>
              {choices(KEPT, room.retention_days ?? 0, 'days').map(([n, said]) => <MenuItem key={n} value={n}>{said}</MenuItem>)}
            </TextField>
          )}
          {room.kind === 'protected' && <TextField type='password' label='New password of the room' value={password} onChange={event => { setPassword(event.target.value) }} autoComplete='new-password' helperText='Leave it empty to keep the one that there is' slotProps={{ htmlInput: { minLength: PASSWORD_CHARS_MIN } }} />}
          {may(room, 'archive') && <FormControlLabel control={<Switch checked={isArchived} onChange={event => { setArchived(event.target.checked) }} />} label='Archived: it can only be read' />}
        </DialogContent>
        <DialogActions>
          <Button onClick={onClose}>Cancel</Button>
          <Button type='submit' variant='contained' loading={isBusy}>Save</Button>
        </DialogActions>
      </Box>
    </Dialog>
  )
}
