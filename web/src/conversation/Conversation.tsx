/** A room: its bar, its messages, who types, and where one writes. Outsiders of a public room see it with a way in. */
import { useCallback, useEffect, useMemo, useRef, useState } from 'react'
import CloudOff from '@mui/icons-material/CloudOff'
import Box from '@mui/material/Box'
import Button from '@mui/material/Button'
import Skeleton from '@mui/material/Skeleton'
import { Composer, type ComposerMode } from '../composer/Composer.tsx'
import { useRoute } from '../app/route.ts'
import { useChat, useRoom, useTimeline } from '../chat/context.tsx'
import type { Message } from '../chat/fold.ts'
import { useValue } from '../chat/observable.ts'
import { isMuted, MutedNotice } from '../moderation/MutedNotice.tsx'
import { Empty } from '../ui/Empty.tsx'
import { Announcer } from './Announcer.tsx'
import { ActionsContext } from './actions.ts'
import { JoinRoom } from './JoinRoom.tsx'
import { MessageList, type ListHandle } from './MessageList.tsx'
import { Receipts } from './Receipts.tsx'
import { RoomHeader } from './RoomHeader.tsx'
import { TypingLine } from './TypingLine.tsx'
import { useMessageActions } from './useMessageActions.ts'
import './conversation.css'

/** Milliseconds over which read marks are collected. */
const READ_MS = 250

export default function Conversation ({ roomId, isWide }: { roomId: string, isWide: boolean }) {
  const room = useRoom(roomId)
  const isStarted = useValue(useChat().isStarted)
  if (room !== undefined) return <Open roomId={roomId} isWide={isWide} />
  return isStarted ? <JoinRoom roomId={roomId} isWide={isWide} /> : <Waiting />
}

function Open ({ roomId, isWide }: { roomId: string, isWide: boolean }) {
  const chat = useChat()
  const room = useRoom(roomId)!
  const { timeline, view } = useTimeline(roomId)
  const { at } = useRoute()
  const route = useRoute()
  const list = useRef<ListHandle>(null)
  const [mode, setMode] = useState<ComposerMode>(() => ({ replyTo: chat.drafts.get(roomId).replyTo }))
  const [opened, setOpened] = useState(() => ({ after: room.unread > 0 ? room.read_seq : undefined, unread: room.unread }))
  const seen = useSeenMarks(roomId, view.hasNewer)

  useEffect(() => { if (at !== undefined) timeline.jump(at) }, [timeline, at, route])

  const muted = isMuted(room)
  const actions = useMessageActions(room, useMemo(() => ({
    reply: message => { setMode({ replyTo: message.seq }) },
    edit: message => { setMode({ edit: message }) },
    jump: seq => { timeline.jump(seq) },
    seen,
  }), [timeline, seen]))

  const editLast = useCallback((): void => {
    const mine = timeline.view.get().rows.findLast(({ message, pending }) => pending === undefined && message.user_id === chat.userId && message.deleted !== true)
    if (mine !== undefined) setMode({ edit: mine.message })
  }, [timeline, chat])

  const send = useCallback((text: string, replyTo: number | undefined): void => {
    timeline.outgoing.send(text, replyTo === undefined ? {} : { reply_to: replyTo })
    setOpened({ after: undefined, unread: 0 }) // whoever answers has read
    setTimeout(() => { list.current?.toEnd() })
  }, [timeline])

  return (
    <ActionsContext value={actions}>
      <RoomHeader roomId={roomId} isWide={isWide} />
      {view.status === 'ready'
        ? <MessageList key={view.window} timeline={timeline} view={view} userId={chat.userId} unreadAfter={opened.after} unread={opened.unread} readSeq={room.read_seq} editedSeq={mode.edit?.seq} handle={list} />
        : view.status === 'failed' ? <Empty icon={<CloudOff sx={{ fontSize: 44 }} />} title='Nothing of this room is here yet' text={`${view.error?.message ?? ''} It is loaded when there is a connection.`}><Button onClick={() => { timeline.newest() }}>Try again</Button></Empty> : <Waiting />}
      <Announcer timeline={timeline} view={view} />
      <Box sx={{ display: 'flex', flexShrink: 0 }}><Box sx={{ flex: 1, minWidth: 0 }}><TypingLine timeline={timeline} /></Box><Receipts timeline={timeline} /></Box>
      {muted && room.archived !== true ? <MutedNotice room={room} /> : <Composer roomId={roomId} timeline={timeline} mode={mode} onMode={setMode} onSend={send} onEditLast={editLast} isReadOnly={!actions.canWrite} />}
    </ActionsContext>
  )
}

/** Marks what was seen as read, a little later, up to the newest of it. */
function useSeenMarks (roomId: string, isPast: boolean): (seq: number) => void {
  const chat = useChat()
  const newest = useRef(0)
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined)
  const mark = useCallback(() => {
    timer.current = undefined
    const { rows, hasNewer } = chat.timeline(roomId).view.get()
    const upTo = Math.max(newest.current, chat.rooms.get(roomId)?.read_seq ?? 0)
    const left = rows.filter(({ message, pending }): boolean => pending === undefined && message.seq > upTo && message.user_id !== chat.userId && message.deleted !== true)
    const isNamed = ({ mentions, mentions_room }: Message): boolean => mentions.includes(chat.userId) || mentions_room === true
    chat.read(roomId, newest.current, hasNewer ? undefined : { unread: left.length, mentions: left.filter(({ message }) => isNamed(message)).length })
  }, [chat, roomId])
  useEffect(() => { if (!isPast && newest.current > 0 && timer.current === undefined) mark() }, [mark, isPast]) // what is left after a jump is known once the newest are there
  useEffect(() => {
    const now = (): void => {
      if (timer.current === undefined) return
      clearTimeout(timer.current)
      mark()
    }
    window.addEventListener('pagehide', now, { capture: true }) // before the list of rooms is kept
    return () => {
      window.removeEventListener('pagehide', now, { capture: true })
      now()
    }
  }, [mark])
  return useCallback((seq: number) => {
    if (seq <= newest.current) return
    newest.current = seq
    timer.current ??= setTimeout(mark, READ_MS)
  }, [mark])
}

function Waiting () {
  return (
    <Box aria-busy aria-label='Loading' sx={{ flex: 1, minHeight: 0, overflow: 'hidden', display: 'flex', flexDirection: 'column', justifyContent: 'flex-end', p: 2.5, gap: 2.5 }}>
      {[40, 75, 55, 65, 30].map((width, i) => (
        <Box key={i} sx={{ display: 'flex', gap: 1.5 }}>
          <Skeleton variant='circular' width={36} height={36} />
          <Box sx={{ flex: 1, maxWidth: 560 }}><Skeleton width={120} /><Skeleton width={`${width}%`} /></Box>
        </Box>
      ))}
    </Box>
  )
}
