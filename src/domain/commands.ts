/**
 * Commands: wishes of people, in the imperative. `decide.ts` turns one into events or a rejection, given the room and the facts
 * that the room's own state does not hold.
 */
import type { Attachment, InboxBody, RoomKind, ROLES, Settings } from './events.ts'
import type { Static } from 'typebox'
import type { Rejection } from './rejections.ts'

export type GivenRole = typeof ROLES[number]

export type Command = { readonly room_id: string } & (
  | { type: 'message', content: string, reply_to?: number | undefined, thread?: number | undefined, attachments?: Attachment[] | undefined }
  | { type: 'edit', message_seq: number, content: string }
  | { type: 'delete', message_seq: number }
  | { type: 'react' | 'unreact', message_seq: number, emoji: string }
  | { type: 'pin' | 'unpin', message_seq: number }
  /** `password` and `invite` are checked by the shell; `decide` sees what came of it in the facts. */
  | { type: 'join', password?: string | undefined, invite?: string | undefined }
  | { type: 'leave' }
  | { type: 'add', target: string }
  | { type: 'kick', target: string, reason?: string | undefined }
  /** `until`: RFC 3339; left out: for good. */
  | { type: 'ban' | 'mute', target: string, until?: string | undefined, reason?: string | undefined }
  | { type: 'unban' | 'unmute', target: string }
  | { type: 'role', target: string, role: GivenRole }
  | { type: 'create', name: string, kind: RoomKind, members?: readonly string[] | undefined } & Settings
  | { type: 'update', name?: string | undefined } & Settings
  | { type: 'remove' }
  /** Of Millrace itself, into an inbox. */
  | { type: 'inform' } & Omit<Static<typeof InboxBody>, 'type' | 'room_id'> & { about?: string | undefined }
)
export type CommandType = Command['type']

/** A message that a command names. */
export interface MessageFact {
  readonly author: string
  readonly deleted: boolean
  /** Root of the thread that it is in. */
  readonly thread?: number | undefined
  /** Different emoji on it, as far as is known. */
  readonly emoji?: ReadonlySet<string>
}

/** What a decision needs besides the room: gathered by the shell (`commands/facts.ts`) for the commands that need it. */
export interface Facts {
  /** Messages of this room that the command names, by seq; what is not there is no message. */
  readonly messages?: ReadonlyMap<number, MessageFact>
  /** Users whom the content names, by ID; whether they are members is decided here. */
  readonly mentions?: readonly string[]
  /** A reason outside the room why not: blocked, an unknown user, a wrong password, too soon in slow mode. */
  readonly no?: Rejection
  /** Let in by a password or an invite. */
  readonly admitted?: boolean
  /** It is done by an operator of the deployment, who stands above the owners of any room. */
  readonly operator?: boolean
}

export const NO_FACTS: Facts = Object.freeze({})
