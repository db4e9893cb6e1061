/** What a frame that appends wishes for: its command. Pure. */
import type { Command } from '../domain/commands.ts'
import type { ClientFrame } from './frames.ts'

/** The frames that append. */
export type CommandFrame = Extract<ClientFrame, { type: 'message' | 'edit' | 'delete' | 'react' | 'unreact' | 'join' | 'leave' }>

const COMMAND_FRAMES: ReadonlySet<string> = new Set<CommandFrame['type']>(['message', 'edit', 'delete', 'react', 'unreact', 'join', 'leave'])

export function isCommandFrame (frame: ClientFrame): frame is CommandFrame {
  return COMMAND_FRAMES.has(frame.type)
}

/** A frame was read by `readFrame`: what must be there is there. A direct message has no `room_id` yet. */
export function commandOf (frame: CommandFrame): Command {
  const room_id = frame.room_id ?? ''
  switch (frame.type) {
    case 'message': return { type: 'message', room_id, content: frame.content, reply_to: frame.reply_to, thread: frame.thread, attachments: frame.attachments }
    case 'edit': return { type: 'edit', room_id, message_seq: frame.message_seq!, content: frame.content }
    case 'delete': return { type: 'delete', room_id, message_seq: frame.message_seq! }
    case 'react':
    case 'unreact': return { type: frame.type, room_id, message_seq: frame.message_seq!, emoji: frame.emoji }
    case 'join': return { type: 'join', room_id, password: frame.password, invite: frame.invite }
    case 'leave': return { type: 'leave', room_id }
  }
}
