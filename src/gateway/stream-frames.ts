/**
 * Frames as server-sent events: `event` is the frame's type, `data` the frame as sockets get it, `id` where the client is after it
 * (`domain/event-ids.ts`), on every frame that moves its position. What many streams share is encoded once.
 */
import { eventIdOf, placesIdOf } from '../domain/event-ids.ts'
import type { Position } from '../domain/position.ts'
import { textsOf } from './outbox.ts'

interface StreamFrame {
  readonly type: string
  readonly text: string
  /** Where the client is after it. */
  readonly place?: Position & { readonly room_id: string | undefined }
}

/** An event of a log as `frameOf` begins it: nearly all that comes need not be parsed. */
const EVENT = /^\{(?:"room_id":"([^"]{36})",)?"seq":(\d+),"chain":"([0-9a-f]{16})","event_id":"[^"]*","v":\d+,"type":"(\w+)"/

const frames = new WeakMap<Buffer, readonly StreamFrame[]>()
const encoded = new WeakMap<Buffer, Buffer>()

function readFrame (text: string): StreamFrame {
  const event = EVENT.exec(text)
  if (event !== null) return { type: event[4]!, text, place: { room_id: event[1], seq: Number(event[2]), chain: event[3]! } }
  const { type, room_id, seq, chain, event_id } = JSON.parse(text) as { type: string, room_id?: string, seq?: number, chain?: string, event_id?: string }
  const moves = seq !== undefined && chain !== undefined && (event_id !== undefined || type === 'live' || type === 'reset')
  return { type, text, ...(moves ? { place: { room_id: type === 'inbox' ? undefined : room_id, seq, chain } } : {}) }
}

function framesOf (bytes: Buffer): readonly StreamFrame[] {
  let known = frames.get(bytes)
  if (known === undefined) frames.set(bytes, known = textsOf(bytes).map(readFrame))
  return known
}

function block ({ type, text }: StreamFrame, id: string | undefined): string {
  return `event: ${type}\n${id === undefined ? '' : `id: ${id}\n`}data: ${text}\n\n`
}

/** For streams of one room. */
export function encodeForOne (bytes: Buffer): Buffer {
  let known = encoded.get(bytes)
  if (known === undefined) {
    known = Buffer.from(framesOf(bytes).map(frame => block(frame, frame.place === undefined ? undefined : eventIdOf(frame.place))).join(''))
    encoded.set(bytes, known)
  }
  return known
}

/**
 * For a stream of several rooms.
 * @param places where the client is in each, as far as is known; moved on by what is encoded
 * @param inbox the room of frames that name none
 */
export function createEncoderForMany (places: Map<string, Position>, inbox: string): (bytes: Buffer) => Buffer {
  return bytes => Buffer.from(framesOf(bytes).map(frame => {
    if (frame.place === undefined) return block(frame, undefined)
    const { room_id = inbox, seq, chain } = frame.place
    places.set(room_id, { seq, chain })
    return block(frame, placesIdOf(places))
  }).join(''))
}
