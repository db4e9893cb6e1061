/**
 * An answer within a thread, where it came in the conversation of its room: one line, below the first of a run what the thread is about. It opens
 * the thread there. So the one order of the room has no holes, and what is unread of threads is read where all else is.
 */
import { memo, useCallback, useRef } from 'react'
import ForumOutlined from '@mui/icons-material/ForumOutlined'
import { openThread } from '../app/panels.tsx'
import { usePerson } from '../chat/context.tsx'
import { useActions } from '../conversation/actions.ts'
import { Summary } from '../conversation/Content.tsx'
import { Begins, Sending, type MessageRowProps } from '../conversation/MessageRow.tsx'
import { useQuoted } from '../conversation/Quote.tsx'
import { useSeen } from '../conversation/seen.ts'
import { Avatar } from '../ui/Avatar.tsx'
import { clock, fully } from '../ui/times.ts'

export const ThreadRow = memo(function ThreadRow ({ row, isFirstUnread, isTarget, isUnread }: MessageRowProps) {
  const { message, pending, isCompact } = row
  const { timeline, userId, seen } = useActions()
  const element = useRef<HTMLDivElement>(null)
  useSeen(element, isUnread, useCallback(() => { seen(message.seq) }, [seen, message.seq]))
  const author = usePerson(message.user_id)
  const name = author?.display_name ?? '…'
  const thread = message.thread!
  const hasHead = !isCompact || isFirstUnread
  const isMentioned = message.user_id !== userId && (message.mentions.includes(userId) || message.mentions_room === true)
  const classes = ['mr-row', 'mr-line', !hasHead && 'mr-compact', isMentioned && 'mr-named', isTarget && 'mr-target'].filter(Boolean).join(' ')
  return (
    <div className='mr-item'>
      <Begins row={row} isFirstUnread={isFirstUnread} />
      <div ref={element} className={classes} role='article' tabIndex={-1} data-testid='message' data-seq={pending === undefined ? message.seq : undefined} data-state={pending?.state} data-thread={thread}>
        <div className='mr-gutter'>{hasHead && <ForumOutlined sx={{ fontSize: 18 }} aria-hidden />}</div>
        <div className='mr-body'>
          {hasHead && <About seq={thread} />}
          <button type='button' className='mr-line-answer' onClick={() => { openThread(timeline.room.id, thread, pending === undefined ? message.seq : undefined) }}>
            <Avatar id={message.user_id} name={name} url={author?.avatar_url} size={18} />
            <span className='mr-line-name'>{name}</span>
            <span className='mr-content mr-line-text'>{message.deleted === true ? <em className='mr-gone'>This message was deleted</em> : <Summary text={message.content} />}</span>
            <time dateTime={message.timestamp} title={fully(message.timestamp)}>{clock(message.timestamp)}</time>
          </button>
          {pending !== undefined && <Sending row={row} />}
        </div>
      </div>
    </div>
  )
})

/** What the thread is about: its first message, in a line. */
function About ({ seq }: { seq: number }) {
  const root = useQuoted(seq)
  return <div className='mr-line-about'>In the thread of {root === undefined ? '…' : root.deleted === true ? <em>a deleted message</em> : <span>“<Summary text={root.content} />”</span>}</div>
}
