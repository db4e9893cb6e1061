/**
 * Searches what was said, in the room or in all rooms of the user. The field completes the operators of the server's search; ↓ leads into what was
 * found, Enter to its place in the conversation. What was asked and found is there again when the panel is.
 */
import { useEffect, useRef, useState } from 'react'
import CloudOff from '@mui/icons-material/CloudOff'
import SearchIcon from '@mui/icons-material/Search'
import SearchOff from '@mui/icons-material/SearchOff'
import Box from '@mui/material/Box'
import Button from '@mui/material/Button'
import ToggleButton from '@mui/material/ToggleButton'
import ToggleButtonGroup from '@mui/material/ToggleButtonGroup'
import Typography from '@mui/material/Typography'
import type { EverywhereProps } from '../app/panels.tsx'
import type { Chat } from '../chat/chat.ts'
import { useChat, useIsConnected, useRoom } from '../chat/context.tsx'
import { useValue } from '../chat/observable.ts'
import { FoundList, FoundWaiting } from '../found/FoundList.tsx'
import { FoundMessage } from '../found/FoundMessage.tsx'
import { useRoomName } from '../rooms/names.ts'
import { Empty } from '../ui/Empty.tsx'
import { PanelHeader } from '../ui/PanelHeader.tsx'
import { HINTS, askedOf } from './query.ts'
import { SearchField, type FieldHandle } from './SearchField.tsx'
import { Snippet } from './Snippet.tsx'
import { asked, type Scope } from './state.ts'
import { useFound, type Found } from './useFound.ts'

/** What was searched for last, and where. */
interface Kept { readonly text: string, readonly roomId: string | undefined, readonly found: Found }
const last = new WeakMap<Chat, Kept>()

export default function SearchPanel ({ roomId, onClose }: EverywhereProps) {
  const chat = useChat()
  const wish = useValue(asked)
  const [scope, setScope] = useState<Scope>(wish.scope)
  const [text, setText] = useState(() => last.get(chat)?.text ?? '')
  const field = useRef<FieldHandle>(null)
  const body = useRef<HTMLDivElement>(null)
  const room = useRoom(roomId ?? '')
  const name = useRoomName(room)
  const within = scope === 'room' && room !== undefined ? room.id : undefined
  const q = askedOf(text)
  const [kept] = useState(() => {
    const known = last.get(chat)
    return known !== undefined && known.found.q === q && known.roomId === within && known.found.status === 'found' ? known.found : undefined
  })
  const { found, more, isMore, again } = useFound(q, within, kept)
  useEffect(() => {
    setScope(wish.scope)
    field.current?.focus()
  }, [wish])
  useEffect(() => { last.set(chat, { text, roomId: within, found }) }, [chat, text, within, found])

  const intoList = (): boolean => {
    const first = body.current?.querySelector<HTMLElement>('[data-testid=found]')
    first?.focus()
    return first != null
  }
  return (
    <Box sx={{ display: 'flex', flexDirection: 'column', height: '100%', minHeight: 0 }} data-testid='search' role='search'>
      <PanelHeader title='Search' closes='Close the search' onClose={onClose} />
      <Box sx={{ p: 2, pb: 1.5, display: 'flex', flexDirection: 'column', gap: 1.5, borderBottom: 1, borderColor: 'divider', flexShrink: 0 }}>
        <SearchField text={text} onText={setText} isEverywhere={within === undefined} label={within === undefined ? 'Search all my rooms' : `Search in ${name}`} handle={field} onDown={intoList} onClose={onClose} />
        {room !== undefined && (
          <ToggleButtonGroup exclusive fullWidth size='small' color='primary' value={scope} onChange={(_, next: Scope | null) => { if (next !== null) setScope(next) }} aria-label='Where to search'>
            <ToggleButton value='room' sx={{ minWidth: 0 }}><Box component='span' sx={{ overflow: 'hidden', textOverflow: 'ellipsis', whiteSpace: 'nowrap' }}>In {name}</Box></ToggleButton>
            <ToggleButton value='everywhere' sx={{ whiteSpace: 'nowrap' }}>Everywhere</ToggleButton>
          </ToggleButtonGroup>
        )}
      </Box>
      <Box ref={body} sx={{ flex: 1, minHeight: 0, overflowY: 'auto', p: 2, display: 'flex', flexDirection: 'column' }}>
        <Typography role='status' variant='body2' color='textSecondary' className={found.status === 'found' && found.items.length > 0 ? undefined : 'mr-hidden'} sx={{ mb: 1 }}>{saidOf(found)}</Typography>
        {found.status === 'idle' && <Hints isEverywhere={within === undefined} onPick={insert => { field.current?.insert(insert) }} />}
        {found.status === 'asking' && found.items.length === 0 && <FoundWaiting />}
        {found.status === 'failed' && <Failed error={found.error} again={again} />}
        {found.status === 'found' && found.items.length === 0 && (
          <Empty icon={<SearchOff sx={{ fontSize: 44 }} />} title='Nothing was found' text={found.next === null ? 'All words must be in the message. Try fewer of them, or only their beginning.' : 'There may be more further back.'}>
            {found.next !== null && <Button onClick={more} loading={isMore}>Look further back</Button>}
            {within !== undefined && <Button onClick={() => { setScope('everywhere') }}>Search everywhere</Button>}
          </Empty>
        )}
        {found.items.length > 0 && (
          <Box sx={{ opacity: found.status === 'asking' ? 0.55 : 1 }}>
            <FoundList label='What was found' more={found.next === null ? undefined : more} isMore={isMore} onUp={() => { field.current?.focus() }}>
              {found.items.map((item, i) => <FoundMessage key={`${item.room_id} ${item.seq}`} roomId={item.room_id} message={item} showsRoom={within === undefined} isEntry={i === 0}><Snippet item={item} /></FoundMessage>)}
            </FoundList>
          </Box>
        )}
      </Box>
    </Box>
  )
}

