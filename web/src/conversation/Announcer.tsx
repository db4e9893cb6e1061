/**
 * Tells screen readers what comes: the message if it is one, else how many and the newest, at most once in a few seconds. The list itself is
 * silent: in it rows come and go as one scrolls. What comes while one reads older messages is told as well; one's own is not.
 */
import { useEffect, useRef, useState } from 'react'
import { useChat } from '../chat/context.tsx'
import type { Timeline, TimelineView } from '../chat/timeline.ts'

/** Time between two announcements. */
const PAUSE_MS = 3_000
const CHARS_MAX = 200

export function Announcer ({ timeline, view }: { timeline: Timeline, view: TimelineView }) {
  const { people, userId } = useChat()
  const [said, setSaid] = useState('')
  const newest = view.rows.findLast(({ pending }) => pending === undefined)?.message.seq ?? 0
  const told = useRef<number>(undefined)
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined)
  useEffect(() => () => { clearTimeout(timer.current) }, [])

  useEffect(() => {
    if (view.status !== 'ready') return
    if (told.current === undefined || view.hasNewer) {
      told.current = Math.max(told.current ?? 0, newest)
      return
    }
    if (newest <= told.current || timer.current !== undefined) return
    const tell = (): void => {
      timer.current = undefined
      const fresh = timeline.view.get().rows.filter(({ message, pending }) => pending === undefined && message.seq > told.current! && message.user_id !== userId && message.deleted !== true)
      told.current = Math.max(told.current!, timeline.view.get().rows.findLast(({ pending }) => pending === undefined)?.message.seq ?? 0)
      const last = fresh.at(-1)?.message
      if (last === undefined) return
      setSaid(`${fresh.length > 1 ? `${fresh.length} new messages. ` : ''}${people.known.get(last.user_id)?.display_name ?? 'Somebody'}: ${last.content.slice(0, CHARS_MAX)}`)
    }
    timer.current = setTimeout(tell, said === '' ? 0 : PAUSE_MS)
  }, [timeline, view, newest, people, userId, said])

  return <div className='mr-hidden' role='status' aria-live='polite' data-testid='announcer'>{said}</div>
}
