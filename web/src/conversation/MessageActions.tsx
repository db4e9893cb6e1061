/** What can be done with a message: a little bar at its corner. To add something, add an item to the menu. */
import { useState, type MouseEvent } from 'react'
import AddReactionOutlined from '@mui/icons-material/AddReactionOutlined'
import ContentCopy from '@mui/icons-material/ContentCopy'
import DeleteOutlined from '@mui/icons-material/DeleteOutlined'
import EditOutlined from '@mui/icons-material/EditOutlined'
import ForumOutlined from '@mui/icons-material/ForumOutlined'
import LinkOutlined from '@mui/icons-material/LinkOutlined'
import MoreHoriz from '@mui/icons-material/MoreHoriz'
import PushPinOutlined from '@mui/icons-material/PushPinOutlined'
import Reply from '@mui/icons-material/Reply'
import ListItemIcon from '@mui/material/ListItemIcon'
import Menu from '@mui/material/Menu'
import MenuItem from '@mui/material/MenuItem'
import { openThread } from '../app/panels.tsx'
import type { Message } from '../chat/fold.ts'
import { useActions } from './actions.ts'
import { EmojiPopover } from './EmojiPopover.tsx'

const QUICK = ['👍', '❤️', '😂']

interface MessageActionsProps {
  message: Message
  /** Something was done. */
  onDone: () => void
  /** Something of it is open elsewhere in the page: it has to stay. */
  onHold: (isHeld: boolean) => void
}

export function MessageActions ({ message, onDone, onHold }: MessageActionsProps) {
  const actions = useActions()
  const [picking, setPickingAt] = useState<HTMLElement | null>(null)
  const [menu, setMenuAt] = useState<HTMLElement | null>(null)
  const setPicking = (at: HTMLElement | null): void => {
    setPickingAt(at)
    onHold(at !== null)
  }
  const setMenu = (at: HTMLElement | null): void => {
    setMenuAt(at)
    onHold(at !== null)
  }
  const isMine = message.user_id === actions.userId
  const then = (run: () => void) => () => {
    setMenu(null)
    onDone()
    run()
  }
  return (
    <div className='mr-actions' role='toolbar' aria-label='Message'>
      {actions.canWrite && (
        <>
          {QUICK.map(emoji => <button key={emoji} type='button' className='mr-quick' aria-label={`React with ${emoji}`} onClick={() => { actions.react(message, emoji) }}>{emoji}</button>)}
          <button type='button' aria-label='React' title='React' onClick={(event: MouseEvent<HTMLElement>) => { setPicking(event.currentTarget) }}><AddReactionOutlined fontSize='small' /></button>
          {actions.thread === undefined && <button type='button' aria-label='Reply' title='Reply' onClick={then(() => { actions.reply(message) })}><Reply fontSize='small' /></button>}
          {actions.thread === undefined && <button type='button' aria-label='Reply in a thread' title='Reply in a thread' onClick={then(() => { openThread(actions.timeline.room.id, message.seq) })}><ForumOutlined fontSize='small' /></button>}
          {isMine && <button type='button' aria-label='Edit' title='Edit' onClick={then(() => { actions.edit(message) })}><EditOutlined fontSize='small' /></button>}
        </>
      )}
      <button type='button' aria-label='More' title='More' aria-haspopup='menu' onClick={(event: MouseEvent<HTMLElement>) => { setMenu(event.currentTarget) }}><MoreHoriz fontSize='small' /></button>
      <EmojiPopover anchor={picking} onClose={() => { setPicking(null) }} onPick={emoji => { actions.react(message, emoji) }} />
      <Menu anchorEl={menu} open={menu !== null} onClose={() => { setMenu(null) }}>
        <MenuItem onClick={then(() => { void navigator.clipboard?.writeText(message.content) })}><ListItemIcon><ContentCopy fontSize='small' /></ListItemIcon>Copy text</MenuItem>
        <MenuItem onClick={then(() => { actions.copyLink(message) })}><ListItemIcon><LinkOutlined fontSize='small' /></ListItemIcon>Copy link</MenuItem>
        {actions.canPin && <MenuItem onClick={then(() => { actions.pin(message) })}><ListItemIcon><PushPinOutlined fontSize='small' /></ListItemIcon>{message.pinned === true ? 'Unpin' : 'Pin'}</MenuItem>}
        {(isMine || actions.canModerate) && <MenuItem onClick={then(() => { actions.delete(message) })} sx={{ color: 'error.main' }}><ListItemIcon><DeleteOutlined fontSize='small' color='error' /></ListItemIcon>Delete</MenuItem>}
      </Menu>
    </div>
  )
}
