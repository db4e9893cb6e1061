/** The pinned messages of a room, the newest pin first: each leads to its place; who may, takes the pin away. Pins and messages that change are seen at once. */
import { useCallback, useEffect, useState } from 'react'
import PushPinOutlined from '@mui/icons-material/PushPinOutlined'
import Alert from '@mui/material/Alert'
import Box from '@mui/material/Box'
import Button from '@mui/material/Button'
import IconButton from '@mui/material/IconButton'
import Tooltip from '@mui/material/Tooltip'
import type { PinnedItem } from '../api/types.ts'
import type { PanelProps } from '../app/panels.tsx'
import { useChat, useIsConnected, usePerson, useRoom } from '../chat/context.tsx'
import { fold, messageOfItem } from '../chat/fold.ts'
import { useValue } from '../chat/observable.ts'
import { Summary } from '../conversation/Content.tsx'
import { FoundList, FoundWaiting } from '../found/FoundList.tsx'
import { FoundMessage } from '../found/FoundMessage.tsx'
import { isMuted } from '../moderation/MutedNotice.tsx'
import { may } from '../moderation/permissions.ts'
import { useRoomName } from '../rooms/names.ts'
import { useChanges } from '../rooms/useChanges.ts'
import { Empty } from '../ui/Empty.tsx'
import { PanelHeader } from '../ui/PanelHeader.tsx'
import { moment } from '../ui/times.ts'
import { useLoaded } from '../ui/useLoaded.ts'

const SHOWN_CHARS_MAX = 400

export default function Pins ({ roomId, onClose }: PanelProps) {
  const chat = useChat()
  const room = useRoom(roomId)
  const name = useRoomName(room)
  const isConnected = useIsConnected()
  const [pages, setPages] = useState(1)
  const { value, error, reload } = useLoaded(useCallback(async () => {
    let { items, next, as_of } = await chat.api.pins(roomId)
    for (let n = 1; n < pages && next !== null; n++) {
      const page = await chat.api.pins(roomId, next)
      items = [...items, ...page.items]
      next = page.next
    }
    return { items, next, as_of }
  }, [chat, roomId, pages]), useChanges(roomId, true))
  useEffect(() => { if (error !== undefined && isConnected) reload() }, [isConnected]) // once, when it is back
  useValue(chat.timeline(roomId).log.view) // edits show at once
  const later = value === undefined ? [] : chat.timeline(roomId).log.after(value.as_of.seq) ?? []
  const pins = value?.items.map(item => ({ ...item, ...later.reduce(fold, messageOfItem(item, value.as_of.seq)) })).filter(({ pinned, deleted }) => pinned !== false && deleted !== true)
  const canPin = room !== undefined && may(room, 'pin') && room.archived !== true && !isMuted(room)
  return (
    <Box sx={{ display: 'flex', flexDirection: 'column', height: '100%', minHeight: 0 }} data-testid='pins'>
      <PanelHeader title='Pinned messages' sub={name} closes='Close the pinned messages' onClose={onClose} />
      <Box sx={{ flex: 1, minHeight: 0, overflowY: 'auto', p: 2, display: 'flex', flexDirection: 'column' }}>
        {error !== undefined && <Alert severity='error' action={<Button color='inherit' size='small' onClick={reload}>Try again</Button>} sx={{ mb: 1.5 }}>{error.message}</Alert>}
        {pins === undefined && error === undefined && <FoundWaiting />}
        {pins?.length === 0 && <Empty icon={<PushPinOutlined sx={{ fontSize: 44 }} />} title='Nothing is pinned' text={canPin ? 'Pin what everybody should find again: “Pin” is among what can be done with a message.' : 'What those who keep order here pin is found here.'} />}
        {pins !== undefined && pins.length > 0 && (
          <FoundList label='Pinned messages' more={value?.next == null ? undefined : () => { setPages(n => n + 1) }}>
            {pins.map((pin, i) => (
              <FoundMessage
                key={pin.seq} roomId={roomId} message={pin} showsRoom={false} isEntry={i === 0} note={<PinnedBy pin={pin} />}
                end={canPin && <Tooltip title='Unpin'><IconButton size='small' aria-label='Unpin' onClick={() => { chat.api.setPin(roomId, pin.seq, false).catch((failure: Error) => { chat.say(failure.message, 'error') }) }}><PushPinOutlined fontSize='small' /></IconButton></Tooltip>}
              >
                <Summary text={pin.content} charsMax={SHOWN_CHARS_MAX} />
              </FoundMessage>
            ))}
          </FoundList>
        )}
      </Box>
    </Box>
  )
}

function PinnedBy ({ pin: { pinned_by, pinned_at } }: { pin: PinnedItem }) {
  const { userId } = useChat()
  const person = usePerson(pinned_by)
  return <>Pinned by {pinned_by === userId ? 'you' : person?.display_name ?? '…'}, {moment(pinned_at)}</>
}
