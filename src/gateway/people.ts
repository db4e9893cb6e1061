/**
 * The people who are here: each user's sockets on this node, the signals to them, and the best status among them. A user costs
 * one entry in a map beside their sockets; whoever has one socket, as most do, has no list of them.
 */
import type { Signal, Signals } from '../log/signals.ts'
import type { Status } from '../log/presence.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import { EPHEMERAL_BYTES_MAX } from './hub.ts'
import { wireFrame } from './outbox.ts'
import type { Subscribing, Subscriptions } from './subscriptions.ts'

/** A socket of somebody. */
export interface PersonSocket extends Subscribing {
  readonly id: string
  /** What the person says of themselves on this device. */
  status: Status
}

interface Person {
  sockets: PersonSocket | PersonSocket[]
  readonly stopListening: () => void
}

export interface People {
  /** A socket knows now whose it is. */
  enter: (socket: PersonSocket) => void
  /** A socket ends; twice does nothing more. */
  leave: (socket: PersonSocket) => void
  /** A socket's status is another. */
  changed: (socket: PersonSocket) => void
  of: (userId: string) => readonly PersonSocket[]
  /** The best status among a user's sockets here; undefined if there are none. */
  statusOf: (userId: string) => Status | undefined
  here: () => Iterable<string>
}

export interface PeopleOptions {
  signals: Signals
  subscriptions: Pick<Subscriptions, 'add' | 'has'>
  /** Told when the user's membership in a room has changed, at `seq`. */
  onMembership?: (sockets: readonly PersonSocket[], userId: string, roomId: string, seq: number) => void
  /** Told when a socket of somebody came (it is among theirs then) or went (it is not any more). */
  onChange: (userId: string, gone?: PersonSocket) => void
  metrics: Metrics
}

const BEST: readonly Status[] = ['online', 'dnd', 'away']

export function createPeople ({ signals, subscriptions, onMembership = () => {}, onChange, metrics }: PeopleOptions): People {
  const people = new Map<string, Person>()

  function of (userId: string): readonly PersonSocket[] {
    const sockets = people.get(userId)?.sockets
    return sockets === undefined ? [] : Array.isArray(sockets) ? sockets : [sockets]
  }

  function onSignal (signal: Signal, userId: string): void {
    if (signal.type === 'membership') return onMembership(of(userId), userId, signal.room_id, signal.seq)
    if (signal.type === 'room') {
      for (const socket of of(userId)) if (!subscriptions.has(socket, signal.room_id)) subscriptions.add(socket, signal.room_id, { seq: Math.max(0, signal.seq - 1) })
      return
    }
    let frame: Buffer | undefined
    for (const { id, outbox } of of(userId)) {
      if (id === signal.except) continue
      if (outbox.bytes() > EPHEMERAL_BYTES_MAX) metrics.ephemeralDropped.inc({ reason: 'slow socket' })
      else {
        outbox.push(frame ??= wireFrame(JSON.stringify(signal.frame)))
        metrics.framesOut.inc({ type: 'ephemeral' })
      }
    }
  }

  return {
    of,

    enter (socket) {
      const userId = socket.userId!
      const person = people.get(userId)
      if (person === undefined) people.set(userId, { sockets: socket, stopListening: signals.listen(userId, onSignal) })
      else if (Array.isArray(person.sockets)) person.sockets.push(socket)
      else person.sockets = [person.sockets, socket]
      onChange(userId)
    },

    leave (socket) {
      const { userId } = socket
      const person = userId === undefined ? undefined : people.get(userId)
      const left = of(userId ?? '').filter(other => other !== socket)
      if (person === undefined || left.length === of(userId!).length) return
      if (left.length > 0) person.sockets = left.length === 1 ? left[0]! : left
      else {
        people.delete(userId!)
        person.stopListening()
      }
      onChange(userId!, socket)
    },

    changed ({ userId }) { if (userId !== undefined) onChange(userId) },

    statusOf (userId) {
      const said = new Set(of(userId).map(({ status }) => status))
      return BEST.find(status => said.has(status))
    },

    here: () => people.keys(),
  }
}
