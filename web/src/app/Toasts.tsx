/** What is told in passing, one at a time, at the foot of the page. */
import { useEffect, useState } from 'react'
import Alert from '@mui/material/Alert'
import Snackbar from '@mui/material/Snackbar'
import { useChat } from '../chat/context.tsx'
import { useValue } from '../chat/observable.ts'

const SHOWN_MS = 5_000

export function Toasts () {
  const toast = useValue(useChat().toast)
  const [isOpen, setOpen] = useState(false)
  useEffect(() => { setOpen(toast !== undefined) }, [toast])
  if (toast === undefined) return null
  const close = (): void => { setOpen(false) }
  return (
    <Snackbar key={toast.id} open={isOpen} autoHideDuration={SHOWN_MS} onClose={(_, reason) => { if (reason !== 'clickaway') close() }} anchorOrigin={{ vertical: 'bottom', horizontal: 'center' }}>
      <Alert severity={toast.severity} variant='filled' onClose={close}>{toast.text}</Alert>
    </Snackbar>
  )
}
