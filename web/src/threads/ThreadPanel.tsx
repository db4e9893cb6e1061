/** A thread beside its room, on a phone in its place: the message that it begins at, the answers as they come, and where one answers. */
import { useEffect, useLayoutEffect, useMemo, useRef, useState, type KeyboardEvent } from 'react'
import CloudOff from '@mui/icons-material/CloudOff'
import Box from '@mui/material/Box'
import Button from '@mui/material/Button'
import type { PanelProps } from '../app/panels.tsx'
import { useRoute } from '../app/route.ts'
import { useChat, useIsConnected, useRoom } from '../chat/context.tsx'
import { useValue } from '../chat/observable.ts'
import { createRows } from '../chat/rows.ts'
import type { RoomSummary } from '../chat/rooms.ts'
import { Composer, type ComposerMode } from '../composer/Composer.tsx'
import { ActionsContext } from '../conversation/actions.ts'
import { MessageRow } from '../conversation/MessageRow.tsx'
import { useMessageActions } from '../conversation/useMessageActions.ts'
import { FoundWaiting } from '../found/FoundList.tsx'
import { isMuted, MutedNotice } from '../moderation/MutedNotice.tsx'
import { useRoomName } from '../rooms/names.ts'
import { Empty } from '../ui/Empty.tsx'
import { PanelHeader } from '../ui/PanelHeader.tsx'
import { rove } from '../ui/roving.ts'
import { Thread } from './thread.ts'
import { answers as counted } from './ThreadSummary.tsx'
import '../conversation/conversation.css'

/** Pixels from the end that still count as being there. */
const AT_END_PX = 80

export default function ThreadPanel ({ roomId, onClose }: PanelProps) {
  const room = useRoom(roomId)
  const { thread } = useRoute()
  const isStarted = useValue(useChat().isStarted)
  const isGone = room === undefined && isStarted
  useEffect(() => { if (isGone) onClose() }, [isGone, onClose])
  return room === undefined || thread === undefined ? null : <Open room={room} seq={thread} onClose={onClose} />
}

function Open ({ room, seq, onClose }: { room: RoomSummary, seq: number, onClose: () => void }) {
  const chat = useChat()
  const { api, userId } = chat
  const timeline = chat.timeline(room.id)
  const name = useRoomName(room)
  const { answer } = useRoute()
  const isConnected = useIsConnected()
  const [thread] = useState(() => new Thread({ timeline, api, seq }))
  const [mode, setMode] = useState<ComposerMode>({})
  const { status, root, answers, error } = useValue(thread.view)
  useValue(timeline.view) // what is under way shows here as well
  useEffect(() => thread.open(), [thread])
  useEffect(() => { if (status === 'failed' && isConnected) void thread.load() }, [thread, status, isConnected])
  const [rows] = useState(() => createRows(userId, true))
  const pending = timeline.outgoing.pending.filter(({ options }) => options.thread === seq)
  const shown = rows.make([...root === null ? [] : [root], ...answers].map(message => timeline.outgoing.shown(message)), status === 'ready' ? pending : [], false)
  const actions = useMessageActions(room, useMemo(() => ({
    thread: seq,
    reply: () => {},
    edit: message => { setMode({ edit: message }) },
    jump: to => { timeline.jump(to) },
    seen: () => {}, // the conversation of the room knows what was seen
  }), [seq, timeline]))

  const scroller = useRef<HTMLDivElement>(null)
  const isAtEnd = useRef(true)
  const last = shown.at(-1)?.key
  useLayoutEffect(() => {
    const element = scroller.current
    if (element !== null && isAtEnd.current) element.scrollTop = element.scrollHeight
  }, [last, status])
  useEffect(() => {
    if (status === 'ready' && answer !== undefined) scroller.current?.querySelector(`[data-seq="${answer}"]`)?.scrollIntoView({ block: 'center' })
  }, [status, answer])
  const editLast = (): void => {
    const mine = shown.findLast(({ message, pending }) => pending === undefined && message.user_id === userId && message.deleted !== true)
    if (mine !== undefined) setMode({ edit: mine.message })
  }
  const onKeyDown = (event: KeyboardEvent<HTMLElement>): void => {
    if (event.key === 'Escape' && !event.defaultPrevented && event.target instanceof HTMLElement && event.target.matches('[data-testid=message], [data-testid=message] *')) {
      event.preventDefault()
      event.stopPropagation()
      event.currentTarget.parentElement?.querySelector<HTMLElement>('[data-testid=thread-composer]')?.focus()
    } else if (event.target === event.currentTarget && (event.key === 'ArrowUp' || event.key === 'ArrowDown')) {
      event.preventDefault()
      event.currentTarget.querySelector<HTMLElement>('.mr-item:last-child [data-testid=message]')?.focus()
    } else rove(event, '[data-testid=message]')
  }
  const inThread = shown.filter(({ message }) => message.seq !== seq)
  return (
    <ActionsContext value={actions}>
      <Box sx={{ display: 'flex', flexDirection: 'column', height: '100%', minHeight: 0, bgcolor: 'background.paper' }} data-testid='thread'>
        <PanelHeader title='Thread' sub={name} closes='Close the thread' onClose={onClose} />
        <Box
          ref={scroller} onKeyDown={onKeyDown} onScroll={({ currentTarget: { scrollTop, scrollHeight, clientHeight } }) => { isAtEnd.current = scrollHeight - scrollTop - clientHeight < AT_END_PX }}
          role='log' aria-live='off' aria-label='The thread' tabIndex={0} sx={{ flex: 1, minHeight: 0, overflowY: 'auto', pb: 1 }} className='mr-in-thread'
        >
          {status === 'loading' && <Box sx={{ p: 2 }}><FoundWaiting /></Box>}
          {status === 'failed' && <Empty icon={<CloudOff sx={{ fontSize: 44 }} />} title='This thread could not be loaded' text={error?.message ?? ''}><Button onClick={() => { void thread.load() }}>Try again</Button></Empty>}
          {status === 'ready' && root === null && <Box sx={{ p: 2.5, color: 'text.secondary', fontSize: 14 }}>It began before you came into this room.</Box>}
          {shown.filter(({ message }) => message.seq === seq).map(row => <MessageRow key={row.key} row={row} isFirstUnread={false} isTarget={false} isUnread={false} isEdited={mode.edit?.seq === seq} />)}
          {status === 'ready' && <div className='mr-day mr-replies' role='separator'><span>{inThread.length === 0 ? 'No replies yet' : counted(inThread.length)}</span></div>}
          {inThread.map(row => <MessageRow key={row.key} row={row} isFirstUnread={false} isTarget={row.message.seq === answer} isUnread={false} isEdited={mode.edit?.seq === row.message.seq} />)}
        </Box>
        {isMuted(room) && room.archived !== true
          ? <MutedNotice room={room} />
          : <Box sx={{ pt: 1, flexShrink: 0 }}><Composer roomId={room.id} thread={seq} timeline={timeline} mode={mode} onMode={setMode} onEditLast={editLast} isReadOnly={!actions.canWrite} onSend={text => { isAtEnd.current = true; timeline.outgoing.send(text, { thread: seq }) }} /></Box>}
      </Box>
    </ActionsContext>
  )
}
