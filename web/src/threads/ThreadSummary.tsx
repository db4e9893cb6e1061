/** Stands below the message that a thread begins at: who answered, how often, when last; it opens the thread. */
import { useEffect } from 'react'
import ForumOutlined from '@mui/icons-material/ForumOutlined'
import { openThread } from '../app/panels.tsx'
import { useChat, useIsConnected, usePerson } from '../chat/context.tsx'
import { useKey } from '../chat/observable.ts'
import type { ThreadSummary as Summary } from '../chat/threads.ts'
import { useActions } from '../conversation/actions.ts'
import { Avatar } from '../ui/Avatar.tsx'
import { moment } from '../ui/times.ts'

/** People whose picture is shown. */
const SHOWN_MAX = 3

export const answers = (n: number): string => `${n} ${n === 1 ? 'reply' : 'replies'}`

export function ThreadSummary ({ seq }: { seq: number }) {
  const { timeline } = useActions()
  const summary = useKey(timeline.threadSummaries, String(seq))
  return summary === undefined ? null : <Known seq={seq} summary={summary} />
}

function Known ({ seq, summary: { count, users, at, isExact } }: { seq: number, summary: Summary }) {
  const { timeline } = useActions()
  const { api } = useChat()
  const isConnected = useIsConnected()
  const roomId = timeline.room.id
  useEffect(() => {
    if (isExact || !isConnected) return
    api.thread(roomId, seq).then(({ items, next }) => { if (next === null) timeline.threads.filled(seq, items) }, () => {})
  }, [api, timeline, roomId, seq, isExact, isConnected])
  return (
    <button type='button' className='mr-thread' data-testid='thread-summary' onClick={() => { openThread(roomId, seq) }}>
      {users.length === 0 ? <ForumOutlined sx={{ fontSize: 16 }} /> : <span className='mr-thread-who' aria-hidden>{users.slice(0, SHOWN_MAX).map(id => <Who key={id} id={id} />)}</span>}
      <strong>{answers(count)}</strong>
      <span className='mr-thread-at'>last {moment(at)}</span>
    </button>
  )
}

function Who ({ id }: { id: string }) {
  const person = usePerson(id)
  return <Avatar id={id} name={person?.display_name ?? '·'} url={person?.avatar_url} size={20} />
}
