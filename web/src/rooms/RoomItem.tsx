/** One room in the list: its name, what was said last and by whom, when, and what is unread. Of plain elements: it renders with each message. */
import { memo, type ReactNode } from 'react'
import EditOutlined from '@mui/icons-material/EditOutlined'
import ErrorOutlined from '@mui/icons-material/ErrorOutlined'
import Schedule from '@mui/icons-material/Schedule'
import ListItem from '@mui/material/ListItem'
import ListItemButton from '@mui/material/ListItemButton'
import { roomHref } from '../app/route.ts'
import type { LastMessage } from '../api/types.ts'
import { useChat, usePerson } from '../chat/context.tsx'
import { useKey, useValue } from '../chat/observable.ts'
import type { RoomSummary } from '../chat/rooms.ts'
import { brief } from '../ui/times.ts'
import { useRoomName } from './names.ts'
import { RoomAvatar } from './RoomAvatar.tsx'
import './rooms.css'

const UNREAD_SHOWN_MAX = 99

export const RoomItem = memo(function RoomItem ({ room, isCurrent, isEntry }: { room: RoomSummary, isCurrent: boolean, isEntry: boolean }) {
  const name = useRoomName(room)
  const isQuiet = room.notifications === 'none'
  const isUnread = room.unread > 0 && !isQuiet
  const said = `${name}${room.unread > 0 ? `, ${room.unread} unread` : ''}${room.mentions > 0 ? `, ${room.mentions} ${room.mentions === 1 ? 'mention' : 'mentions'}` : ''}`
  return (
    <ListItem disablePadding>
      <ListItemButton href={roomHref(room.id)} tabIndex={isEntry ? 0 : -1} selected={isCurrent} aria-current={isCurrent ? 'page' : undefined} aria-label={said} data-testid='room' data-room={room.id} sx={{ borderRadius: 2.5, gap: 1.5, px: 1.25, py: 1, my: '1px' }}>
        <span aria-hidden><RoomAvatar room={room} /></span>
        <span className={`mr-room${isUnread ? ' mr-unread' : ''}`}>
          <span className='mr-room-head'>
            <span className='mr-room-name'>{name}</span>
            {room.last_message !== undefined && <time aria-hidden>{brief(room.last_message.timestamp)}</time>}
          </span>
          <span className='mr-room-foot' aria-hidden>
            <Preview room={room} isCurrent={isCurrent} />
            {room.mentions > 0 && <span className='mr-count mr-count-mentions' data-testid='mentions'>@{Math.min(room.mentions, UNREAD_SHOWN_MAX)}</span>}
            {isUnread && <span className='mr-count' data-testid='unread'>{room.unread > UNREAD_SHOWN_MAX ? `${UNREAD_SHOWN_MAX}+` : room.unread}</span>}
          </span>
        </span>
      </ListItemButton>
    </ListItem>
  )
})

/** Who types; else what was begun here, what is on its way, what was said last: in this order. */
function Preview ({ room, isCurrent }: { room: RoomSummary, isCurrent: boolean }) {
  const chat = useChat()
  const { drafts } = chat
  const draft = (useKey(drafts.texts, room.id) ?? drafts.get(room.id).text).trim()
  const pending = useValue(chat.timeline(room.id).outgoing.last)
  const typing = useValue(chat.timeline(room.id).typing.users)
  const last = room.last_message
  if (typing.length > 0) return <Line><span className='mr-types'>typing…</span></Line>
  if (draft !== '' && !isCurrent) return <Line icon={<EditOutlined sx={{ fontSize: 14 }} />}><span className='mr-begun'>Draft:</span> {onLine(draft)}</Line>
  if (pending?.state === 'failed') return <Line icon={<ErrorOutlined color='error' sx={{ fontSize: 14 }} />}>Not sent: {onLine(pending.content)}</Line>
  if (pending !== undefined) return <Line icon={pending.state === 'sending' && <Schedule sx={{ fontSize: 14 }} />}>You: {onLine(pending.content)}</Line>
  if (last === undefined) return <Line>{room.topic !== undefined && room.topic !== '' ? room.topic : 'No messages yet'}</Line>
  return <Said last={last} isDirect={room.kind === 'dm'} me={chat.userId} />
}

function Said ({ last, isDirect, me }: { last: LastMessage, isDirect: boolean, me: string }) {
  const author = usePerson(last.user_id)
  const who = last.user_id === me ? 'You: ' : isDirect || author === undefined ? '' : `${author.display_name}: `
  return <Line>{who}{last.deleted === true ? <em>deleted</em> : onLine(last.content)}</Line>
}

const onLine = (text: string): string => text.replaceAll(/\s+/g, ' ').slice(0, 120)

function Line ({ icon, children }: { icon?: ReactNode, children: ReactNode }) {
  return <span className='mr-room-line'>{icon}{children}</span>
}
