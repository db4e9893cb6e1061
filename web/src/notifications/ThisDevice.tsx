/** Whether this browser is told, and which others are: each can be left out from here. */
import { useCallback, useState } from 'react'
import NotificationsActiveOutlined from '@mui/icons-material/NotificationsActiveOutlined'
import Alert from '@mui/material/Alert'
import Box from '@mui/material/Box'
import Button from '@mui/material/Button'
import Chip from '@mui/material/Chip'
import FormControlLabel from '@mui/material/FormControlLabel'
import List from '@mui/material/List'
import ListItem from '@mui/material/ListItem'
import Switch from '@mui/material/Switch'
import Typography from '@mui/material/Typography'
import { useChat } from '../chat/context.tsx'
import { deviceName } from '../settings/Sessions.tsx'
import { fully } from '../ui/times.ts'
import { useLoaded } from '../ui/useLoaded.ts'
import { useSubmit } from '../ui/useSubmit.ts'
import { notificationCalls, type Told } from './calls.ts'
import { disablePush, enablePush, pushState } from './push.ts'

const SAID = {
  missing: 'This browser cannot be told of messages while the page is closed. On a phone it often can, once the page was added to the home screen.',
  denied: 'You have told the browser not to let Millrace notify you. That is changed beside the address of the page.',
} as const

export function ThisDevice () {
  const chat = useChat()
  const { value: state, reload } = useLoaded(useCallback(async () => await pushState(chat.userId), [chat]))
  const [n, setN] = useState(0)
  const isOn = state === 'on'
  const { submit, isBusy, error } = useSubmit(async () => {
    try {
      await (isOn ? disablePush(chat.api) : enablePush(chat.api, chat.userId))
    } finally {
      reload()
      setN(n => n + 1)
    }
  })
  return (
    <Box component='section' aria-labelledby='push-title'>
      <Typography variant='subtitle2' component='h3' id='push-title'>Devices</Typography>
      <Typography variant='body2' color='textSecondary'>What you have not got on any device after a while is told to these.</Typography>
      {chat.account.of === 'tab'
        ? <Alert severity='info' sx={{ mt: 1 }}>You are signed in in this tab only: notifications of this browser are those of its own account.</Alert>
        : state === 'missing' || state === 'denied'
          ? <Alert severity='info' sx={{ mt: 1 }}>{SAID[state]}</Alert>
          : <FormControlLabel control={<Switch checked={isOn} disabled={state === undefined || isBusy} onChange={submit} />} label='Notifications in this browser' />}
      {error !== undefined && <Alert severity='error' sx={{ my: 1 }}>{error}</Alert>}
      <Devices again={n} onChange={reload} />
    </Box>
  )
}

/** @param again another number: they are others now */
function Devices ({ again, onChange }: { again: number, onChange: () => void }) {
  const chat = useChat()
  const { value, error, reload } = useLoaded(useCallback(async () => {
    const [told, sessions] = await Promise.all([notificationCalls(chat.api).told(), chat.api.sessions()])
    return told.map(one => ({ ...one, session: sessions.items.find(({ id }) => id === one.session_id) }))
  }, [chat]), again)
  const remove = async ({ id, current }: Told): Promise<void> => {
    await (current ? disablePush(chat.api) : notificationCalls(chat.api).tellNoMore(id))
    reload()
    if (current) onChange()
  }
  if (error !== undefined) return <Alert severity='error'>{error.message}</Alert>
  return (
    <List disablePadding aria-labelledby='push-title'>
      {value?.map(one => {
        const name = one.session === undefined ? new URL(one.endpoint).hostname : deviceName(one.session)
        return (
          <ListItem key={one.id} disableGutters sx={{ gap: 1.5 }} data-testid='told'>
            <NotificationsActiveOutlined color='action' />
            <Box sx={{ flex: 1, minWidth: 0 }}>
              <Typography noWrap sx={{ fontWeight: 600 }}>{name} {one.current && <Chip size='small' color='primary' label='This one' sx={{ ml: 0.5 }} />}</Typography>
              <Typography variant='body2' color='textSecondary' noWrap>{one.last_sent_at === null ? `Since ${fully(one.created_at)}` : `Last told ${fully(one.last_sent_at)}`}</Typography>
            </Box>
            <Button size='small' color='error' aria-label={`Tell ${name} no more`} onClick={() => { remove(one).catch((failure: Error) => { chat.say(failure.message, 'error') }) }}>Remove</Button>
          </ListItem>
        )
      })}
    </List>
  )
}
