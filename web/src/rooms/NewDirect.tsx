/** Writes to somebody: their direct conversation is opened, and made if it is the first. */
import Alert from '@mui/material/Alert'
import Button from '@mui/material/Button'
import Dialog from '@mui/material/Dialog'
import DialogActions from '@mui/material/DialogActions'
import DialogContent from '@mui/material/DialogContent'
import DialogTitle from '@mui/material/DialogTitle'
import { useRef } from 'react'
import type { User } from '../api/types.ts'
import { go } from '../app/route.ts'
import { useChat } from '../chat/context.tsx'
import { useSubmit } from '../ui/useSubmit.ts'
import { PeoplePicker } from './PeoplePicker.tsx'

export default function NewDirect ({ onClose }: { onClose: () => void }) {
  const chat = useChat()
  const to = useRef<User>(undefined)
  const { submit, error } = useSubmit(async () => {
    const { id } = await chat.api.direct(to.current!.id)
    await chat.entered(id)
    onClose()
    go(id)
  })
  return (
    <Dialog open onClose={onClose} aria-labelledby='direct-title'>
      <DialogTitle id='direct-title'>Write to somebody</DialogTitle>
      <DialogContent>
        {error !== undefined && <Alert severity='error'>{error}</Alert>}
        <PeoplePicker autoFocus onPick={user => { chat.people.met(user); to.current = user; submit() }} />
      </DialogContent>
      <DialogActions><Button onClick={onClose}>Cancel</Button></DialogActions>
    </Dialog>
  )
}
