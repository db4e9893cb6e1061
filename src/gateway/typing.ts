/**
 * Who is typing, as far as this node heard it. What others are told follows what the person does, at most once each `SAID_MS` for a
 * person and room, however often their client says it.
 *
 *     idle ──active──▶ typing ──not active · their message · their socket ends · EXPIRES_MS of silence──▶ told that they stopped ──▶ idle
 *
 * Ephemeral and bounded: beyond `TYPING_MAX` nobody is told of any more.
 */
import { may } from '../domain/permissions.ts'
import { reject, type Rejection } from '../domain/rejections.ts'
import type { Publisher } from '../log/publisher.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import type { Readings } from './readings.ts'
import type { Reading } from '../commands/access.ts'

/** Silence after which somebody has stopped. */
export const EXPIRES_MS = 6000
const SAID_MS = 2000
/** People and rooms that one node keeps in mind. */
const TYPING_MAX = 10_000
const TICK_MS = 250

interface Typist { readonly id: string, readonly userId: string | undefined }

interface Entry {
  readonly room_id: string
  readonly user_id: string
  /** ID of the connection that it was heard from last: it is not told. */
  connection: string
  active: boolean
  until: number
  /** What was told, and when. */
  said: boolean
  saidAt: number
}

export interface Typing {
  /** A frame came. Gives what stands against it. Throws LogFault. */
  heard: (typist: Typist, roomId: string, active: boolean) => Promise<Rejection | undefined>
  /** Their message came: they have stopped. */
  wrote: (typist: Typist, roomId: string) => void
  /** Their socket ends. */
  left: (typist: Typist) => void
  /** How many are kept in mind. */
  size: () => number
  stop: () => void
}

export interface TypingOptions {
  readings: Readings
  publisher: Publisher
  /** Whether one of the two has blocked the other. */
  blocked: (one: string, other: string) => Promise<boolean>
  clock: () => number
  metrics: Metrics
}

export function createTyping ({ readings, publisher, blocked, clock, metrics }: TypingOptions): Typing {
  const entries = new Map<string, Entry>()
  /** Connection → its entries, so that one that ends finds them. */
  const ofConnection = new Map<string, Set<Entry>>()
  let timer: NodeJS.Timeout | undefined

  const keyOf = (userId: string, roomId: string): string => `${userId} ${roomId}`

  /** Tells what is not told yet, if it is time. */
  function tell (entry: Entry, now: number): void {
    if (now - entry.saidAt < SAID_MS) return
    entry.said = entry.active
    entry.saidAt = now
    publisher.toRoom(entry.room_id, { type: 'typing', room_id: entry.room_id, user_id: entry.user_id, active: entry.active }, [entry.connection])
  }

  function tick (): void {
    const now = clock()
    for (const [key, entry] of entries) {
      if (entry.until <= now) entry.active = false
      if (entry.active !== entry.said) tell(entry, now)
      else if (!entry.active && now - entry.saidAt >= SAID_MS) {
        entries.delete(key)
        attach(entry, undefined)
      }
    }
    if (entries.size > 0) return
    clearInterval(timer)
    timer = undefined
  }

  /** Puts the entry down to another connection, or to none. */
  function attach (entry: Entry, connection: string | undefined): void {
    const before = ofConnection.get(entry.connection)
    before?.delete(entry)
    if (before?.size === 0) ofConnection.delete(entry.connection)
    if (connection === undefined) return
    entry.connection = connection
    const after = ofConnection.get(connection)
    if (after === undefined) ofConnection.set(connection, new Set([entry]))
    else after.add(entry)
  }

  function begin (user_id: string, room_id: string, connection: string): Entry | undefined {
    if (entries.size >= TYPING_MAX) {
      metrics.ephemeralDropped.inc({ reason: 'too many' })
      return undefined
    }
    const entry: Entry = { room_id, user_id, connection, active: false, until: 0, said: false, saidAt: -Infinity }
    entries.set(keyOf(user_id, room_id), entry)
    timer ??= setInterval(tick, TICK_MS)
    return entry
  }

  return {
    async heard ({ id, userId }, roomId, active) {
      if (userId === undefined) return reject('unauthenticated')
      const reading = await readings.reading(roomId, userId)
      const no = mayNotWrite(reading, clock())
      if (no !== undefined) return no
      if (reading.allowed && reading.room.kind === 'dm' && active) {
        const [one = '', other = one] = reading.room.peers
        if (one !== other && await blocked(one, other).catch(() => true)) return reject('blocked')
      }
      const known = entries.get(keyOf(userId, roomId))
      if (known === undefined && !active) return undefined
      const entry = known ?? begin(userId, roomId, id)
      if (entry === undefined) return undefined
      const now = clock()
      attach(entry, id)
      entry.active = active
      entry.until = now + EXPIRES_MS
      if (active || entry.said) tell(entry, now)
      return undefined
    },

    wrote ({ userId }, roomId) {
      if (entries.size === 0) return
      const entry = entries.get(keyOf(userId ?? '', roomId))
      if (entry === undefined) return
      entry.active = false
      if (entry.said) tell(entry, clock())
    },

    left ({ id }) {
      const now = clock()
      for (const entry of ofConnection.get(id) ?? []) {
        entry.active = false
        if (entry.said) tell(entry, now)
      }
    },

    size: () => entries.size,
    stop () { clearInterval(timer) },
  }
}

/** Why somebody may not write in a room now; slow mode does not keep them from typing. */
function mayNotWrite (reading: Reading, now: number): Rejection | undefined {
  if (!reading.allowed) return reading.rejection
  const { room, member, inside } = reading
  if (!inside) return reject('not_member')
  if (member.muted_until > now) return reject('muted')
  if (room.archived) return reject('room_archived')
  return may(room.kind, member.role, 'send') ? undefined : reject('forbidden')
}
