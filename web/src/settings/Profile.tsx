/** How others see the user: name, picture, and a line about how it goes. */
import { useState } from 'react'
import Alert from '@mui/material/Alert'
import Box from '@mui/material/Box'
import Button from '@mui/material/Button'
import TextField from '@mui/material/TextField'
import Typography from '@mui/material/Typography'
import type { Me } from '../api/types.ts'
import { useChat, useMe } from '../chat/context.tsx'
import { Avatar } from '../ui/Avatar.tsx'
import { useSubmit } from '../ui/useSubmit.ts'

const NAME_CHARS_MAX = 64
const STATUS_CHARS_MAX = 200
const URL_CHARS_MAX = 2000

export function Profile () {
  const me = useMe()
  return me === undefined ? null : <Form me={me} />
}

function Form ({ me }: { me: Me }) {
  const chat = useChat()
  const [name, setName] = useState(me.display_name)
  const [status, setStatus] = useState(me.status_text ?? '')
  const [picture, setPicture] = useState(me.avatar_url ?? '')
  const { submit, isBusy, error } = useSubmit(async () => {
    const after = await chat.api.updateMe({ display_name: name.trim(), status_text: orNull(status), avatar_url: orNull(picture) })
    chat.me.set(after)
    chat.people.met(after)
    chat.say('Your profile is saved')
  })
  return (
    <Box component='form' onSubmit={event => { event.preventDefault(); submit() }} sx={{ display: 'flex', flexDirection: 'column', gap: 2 }}>
      <Box sx={{ display: 'flex', alignItems: 'center', gap: 2 }}>
        <Avatar id={me.id} name={name} url={orNull(picture)} size={64} />
        <Box sx={{ minWidth: 0 }}>
          <Typography noWrap sx={{ fontWeight: 650 }}>{name}</Typography>
          <Typography variant='body2' color='textSecondary' noWrap>@{me.username}</Typography>
        </Box>
      </Box>
      {error !== undefined && <Alert severity='error'>{error}</Alert>}
      <TextField required label='Display name' value={name} onChange={event => { setName(event.target.value) }} slotProps={{ htmlInput: { maxLength: NAME_CHARS_MAX } }} />
      <TextField label='Status' placeholder='On holiday until Monday' value={status} onChange={event => { setStatus(event.target.value) }} slotProps={{ htmlInput: { maxLength: STATUS_CHARS_MAX } }} />
      <TextField type='url' label='Address of a picture' placeholder='https://…' value={picture} onChange={event => { setPicture(event.target.value) }} slotProps={{ htmlInput: { maxLength: URL_CHARS_MAX } }} />
      <Box><Button type='submit' variant='contained' loading={isBusy}>Save</Button></Box>
    </Box>
  )
}

function orNull (text: string): string | null {
  return text.trim() === '' ? null : text.trim()
}
