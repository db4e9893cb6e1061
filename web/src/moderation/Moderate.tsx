/** Mutes, removes or bans somebody, or takes it back: for how long, and why. What it means stands above the button. */
import { useState } from 'react'
import Alert from '@mui/material/Alert'
import Box from '@mui/material/Box'
import Button from '@mui/material/Button'
import Dialog from '@mui/material/Dialog'
import DialogActions from '@mui/material/DialogActions'
import DialogContent from '@mui/material/DialogContent'
import DialogContentText from '@mui/material/DialogContentText'
import DialogTitle from '@mui/material/DialogTitle'
import MenuItem from '@mui/material/MenuItem'
import TextField from '@mui/material/TextField'
import { useChat } from '../chat/context.tsx'
import { useSubmit } from '../ui/useSubmit.ts'
import { moderation } from './calls.ts'

export type ActName = 'mute' | 'unmute' | 'kick' | 'ban' | 'unban'

const REASON_CHARS_MAX = 500
const HOUR_MS = 3_600_000
/** For how long, in hours; 0: until it is taken back. */
const TIMES: ReadonlyArray<[number, string]> = [[1, 'For an hour'], [24, 'For a day'], [168, 'For a week'], [720, 'For 30 days'], [0, 'Until it is taken back']]

const SAID: Readonly<Record<ActName, { title: (name: string) => string, text: (name: string, room: string) => string, action: string, hasTime: boolean, hasReason: boolean }>> = {
  mute: { title: name => `Mute ${name}?`, text: (name, room) => `${name} goes on reading ${room}, but cannot write or react.`, action: 'Mute', hasTime: true, hasReason: true },
  unmute: { title: name => `Unmute ${name}?`, text: (name, room) => `${name} may write in ${room} again.`, action: 'Unmute', hasTime: false, hasReason: false },
  kick: { title: name => `Remove ${name}?`, text: (name, room) => `${name} is put out of ${room} at once, and may come back in the ways that there are.`, action: 'Remove', hasTime: false, hasReason: true },
  ban: { title: name => `Ban ${name}?`, text: (name, room) => `${name} is put out of ${room} at once and cannot come back.`, action: 'Ban', hasTime: true, hasReason: true },
  unban: { title: name => `Lift the ban of ${name}?`, text: (name, room) => `${name} may come into ${room} again.`, action: 'Lift the ban', hasTime: false, hasReason: false },
}

interface ModerateProps { act: ActName, roomId: string, roomName: string, userId: string, name: string, onClose: () => void }

export default function Moderate ({ act, roomId, roomName, userId, name, onClose }: ModerateProps) {
  const chat = useChat()
  const { title, text, action, hasTime, hasReason } = SAID[act]
  const [hours, setHours] = useState(act === 'mute' ? 1 : 0)
  const [reason, setReason] = useState('')
  const { submit, isBusy, error } = useSubmit(async () => {
    const calls = moderation(chat.api, roomId)
    const why = reason.trim() === '' ? undefined : reason.trim()
    const lay = { ...(hours > 0 && { until: new Date(Date.now() + hours * HOUR_MS).toISOString() }), ...(why !== undefined && { reason: why }) }
    switch (act) {
      case 'mute': await calls.mute(userId, lay); break
      case 'unmute': await calls.liftMute(userId); break
      case 'kick': await calls.kick(userId, why); break
      case 'ban': await calls.ban(userId, lay); break
      case 'unban': await calls.liftBan(userId); break
    }
    onClose()
  })
  return (
    <Dialog open onClose={onClose} aria-labelledby='moderate-title' aria-describedby='moderate-text'>
      <Box component='form' onSubmit={event => { event.preventDefault(); submit() }} sx={{ display: 'contents' }}>
        <DialogTitle id='moderate-title'>{title(name)}</DialogTitle>
        <DialogContent sx={{ display: 'flex', flexDirection: 'column', gap: 2 }}>
          <DialogContentText id='moderate-text'>{text(name, roomName)}</DialogContentText>
          {error !== undefined && <Alert severity='error'>{error}</Alert>}
          {hasTime && <TextField select label='How long' value={hours} onChange={event => { setHours(Number(event.target.value)) }}>{TIMES.map(([value, said]) => <MenuItem key={value} value={value}>{said}</MenuItem>)}</TextField>}
          {hasReason && <TextField autoFocus label='Reason' value={reason} onChange={event => { setReason(event.target.value) }} helperText='Those in the room can read it' slotProps={{ htmlInput: { maxLength: REASON_CHARS_MAX } }} />}
        </DialogContent>
        <DialogActions>
          <Button onClick={onClose}>Cancel</Button>
          <Button type='submit' variant='contained' color={act === 'kick' || act === 'ban' ? 'error' : 'primary'} loading={isBusy}>{action}</Button>
        </DialogActions>
      </Box>
    </Dialog>
  )
}
