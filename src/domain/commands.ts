/**
 * Commands: wishes of people, in the imperative. `decide.ts` turns one into events or a rejection.
 */
import type { RoomKind } from './events.ts'

export type Command =
  | { type: 'message', room_id: string, content: string, reply_to?: number | undefined }
  | { type: 'join', room_id: string }
  | { type: 'leave', room_id: string }
  | { type: 'create', room_id: string, name: string, kind: RoomKind, topic?: string | undefined, history?: 'all' | 'joined' | undefined }
