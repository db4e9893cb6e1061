/**
 * The messages of a room, of which only those in sight are in the page. Older and newer ones are loaded where they end, without a jump. At
 * the newest end it follows what comes; away from it a button leads back.
 */
import { useEffect, useMemo, useRef, useState, type KeyboardEvent, type RefObject } from 'react'
import ArrowDownward from '@mui/icons-material/ArrowDownward'
import ArrowUpward from '@mui/icons-material/ArrowUpward'
import Badge from '@mui/material/Badge'
import Box from '@mui/material/Box'
import Button from '@mui/material/Button'
import CircularProgress from '@mui/material/CircularProgress'
import Fab from '@mui/material/Fab'
import { Virtuoso, type VirtuosoHandle } from 'react-virtuoso'
import type { Row } from '../chat/rows.ts'
import type { Timeline, TimelineView } from '../chat/timeline.ts'
import { ThreadRow } from '../threads/ThreadRow.tsx'
import { rove } from '../ui/roving.ts'
import { Beginning } from './Beginning.tsx'
import { MessageRow } from './MessageRow.tsx'
import { useEnd } from './useEnd.ts'
import { usePlace } from './usePlace.ts'

/** Pixels beyond the viewport that are in the page already. */
const AHEAD_PX = { top: 700, bottom: 300 }

interface MessageListProps {
  timeline: Timeline
  view: TimelineView
  userId: string
  /** Where the read mark stood when the room was opened; undefined: there was nothing unread. */
  unreadAfter: number | undefined
  /** How many were unread. */
  unread: number
  readSeq: number
  editedSeq: number | undefined
  handle: RefObject<ListHandle | null>
}

/** What a conversation wants of its list. */
export interface ListHandle { toEnd: () => void }

/** What the rows and the ends of the list need to know. */
interface Context { readonly firstUnread: string | undefined, readonly target: number | undefined, readonly readBefore: number, readonly userId: string, readonly editedSeq: number | undefined, readonly hasOlder: boolean, readonly roomId: string }

const isUnread = ({ message, pending }: Row, after: number, userId: string): boolean => pending === undefined && message.seq > after && message.user_id !== userId && message.deleted !== true

