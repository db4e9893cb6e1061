/**
 * What a peer's wire looks like to the load client. Both dialects do the same little work per frame: tell a delivery from an
 * ack by a byte or two, read the numbers that stand at fixed places in the content, compare them with the last.
 *
 * A content is `B`, the sender's slot (5 digits), the number of its message in the room (8), when it was due (11, microseconds of
 * the load client's clock), and filler.
 */
import type { Connection, Place } from './connection.ts'

export const CONTENT_CHARS = 100
const FILLER = 'abcdefghijklmnopqrstuvwxyz'.repeat(5).slice(0, CONTENT_CHARS - 25)
export const MARK = 66 // B

export function contentOf (slot: number, n: number, dueUs: number): string {
  return `B${String(slot).padStart(5, '0')}${String(n).padStart(8, '0')}${String(Math.round(dueUs)).padStart(11, '0')}${FILLER}`
}

/** A client_id that is unique in a run: a UUID made of the connection and the number of its message. */
export function clientIdOf (connection: number, n: number): string {
  return `be9cbe9c-${String(connection % 10_000).padStart(4, '0')}-4000-8000-${String(n).padStart(12, '0')}`
}

export function digits (bytes: Buffer, from: number, to: number): number {
  let value = 0
  for (let at = from; at < to; at++) value = value * 10 + bytes[at]! - 48
  return value
}

/** What a frame means, told to the phase that runs. */
export interface Sink {
  /** A message of the load was delivered in order. */
  delivered: (connection: Connection, slot: number, dueUs: number) => void
  acked: (connection: Connection, n: number) => void
  /** The run is void. */
  problem: (text: string) => void
  /** For connections that are sampled, or keep their acks: the frame as it came. */
  keep: (connection: Connection, kind: 'frame' | 'ack', text: string) => void
}

export interface Dialect {
  readonly path: string
  /** Authenticates; resolves when welcomed. */
  greet: (connection: Connection, token: string) => Promise<void>
  /** Subscribes to rooms, as a member who may send where `joins`; resolves when it stands. */
  enter: (connection: Connection, roomIds: readonly string[], joins: boolean, senders: number) => Promise<void>
  join: (connection: Connection, roomId: string) => Promise<void>
  messageOf: (n: number, roomId: string, clientId: string, content: string) => string
  onText: (connection: Connection, bytes: Buffer, from: number, to: number) => void
}

export function newPlace (roomId: string, senders: number, seq: number): Place {
  return { roomId, seq, lastOf: new Uint32Array(senders), received: 0 }
}

/** Checks one content, and tells the sink. */
export function takeContent (connection: Connection, place: Place, bytes: Buffer, at: number, sink: Sink): void {
  const slot = digits(bytes, at + 1, at + 6)
  const n = digits(bytes, at + 6, at + 14)
  const last = place.lastOf[slot]!
  if (n !== last + 1) sink.problem(`socket ${connection.index} got message ${n} of sender ${slot} after ${last}`)
  place.lastOf[slot] = n
  place.received += 1
  sink.delivered(connection, slot, digits(bytes, at + 14, at + 25))
}

/** Hands texts of a connection under set-up to `look` until it answers true. */
export async function awaitText (connection: Connection, what: string, look: (text: string) => boolean): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => { reject(new Error(`socket ${connection.index} waited in vain for ${what}`)) }, 60_000)
    connection.onSetup = text => {
      if (!look(text)) return
      clearTimeout(timer)
      resolve()
    }
  })
}
