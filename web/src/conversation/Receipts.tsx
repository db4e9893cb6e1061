/**
 * Who has read up to the newest message: small pictures and how many, at the end of the typing line, so that nothing moves when marks
 * do. Only where others' marks come: not in large rooms. Whoever wrote the message is not counted.
 */
import Box from '@mui/material/Box'
import Tooltip from '@mui/material/Tooltip'
import { useChat, usePerson } from '../chat/context.tsx'
import { useValue } from '../chat/observable.ts'
import type { Timeline } from '../chat/timeline.ts'
import { Avatar } from '../ui/Avatar.tsx'

/** People whose picture is shown, and who are named. */
const SHOWN_MAX = 4
const NAMED_MAX = 12

export function Receipts ({ timeline }: { timeline: Timeline }) {
  const { userId } = useChat()
  const reads = useValue(timeline.reads)
  const { rows, hasNewer } = useValue(timeline.view)
  const newest = rows.findLast(({ pending }) => pending === undefined)?.message
  if (newest === undefined || hasNewer) return null
  const readers = Object.keys(reads).filter(id => id !== userId && id !== newest.user_id && reads[id]! >= newest.seq)
  if (readers.length === 0) return null
  return (
    <Tooltip title={<Names ids={readers} />}>
      <Box data-testid='receipts' role='img' tabIndex={0} aria-label={`Read by ${readers.length}`} sx={{ display: 'flex', alignItems: 'center', gap: 0.5, flexShrink: 0, height: 22, mr: 2.5, fontSize: 12, color: 'text.secondary' }}>
        {readers.slice(0, SHOWN_MAX).map(id => <Reader key={id} id={id} />)}
        <span>Read by {readers.length}</span>
      </Box>
    </Tooltip>
  )
}

function Reader ({ id }: { id: string }) {
  const person = usePerson(id)
  return <Avatar id={id} name={person?.display_name ?? '·'} url={person?.avatar_url} size={16} />
}

function Names ({ ids }: { ids: readonly string[] }) {
  const named = ids.slice(0, NAMED_MAX)
  return <>Read by {named.map((id, i) => <span key={id}>{i > 0 && ', '}<Name id={id} /></span>)}{ids.length > named.length && ` and ${ids.length - named.length} more`}</>
}

function Name ({ id }: { id: string }) {
  return <>{usePerson(id)?.display_name ?? '…'}</>
}
