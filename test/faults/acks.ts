// What somebody was promised, and whether it still stands as far as they can know: the acks that they hold, against the events and
// resets that they have heard. An ack is void when they were told so: by a reset to a place before it, by another event in its place,
// or by a subscription that is live before it. In the end every ack that is held must have been heard as an event, and everything
// that was said must have one.
import type { SubscriberRecorder } from '../checker.ts'
import type { Frame } from '../client.ts'

export interface Ack { readonly room_id: string, readonly seq: number, readonly chain: string, readonly event_id: string, readonly duplicate: boolean }

/** An ack is followed by its event; after this time it is asked for. */
const OVERDUE_MS = 2000

export interface Acks {
  /** It was sent, or is going to be. */
  due: (room_id: string, client_id: string) => void
  /** @param apart it came by another way than events and resets do: they may have told already that it is lost */
  acked: (client_id: string, ack: Ack, apart?: boolean) => void
  /** It is not wanted any more, whatever became of it. */
  forget: (client_id: string) => void
  /** An event, a reset or a live, as it was delivered. */
  heard: (frame: Frame) => void
  /** Client IDs for which no ack is held. */
  readonly missing: readonly string[]
  /** What is odd with those that are held; empty when each was heard. */
  readonly unheard: readonly string[]
  /** Rooms with acks that have not been heard for long. */
  readonly overdue: readonly string[]
  /** Tells the checker of those that are held. */
  tell: () => void
}

/** @param onLost told which commands had acks that are void now, in the order of their places */
export function createAcks ({ name, recorder, onLost = () => {} }: { name: string, recorder: SubscriberRecorder, onLost?: (client_ids: readonly string[]) => void }): Acks {
  const held = new Map<string, { readonly room_id: string, readonly acks: Array<Ack & { readonly at: number }> }>()
  const events = new Map<string, Map<number, string>>() // room → seq → event ID

  function lose (isVoid: (ack: Ack) => boolean): void {
    const lost: Array<[client_id: string, seq: number]> = []
    for (const [client_id, { acks }] of held) {
      const gone = acks.filter(isVoid)
      if (gone.length === 0) continue
      acks.splice(0, acks.length, ...acks.filter(ack => !isVoid(ack)))
      recorder.refused({ room_id: gone[0]!.room_id, client_id, code: 'lost' }) // what was lost has no place in the order any more
      if (acks.length === 0) lost.push([client_id, gone[0]!.seq])
    }
    if (lost.length > 0) onLost(lost.sort(([, a], [, b]) => a - b).map(([client_id]) => client_id))
  }

  return {
    due (room_id, client_id) { if (!held.has(client_id)) held.set(client_id, { room_id, acks: [] }) },
    acked (client_id, ack, apart = false) {
      held.get(client_id)?.acks.push({ ...ack, at: Date.now() })
      const there = events.get(ack.room_id)?.get(ack.seq)
      if (apart && there !== undefined && there !== ack.event_id) lose(other => other.room_id === ack.room_id && other.event_id === ack.event_id)
    },
    forget (client_id) { held.delete(client_id) },
    heard ({ type, reason, room_id, seq, event_id }) {
      let ofRoom = events.get(room_id)
      if (ofRoom === undefined) events.set(room_id, ofRoom = new Map())
      if (type === 'live') return lose(ack => ack.room_id === room_id && ack.seq > seq)
      if (type === 'reset') {
        if (reason !== 'parted') return
        for (const at of ofRoom.keys()) if (at > seq) ofRoom.delete(at)
        lose(ack => ack.room_id === room_id && ack.seq > seq)
      } else {
        ofRoom.set(seq, event_id)
        lose(ack => ack.room_id === room_id && ack.seq === seq && ack.event_id !== event_id)
      }
    },
    get overdue () {
      const before = Date.now() - OVERDUE_MS
      return [...new Set([...held.values()].flatMap(({ room_id, acks }) => acks.some(({ at, seq, event_id }) => at < before && events.get(room_id)?.get(seq) !== event_id) ? [room_id] : []))]
    },
    get missing () { return [...held].filter(([, { acks }]) => acks.length === 0).map(([client_id]) => client_id) },
    get unheard () {
      return [...held].flatMap(([client_id, { acks }]) => acks
        .filter(({ room_id, seq, event_id }) => events.get(room_id)?.get(seq) !== event_id)
        .map(({ room_id, seq, chain }) => `${name} holds an ack of ${client_id} at seq ${seq} chain ${chain} of room ${room_id}, and has neither heard it as an event nor that it is lost`))
    },
    tell () {
      for (const [client_id, { acks }] of held) for (const { at, ...ack } of acks) recorder.acked({ client_id, ...ack })
    },
  }
}
