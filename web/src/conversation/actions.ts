/** What can be done with a conversation's messages, for all rows at once: the same object as long as the conversation is shown. */
import { createContext, use } from 'react'
import type { Message } from '../chat/fold.ts'
import type { Timeline } from '../chat/timeline.ts'

export interface Actions {
  readonly timeline: Timeline
  /** The user, and whether they may delete what others wrote. */
  readonly userId: string
  readonly canModerate: boolean
  /** Whether the user may write here. */
  readonly canWrite: boolean
  readonly canPin: boolean
  /** They are shown within their thread: the message that it begins at. */
  readonly thread?: number | undefined
  reply: (message: Message) => void
  edit: (message: Message) => void
  delete: (message: Message) => void
  react: (message: Message, emoji: string) => void
  /** Pins it, or takes the pin away. */
  pin: (message: Message) => void
  copyLink: (message: Message) => void
  /** Shows the message that somebody answered. */
  jump: (seq: number) => void
  /** A message was seen. */
  seen: (seq: number) => void
}

export const ActionsContext = createContext<Actions | undefined>(undefined)

export function useActions (): Actions {
  const actions = use(ActionsContext)
  if (actions === undefined) throw new Error('There is no conversation around this component')
  return actions
}
