/** Puts people into a room, one after the other. */
import { useState } from 'react'
import Alert from '@mui/material/Alert'
import Button from '@mui/material/Button'
import Dialog from '@mui/material/Dialog'
import DialogActions from '@mui/material/DialogActions'
import DialogContent from '@mui/material/DialogContent'
import DialogTitle from '@mui/material/DialogTitle'
import Typography from '@mui/material/Typography'
import type { User } from '../api/types.ts'
import { useChat } from '../chat/context.tsx'
import { roomCalls } from './calls.ts'
import { PeoplePicker } from './PeoplePicker.tsx'

export default function AddPeople ({ roomId, members, onClose }: { roomId: string, members: readonly string[], onClose: () => void }) {
  const chat = useChat()
  const [added, setAdded] = useState<ReadonlySet<string>>(() => new Set(members))
  const [error, setError] = useState<string>()
  const add = (user: User): void => {
    if (added.has(user.id)) return
    setError(undefined)
    roomCalls(chat.api, roomId).add(user.id).then(
      () => { setAdded(now => new Set([...now, user.id])) },
      (failure: Error) => { setError(`${user.display_name}: ${failure.message}`) }
    )
  }
  return (
    <Dialog open onClose={onClose} aria-labelledby='add-title'>
      <DialogTitle id='add-title'>Add people</DialogTitle>
      <DialogContent>
        {error !== undefined && <Alert severity='error'>{error}</Alert>}
        <PeoplePicker autoFocus onPick={add} picked={added} end={user => added.has(user.id) && <Typography variant='caption' color='primary'>is in</Typography>} />
      </DialogContent>
      <DialogActions><Button onClick={onClose}>Done</Button></DialogActions>
    </Dialog>
  )
}