export function MessageList ({ timeline, view, userId, unreadAfter, unread, readSeq, editedSeq, handle }: MessageListProps) {
  const { rows, firstIndex, target, hasOlder, hasNewer } = view
  const virtuoso = useRef<VirtuosoHandle>(null)
  const [topIndex, setTopIndex] = useState(0)
  const firstUnreadIndex = useMemo(() => unreadAfter === undefined ? -1 : rows.findIndex(row => isUnread(row, unreadAfter, userId)), [rows, unreadAfter, userId])
  const isUnreadAbove = unreadAfter !== undefined && firstUnreadIndex === 0 && hasOlder && (rows[0]?.message.seq ?? 0) > unreadAfter + 1 && unread > rows.length
  const firstUnread = isUnreadAbove ? undefined : rows[firstUnreadIndex]?.key

  const [initial] = useState(() => { // of this window: the list is made anew for another one
    const at = target === undefined ? -1 : rows.findIndex(({ message }) => message.seq >= target)
    if (at >= 0) return { index: at, align: 'center' as const }
    if (firstUnreadIndex > 0) return { index: firstUnreadIndex, align: 'start' as const, offset: -80 }
    return { index: 'LAST' as const, align: 'end' as const } // whatever comes before it is reached: to an index the list goes again and again while more comes
  })
  const { isAtEnd, follows, stay, scroller, scrollerRef } = useEnd(initial.align === 'end', hasNewer)
  usePlace(scroller, firstIndex)

  const toEnd = (): void => {
    if (hasNewer) timeline.newest()
    else {
      follows.current = true
      stay()
    }
  }
  useEffect(() => {
    handle.current = { toEnd }
    return () => { handle.current = null }
  })
  useEffect(() => { timeline.isAtEnd = isAtEnd }, [timeline, isAtEnd])

  const [readBefore] = useState(readSeq) // what is read from here on does not render once more for that
  const context: Context = { firstUnread, target, readBefore, userId, editedSeq, hasOlder, roomId: timeline.room.id }
  const isLineAbove = unreadAfter !== undefined && (isUnreadAbove || (firstUnreadIndex >= 0 && topIndex > firstIndex + firstUnreadIndex + 1))
  const toUnread = (): void => {
    if (isUnreadAbove) timeline.jump(unreadAfter + 1)
    else {
      follows.current = false
      virtuoso.current?.scrollToIndex({ index: firstUnreadIndex, align: 'start', offset: -60 })
    }
  }

  const onKeyDown = (event: KeyboardEvent<HTMLElement>): void => {
    if (event.key === 'End' && !isField(event.target)) {
      event.preventDefault()
      toEnd()
    } else if (event.key === 'Escape' && !event.defaultPrevented) {
      event.preventDefault()
      document.querySelector<HTMLElement>('[data-testid=composer]')?.focus()
    } else if (event.target === scroller.current && (event.key === 'ArrowUp' || event.key === 'ArrowDown')) {
      event.preventDefault()
      lastInSight(event.target)?.focus({ preventScroll: true })
    } else rove(event, '[data-testid=message]')
  }

  return (
    <Box sx={{ flex: 1, minHeight: 0, position: 'relative' }} onKeyDown={onKeyDown}>
      <Virtuoso<Row, Context>
        ref={virtuoso}
        data={rows as Row[]}
        context={context}
        firstItemIndex={firstIndex}
        initialTopMostItemIndex={initial}
        computeItemKey={(_, row) => row.key}
        itemContent={renderRow}
        components={COMPONENTS}
        alignToBottom
        skipAnimationFrameInResizeObserver
        increaseViewportBy={AHEAD_PX}
        isScrolling={is => { timeline.isScrolling = is }}
        startReached={() => { timeline.loadOlder() }}
        endReached={() => { timeline.loadNewer() }}
        scrollerRef={scrollerRef}
        totalListHeightChanged={stay}
        rangeChanged={({ startIndex }) => { setTopIndex(startIndex) }}
        role='log' aria-live='off' aria-label='Messages' tabIndex={0} data-testid='messages' data-kept={rows.length}
        style={LIST_STYLE}
      />
      {isLineAbove && (
        <Box sx={{ position: 'absolute', top: 10, left: 0, right: 0, display: 'flex', justifyContent: 'center', pointerEvents: 'none' }}>
          <Button size='small' variant='contained' startIcon={<ArrowUpward />} onClick={toUnread} sx={{ borderRadius: 99, pointerEvents: 'auto', boxShadow: 3 }}>Jump to unread</Button>
        </Box>
      )}
      {(!isAtEnd || hasNewer) && (
        <Box sx={{ position: 'absolute', right: 20, bottom: 12 }}>
          <Badge color='secondary' overlap='circular' badgeContent={countAfter(rows, readSeq, userId)} max={99}>
            <Fab size='small' aria-label='Jump to newest' onClick={toEnd} sx={{ bgcolor: 'background.paper', color: 'text.primary', border: 1, borderColor: 'divider', boxShadow: 2 }}><ArrowDownward fontSize='small' /></Fab>
          </Badge>
        </Box>
      )}
    </Box>
  )
}

const isField = (target: EventTarget): boolean => target instanceof Element && target.matches('input, textarea')

/** The newest message of which something can be seen. */
function lastInSight (scroller: EventTarget): HTMLElement | undefined {
  if (!(scroller instanceof HTMLElement)) return undefined
  const { bottom } = scroller.getBoundingClientRect()
  return [...scroller.querySelectorAll<HTMLElement>('[data-testid=message]')].findLast(message => message.getBoundingClientRect().top < bottom - 8)
}

const LIST_STYLE = { height: '100%', overflowX: 'hidden' } as const

function countAfter (rows: readonly Row[], seq: number, userId: string): number {
  return rows.reduce((sum, row) => sum + (isUnread(row, seq, userId) ? 1 : 0), 0)
}

function renderRow (_: number, row: Row, { firstUnread, target, readBefore, userId, editedSeq }: Context) {
  const Shown = row.message.thread === undefined ? MessageRow : ThreadRow
  return <Shown row={row} isFirstUnread={row.key === firstUnread} isTarget={row.message.seq === target} isUnread={isUnread(row, readBefore, userId)} isEdited={row.message.seq === editedSeq} />
}

const COMPONENTS = {
  Header: ({ context }: { context?: Context }) => context?.hasOlder === false ? <Beginning roomId={context.roomId} /> : <Box sx={{ display: 'grid', placeItems: 'center', height: 56 }}><CircularProgress size={20} aria-label='Loading older messages' /></Box>,
  Footer: () => <Box sx={{ height: 8 }} />,
}
