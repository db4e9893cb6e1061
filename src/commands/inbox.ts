/** Making a user's inbox: the room of kind `inbox` whose ID is the user's. */
import { reject } from '../domain/rejections.ts'
import type { RoomLog } from '../log/log.ts'
import { SYSTEM_ID } from './lobby.ts'
import type { Commands, Outcome } from './request.ts'

/**
 * Makes it if there is none; that it is there already is no error. `archived`: whether Postgres knows it; then Redis has lost it,
 * and making it again would begin a second history under its ID.
 */
export async function ensureInbox ({ commands, log, archived }: { commands: Commands, log: RoomLog, archived: (roomId: string) => Promise<boolean> }, userId: string): Promise<Outcome> {
  try {
    if (await log.room(userId, []) !== undefined) return { ok: true, changed: false, room_id: userId }
    if (await archived(userId)) return { ok: false, rejection: reject('unavailable', 'The inbox is being restored', 1000) }
  } catch {
    return { ok: false, rejection: reject('unavailable', undefined, 1000) }
  }
  const outcome = await commands.execute({ command: { type: 'create', room_id: userId, kind: 'inbox', name: '' }, user_id: SYSTEM_ID, session: `inbox of ${userId}` })
  return !outcome.ok && outcome.rejection.code === 'room_exists' ? { ok: true, changed: false, room_id: userId } : outcome
}
