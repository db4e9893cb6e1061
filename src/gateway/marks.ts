/**
 * Frames about marks: who may mark, under which device, and what a room's subscriber is told when it becomes live. The marks
 * themselves are kept in `log/marks.ts`.
 *
 * A connection has one batch of `delivered` under way; what comes meanwhile is folded into the next one. A room that it names and its
 * sender may not read is passed over: clients keep such rooms for a while after they left.
 */
import type { Access } from '../commands/access.ts'
import { reject, type Rejection } from '../domain/rejections.ts'
import { marksFrame, type Marks } from '../log/marks.ts'
import type { Readings } from './readings.ts'
import type { Subscribing } from './subscriptions.ts'

/** Rooms that may wait in the next batch of one connection. */
const ROOMS_WAITING_MAX = 5000

/** A connection that marks. */
export interface Marking extends Subscribing {
  /** Device, or session where the client named none. */
  readonly device: string
}

export interface MarkFrames {
  /** Where the mark is then, or what stands against it. Throws LogFault. */
  read: (connection: Marking, roomId: string, seq: number) => Promise<number | Rejection>
  /** Throws LogFault. */
  delivered: (connection: Marking, rooms: Readonly<Record<string, number>>) => Promise<Rejection | undefined>
  /** Tells a subscriber what the marks of the room are. */
  greet: (connection: Subscribing, roomId: string) => void
}

interface Delivering {
  underWay: Promise<void>
  /** Room → the furthest that was named meanwhile. */
  waiting: Map<string, number>
  next: Promise<void> | undefined
}

export function createMarkFrames ({ marks, access, readings }: { marks: Marks, access: Access, readings: Readings }): MarkFrames {
  const delivering = new WeakMap<Marking, Delivering>()

  async function deliver ({ id, userId, device }: Marking, rooms: ReadonlyMap<string, number>): Promise<void> {
    const found = await access.readings([...rooms.keys()], userId!)
    await Promise.all([...rooms].map(async ([room_id, seq]) => {
      const reading = found.get(room_id)
      if (reading?.allowed === true) await marks.move({ room_id, user_id: userId!, kind: 'delivered', device, seq, member: reading.inside, connection: id })
    }))
  }

  return {
    async read ({ id, userId }, room_id, seq) {
      const reading = await readings.reading(room_id, userId!)
      if (!reading.allowed) return reading.rejection
      return await marks.move({ room_id, user_id: userId!, kind: 'read', device: '', seq, member: reading.inside, connection: id })
    },

    async delivered (connection, rooms) {
      let mine = delivering.get(connection)
      if (mine === undefined) delivering.set(connection, mine = { underWay: Promise.resolve(), waiting: new Map(), next: undefined })
      const state = mine
      if (state.waiting.size + Object.keys(rooms).length > ROOMS_WAITING_MAX) return reject('rate_limited', undefined, 1000)
      for (const [roomId, seq] of Object.entries(rooms)) state.waiting.set(roomId, Math.max(seq, state.waiting.get(roomId) ?? 0))
      state.next ??= state.underWay.catch(() => {}).then(async () => {
        const batch = state.waiting
        state.waiting = new Map()
        state.underWay = state.next!
        state.next = undefined
        await deliver(connection, batch)
      })
      await state.next
      return undefined
    },

    greet ({ outbox }, roomId) {
      marks.of(roomId).then(found => { if (found !== undefined) outbox.send(marksFrame(roomId, found)) }, () => {}) // live marks follow all the same
    },
  }
}
