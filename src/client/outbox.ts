/**
 * Commands on their way: each has a `client_id`, is kept until it is acked or refused, and is sent again, marked `resend`, when it is not known
 * what became of it, so that it takes effect once [G2]. In each room one is under way at a time: that is what keeps them in order
 * when one must be tried again.
 *
 * What is not acked is in the store, so that it outlives the page. A command belongs to the client that wrote it; another takes it
 * over only when that client is gone (a lock tells), so that two tabs do not send side by side. If they did: same `client_id`, one effect.
 */
import { isRetried, MillraceError } from './error.ts'
import type { Ack, Frame, RoomEvent } from './frames.ts'
import { hold, ifFree } from './locks.ts'
import { backOffMs, type BackOff } from './machine.ts'
import type { Store } from './store.ts'

/** Commands that may wait for their acks; beyond it new ones are refused with `outbox_full`. */
export const OUTBOX_COMMANDS_MAX = 1000
/** Own messages that were acked and are remembered, in memory, in case the server loses them. */
export const ACKED_KEPT_MAX = 200
/** Milliseconds after which an answer is given up: the command is sent again. */
const ANSWER_MS = 15_000
/** Largest frame, in bytes; a larger one would end the connection. */
const FRAME_BYTES_MAX = 65_000

/** A command that is not acked yet. */
export interface Queued {
  readonly client_id: string
  readonly frame: Frame
  /** Order within the outbox; grows with time, over reloads too: when it was written, in milliseconds. */
  readonly n: number
}

interface Entry extends Queued {
  /** Commands of one lane are sent in order: a room's ID, or `@` and a user's for the first words to them. */
  readonly lane: string
  frame: Frame
  /** Whose command it is, as far as that was known. */
  user?: string | undefined
  /** Whether it may have got through. */
  resend: boolean
  tries: number
  settle?: { resolve: (ack: Ack) => void, reject: (error: MillraceError) => void } | undefined
}

interface Lane { queue: Entry[], timer?: ReturnType<typeof setTimeout> | undefined, ref?: number | undefined }

export interface Refused { readonly client_id: string, readonly frame: Frame, readonly error: MillraceError }

export interface OutboxOptions {
  store: Store
  send: (frame: object) => boolean
  nextRef: () => number
  backOff: BackOff
  random: () => number
  /** The number of commands changed. */
  onChange: () => void
  /** A command was refused that nobody waits for any more, since the page was loaded anew or the server had lost it. */
  onRefused: (refused: Refused) => void
  onAck: (lane: string, frame: Frame, ack: Ack) => void
  onFault: (error: unknown) => void
}

export interface Outbox {
  readonly size: number
  /** The commands of this lane. */
  queued: (lane: string) => readonly Queued[]
  /** Resolves with the ack. Throws MillraceError: the server's code, `outbox_full`, `too_large` or `closed`. */
  add: (lane: string, frame: Frame) => Promise<Ack>
  /** Takes over what is stored and belongs to nobody who lives. */
  load: (user?: string) => Promise<void>
  /** The connection is live, as this user. */
  live: (user: string) => void
  /** It is not any more: what was under way may have got through. */
  lost: () => void
  /** Takes an `ack` or `error`; false if it answers no command. */
  answer: (frame: Frame) => boolean
  /** The server has lost what was in this room after `seq`: own messages among it are sent again. */
  vanished: (room_id: string, seq: number) => void
  /** An event of the log: if an own message had been acked in its place, that one has vanished. */
  heard: (event: RoomEvent) => void
  /** Nothing is sent any more; what is stored stays. Resolves when all is written. */
  close: () => Promise<void>
}

