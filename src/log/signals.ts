/**
 * Signals to a user's sockets on all nodes: one sharded channel for each user who has sockets on this node, subscribed to with the
 * first and left with the last. Best effort: a signal may be lost, and whoever has no socket gets none.
 *
 * Most users are idle, so what is held for each is small: a channel's name and two entries in maps (measured with the gateway's
 * own record of them: test/log/signals.test.ts holds it below its bound).
 */
import type { PeopleKeys } from './people-keys.ts'
import type { Listener as ChannelListener, Subscriptions } from './subscriptions.ts'

export type Signal =
  /** A frame for all sockets of the user. `except`: ID of the connection that is not to get it. */
  | { readonly type: 'frame', readonly frame: object, readonly except?: string | undefined }
  /** News in a room that the user's sockets may not be subscribed to yet: at `seq`. */
  | { readonly type: 'room', readonly room_id: string, readonly seq: number }
  /** The user's membership in a room has changed, at `seq`: for those sockets that follow all rooms of the user. */
  | { readonly type: 'membership', readonly room_id: string, readonly seq: number }

const KNOWN: ReadonlySet<string> = new Set<Signal['type']>(['frame', 'room', 'membership'])

export type SignalListener = (signal: Signal, userId: string) => void

export interface Signals {
  send: (userId: string, signal: Signal) => void
  /** One listener may hear any number of users, which costs less than one for each. Returns what ends it. */
  listen: (userId: string, listener: SignalListener) => () => void
}

export function createSignals ({ publisher, subscriptions, peopleKeys }: { publisher: { toUser: Signals['send'] }, subscriptions: Subscriptions, peopleKeys: PeopleKeys }): Signals {
  const listeners = new Map<string, readonly SignalListener[]>()
  /** Lists of one listener are shared: most users have the same. */
  const alone = new WeakMap<SignalListener, readonly SignalListener[]>()

  function listOfOne (listener: SignalListener): readonly SignalListener[] {
    let list = alone.get(listener)
    if (list === undefined) alone.set(listener, list = [listener])
    return list
  }

  const hearing: ChannelListener = {
    onMessage (text, channel) {
      const userId = channel.slice(channel.lastIndexOf(':') + 1)
      for (const line of text.split('\n')) {
        const signal = readSignal(line)
        if (signal !== undefined) for (const listener of listeners.get(userId) ?? []) listener(signal, userId)
      }
    },
    onReady () {}, // what was missed is nobody's: see above
  }

  function leave (userId: string, listener: SignalListener): void {
    const left = listeners.get(userId) ?? []
    const at = left.indexOf(listener)
    if (at < 0) return
    if (left.length > 1) {
      listeners.set(userId, left.toSpliced(at, 1))
      return
    }
    listeners.delete(userId)
    subscriptions.remove(peopleKeys.signals(userId))
  }

  return {
    send: publisher.toUser,
    listen (userId, listener) {
      const before = listeners.get(userId)
      listeners.set(userId, before === undefined ? listOfOne(listener) : [...before, listener])
      if (before === undefined) subscriptions.add(peopleKeys.signals(userId), hearing)
      return () => { leave(userId, listener) }
    },
  }
}

/** Undefined for what is none, or of a type that only newer versions know. */
function readSignal (line: string): Signal | undefined {
  try {
    const signal = JSON.parse(line) as Signal
    return KNOWN.has(signal.type) ? signal : undefined
  } catch {
    return undefined
  }
}
