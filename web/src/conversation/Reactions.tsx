/** The reactions to a message: one chip for each emoji, pressed if the user is among them. */
import { useState } from 'react'
import AddReactionOutlined from '@mui/icons-material/AddReactionOutlined'
import Tooltip from '@mui/material/Tooltip'
import type { Reaction } from '../api/types.ts'
import type { Message } from '../chat/fold.ts'
import { usePerson } from '../chat/context.tsx'
import { useActions } from './actions.ts'
import { EmojiPopover } from './EmojiPopover.tsx'

/** People who are named. */
const NAMED_MAX = 8

export function Reactions ({ message }: { message: Message }) {
  const { userId, react, canWrite } = useActions()
  const [anchor, setAnchor] = useState<HTMLElement | null>(null)
  return (
    <div className='mr-reactions'>
      {message.reactions.map(reaction => {
        const isMine = reaction.user_ids.includes(userId)
        return (
          <Tooltip key={reaction.emoji} describeChild title={<Who reaction={reaction} />}>
            <button type='button' className='mr-reaction' aria-pressed={isMine} aria-label={`${reaction.emoji} ${reaction.count}`} disabled={!canWrite} onClick={() => { react(message, reaction.emoji) }}>
              <span aria-hidden>{reaction.emoji}</span><span aria-hidden>{reaction.count}</span>
            </button>
          </Tooltip>
        )
      })}
      {canWrite && <button type='button' className='mr-reaction mr-more' aria-label='Add a reaction' onClick={event => { setAnchor(event.currentTarget) }}><AddReactionOutlined sx={{ fontSize: 16 }} /></button>}
      <EmojiPopover anchor={anchor} onClose={() => { setAnchor(null) }} onPick={emoji => { react(message, emoji) }} />
    </div>
  )
}

function Who ({ reaction: { user_ids, count, emoji } }: { reaction: Reaction }) {
  const named = user_ids.slice(0, NAMED_MAX)
  return <>{named.map((id, i) => <span key={id}>{i > 0 && ', '}<Name id={id} /></span>)}{count > named.length && ` and ${count - named.length} more`}: {emoji}</>
}

function Name ({ id }: { id: string }) {
  return <>{usePerson(id)?.display_name ?? '…'}</>
}