export function createOutbox ({ store, send, nextRef, backOff, random, onChange, onRefused, onAck, onFault }: OutboxOptions): Outbox {
  const lanes = new Map<string, Lane>()
  const byRef = new Map<number, { lane: Lane, entry: Entry, timer: ReturnType<typeof setTimeout> }>()
  const acked = new Map<string, { entry: Entry, ack: Ack }>()
  const owner = crypto.randomUUID()
  const release = hold(lockOf(owner))
  let size = 0
  let last = 0
  let userId: string | undefined
  let isLive = false
  let closed = false
  let writing: Promise<unknown> = Promise.resolve()

  /** Writes in the order asked, so that what is deleted was there. */
  function write (change: () => Promise<void>): void {
    writing = writing.then(change).catch(onFault)
  }

  const keyOf = ({ client_id }: Entry): string => `outbox:${client_id}`

  function keep (entry: Entry): void {
    const { settle, tries, ...kept } = entry
    write(async () => { await store.set(keyOf(entry), JSON.stringify({ ...kept, resend: true, owner })) })
  }

  function laneOf (name: string): Lane {
    let lane = lanes.get(name)
    if (lane === undefined) lanes.set(name, lane = { queue: [] })
    return lane
  }

  function count (change: number): void {
    size += change
    onChange()
  }

  function pump (lane: Lane): void {
    const [entry] = lane.queue
    if (entry === undefined || !isLive || lane.ref !== undefined || lane.timer !== undefined) return
    const ref = nextRef()
    if (!send({ ...entry.frame, client_id: entry.client_id, ...(entry.resend && { resend: true }), ref })) return
    entry.resend = true // from here on it may have got through
    lane.ref = ref
    const timer = setTimeout(() => { // the frame or its answer was lost
      giveUp(ref)
      pump(lane)
    }, ANSWER_MS)
    byRef.set(ref, { lane, entry, timer })
  }

  /** Waits for this answer no more. */
  function giveUp (ref: number): { lane: Lane, entry: Entry } | undefined {
    const waiting = byRef.get(ref)
    if (waiting === undefined) return undefined
    clearTimeout(waiting.timer)
    byRef.delete(ref)
    waiting.lane.ref = undefined
    return waiting
  }

  function done (lane: Lane, entry: Entry): void {
    lane.queue = lane.queue.filter(other => other !== entry)
    if (lane.queue.length === 0) lanes.delete(entry.lane)
    write(async () => { await store.delete(keyOf(entry)) })
    count(-1)
  }

  function remember (entry: Entry, ack: Ack): void {
    if (entry.frame.type !== 'message' || ack.seq === undefined) return // an edit or a reaction names a place that may be another's now
    acked.set(entry.client_id, { entry, ack })
    if (acked.size > ACKED_KEPT_MAX) acked.delete(acked.keys().next().value!)
  }

  function refuse (entry: Entry, error: MillraceError): void {
    if (entry.settle !== undefined) entry.settle.reject(error)
    else onRefused({ client_id: entry.client_id, frame: entry.frame, error })
  }

  function retry (lane: Lane, entry: Entry, retryAfterMs: number | undefined): void {
    lane.timer = setTimeout(() => {
      lane.timer = undefined
      pump(lane)
    }, backOffMs(entry.tries++, random, backOff, retryAfterMs))
  }

  function adopt (value: string): void {
    const { owner: _, ...entry } = JSON.parse(value) as Entry & { owner: string }
    if (entry.user !== undefined && userId !== undefined && entry.user !== userId) return // stays for when that user is back
    const lane = laneOf(entry.lane)
    if (lane.queue.some(({ client_id }) => client_id === entry.client_id)) return
    const mine: Entry = { ...entry, tries: 0 }
    const at = lane.queue.findIndex(({ n }) => n > mine.n)
    lane.queue.splice(at < 0 ? lane.queue.length : at, 0, mine)
    keep(mine)
    count(1)
    pump(lane)
  }

  async function load (user = userId): Promise<void> {
    userId = user
    const owners = new Set((await store.list('outbox:')).map(([, value]) => (JSON.parse(value) as { owner: string }).owner))
    owners.delete(owner)
    for (const other of owners) {
      await ifFree(lockOf(other), async () => {
        for (const [, value] of await store.list('outbox:')) { // anew: another tab may have taken some
          if (closed || size >= OUTBOX_COMMANDS_MAX) break
          if ((JSON.parse(value) as { owner: string }).owner === other) adopt(value)
        }
        await writing
      })
    }
  }

  function vanished (room_id: string, seq: number): void {
    const gone = [...acked.values()].filter(({ ack }) => ack.room_id === room_id && ack.seq! > seq).sort((a, b) => a.ack.seq! - b.ack.seq!)
    if (gone.length === 0) return
    for (const { entry } of gone) {
      acked.delete(entry.client_id)
      const { reply_to, thread, ...frame } = entry.frame
      entry.frame = { ...frame, ...(reply_to <= seq && { reply_to }), ...(thread <= seq && { thread }) } as Frame // what it answered may be gone too
      entry.settle = undefined // it was told of the first ack
      entry.resend = true
      keep(entry)
    }
    for (const name of new Set(gone.map(({ entry }) => entry.lane))) {
      const lane = laneOf(name)
      lane.queue.unshift(...gone.map(({ entry }) => entry).filter(entry => entry.lane === name))
      pump(lane)
    }
    count(gone.length)
  }

  return {
    get size () { return size },
    queued: lane => lanes.get(lane)?.queue ?? [],
    async add (lane, frame) {
      if (closed) throw new MillraceError('closed', 'The client was closed')
      if (size >= OUTBOX_COMMANDS_MAX) throw new MillraceError('outbox_full', `${size} commands wait for their acks already`)
      if (new TextEncoder().encode(JSON.stringify(frame)).length + 200 > FRAME_BYTES_MAX) throw new MillraceError('too_large', `A command has at most ${FRAME_BYTES_MAX} bytes`)
      return await new Promise<Ack>((resolve, reject) => {
        last = Math.max(last + 1, Date.now())
        const entry: Entry = { client_id: frame.client_id ?? crypto.randomUUID(), lane, frame, n: last, user: userId, resend: false, tries: 0, settle: { resolve, reject } }
        const to = laneOf(lane)
        to.queue.push(entry)
        keep(entry)
        count(1)
        pump(to)
      })
    },
    load,
    live (user) {
      isLive = true
      userId = user
      for (const lane of lanes.values()) {
        for (const entry of lane.queue) {
          if (entry.user === undefined || entry.user === user) entry.user = user
          else { // of whoever used this page before: kept for them in the store
            lane.queue = lane.queue.filter(other => other !== entry)
            if (entry.settle !== undefined) refuse(entry, new MillraceError('forbidden', 'Written by another user'))
            count(-1)
          }
        }
        pump(lane)
      }
      load().catch(onFault)
    },
    lost () {
      isLive = false
      for (const ref of [...byRef.keys()]) giveUp(ref)
    },
    answer (frame) {
      const waiting = typeof frame.ref === 'number' ? giveUp(frame.ref) : undefined
      if (waiting === undefined) return false
      const { lane, entry } = waiting
      if (frame.type === 'error' && isRetried(frame.code)) retry(lane, entry, frame.retry_after_ms)
      else {
        done(lane, entry)
        if (frame.type === 'error') refuse(entry, new MillraceError(frame.code, frame.message, frame.retry_after_ms))
        else {
          const { type, ref, ...ack } = frame as unknown as Ack & { type: string, ref: number }
          remember(entry, ack)
          onAck(entry.lane, entry.frame, ack)
          entry.settle?.resolve(ack)
        }
      }
      pump(lane)
      return true
    },
    vanished,
    heard ({ room_id, seq, event_id }) {
      for (const { ack } of acked.values()) {
        if (ack.seq === seq && ack.room_id === room_id && ack.event_id !== event_id) return vanished(room_id, seq - 1)
      }
    },
    async close () {
      closed = true
      isLive = false
      for (const ref of [...byRef.keys()]) giveUp(ref)
      for (const { queue, timer } of lanes.values()) {
        clearTimeout(timer)
        for (const entry of queue) entry.settle?.reject(new MillraceError('closed', 'The client was closed'))
      }
      lanes.clear()
      await writing
      release()
    },
  }
}

function lockOf (owner: string): string {
  return `millrace outbox ${owner}`
}
