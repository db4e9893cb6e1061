/** How much the user wants to hear of a room. Changed at once, and back again where the server does not take it. */
import MenuItem from '@mui/material/MenuItem'
import TextField from '@mui/material/TextField'
import { useChat } from '../chat/context.tsx'
import type { RoomSummary } from '../chat/rooms.ts'
import { roomCalls, type Level } from '../rooms/calls.ts'

const LEVELS: ReadonlyArray<{ level: Level, name: string }> = [
  { level: 'all', name: 'Every message' },
  { level: 'mentions', name: 'Only when I am named' },
  { level: 'none', name: 'Nothing: the room is muted' },
]

/** @param of the room's name, where it does not stand beside it */
export function RoomLevel ({ room, of }: { room: RoomSummary, of?: string }) {
  const chat = useChat()
  const set = (level: Level): void => {
    const before = room.notifications
    chat.rooms.change(room.id, { notifications: level })
    roomCalls(chat.api, room.id).notify(level).catch((error: Error) => {
      chat.rooms.change(room.id, { notifications: before })
      chat.say(error.message, 'error')
    })
  }
  return (
    <TextField select label={of === undefined ? 'Tell me of' : undefined} value={room.notifications} onChange={event => { set(event.target.value as Level) }} slotProps={of === undefined ? {} : { select: { native: true }, htmlInput: { 'aria-label': `Tell me of ${of}` } }}>
      {LEVELS.map(({ level, name }) => of === undefined ? <MenuItem key={level} value={level}>{name}</MenuItem> : <option key={level} value={level}>{name}</option>)}
    </TextField>
  )
}
