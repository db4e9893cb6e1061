/** The page's title: how much is unread, and where one is. What is muted does not count. A component that shows nothing: it renders with each message, and the frame around it does not. */
import { useEffect, useRef } from 'react'
import { useChat, useRoomItself } from '../chat/context.tsx'
import { useSelected } from '../chat/observable.ts'
import { useRoomName } from '../rooms/names.ts'

/** Milliseconds between two titles: the browser draws each anew in its tab, and of what is read at once as it comes nobody wants to know. */
const TITLE_MS = 500

export function Title ({ roomId }: { roomId: string | undefined }) {
  const unread = useSelected(useChat().rooms.all, rooms => Object.values(rooms).reduce((sum, room) => sum + (room.notifications === 'none' ? 0 : room.unread), 0))
  const name = useRoomName(useRoomItself(roomId ?? ''))
  const title = useRef('Millrace')
  const shownAt = useRef(-Infinity)
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined)
  useEffect(() => {
    title.current = `${unread > 0 ? `(${unread}) ` : ''}${name === '' ? '' : `${name} · `}Millrace`
    timer.current ??= setTimeout(() => {
      timer.current = undefined
      shownAt.current = performance.now()
      if (document.title !== title.current) document.title = title.current
    }, Math.max(0, shownAt.current + TITLE_MS - performance.now()))
  }, [unread, name])
  useEffect(() => () => {
    clearTimeout(timer.current)
    timer.current = undefined
    document.title = 'Millrace'
  }, [])
  return null
}
