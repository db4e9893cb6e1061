/**
 * The lobby: the one room that everyone is in, under an ID that every deployment knows; and how a room is named in paths and
 * frames.
 */

export const LOBBY_ID = '00000000-0000-7000-8000-000000000001'

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/

/** The room's ID: `lobby` is an alias, UUIDs are lower-cased; anything else is undefined. */
export function resolveRoomId (text: string): string | undefined {
  if (text === 'lobby') return LOBBY_ID
  const id = text.toLowerCase()
  return UUID.test(id) ? id : undefined
}