function saidOf ({ status, items, next }: Found): string {
  if (status === 'asking') return 'Searching'
  if (status !== 'found') return ''
  return items.length === 0 ? 'Nothing was found' : `${items.length}${next === null ? '' : ' or more'} ${items.length === 1 && next === null ? 'message' : 'messages'}`
}

/** What can be said besides words. */
function Hints ({ isEverywhere, onPick }: { isEverywhere: boolean, onPick: (insert: string) => void }) {
  return (
    <Box>
      <Typography variant='overline' component='h3' color='textSecondary'>Narrow it down</Typography>
      <Box component='ul' sx={{ m: 0, mt: 0.5, p: 0, listStyle: 'none' }}>
        {HINTS.filter(({ insert }) => isEverywhere || insert !== 'in:').map(({ insert, says }) => (
          <Box component='li' key={insert}>
            <Button fullWidth color='inherit' onClick={() => { onPick(insert) }} sx={{ justifyContent: 'flex-start', gap: 1.5, px: 1, py: 0.5, fontWeight: 400, textAlign: 'left' }}>
              <Box component='code' sx={{ minWidth: 64, px: 0.75, borderRadius: 1, bgcolor: 'action.selected', fontSize: 13, fontWeight: 600 }}>{insert}</Box>{says}
            </Button>
          </Box>
        ))}
      </Box>
      <Typography variant='body2' color='textSecondary' sx={{ mt: 2, px: 1 }}>Capitals and accents make no difference, and the last word may be the beginning of one.</Typography>
    </Box>
  )
}

function Failed ({ error, again }: { error: Found['error'], again: () => void }) {
  const isConnected = useIsConnected()
  const isUnreachable = error?.code === 'unreachable'
  useEffect(() => { if (isUnreachable && isConnected) again() }, [isUnreachable, isConnected]) // once, when it is back
  if (error?.code === 'bad_search') return <Empty icon={<SearchIcon sx={{ fontSize: 44 }} />} title='Go on…' text={sentence(error.message)} />
  return (
    <Empty icon={<CloudOff sx={{ fontSize: 44 }} />} title={isUnreachable ? 'There is no connection' : 'This could not be searched'} text={isUnreachable ? 'Searching needs the server. It is tried again when you are online.' : error?.message ?? ''}>
      <Button onClick={again}>Try again</Button>
    </Empty>
  )
}

const sentence = (text: string): string => `${text.charAt(0).toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? '' : '.'}`
