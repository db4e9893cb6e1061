/** A message that was found, in a list of them: whose, where and when; the whole card is a link to its place in the conversation. */
import type { MouseEvent, ReactNode } from 'react'
import Box from '@mui/material/Box'
import Typography from '@mui/material/Typography'
import type { MessageItem } from '../api/types.ts'
import { jumpFromPanel } from '../app/panels.tsx'
import { roomHref, useRoute } from '../app/route.ts'
import { usePerson, useRoom } from '../chat/context.tsx'
import { useRoomName } from '../rooms/names.ts'
import { Avatar } from '../ui/Avatar.tsx'
import { fully, moment } from '../ui/times.ts'
import './found.css'

interface FoundMessageProps {
  roomId: string
  message: Pick<MessageItem, 'seq' | 'user_id' | 'timestamp' | 'thread' | 'attachments'>
  /** Where several rooms are in the list. */
  showsRoom: boolean
  /** Stands at its corner. */
  end?: ReactNode
  /** Something more about it, at its foot. */
  note?: ReactNode
  isNew?: boolean
  /** Where Tab comes into the list. */
  isEntry: boolean
  children: ReactNode
}

export function FoundMessage ({ roomId, message: { seq, user_id, timestamp, thread, attachments }, showsRoom, end, note, isNew = false, isEntry, children }: FoundMessageProps) {
  const author = usePerson(user_id)
  const room = useRoom(roomId)
  const name = useRoomName(room)
  const { roomId: shown, at } = useRoute()
  const isShown = shown === roomId && at === seq
  const jump = (event: MouseEvent): void => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return // in another tab, as with any link
    event.preventDefault()
    jumpFromPanel(roomId, seq)
  }
  return (
    <Box component='li' sx={{ position: 'relative', listStyle: 'none' }}>
      <Box
        component='a' href={roomHref(roomId, seq)} onClick={jump} data-testid='found' data-seq={seq} tabIndex={isEntry ? 0 : -1} aria-current={isShown ? 'true' : undefined}
        sx={{ display: 'block', px: 1.5, py: 1.25, borderRadius: 1.25, color: 'inherit', textDecoration: 'none', border: 1, borderColor: isShown ? 'primary.main' : 'divider', bgcolor: isShown ? 'action.selected' : 'background.paper', '&:hover': { borderColor: 'primary.main' } }}
      >
        {showsRoom && <Typography noWrap component='span' sx={{ display: 'block', mb: 0.5, pr: end === undefined ? 0 : 4, fontSize: 12, fontWeight: 650, color: 'text.secondary' }}>{name === '' ? 'A room that you are not in' : name}</Typography>}
        <Box component='span' sx={{ display: 'flex', alignItems: 'center', gap: 1, pr: end === undefined || showsRoom ? 0 : 4 }}>
          <Avatar id={user_id} name={author?.display_name ?? '·'} url={author?.avatar_url} size={22} />
          <Typography noWrap component='span' sx={{ fontSize: 13.5, fontWeight: 700 }}>{author?.display_name ?? '…'}</Typography>
          <Typography component='time' dateTime={timestamp} title={fully(timestamp)} sx={{ flexShrink: 0, fontSize: 12, color: 'text.secondary' }}>{moment(timestamp)}</Typography>
          {isNew && <Box component='span' role='img' aria-label='unread' sx={{ ml: 'auto', width: 9, height: 9, flexShrink: 0, borderRadius: '50%', bgcolor: 'secondary.main' }} />}
        </Box>
        <Box component='span' className='mr-found'>{children}</Box>
        {(thread !== undefined || attachments !== undefined || note !== undefined) && (
          <Typography component='span' sx={{ display: 'block', mt: 0.5, fontSize: 12, color: 'text.secondary' }}>
            {[thread !== undefined ? 'In a thread' : undefined, attachments !== undefined ? `${attachments.length} ${attachments.length === 1 ? 'attachment' : 'attachments'}` : undefined].filter(Boolean).join(' · ')}{note}
          </Typography>
        )}
      </Box>
      {end !== undefined && <Box sx={{ position: 'absolute', top: 4, right: 4 }}>{end}</Box>}
    </Box>
  )
}
