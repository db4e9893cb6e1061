/**
 * Where one writes: grows with the text, sends with Enter, begins a line with Shift+Enter, edits the last message with ↑, names people with @, gives
 * up with Esc. What is not sent is kept as a draft of the room, or of the thread. Sending never waits: without a connection it is queued.
 */
import { memo, useEffect, useId, useLayoutEffect, useRef, useState, type KeyboardEvent } from 'react'
import Close from '@mui/icons-material/Close'
import EmojiEmotionsOutlined from '@mui/icons-material/EmojiEmotionsOutlined'
import SendRounded from '@mui/icons-material/SendRounded'
import Box from '@mui/material/Box'
import IconButton from '@mui/material/IconButton'
import InputBase from '@mui/material/InputBase'
import Typography from '@mui/material/Typography'
import { useChat, usePerson, useRoomItself } from '../chat/context.tsx'
import type { Message } from '../chat/fold.ts'
import type { Timeline } from '../chat/timeline.ts'
import { Summary } from '../conversation/Content.tsx'
import { EmojiPopover } from '../conversation/EmojiPopover.tsx'
import { useQuoted } from '../conversation/Quote.tsx'
import { useRoomName } from '../rooms/names.ts'
import { Names, optionId } from './Names.tsx'
import { begunAt, named, type Nameable } from './naming.ts'
import { useNames } from './useNames.ts'

const CONTENT_CHARS_MAX = 8_000
/** Characters that are left when the writer is told. */
const FEW_CHARS = 200

/** What the text will be: an answer, another text of a message, or neither. */
export interface ComposerMode { readonly replyTo?: number | undefined, readonly edit?: Message | undefined }

interface ComposerProps {
  roomId: string
  timeline: Timeline
  mode: ComposerMode
  onMode: (mode: ComposerMode) => void
  onSend: (text: string, replyTo: number | undefined) => void
  onEditLast: () => void
  isReadOnly: boolean
  /** What is written belongs to the thread that begins there. */
  thread?: number
}

const isTouch = (): boolean => matchMedia('(pointer: coarse)').matches

