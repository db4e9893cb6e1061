/** Who is signed in decides what is shown: the door, or the chat. */
import { useEffect, useState } from 'react'
import { SignIn } from '../auth/SignIn.tsx'
import { currentAccount, onBrowserAccount, type Account } from '../chat/account.ts'
import { Chat } from '../chat/chat.ts'
import { ChatProvider } from '../chat/context.tsx'
import { useSelected, useValue } from '../chat/observable.ts'
import { renewPush } from '../notifications/push.ts'
import { isOutdated, lookForUpdate } from '../offline/worker.ts'
import { Shell } from './Shell.tsx'

/** One for the page, made outside of React: it holds a connection. */
let running: Chat | undefined

function start (account: Account | undefined): Chat | undefined {
  if (account !== undefined) running ??= new Chat(account)
  return running
}

export function App () {
  const [chat, setChat] = useState(() => start(currentAccount()))
  useEffect(() => onBrowserAccount(() => { if (running?.account.of === 'browser' && currentAccount()?.id !== running.userId) location.reload() }), [])
  if (chat === undefined) return <SignIn onSignedIn={account => { setChat(start(account)) }} />
  return <SignedIn chat={chat} onEnded={() => { running = undefined; setChat(undefined) }} />
}

function SignedIn ({ chat, onEnded }: { chat: Chat, onEnded: () => void }) {
  const hasEnded = useValue(chat.ended)
  useEffect(() => { if (hasEnded) onEnded() }, [hasEnded, onEnded])
  const isOld = useValue(isOutdated)
  useEffect(() => { if (isOld) chat.say('There is a new version of Millrace: load this page again to have it') }, [chat, isOld])
  const isOnline = useSelected(chat.state, ({ name }) => name === 'live')
  useEffect(() => {
    if (!isOnline) return
    lookForUpdate()
    if (chat.account.of === 'browser') renewPush(chat.api, chat.userId).catch(() => {}) // with the next connection
  }, [chat, isOnline])
  return <ChatProvider value={chat}><Shell /></ChatProvider>
}
