/**
 * Who reads a room: the listeners together, or one `for await` loop. Each has a cursor of its own, so that it gets every event once and in
 * order however often the room's subscription begins anew or is taken back for another reader.
 *
 * A loop has a bounded buffer. When it is full the room's subscription pauses, for all its readers, and goes on from there when
 * there is room again: the server's log is the queue, not the client's memory.
 */
import type { MillraceError } from './error.ts'
import type { Position, Reset, RoomEvent } from './frames.ts'

/** Events that wait in one loop. */
export const EVENTS_BUFFERED_MAX = 1000

export interface Reader {
  /** How far events were received for it; undefined: it takes whatever comes first. */
  at: Position | undefined
  /** How far the application has got with them. */
  done: Position | undefined
  /** Whether it moves the room's position; a reader that named a position of its own does only when nobody follows. */
  readonly follows: boolean
  /** No more, please. */
  readonly isFull: boolean
  /** Enough has been taken to go on: half the buffer, so that not each event taken is a subscription. */
  readonly hasRoom: boolean
  take: (event: RoomEvent) => void
  reset: (reset: Reset) => void
  /** The room cannot be read any more. */
  fail: (error: MillraceError) => void
}

export interface LoopOptions {
  at: Position | undefined
  follows: boolean
  /** It has begun: from now on it wants events. */
  onBegin: (loop: Reader) => void
  /** It has got on, or has room again. */
  onProgress: () => void
  onEnd: (loop: Reader) => void
}

type Item = RoomEvent | Reset

/** A loop over events; begins with the first `next`. What it was given counts as done when it asks for more. */
export function createLoop ({ at, follows, onBegin, onProgress, onEnd }: LoopOptions): AsyncIterableIterator<Item, undefined> & Reader {
  let buffer: Item[] = []
  let waiting: Array<{ resolve: (result: IteratorResult<Item, undefined>) => void, reject: (error: Error) => void }> = []
  let handed: Item | undefined
  let state: 'new' | 'open' | 'ended' = 'new'
  let failure: MillraceError | undefined

  function offer (item: Item): void {
    const next = waiting.shift()
    if (next === undefined) buffer.push(item)
    else next.resolve(hand(item))
  }

  function hand (item: Item): IteratorResult<Item, undefined> {
    handed = item
    return { done: false, value: item }
  }

  /** The item before is done with. */
  function finish (): void {
    if (handed === undefined) return
    loop.done = { seq: handed.seq, chain: handed.chain }
    handed = undefined
    onProgress()
  }

  function end (): void {
    if (state === 'open') onEnd(loop)
    state = 'ended'
    buffer = []
    for (const { resolve } of waiting) resolve({ done: true, value: undefined })
    waiting = []
  }

  const loop: AsyncIterableIterator<Item, undefined> & Reader = {
    at,
    done: at,
    follows,
    get isFull () { return buffer.length >= EVENTS_BUFFERED_MAX },
    get hasRoom () { return buffer.length <= EVENTS_BUFFERED_MAX / 2 },
    take (event) {
      loop.at = event
      offer(event)
    },
    reset (reset) {
      const back = reset.seq < (loop.at?.seq ?? 0)
      const seen = handed ?? loop.done
      if (back) buffer = buffer.filter(({ seq }) => seq <= reset.seq)
      loop.at = reset
      // What was dropped from the buffer nobody has seen; only what was seen, or skipped, is worth a word.
      if (!back || seen === undefined || seen.seq > reset.seq) offer(reset)
    },
    fail (error) {
      failure = error
      const [first, ...others] = waiting
      waiting = others
      if (first !== undefined) {
        failure = undefined
        first.reject(error)
      }
      const rest = buffer
      end()
      buffer = rest // what came before is still handed out
    },
    async next () {
      finish()
      if (state === 'new') {
        state = 'open'
        onBegin(loop)
      }
      const item = buffer.shift()
      if (item !== undefined) {
        return hand(item)
      }
      if (failure !== undefined) {
        const error = failure
        failure = undefined
        throw error
      }
      if (state === 'ended') return { done: true, value: undefined }
      return await new Promise((resolve, reject) => { waiting.push({ resolve, reject }) })
    },
    async return () {
      // A loop that is left early has not finished what it holds: that comes again.
      handed = undefined
      end()
      return { done: true, value: undefined }
    },
    [Symbol.asyncIterator] () { return loop },
  }
  return loop
}