export const Composer = memo(function Composer ({ roomId, timeline, mode, onMode, onSend, onEditLast, isReadOnly, thread }: ComposerProps) {
  const { drafts } = useChat()
  const room = useRoomItself(roomId)
  const name = useRoomName(room)
  const draft = thread === undefined ? roomId : `${roomId}:${thread}`
  const [text, setText] = useState(() => drafts.get(draft).text)
  const [anchor, setAnchor] = useState<HTMLElement | null>(null)
  const input = useRef<HTMLTextAreaElement>(null)
  const { replyTo, edit } = mode
  const edited = edit?.seq
  const says = thread === undefined ? `Message ${name}` : 'Reply in the thread'

  const listId = useId()
  const [caret, setCaret] = useState(text.length)
  const [at, setAt] = useState(0)
  const [closedAt, setClosedAt] = useState<number>()
  const moveTo = useRef<number>(undefined)
  const begun = begunAt(text, caret)
  const names = useNames(roomId, begun !== undefined && begun.from !== closedAt ? begun : undefined)
  const active = Math.min(at, names.length - 1)
  useEffect(() => { setAt(0) }, [begun?.begin])
  useLayoutEffect(() => { // the caret goes where the text was put
    if (moveTo.current === undefined) return
    input.current?.setSelectionRange(moveTo.current, moveTo.current)
    moveTo.current = undefined
  })
  const put = (next: string, caret: number): void => {
    setText(next)
    setCaret(caret)
    moveTo.current = caret
  }
  const pick = ({ username }: Nameable): void => {
    if (begun === undefined) return
    const { text: next, caret } = named(text, begun, username)
    put(next, caret)
    input.current?.focus()
  }
  /** A key while the list is open; false: it is the text's. */
  const onNameKey = ({ key, shiftKey }: KeyboardEvent): boolean => {
    const chosen = names[active]
    if (begun === undefined || chosen === undefined) return false
    if (key === 'ArrowDown') setAt((active + 1) % names.length)
    else if (key === 'ArrowUp') setAt((active - 1 + names.length) % names.length)
    else if (key === 'Escape') setClosedAt(begun.from)
    else if (key === 'Tab' && !shiftKey) pick(chosen)
    else if (key === 'Enter' && !shiftKey && chosen.username.toLowerCase() !== begun.begin.toLowerCase()) pick(chosen) // else it is written already
    else return false
    return true
  }

  useEffect(() => {
    if (edit !== undefined) setText(edit.content)
    if (edit !== undefined || replyTo !== undefined || !isTouch()) input.current?.focus()
  }, [edited, replyTo]) // the message that is edited may change under our hands: what is being written stays
  useEffect(() => { if (edited === undefined) drafts.set(draft, { text, replyTo }) }, [drafts, draft, text, replyTo, edited])

  const giveUp = (): void => {
    if (edit !== undefined) setText(drafts.get(draft).text)
    onMode({})
  }
  const left = CONTENT_CHARS_MAX - [...text].length
  const submit = (): void => {
    const content = text.trim()
    if (left < 0 || (content === '' && edit === undefined)) return
    if (edit !== undefined) {
      if (content !== '' && content !== edit.content) timeline.outgoing.edit(edit.seq, content)
      return giveUp()
    }
    setText('')
    onMode({})
    timeline.room.typing(false)
    onSend(content, replyTo)
  }
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.nativeEvent.isComposing) return
    if (onNameKey(event)) return event.preventDefault()
    if (event.key === 'Enter' && !event.shiftKey && !(isTouch() && edit === undefined)) {
      event.preventDefault()
      submit()
    } else if (event.key === 'Escape' && (edit !== undefined || replyTo !== undefined)) giveUp()
    else if (event.key === 'ArrowUp' && text === '' && edit === undefined) {
      event.preventDefault()
      onEditLast()
    }
  }
  const insert = (emoji: string): void => {
    const { selectionStart = text.length, selectionEnd = text.length } = input.current ?? {}
    put(`${text.slice(0, selectionStart)}${emoji}${text.slice(selectionEnd)}`, selectionStart + emoji.length)
    input.current?.focus()
  }

  if (isReadOnly) return <Typography variant='body2' color='textSecondary' sx={{ p: 2, textAlign: 'center' }}>This room is archived: it can only be read.</Typography>
  return (
    <Box component='form' aria-label={thread === undefined ? 'Write a message' : 'Write in the thread'} onSubmit={event => { event.preventDefault(); submit() }} sx={{ position: 'relative', px: { xs: 1, sm: 2 }, pb: 'max(12px, env(safe-area-inset-bottom))' }}>
      {names.length > 0 && <Names id={listId} names={names} active={active} onPick={pick} onAt={setAt} />}
      <div className='mr-hidden' role='status'>{names.length > 0 && `${names.length} ${names.length === 1 ? 'person' : 'people'} to name`}</div>
      <Box sx={{ border: 1, borderColor: 'divider', borderRadius: 3, bgcolor: 'background.default', overflow: 'hidden', '&:focus-within': { borderColor: 'primary.main', boxShadow: '0 0 0 1px var(--mr-palette-primary-main)' } }}>
        {edit !== undefined && <Mode title='Editing your message' onClose={giveUp} />}
        {edit === undefined && replyTo !== undefined && <ReplyMode seq={replyTo} onClose={giveUp} />}
        <Box sx={{ display: 'flex', alignItems: 'flex-end', px: 0.75, py: 0.5 }}>
          <InputBase
            inputRef={input} multiline maxRows={10} fullWidth value={text} placeholder={says}
            onChange={event => {
              setText(event.target.value)
              setCaret(event.target.selectionStart ?? event.target.value.length)
              setClosedAt(undefined)
              if (edit === undefined) timeline.room.typing(event.target.value !== '')
            }}
            onSelect={event => { setCaret((event.target as HTMLTextAreaElement).selectionStart ?? 0) }}
            onBlur={() => { if (begun !== undefined) setClosedAt(begun.from) }}
            onKeyDown={onKeyDown}
            slotProps={{ input: { 'aria-label': says, 'data-testid': thread === undefined ? 'composer' : 'thread-composer', enterKeyHint: 'send', ...(names.length > 0 && { role: 'combobox', 'aria-expanded': true, 'aria-autocomplete': 'list', 'aria-controls': listId, 'aria-activedescendant': optionId(listId, active) }) } as object }}
            sx={{ px: 1, py: 0.875, fontSize: 15, lineHeight: 1.45 }}
          />
          {left < FEW_CHARS && <Typography variant='caption' color={left < 0 ? 'error' : 'textSecondary'} sx={{ alignSelf: 'center', px: 1 }}>{left}</Typography>}
          <IconButton aria-label='Emoji' onClick={event => { setAnchor(event.currentTarget) }}><EmojiEmotionsOutlined /></IconButton>
          <IconButton type='submit' aria-label={edit === undefined ? 'Send' : 'Save'} color='primary' disabled={text.trim() === '' || left < 0}><SendRounded /></IconButton>
        </Box>
      </Box>
      <EmojiPopover anchor={anchor} onClose={() => { setAnchor(null) }} onPick={insert} />
    </Box>
  )
})

function ReplyMode ({ seq, onClose }: { seq: number, onClose: () => void }) {
  const quoted = useQuoted(seq)
  const author = usePerson(quoted?.user_id ?? '')
  return <Mode title={`Replying to ${author?.display_name ?? '…'}`} text={quoted?.content} onClose={onClose} />
}

function Mode ({ title, text, onClose }: { title: string, text?: string | undefined, onClose: () => void }) {
  return (
    <Box sx={{ display: 'flex', alignItems: 'center', gap: 1, pl: 1.75, pr: 0.5, py: 0.25, borderBottom: 1, borderColor: 'divider', bgcolor: 'action.hover' }}>
      <Typography variant='body2' noWrap sx={{ flex: 1, minWidth: 0, fontSize: 13 }}><strong>{title}</strong>{text !== undefined && <Box component='span' sx={{ color: 'text.secondary', ml: 1 }}><Summary text={text} /></Box>}</Typography>
      <IconButton size='small' aria-label='Give up' onClick={onClose}><Close fontSize='small' /></IconButton>
    </Box>
  )
}
