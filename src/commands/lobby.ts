/** The lobby exists from the first start. */
import { LOBBY_ID } from '../domain/lobby.ts'
import type { RoomLog } from '../log/log.ts'
import type { Logger } from '../telemetry/logging.ts'
import type { Commands } from './request.ts'

/** Author of what Millrace itself does; no user has this ID. */
export const SYSTEM_ID = '00000000-0000-7000-8000-000000000000'

/**
 * Makes the lobby if there is none. `archived`: whether Postgres knows the room; then Redis has lost it, and making it again
 * would begin a second history under its ID.
 */
export async function ensureLobby ({ commands, log, archived, logger }: { commands: Commands, log: RoomLog, archived: (roomId: string) => Promise<boolean>, logger: Logger }): Promise<void> {
  if (await log.room(LOBBY_ID, []) !== undefined) return
  if (await archived(LOBBY_ID)) {
    logger.error({ room: LOBBY_ID }, 'the lobby is in the archive but not in Redis: it must be restored')
    return
  }
  const outcome = await commands.execute({ command: { type: 'create', room_id: LOBBY_ID, name: 'lobby', kind: 'lobby' }, user_id: SYSTEM_ID, session: 'start', client_id: 'lobby' })
  if (!outcome.ok && outcome.rejection.code !== 'room_exists') logger.error({ code: outcome.rejection.code }, 'the lobby could not be made')
}
