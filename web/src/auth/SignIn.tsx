/** The door: log in, sign up, or come as a guest. */
import { useState, type FormEvent } from 'react'
import Alert from '@mui/material/Alert'
import Box from '@mui/material/Box'
import Button from '@mui/material/Button'
import Paper from '@mui/material/Paper'
import Tab from '@mui/material/Tab'
import Tabs from '@mui/material/Tabs'
import TextField from '@mui/material/TextField'
import Typography from '@mui/material/Typography'
import type { MillraceError } from 'millrace/client'
import { browserAccount, isForAnother, signIn, type Account, type Way } from '../chat/account.ts'
import { WaveIcon } from '../ui/WaveIcon.tsx'

type How = Way['how']
const PASSWORD_CHARS_MIN = 8

const VERBS: Record<How, string> = { 'sign up': 'Create account', 'log in': 'Log in', guest: 'Come in' }
const SAID: Record<string, string> = {
  bad_credentials: 'No user has this name and password.',
  username_taken: 'This user name is taken.',
  unreachable: 'The server cannot be reached. Is it running?',
}

export function SignIn ({ onSignedIn }: { onSignedIn: (account: Account) => void }) {
  const [how, setHow] = useState<How>('sign up')
  const [username, setUsername] = useState('')
  const [password, setPassword] = useState('')
  const [error, setError] = useState<string>()
  const [isBusy, setBusy] = useState(false)
  const other = browserAccount()

  async function submit (event: FormEvent): Promise<void> {
    event.preventDefault()
    setBusy(true)
    setError(undefined)
    try {
      onSignedIn(await signIn(how === 'guest' ? { how, username } : { how, username, password }, true))
    } catch (failure) {
      const { code, message } = failure as MillraceError
      setError(SAID[code] ?? message)
      setBusy(false)
    }
  }

  return (
    <Box component='main' sx={{ minHeight: '100dvh', display: 'grid', placeItems: 'center', p: 2, bgcolor: 'background.default', overflow: 'auto' }}>
      <Paper variant='outlined' sx={{ width: '100%', maxWidth: 400, p: { xs: 3, sm: 4 }, borderRadius: 2 }}>
        <Box sx={{ display: 'flex', alignItems: 'center', gap: 1.25, mb: 0.5 }}>
          <WaveIcon color='primary' sx={{ fontSize: 34 }} />
          <Typography variant='h5' component='h1'>Millrace</Typography>
        </Box>
        <Typography variant='body2' color='textSecondary' sx={{ mb: 2.5 }}>A chat that never loses its place.</Typography>
        <Tabs value={how} onChange={(_, next: How) => { setHow(next); setError(undefined) }} variant='fullWidth' aria-label='How to come in' sx={{ mb: 2.5, borderBottom: 1, borderColor: 'divider' }}>
          <Tab value='sign up' label='Sign up' />
          <Tab value='log in' label='Log in' />
          <Tab value='guest' label='Guest' />
        </Tabs>
        <Box component='form' onSubmit={event => { void submit(event) }} sx={{ display: 'flex', flexDirection: 'column', gap: 2 }}>
          {error !== undefined && <Alert severity='error'>{error}</Alert>}
          <TextField label='User name' name='username' autoComplete='username' autoFocus required value={username} onChange={event => { setUsername(event.target.value) }} slotProps={{ htmlInput: { maxLength: 64, autoCapitalize: 'none', spellCheck: false } }} />
          {how !== 'guest' && (
            <TextField
              label='Password' name='password' type='password' required value={password} onChange={event => { setPassword(event.target.value) }}
              autoComplete={how === 'sign up' ? 'new-password' : 'current-password'} helperText={how === 'sign up' ? `At least ${PASSWORD_CHARS_MIN} characters` : undefined}
              slotProps={{ htmlInput: how === 'sign up' ? { minLength: PASSWORD_CHARS_MIN } : {} }}
            />
          )}
          {how === 'guest' && <Typography variant='body2' color='textSecondary'>A name is enough. Set a password later in the settings to keep it.</Typography>}
          <Button type='submit' variant='contained' size='large' loading={isBusy}>{VERBS[how]}</Button>
          {(other !== undefined || isForAnother()) && <Typography variant='caption' color='textSecondary'>{other === undefined || other.username === '' ? 'You' : `This browser is signed in as ${other.username} already: you`} will be signed in in this tab only.</Typography>}
        </Box>
      </Paper>
    </Box>
  )
}
