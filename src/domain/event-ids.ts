/**
 * IDs of server-sent events: where a client is after the event, so that `Last-Event-ID` resumes. In a stream of one room `<seq>:<chain>`;
 * in a stream of several the positions in all of them, as an opaque text. Pure.
 *
 * Of several it is, in base64url, for each room: UUID (16 bytes), seq (8 bytes), chain (8 bytes). The rooms are named, so that a
 * client may come back with more or fewer of them.
 */
import type { ClaimedPosition, Position } from './position.ts'

const PLACE_BYTES = 32
const UUID_BYTES = 16

export function eventIdOf ({ seq, chain }: Position): string {
  return `${seq}:${chain}`
}

/** What may stand where an event ID of one room is asked for: the ID, or a seq alone. */
export const EVENT_ID_PATTERN = '^\\d{1,16}(:[0-9a-f]{16})?$'

/** Undefined for what is none. */
export function readEventId (text: string): ClaimedPosition | undefined {
  if (!new RegExp(EVENT_ID_PATTERN).test(text)) return undefined
  const [digits, chain] = text.split(':')
  const seq = Number(digits)
  if (!Number.isSafeInteger(seq)) return undefined
  return chain === undefined ? { seq } : { seq, chain }
}

/** @param places room → position */
export function placesIdOf (places: ReadonlyMap<string, Position>): string {
  const bytes = Buffer.allocUnsafe(PLACE_BYTES * places.size)
  let at = 0
  for (const [roomId, { seq, chain }] of places) {
    bytes.write(roomId.replaceAll('-', ''), at, 'hex')
    bytes.writeBigUInt64BE(BigInt(seq), at + UUID_BYTES)
    bytes.write(chain, at + UUID_BYTES + 8, 'hex')
    at += PLACE_BYTES
  }
  return bytes.toString('base64url')
}

/** Undefined for what is no ID of this kind, or of more than `max` rooms. */
export function readPlacesId (text: string, max: number): Map<string, Position> | undefined {
  if (!/^[\w-]+$/.test(text)) return undefined
  const bytes = Buffer.from(text, 'base64url')
  if (bytes.length % PLACE_BYTES !== 0 || bytes.length > PLACE_BYTES * max || bytes.toString('base64url') !== text) return undefined
  const places = new Map<string, Position>()
  for (let at = 0; at < bytes.length; at += PLACE_BYTES) {
    const roomId = bytes.toString('hex', at, at + UUID_BYTES).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
    const seq = Number(bytes.readBigUInt64BE(at + UUID_BYTES))
    if (!Number.isSafeInteger(seq)) return undefined
    places.set(roomId, { seq, chain: bytes.toString('hex', at + UUID_BYTES + 8, at + PLACE_BYTES) })
  }
  return places
}
