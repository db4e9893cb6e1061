/** What can be done with the messages of a room, as its conversation and its threads share it. */
import { useMemo } from 'react'
import { openDialog } from '../app/dialogs.tsx'
import { roomHref } from '../app/route.ts'
import { useChat } from '../chat/context.tsx'
import type { RoomSummary } from '../chat/rooms.ts'
import { isMuted } from '../moderation/MutedNotice.tsx'
import { may } from '../moderation/permissions.ts'
import type { Actions } from './actions.ts'

type Own = Pick<Actions, 'reply' | 'edit' | 'jump' | 'seen' | 'thread'>

/** @param own what each does in its own way: the same object as long as it is the same */
export function useMessageActions (room: RoomSummary, own: Own): Actions {
  const chat = useChat()
  const timeline = chat.timeline(room.id)
  const canWrite = room.archived !== true && !isMuted(room)
  const canModerate = may(room, 'delete others')
  const canPin = canWrite && may(room, 'pin')
  return useMemo(() => ({
    timeline,
    userId: chat.userId,
    canModerate,
    canWrite,
    canPin,
    delete ({ seq, user_id }) {
      const remove = (): void => { timeline.outgoing.delete(seq) }
      if (user_id === chat.userId) remove()
      else openDialog('confirm', { title: 'Delete this message?', text: 'It is gone for everybody. That it was deleted, and by whom, stays on record.', action: 'Delete', run: async () => { remove() } })
    },
    react ({ seq, reactions }, emoji) { timeline.outgoing.react(seq, emoji, reactions.find(reaction => reaction.emoji === emoji)?.user_ids.includes(chat.userId) !== true) },
    pin ({ seq, pinned = false }) {
      chat.api.setPin(room.id, seq, !pinned).then(
        () => { chat.say(pinned ? 'It is not pinned any more' : 'It is pinned for everybody in this room') },
        (error: Error & { code?: string }) => { chat.say(error.code === 'unreachable' ? 'There is no connection: pin it when you are online.' : error.message, 'error') }
      )
    },
    copyLink ({ seq }) {
      const link = `${location.origin}/${roomHref(room.id, seq)}`
      void navigator.clipboard?.writeText(link).then(() => { chat.say('The link is in the clipboard') })
    },
    ...own,
  }), [timeline, chat, canModerate, canWrite, canPin, room.id, own])
}
