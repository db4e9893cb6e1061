/** The frame: the list of rooms, the conversation, and what stands beside it. From 900 px on side by side, below one at a time. */
import { lazy, Suspense, useEffect } from 'react'
import Box from '@mui/material/Box'
import Drawer from '@mui/material/Drawer'
import useMediaQuery from '@mui/material/useMediaQuery'
import { RoomList } from '../rooms/RoomList.tsx'
import { Empty } from '../ui/Empty.tsx'
import { WaveIcon } from '../ui/WaveIcon.tsx'
import { Dialogs } from './dialogs.tsx'
import { closePanel, Panel, PANEL_NAMES, usePanel, WIDER } from './panels.tsx'
import { useRoute } from './route.ts'
import { useShortcuts } from './shortcuts.ts'
import { Title } from './Title.tsx'
import { Toasts } from './Toasts.tsx'
import { TopBar } from './TopBar.tsx'

/** From this width on, in pixels, list and conversation stand side by side. */
const WIDE = '(min-width: 900px)'
const LIST_PX = 320

const conversation = async () => await import('../conversation/Conversation.tsx')
const Conversation = lazy(conversation)
const PANEL_PX = 400

export function Shell () {
  const { roomId } = useRoute()
  const isWide = useMediaQuery(WIDE)
  const isWider = useMediaQuery(WIDER)
  const shown = usePanel()
  useEffect(() => { void conversation() }, []) // the list is there first
  useShortcuts()

  return (
    <Box sx={{ display: 'flex', height: '100dvh', bgcolor: 'background.default', pt: 'env(safe-area-inset-top)', pl: 'env(safe-area-inset-left)', pr: 'env(safe-area-inset-right)' }}>
      <a className='mr-skip' href='#main' onClick={event => { event.preventDefault(); toMain() }}>Skip to the conversation</a>
      {(isWide || roomId === undefined) && (
        <Box component='aside' aria-label='Rooms' sx={{ width: isWide ? LIST_PX : '100%', flexShrink: 0, display: 'flex', flexDirection: 'column', minHeight: 0, borderRight: isWide ? 1 : 0, borderColor: 'divider' }}>
          <TopBar />
          <RoomList current={roomId} />
        </Box>
      )}
      {(isWide || roomId !== undefined) && (
        <Box component='main' id='main' tabIndex={-1} sx={{ flex: 1, minWidth: 0, display: 'flex', flexDirection: 'column', bgcolor: 'background.paper' }}>
          {roomId === undefined
            ? <Empty icon={<WaveIcon sx={{ fontSize: 56 }} />} title='Pick a conversation' text='Or find a room in the directory. Whatever you miss while you are away is here when you come back.' />
            : <Suspense fallback={null}><Conversation key={roomId} roomId={roomId} isWide={isWide} /></Suspense>}
        </Box>
      )}
      {shown !== undefined && isWider && (
        <Box component='aside' aria-label={PANEL_NAMES[shown]} sx={{ width: PANEL_PX, flexShrink: 0, borderLeft: 1, borderColor: 'divider', bgcolor: 'background.default', minHeight: 0, display: 'flex', flexDirection: 'column' }}>
          <Panel roomId={roomId} name={shown} />
        </Box>
      )}
      {!isWider && (
        <Drawer anchor='right' open={shown !== undefined} onClose={closePanel} slotProps={{ paper: { role: 'dialog', 'aria-label': shown === undefined ? undefined : PANEL_NAMES[shown], sx: { width: `min(100vw, ${PANEL_PX + 20}px)`, bgcolor: 'background.default' } } }}>
          {shown !== undefined && <Panel roomId={roomId} name={shown} />}
        </Drawer>
      )}
      <Title roomId={roomId} />
      <Dialogs />
      <Toasts />
    </Box>
  )
}

/** To where one writes; where that cannot be, to the conversation itself. */
function toMain (): void {
  const main = document.querySelector<HTMLElement>('main, nav')
  const field = main?.querySelector<HTMLElement>('textarea') ?? main
  field?.focus()
}
