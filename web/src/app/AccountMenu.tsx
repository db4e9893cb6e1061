/** The way to the user's own menu: their picture, with how they say they are. What is in it is loaded when it is opened for the first time. */
import { lazy, Suspense, useEffect, useState, type MouseEvent } from 'react'
import IconButton from '@mui/material/IconButton'
import { useChat, useMe } from '../chat/context.tsx'
import { useValue } from '../chat/observable.ts'
import { ownStatus, tellStatus } from '../people/status.ts'
import { Avatar } from '../ui/Avatar.tsx'

const AccountPopover = lazy(async () => await import('./AccountPopover.tsx'))

export function AccountMenu () {
  const chat = useChat()
  const me = useMe()
  const [anchor, setAnchor] = useState<HTMLElement | null>(null)
  const [wasOpened, setOpened] = useState(false)
  const status = useValue(ownStatus)
  useEffect(() => { tellStatus(chat.client) }, [chat])
  const open = (event: MouseEvent<HTMLElement>): void => {
    setAnchor(event.currentTarget)
    setOpened(true)
  }
  return (
    <>
      <IconButton aria-label='Your account' onClick={open} size='small' edge='end'>
        <Avatar id={chat.userId} name={me?.display_name ?? chat.account.username} url={me?.avatar_url} size={32} status={status} />
      </IconButton>
      {wasOpened && <Suspense fallback={null}><AccountPopover anchor={anchor} onClose={() => { setAnchor(null) }} /></Suspense>}
    </>
  )
}
