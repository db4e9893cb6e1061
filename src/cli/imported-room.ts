/**
 * The room that an import goes into: `lobby`, a room by its UUID, the one public room of that name, or a new public room whose
 * ID is derived from the name, so that a second run finds it before any projection has heard of it.
 */
import { createHash } from 'node:crypto'
import type { Commands } from '../commands/request.ts'
import { SYSTEM_ID } from '../commands/lobby.ts'
import { NAME_CHARS_MAX } from '../domain/events.ts'
import { resolveRoomId } from '../domain/lobby.ts'
import type { RoomLog } from '../log/log.ts'
import { readArchive } from '../store/archive.ts'
import type { Store } from '../store/pool.ts'
import { CommandFailed } from './errors.ts'

export async function importedRoom ({ name, store, log, commands }: { name: string, store: Store, log: RoomLog, commands: Commands }): Promise<string> {
  const named = resolveRoomId(name)
  if (named !== undefined) {
    if (await log.room(named, []) === undefined) throw new CommandFailed(`There is no room ${name}.`)
    return named
  }
  if (name.length > NAME_CHARS_MAX) throw new CommandFailed(`A room's name has at most ${NAME_CHARS_MAX} characters.`)
  const derived = derivedId(name)
  if (await log.room(derived, []) !== undefined) return derived
  const { rows } = await store.query<{ id: string }>(`
    SELECT id
      FROM rooms
     WHERE name = $1
       AND kind = 'public'
     LIMIT 2`, [name])
  if (rows.length > 1) throw new CommandFailed(`There are several public rooms named ${name}: say which one by its UUID.`)
  if (rows[0] !== undefined) return rows[0].id
  // A room that Postgres knows and Redis does not has to be restored, not begun a second time.
  if ((await readArchive(store, derived, 0, 1)).length > 0) throw new CommandFailed(`The room ${name} is in the archive but not in Redis: restore it first.`)
  const outcome = await commands.execute({ command: { type: 'create', room_id: derived, name, kind: 'public' }, user_id: SYSTEM_ID, session: 'import', client_id: `import ${name}` })
  if (!outcome.ok) throw new CommandFailed(`The room ${name} cannot be made: ${outcome.rejection.message}`)
  return derived
}

/** In the form of a UUIDv7 of the epoch's first milliseconds: no room made by anyone else has such a one. */
function derivedId (name: string): string {
  const digest = createHash('sha256').update(`import room ${name}`).digest('hex')
  const variant = (8 + parseInt(digest[0]!, 16) % 4).toString(16)
  return `00000000-0000-7${digest.slice(1, 4)}-${variant}${digest.slice(4, 7)}-${digest.slice(7, 19)}`
}
