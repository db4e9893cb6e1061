/** Another password; a guest sets their first one and is a person from then on. */
import { useState } from 'react'
import Alert from '@mui/material/Alert'
import Box from '@mui/material/Box'
import Button from '@mui/material/Button'
import TextField from '@mui/material/TextField'
import Typography from '@mui/material/Typography'
import { useChat, useMe } from '../chat/context.tsx'
import { useSubmit } from '../ui/useSubmit.ts'

const SAID: Readonly<Record<string, string>> = { bad_credentials: 'That is not your current password.' }

export function Password () {
  const chat = useChat()
  const me = useMe()
  const [current, setCurrent] = useState('')
  const [next, setNext] = useState('')
  const [again, setAgain] = useState('')
  const [isDone, setDone] = useState(false)
  const isGuest = me?.kind === 'guest'
  const isOther = again !== '' && again !== next
  const { submit, isBusy, error, code } = useSubmit(async () => {
    setDone(false)
    await chat.api.changePassword(isGuest ? undefined : current, next)
    if (isGuest) chat.me.set(await chat.api.me())
    for (const clear of [setCurrent, setNext, setAgain]) clear('')
    setDone(true)
  })
  return (
    <Box component='form' onSubmit={event => { event.preventDefault(); if (!isOther) submit() }} sx={{ display: 'flex', flexDirection: 'column', gap: 2 }}>
      <Typography variant='body2' color='textSecondary'>{isGuest ? 'With a password this account is yours for good, on any device.' : 'All your other sessions are logged out.'}</Typography>
      {isDone && <Alert severity='success'>The password is changed.</Alert>}
      {error !== undefined && <Alert severity='error'>{SAID[code ?? ''] ?? error}</Alert>}
      <input type='text' name='username' autoComplete='username' value={me?.username ?? ''} readOnly hidden />
      {!isGuest && <TextField required type='password' label='Current password' value={current} onChange={event => { setCurrent(event.target.value) }} autoComplete='current-password' />}
      <TextField required type='password' label='New password' value={next} onChange={event => { setNext(event.target.value) }} autoComplete='new-password' />
      <TextField required type='password' label='New password again' value={again} onChange={event => { setAgain(event.target.value) }} autoComplete='new-password' error={isOther} helperText={isOther ? 'This is another one' : ' '} />
      <Box><Button type='submit' variant='contained' loading={isBusy} disabled={isOther}>Change the password</Button></Box>
    </Box>
  )
}
