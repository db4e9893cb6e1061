/** One message: with the day or the line of the unread before it, if they begin here. What can be done with it is shown on hover and focus. */
import { memo, useCallback, useRef, useState } from 'react'
import ErrorOutlined from '@mui/icons-material/ErrorOutlined'
import PushPin from '@mui/icons-material/PushPin'
import Schedule from '@mui/icons-material/Schedule'
import { openDialog } from '../app/dialogs.tsx'
import { useChat, usePerson } from '../chat/context.tsx'
import type { Row } from '../chat/rows.ts'
import { ThreadSummary } from '../threads/ThreadSummary.tsx'
import { Avatar } from '../ui/Avatar.tsx'
import { clock, day, fully } from '../ui/times.ts'
import { useLongPress } from '../ui/useLongPress.ts'
import { useActions } from './actions.ts'
import { Content } from './Content.tsx'
import { MessageActions } from './MessageActions.tsx'
import { Quote } from './Quote.tsx'
import { Reactions } from './Reactions.tsx'
import { useSeen } from './seen.ts'

export interface MessageRowProps {
  row: Row
  /** The unread begin here. */
  isFirstUnread: boolean
  /** It was jumped to. */
  isTarget: boolean
  /** It was unread when the list was made, or came later: when it is seen is worth knowing. */
  isUnread: boolean
  /** It is being edited in the composer. */
  isEdited: boolean
}

export const MessageRow = memo(function MessageRow ({ row, isFirstUnread, isTarget, isUnread, isEdited }: MessageRowProps) {
  const { message, pending, isCompact } = row
  const { userId, seen, thread } = useActions()
  const [isActive, setActive] = useState(false)
  const [isHeld, setHeld] = useState(false)
  const element = useRef<HTMLDivElement>(null)
  const press = useLongPress(() => { setActive(true) })
  useSeen(element, isUnread, useCallback(() => { seen(message.seq) }, [seen, message.seq]))
  const isMentioned = message.user_id !== userId && (message.mentions.includes(userId) || message.mentions_room === true)
  const isDeleted = message.deleted === true
  const classes = ['mr-row', isCompact && !isFirstUnread && 'mr-compact', pending !== undefined && `mr-${pending.state}`, isMentioned && 'mr-named', isTarget && 'mr-target', isEdited && 'mr-edited'].filter(Boolean).join(' ')
  const hasHead = !isCompact || isFirstUnread

  return (
    <div className='mr-item'>
      <Begins row={row} isFirstUnread={isFirstUnread} />
      <div
        ref={element} className={classes} role='article' tabIndex={-1} data-testid='message' data-seq={pending === undefined ? message.seq : undefined} data-state={pending?.state}
        onPointerLeave={event => { if (event.pointerType === 'mouse') setActive(false) }}
        onFocus={() => { setActive(true) }} onBlur={event => { if (!event.currentTarget.contains(event.relatedTarget)) setActive(false) }}
        {...press.handlers}
        onPointerMove={event => { // not as it enters: rows that pass below a mouse at rest are not meant
          press.handlers.onPointerMove(event)
          if (event.pointerType === 'mouse') setActive(true)
        }}
        onClick={event => { if ((event.nativeEvent as PointerEvent).pointerType === 'touch' && !press.wasLong() && !(event.target instanceof Element && event.target.closest('a, button') !== null)) setActive(now => !now) }}
      >
        <div className='mr-gutter'>
          {hasHead ? <AuthorAvatar id={message.user_id} /> : <time className='mr-time' dateTime={message.timestamp}>{clock(message.timestamp)}</time>}
        </div>
        <div className='mr-body'>
          {hasHead && (
            <div className='mr-head'>
              <AuthorName id={message.user_id} />
              <time dateTime={message.timestamp} title={isActive ? fully(message.timestamp) : undefined}>{clock(message.timestamp)}</time>
            </div>
          )}
          {message.pinned === true && !isDeleted && <div className='mr-pinned'><PushPin sx={{ fontSize: 13 }} /> Pinned</div>}
          {message.reply_to !== undefined && !isDeleted && <Quote seq={message.reply_to} />}
          {isDeleted ? <div className='mr-content mr-gone'>This message was deleted</div> : <Content text={message.content} editedAt={message.edited_at === undefined ? undefined : fully(message.edited_at)} />}
          {message.reactions.length > 0 && <Reactions message={message} />}
          {pending !== undefined && <Sending row={row} />}
          {thread === undefined && pending === undefined && <ThreadSummary seq={message.seq} />}
        </div>
        {(isActive || isHeld) && pending === undefined && !isDeleted && <MessageActions message={message} onDone={() => { setActive(false) }} onHold={setHeld} />}
      </div>
    </div>
  )
})

/** What begins with a message: a day, the unread. */
export function Begins ({ row: { message, isNewDay }, isFirstUnread }: Pick<MessageRowProps, 'row' | 'isFirstUnread'>) {
  return (
    <>
      {isNewDay && <div className='mr-day' role='separator'><span>{day(message.timestamp)}</span></div>}
      {isFirstUnread && <div className='mr-new' role='separator' data-testid='new-messages'><span>New messages</span></div>}
    </>
  )
}

function AuthorAvatar ({ id }: { id: string }) {
  const person = usePerson(id)
  const show = useProfile(id)
  return <button type='button' className='mr-who' tabIndex={-1} aria-hidden onClick={show}><Avatar id={id} name={person?.display_name ?? '·'} url={person?.avatar_url} size={36} /></button> // the name does the same
}

function AuthorName ({ id }: { id: string }) {
  const person = usePerson(id)
  const show = useProfile(id)
  return <button type='button' className='mr-who mr-author' onClick={show}>{person?.display_name ?? '…'}</button>
}

function useProfile (userId: string): () => void {
  const { timeline } = useActions()
  return () => { openDialog('profile', { userId, roomId: timeline.room.id }) }
}

/** What became of a message on its way. */
export function Sending ({ row: { pending } }: { row: Row }) {
  const { timeline } = useActions()
  const chat = useChat()
  if (pending === undefined || pending.state === 'sent') return null
  if (pending.state === 'sending') return <span className='mr-note mr-waits' title='On its way: sent as soon as there is a connection'><Schedule sx={{ fontSize: 13 }} /> Sending</span>
  return (
    <div className='mr-failure' role='alert'>
      <ErrorOutlined sx={{ fontSize: 16 }} />
      <span>Not sent: {pending.error?.message ?? 'refused'}</span>
      <button type='button' onClick={() => { timeline.outgoing.retry(pending.client_id) }}>Try again</button>
      <button type='button' onClick={() => { void navigator.clipboard?.writeText(pending.content).then(() => { chat.say('Its text is in the clipboard') }, () => {}); timeline.outgoing.discard(pending.client_id) }}>Discard</button>
    </div>
  )
}
