/** The events, newest at the foot: seq, type, who, the beginning of the chain, and where each came from. The chain is checked here as well. */
import { memo, useEffect, useState } from 'react'
import Box from '@mui/material/Box'
import Button from '@mui/material/Button'
import Tooltip from '@mui/material/Tooltip'
import Typography from '@mui/material/Typography'
import type { Reset, RoomEvent } from 'millrace/client'
import { Virtuoso } from 'react-virtuoso'
import { MONO } from '../app/theme.ts'
import { usePerson } from '../chat/context.tsx'
import type { Entry, Source } from '../chat/room-log.ts'
import { fully } from '../ui/times.ts'

const COLOURS: Record<Source, string> = { live: 'success.main', log: 'warning.main', archive: 'secondary.main', http: 'text.secondary' }
const CHAIN_SHOWN = 6
const ROW_PX = 28
/** Whose the events are that nobody did: of the lobby's making, for one. */
const SERVER_ID = '00000000-0000-7000-8000-000000000000'

export function LogRows ({ entries, onOlder, resets }: { entries: readonly Entry[], onOlder: (() => void) | undefined, resets: ReadonlyArray<Reset & { at: number }> }) {
  const resetAt = new Set(resets.map(({ seq }) => seq))
  return (
    <Box sx={{ flex: 1, minHeight: 0, display: 'flex', flexDirection: 'column' }}>
      <Box sx={{ display: 'flex', alignItems: 'center', px: 2, py: 1 }}>
        <Typography variant='overline' component='h3' sx={{ flex: 1 }}>The log</Typography>
        {onOlder !== undefined && <Button size='small' onClick={onOlder}>Older</Button>}
      </Box>
      <Box sx={{ flex: 1, minHeight: 0 }}>
        {entries.length > 0 && (
          <Virtuoso<Entry>
            data={entries as Entry[]}
            firstItemIndex={entries[0]!.event.seq}
            initialTopMostItemIndex={entries.length - 1}
            followOutput='auto'
            alignToBottom
            fixedItemHeight={ROW_PX}
            computeItemKey={(_, { event }) => `${event.seq}:${event.chain}`}
            itemContent={(i, entry) => <LogRow entry={entry} before={entries[i - 1 - entries[0]!.event.seq]?.event} isReset={resetAt.has(entry.event.seq)} />}
          />
        )}
      </Box>
    </Box>
  )
}

const LogRow = memo(function LogRow ({ entry: { event, source }, before, isReset }: { entry: Entry, before: RoomEvent | undefined, isReset: boolean }) {
  const isOfServer = event.user_id === SERVER_ID
  const author = usePerson(isOfServer ? '' : event.user_id)
  const isChained = useChained(event, before)
  return (
    <Tooltip placement='left' title={<Box component='pre' sx={{ m: 0, fontFamily: MONO, fontSize: 11, whiteSpace: 'pre-wrap', wordBreak: 'break-all' }}>{JSON.stringify(event, null, 1)}</Box>}>
      <Box
        data-testid='log-row' data-seq={event.seq} data-source={source}
        sx={{ display: 'grid', gridTemplateColumns: '52px 68px minmax(0, 1fr) 66px 58px', gap: 1, alignItems: 'center', px: 2, height: ROW_PX, fontFamily: MONO, fontSize: 12, '&:hover': { bgcolor: 'action.hover' }, ...(isReset && { borderBottom: '2px dashed', borderColor: 'error.main' }) }}
      >
        <Box component='span' sx={{ textAlign: 'right', fontVariantNumeric: 'tabular-nums', color: 'text.secondary' }}>{event.seq}</Box>
        <Box component='span' sx={{ fontWeight: 600, overflow: 'hidden', textOverflow: 'ellipsis' }}>{event.type}</Box>
        <Box component='span' sx={{ overflow: 'hidden', textOverflow: 'ellipsis', whiteSpace: 'nowrap' }} title={fully(event.timestamp)}>{isOfServer ? 'millrace' : author?.username ?? '…'}</Box>
        <Box component='span' sx={{ color: 'text.secondary' }} title={isChained === undefined ? event.chain : isChained ? `${event.chain}: it chains onto ${(before?.chain ?? '')}` : 'It does not chain onto the one before'}>{event.chain.slice(0, CHAIN_SHOWN)}{isChained === true && ' ✓'}{isChained === false && ' ✗'}</Box>
        <Box component='span' sx={{ color: COLOURS[source], fontWeight: 650, textAlign: 'right' }}>{source}</Box>
      </Box>
    </Tooltip>
  )
})

/** Whether the event continues the history of the one before: SHA-1 of its chain and this ID. Undefined where that cannot be said. */
function useChained (event: RoomEvent, before: RoomEvent | undefined): boolean | undefined {
  const [isChained, setChained] = useState<boolean>()
  const chain = before?.seq === event.seq - 1 ? before.chain : undefined
  useEffect(() => {
    if (chain === undefined || globalThis.crypto?.subtle === undefined) return
    let isCurrent = true
    void crypto.subtle.digest('SHA-1', new TextEncoder().encode(chain + event.event_id)).then(hash => {
      const text = [...new Uint8Array(hash).slice(0, 8)].map(byte => byte.toString(16).padStart(2, '0')).join('')
      if (isCurrent) setChained(text === event.chain)
    })
    return () => { isCurrent = false }
  }, [chain, event])
  return isChained
}
