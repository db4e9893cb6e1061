/** When something changed of a room's members or settings: a number that is another one after each such event, to ask again by. */
import { useChat } from '../chat/context.tsx'
import { useSelected } from '../chat/observable.ts'

const TELLS = new Set(['join', 'leave', 'kick', 'ban', 'mute', 'role', 'room'])

/** @param delete_ whether deleted messages count too */
export function useChanges (roomId: string, delete_ = false): number {
  const chat = useChat()
  return useSelected(chat.timeline(roomId).log.view, ({ entries }) => entries.findLast(({ event }) => TELLS.has(event.type) || (delete_ && (event.type === 'delete' || event.type === 'pin')))?.event.seq ?? 0)
}
