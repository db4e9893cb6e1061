/** Asks before something that cannot be taken back is done; says why it could not be. */
import type { ReactNode } from 'react'
import Alert from '@mui/material/Alert'
import Button from '@mui/material/Button'
import Dialog from '@mui/material/Dialog'
import DialogActions from '@mui/material/DialogActions'
import DialogContent from '@mui/material/DialogContent'
import DialogContentText from '@mui/material/DialogContentText'
import DialogTitle from '@mui/material/DialogTitle'
import { useSubmit } from './useSubmit.ts'

export interface ConfirmProps {
  title: string
  text: ReactNode
  /** What the button says. */
  action: string
  run: () => Promise<void>
  onClose: () => void
}

export default function Confirm ({ title, text, action, run, onClose }: ConfirmProps) {
  const { submit, isBusy, error } = useSubmit(async () => {
    await run()
    onClose()
  })
  return (
    <Dialog open onClose={onClose} role='alertdialog' aria-labelledby='confirm-title' aria-describedby='confirm-text'>
      <DialogTitle id='confirm-title'>{title}</DialogTitle>
      <DialogContent>
        <DialogContentText id='confirm-text' component='div'>{text}</DialogContentText>
        {error !== undefined && <Alert severity='error' sx={{ mt: 2 }}>{error}</Alert>}
      </DialogContent>
      <DialogActions>
        <Button autoFocus onClick={onClose}>Cancel</Button>
        <Button variant='contained' color='error' loading={isBusy} onClick={submit}>{action}</Button>
      </DialogActions>
    </Dialog>
  )
}
