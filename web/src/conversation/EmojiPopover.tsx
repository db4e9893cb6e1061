/** The emoji picker in a popover, loaded when it is wanted for the first time. */
import { lazy, Suspense } from 'react'
import Box from '@mui/material/Box'
import Popover from '@mui/material/Popover'

const EmojiPicker = lazy(async () => await import('./EmojiPicker.tsx'))

interface EmojiPopoverProps { anchor: HTMLElement | null, onClose: () => void, onPick: (emoji: string) => void }

export function EmojiPopover ({ anchor, onClose, onPick }: EmojiPopoverProps) {
  if (anchor === null) return null
  return (
    <Popover open anchorEl={anchor} onClose={onClose} anchorOrigin={{ vertical: 'top', horizontal: 'right' }} transformOrigin={{ vertical: 'bottom', horizontal: 'right' }} slotProps={{ paper: { 'aria-label': 'Emoji', role: 'dialog' } }}>
      <Box sx={{ width: 340, height: 360 }}>
        <Suspense fallback={null}><EmojiPicker onPick={emoji => { onPick(emoji); onClose() }} /></Suspense>
      </Box>
    </Popover>
  )
}
