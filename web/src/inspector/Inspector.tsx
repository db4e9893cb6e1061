/**
 * The inspector: the log of a room as this page received it, seq by seq, each with its chain and where it came from; our position and the head; and
 * the plug. Whoever pulls it sees the positions part, and when it is back, what was missed arrive: in order, each once.
 */
import { useCallback, useEffect, useMemo, useState } from 'react'
import Close from '@mui/icons-material/Close'
import PowerOff from '@mui/icons-material/PowerOff'
import PowerOutlined from '@mui/icons-material/PowerOutlined'
import Box from '@mui/material/Box'
import Button from '@mui/material/Button'
import IconButton from '@mui/material/IconButton'
import Typography from '@mui/material/Typography'
import type { PanelProps } from '../app/panels.tsx'
import { describe } from '../app/ConnectionChip.tsx'
import { MONO } from '../app/theme.ts'
import { useChat, useConnection } from '../chat/context.tsx'
import { useValue } from '../chat/observable.ts'
import type { Entry } from '../chat/room-log.ts'
import { clock } from '../ui/times.ts'
import { LogRows } from './LogRows.tsx'

/** Events that are read over HTTP at a time, from before those that this page received. */
const READ = 50

export default function Inspector ({ roomId, onClose }: PanelProps) {
  const chat = useChat()
  const timeline = chat.timeline(roomId)
  const log = useValue(timeline.log.view)
  const state = useConnection()
  const isPulled = useValue(chat.plug.pulled)
  const { entries, older, isAll } = useLog(roomId)
  const position = timeline.room.position ?? log.position
  const catchUp = log.catchUps.at(-1)
  const reset = log.resets.at(-1)
  const { label } = describe(state, isPulled)

  return (
    <Box sx={{ display: 'flex', flexDirection: 'column', height: '100%', minHeight: 0 }} data-testid='inspector'>
      <Box component='header' sx={{ display: 'flex', alignItems: 'center', height: 60, px: 2, flexShrink: 0, borderBottom: 1, borderColor: 'divider' }}>
        <Typography variant='h6' component='h2' sx={{ flex: 1 }}>Inspector</Typography>
        <IconButton edge='end' aria-label='Close the inspector' onClick={onClose}><Close /></IconButton>
      </Box>
      <Box sx={{ p: 2, borderBottom: 1, borderColor: 'divider', display: 'flex', flexDirection: 'column', gap: 1.5 }}>
        <Button
          fullWidth variant={isPulled ? 'contained' : 'outlined'} color={isPulled ? 'primary' : 'error'} data-testid='plug' aria-pressed={isPulled}
          startIcon={isPulled ? <PowerOutlined /> : <PowerOff />} onClick={() => { isPulled ? chat.plug.push() : chat.plug.pull() }}
        >
          {isPulled ? 'Put the plug back' : 'Pull the plug'}
        </Button>
        <Box component='dl' sx={{ m: 0, display: 'grid', gridTemplateColumns: 'auto 1fr', columnGap: 2, rowGap: 0.5, fontSize: 13, '& dt': { color: 'text.secondary' }, '& dd': { m: 0, textAlign: 'right', fontFamily: MONO, fontSize: 12.5, overflow: 'hidden', textOverflow: 'ellipsis' } }}>
          <dt>Connection</dt><dd>{label}</dd>
          <dt>My position</dt><dd data-testid='position'>{position === undefined ? '–' : `${position.seq} ${position.chain ?? ''}`}</dd>
          <dt>Head, as far as known</dt><dd>{log.head}</dd>
          <dt>Last catch-up</dt><dd data-testid='catch-up'>{catchUp === undefined ? 'none' : `${catchUp.from} → ${catchUp.live ?? catchUp.to} from the ${catchUp.source}`}</dd>
          <dt>Resets</dt><dd>{reset === undefined ? 'none' : `${log.resets.length}, last to ${reset.seq}: ${reset.reason}`}</dd>
        </Box>
        <Ahead seen={position?.seq ?? 0} head={log.head} />
      </Box>
      <LogRows entries={entries} onOlder={isAll ? undefined : older} resets={log.resets} />
    </Box>
  )
}

/** How far behind the head we are. */
function Ahead ({ seen, head }: { seen: number, head: number }) {
  const behind = Math.max(0, head - seen)
  return (
    <Box>
      <Box sx={{ height: 6, borderRadius: 3, bgcolor: 'divider', overflow: 'hidden' }}><Box sx={{ height: '100%', width: `${head === 0 ? 100 : (seen / head) * 100}%`, bgcolor: behind === 0 ? 'success.main' : 'warning.main', transition: 'width 200ms' }} /></Box>
      <Typography variant='caption' color='textSecondary'>{behind === 0 ? `Complete up to now, ${clock(new Date().toISOString())}` : `${behind} events behind`}</Typography>
    </Box>
  )
}

/** What this page received, and what was read from before it. */
function useLog (roomId: string): { entries: readonly Entry[], older: () => void, isAll: boolean } {
  const { api, timeline: timelineOf } = useChatBound()
  const log = useValue(timelineOf(roomId).log.view)
  const [read, setRead] = useState<readonly Entry[]>([])
  const first = read[0]?.event.seq ?? log.entries[0]?.event.seq ?? (log.position === undefined ? undefined : log.position.seq + 1)
  const older = useCallback(() => {
    if (first === undefined || first <= 1) return
    const after = Math.max(0, first - 1 - READ)
    api.events(roomId, after, READ).then(({ items }) => { setRead(now => [...items.filter(({ seq }) => seq < first).map((event): Entry => ({ event, source: 'http' })), ...now]) }, () => {})
  }, [api, roomId, first])
  const isEmpty = read.length === 0
  useEffect(() => { if (isEmpty) older() }, [isEmpty, older])
  const begin = log.entries[0]?.event.seq ?? Infinity
  const entries = useMemo(() => [...read.filter(({ event }) => event.seq < begin), ...log.entries], [read, log.entries, begin])
  return { entries, older, isAll: first === undefined || first <= 1 }
}

function useChatBound () {
  const chat = useChat()
  return { api: chat.api, timeline: (roomId: string) => chat.timeline(roomId) }
}
