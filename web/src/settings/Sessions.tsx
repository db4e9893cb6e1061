/** The sessions of the account, one for each device, each of which can be ended from here. */
import { useCallback, useEffect, useState } from 'react'
import DevicesOutlined from '@mui/icons-material/DevicesOutlined'
import Alert from '@mui/material/Alert'
import Box from '@mui/material/Box'
import Button from '@mui/material/Button'
import Chip from '@mui/material/Chip'
import List from '@mui/material/List'
import ListItem from '@mui/material/ListItem'
import Skeleton from '@mui/material/Skeleton'
import Typography from '@mui/material/Typography'
import type { Session } from '../api/types.ts'
import { useChat } from '../chat/context.tsx'
import { fully } from '../ui/times.ts'

/** Chrome on Linux, as far as the browser says. */
export function deviceName ({ user_agent, device_id }: Session): string {
  const agent = user_agent ?? ''
  const browser = /(Edg|OPR|Firefox|Chrome|Safari)(?=\/)/.exec(agent)?.[1]?.replace('Edg', 'Edge').replace('OPR', 'Opera')
  const system = /(Windows|Android|iPhone|iPad|Mac OS X|Linux)/.exec(agent)?.[1]?.replace('Mac OS X', 'macOS')
  return [browser, system].filter(part => part !== undefined).join(' on ') || agent.slice(0, 60) || device_id || 'Unknown device'
}

export function Sessions () {
  const { api, say, logOut } = useSessionDeps()
  const [sessions, setSessions] = useState<readonly Session[]>()
  const [error, setError] = useState<string>()
  const load = useCallback(() => { api.sessions().then(({ items }) => { setSessions(items) }, (failure: Error) => { setError(failure.message) }) }, [api])
  useEffect(load, [load])

  const end = ({ id, current }: Session): void => {
    if (current) return logOut()
    api.endSession(id).then(load, (failure: Error) => { say(failure.message) })
  }
  if (error !== undefined) return <Alert severity='error'>{error}</Alert>
  if (sessions === undefined) return <>{[0, 1].map(i => <Skeleton key={i} height={64} />)}</>
  return (
    <List disablePadding aria-label='Sessions'>
      {sessions.map(session => (
        <ListItem key={session.id} disableGutters sx={{ gap: 1.5 }} data-testid='session'>
          <DevicesOutlined color='action' />
          <Box sx={{ flex: 1, minWidth: 0 }}>
            <Typography noWrap sx={{ fontWeight: 600 }}>{deviceName(session)} {session.current && <Chip size='small' color='primary' label='This one' sx={{ ml: 0.5 }} />}</Typography>
            <Typography variant='body2' color='textSecondary' noWrap>{session.address} · last used {fully(session.last_used_at)}</Typography>
          </Box>
          <Button size='small' color='error' onClick={() => { end(session) }}>{session.current ? 'Log out' : 'End'}</Button>
        </ListItem>
      ))}
    </List>
  )
}

function useSessionDeps () {
  const chat = useChat()
  return { api: chat.api, say: (text: string) => { chat.say(text, 'error') }, logOut: () => { void chat.logOut() } }
}
