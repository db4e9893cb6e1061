/** Messages of all rooms that name the user, the latest first: each leads to its place. Those that come are on top at once. */
import { useEffect, useState } from 'react'
import AlternateEmail from '@mui/icons-material/AlternateEmail'
import CloudOff from '@mui/icons-material/CloudOff'
import Box from '@mui/material/Box'
import Button from '@mui/material/Button'
import type { EverywhereProps } from '../app/panels.tsx'
import { useChat, useIsConnected, useRoom } from '../chat/context.tsx'
import { useValue } from '../chat/observable.ts'
import { Summary } from '../conversation/Content.tsx'
import { FoundList, FoundWaiting } from '../found/FoundList.tsx'
import { FoundMessage } from '../found/FoundMessage.tsx'
import { Empty } from '../ui/Empty.tsx'
import { PanelHeader } from '../ui/PanelHeader.tsx'
import { Mentions, type Mentioned } from './mentions.ts'

const SHOWN_CHARS_MAX = 400

export default function MentionsPanel ({ onClose }: EverywhereProps) {
  const chat = useChat()
  const [mentions] = useState(() => new Mentions(chat))
  const { status, items, next, error } = useValue(mentions.view)
  const isConnected = useIsConnected()
  useEffect(() => mentions.open(), [mentions])
  useEffect(() => { if (status === 'failed' && isConnected) void mentions.load() }, [mentions, isConnected]) // once, when it is back
  return (
    <Box sx={{ display: 'flex', flexDirection: 'column', height: '100%', minHeight: 0 }} data-testid='mentions-panel'>
      <PanelHeader title='Mentions' sub='Where you were named, in all rooms' closes='Close the mentions' onClose={onClose} />
      <Box sx={{ flex: 1, minHeight: 0, overflowY: 'auto', p: 2, display: 'flex', flexDirection: 'column' }}>
        {status === 'loading' && items.length === 0 && <FoundWaiting />}
        {status === 'failed' && <Empty icon={<CloudOff sx={{ fontSize: 44 }} />} title={error?.code === 'unreachable' ? 'There is no connection' : 'The mentions could not be read'} text={error?.code === 'unreachable' ? 'They are read when you are online.' : error?.message ?? ''}><Button onClick={() => { void mentions.load() }}>Try again</Button></Empty>}
        {status === 'ready' && items.length === 0 && <Empty icon={<AlternateEmail sx={{ fontSize: 44 }} />} title='Nobody has named you yet' text='When somebody writes @ and your name, or @room, it is found here.' />}
        {items.length > 0 && (
          <FoundList label='Mentions' more={next === null ? undefined : () => { void mentions.more() }} isMore={status === 'loading'}>
            {items.map((item, i) => <Item key={`${item.room_id} ${item.seq}`} item={item} isEntry={i === 0} />)}
          </FoundList>
        )}
      </Box>
    </Box>
  )
}

function Item ({ item, isEntry }: { item: Mentioned, isEntry: boolean }) {
  const room = useRoom(item.room_id)
  return <FoundMessage roomId={item.room_id} message={item} showsRoom isEntry={isEntry} isNew={room !== undefined && item.seq > room.read_seq}><Summary text={item.content} charsMax={SHOWN_CHARS_MAX} /></FoundMessage>
}
