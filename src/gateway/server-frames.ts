/**
 * Frames to clients: their schemas, the other half of the contract of PROTOCOL.md. Nothing is checked with them while serving:
 * they are what `/docs/asyncapi.json` says, and every frame that a test receives is held to them.
 */
import Type, { type TSchema } from 'typebox'
import { EventFrames } from '../domain/event-frames.ts'
import { Seq } from '../domain/events.ts'
import { REJECTIONS, type RejectionCode } from '../domain/rejections.ts'
import { CLOSE } from './close-codes.ts'

const RoomId = Type.String({ description: 'UUID of the room' })
const UserId = Type.String({ description: 'UUID of the user' })
const Chain = Type.String({ pattern: '^[0-9a-f]{16}$', description: 'Fingerprint of the history up to `seq`' })
const Ref = Type.Optional(Type.Number({ description: 'That of the frame that this answers, if it had one' }))
const Milliseconds = Type.Integer({ minimum: 0, description: 'Milliseconds' })
const Seqs = Type.Record(Type.String(), Seq)

/** The answers to frames from clients, what tells them where they are in a log, and what is in no log. */
export const ControlFrames = {
  welcome: Type.Object({
    type: Type.Literal('welcome'),
    session_id: Type.String({ description: 'Names this connection' }),
    user_id: UserId,
    heartbeat_ms: Type.Integer({ description: 'Milliseconds between two heartbeats' }),
    server_time: Type.String({ description: 'RFC 3339, UTC, milliseconds' }),
    limits: Type.Object({
      frame_bytes: Type.Integer({ description: 'Largest frame from a client, in bytes' }),
      content_chars: Type.Integer({ description: 'Longest message, in characters' }),
      subscriptions: Type.Integer({ description: 'Rooms that one socket may subscribe to' }),
      frames_per_second: Type.Integer({ description: 'Frames per second that one socket may send' }),
    }),
  }, { description: 'The token was good' }),
  ack: Type.Object({
    type: Type.Literal('ack'),
    ref: Ref,
    room_id: Type.Optional(RoomId),
    seq: Type.Optional(Seq),
    chain: Type.Optional(Chain),
    event_id: Type.Optional(Type.String({ description: 'UUID of the event that was appended' })),
    duplicate: Type.Optional(Type.Boolean({ description: 'The same `client_id` had been sent before: this is its first result' })),
    durability: Type.Optional(Type.Enum(['memory', 'fsync', 'replicated'], { description: 'What an append is worth at the moment of the ack' })),
  }, { description: 'The frame was served; what it appended is at this place in the log' }),
  pong: Type.Object({ type: Type.Literal('pong'), ref: Ref }, { description: 'The answer to `ping`' }),
  error: Type.Object({
    type: Type.Literal('error'),
    ref: Ref,
    room_id: Type.Optional(Type.String({ description: 'The room whose subscription ended' })),
    code: Type.Enum(Object.keys(REJECTIONS) as RejectionCode[], { description: 'Stable: match this, never the message' }),
    message: Type.String(),
    field: Type.Optional(Type.String({ description: 'The field that was wrong' })),
    retry_after_ms: Type.Optional(Milliseconds),
  }, { description: 'The frame was refused, or a subscription ended' }),
  sync: Type.Object({ type: Type.Literal('sync'), room_id: RoomId, from: Seq, to: Seq, source: Type.Enum(['log', 'archive']) }, { description: 'A catch-up begins: the events after `from` follow' }),
  live: Type.Object({ type: Type.Literal('live'), room_id: RoomId, seq: Seq, chain: Chain }, { description: 'Contiguous up to here; what follows is live' }),
  reset: Type.Object({
    type: Type.Literal('reset'),
    room_id: RoomId,
    reason: Type.Enum(['parted', 'membership', 'erased']),
    seq: Seq,
    chain: Chain,
  }, { description: 'Your position is now this: drop what you hold after it; what was skipped before it is not yours, or is gone' }),
  heartbeat: Type.Object({ type: Type.Literal('heartbeat'), heads: Seqs }, { description: 'Heads of your rooms that moved: if you are behind one, subscribe again with your position' }),
  bye: Type.Object({
    type: Type.Literal('bye'),
    code: Type.Enum(Object.values(CLOSE).map(({ code }) => code), { description: 'The close code that follows' }),
    reason: Type.String(),
    retry_after_ms: Milliseconds,
    resume: Type.Boolean({ description: 'Whether to come back with your positions' }),
  }, { description: 'The server closes this connection' }),
  typing: Type.Object({ type: Type.Literal('typing'), room_id: RoomId, user_id: UserId, active: Type.Boolean() }, { description: 'Somebody types, or has stopped' }),
  presence: Type.Object({
    type: Type.Literal('presence'),
    user_id: UserId,
    status: Type.Enum(['online', 'away', 'dnd', 'offline']),
    last_seen_at: Type.Optional(Type.String({ description: 'RFC 3339, UTC; of those who are offline' })),
  }, { description: 'Somebody came, went, or has another status' }),
  marks: Type.Object({ type: Type.Literal('marks'), room_id: RoomId, read: Seqs, delivered: Seqs }, { description: 'How far users have read, and been delivered: user → seq. Marks only go forward' }),
  unread: Type.Object({
    type: Type.Literal('unread'),
    room_id: RoomId,
    unread: Type.Integer({ minimum: 0, description: 'Messages by others, not deleted, after your read mark' }),
    mentions: Type.Integer({ minimum: 0, description: 'Those of them that name you or everyone' }),
  }, { description: 'Another device of yours has read: this is left. New messages are yours to count' }),
} as const

/** Every frame that the server sends. Those of `room` go by what changed. */
export const ServerFrames: Readonly<Record<string, TSchema>> = { ...ControlFrames, ...EventFrames }

/** Name, in `ServerFrames`, of the schema of a frame. */
export function nameOfFrame ({ type, change }: { type: string, change?: unknown }): string {
  return type === 'room' ? `room_${String(change)}` : type
}
