/**
 * The next events of a room for those who catch up, read and framed once for all who ask for the same in the same turn of the loop:
 * those who come back to a room after a node was lost have all missed the same.
 */
import { START, type ClaimedPosition, type Position } from '../domain/position.ts'
import { chainOf } from '../log/chain.ts'
import { frameOf, withoutDeleted, type LogEvent } from '../log/codec.ts'
import type { RoomLog } from '../log/log.ts'
import type { Feed } from './hub.ts'
import type { KeptEvent } from './kept.ts'
import { wireFrame } from './outbox.ts'

/** What is written at once, before looking whether the client reads: less than any outbox may hold. */
const RUN_BYTES = 32_768

/** Events that follow on each other, in runs, framed once for all who read them together. */
export interface Chunk {
  /** `at` is the place of the last event of the run. */
  readonly runs: ReadonlyArray<{ readonly at: Position, readonly events: number, readonly frames: Buffer }>
  readonly events: number
  readonly bytes: number
  readonly source: 'log' | 'archive'
  /** The stream does not have what is before this seq. */
  readonly hotFrom: number
}

/**
 * At most `limit` events after `position`, as far as they follow on; from the archive what is before `hotFrom`, without a look
 * into the stream, which does not have it. Throws LogFault.
 */
export type Chunks = (feed: Feed, position: Position, limit: number, hotFrom: number) => Promise<Chunk>

interface Deps {
  log: Pick<RoomLog, 'read' | 'deletedAfter'>
  readArchive: (roomId: string, after: number, limit: number) => Promise<LogEvent[]>
}

export function createChunks ({ log, readArchive }: Deps): Chunks {
  const waiting = new Map<string, Promise<Chunk>>()

  /** From the stream, or from the archive where the stream begins later or is not there. */
  async function read (feed: Feed, after: number, limit: number, hotFrom: number): Promise<{ events: LogEvent[] } & Pick<Chunk, 'source' | 'hotFrom'>> {
    if (after + 1 >= hotFrom) {
      const head = feed.position()
      const events = await log.read(feed.roomId, after, limit)
      if (events[0]?.seq === after + 1) return { events, source: 'log', hotFrom }
      hotFrom = events[0]?.seq ?? head.seq + 1
    }
    // Deletes before events: a delete is forgotten only once the archive has applied it, so what is read after that has the tombstone.
    const deleted = await log.deletedAfter(feed.roomId, after)
    const events = await readArchive(feed.roomId, after, limit)
    return { events: events.map(event => withoutDeleted(event, deleted)), source: 'archive', hotFrom }
  }

  /** What is kept here, framed; undefined if that is not everything, or not as it may be read by now. */
  async function kept (feed: Feed, position: Position, limit: number): Promise<readonly KeptEvent[] | undefined> {
    const events = feed.keptAfter(position, limit)
    return events === undefined || events.length === 0 || (await log.deletedAfter(feed.roomId, position.seq)).size > 0 ? undefined : events
  }

  /** What is read, framed, as far as it follows on from `at`. */
  function * framed (roomId: string, at: Position, events: readonly LogEvent[]): Generator<KeptEvent> {
    for (const event of events) {
      const chain = chainOf(at.chain, event.event_id)
      if (event.seq !== at.seq + 1 || (event.chain !== chain && !isBehindHole(at))) return
      at = { seq: event.seq, chain: event.chain === chain ? chain : event.chain } // equal, but no slice of what was read
      yield { ...at, frame: wireFrame(frameOf(roomId, event)) }
    }
  }

  async function chunk (feed: Feed, position: Position, limit: number, hotFrom: number): Promise<Chunk> {
    const ready = await kept(feed, position, limit)
    if (ready !== undefined) return chunkOf(ready, { source: 'log', hotFrom })
    const { events, ...found } = await read(feed, position.seq, limit, hotFrom)
    return chunkOf(framed(feed.roomId, position, events), found)
  }

  function chunkOf (events: Iterable<KeptEvent>, found: Pick<Chunk, 'source' | 'hotFrom'>): Chunk {
    const runs: Array<Chunk['runs'][number]> = []
    let at = START as Position
    let frames: Buffer[] = []
    let size = 0
    const endRun = (): void => {
      if (frames.length > 0) runs.push({ at, events: frames.length, frames: frames.length === 1 ? frames[0]! : Buffer.concat(frames) })
      frames = []
      size = 0
    }
    for (const { seq, chain, frame } of events) {
      at = { seq, chain }
      frames.push(frame)
      size += frame.length
      if (size >= RUN_BYTES) endRun()
    }
    endRun()
    return { runs, events: runs.reduce((sum, run) => sum + run.events, 0), bytes: runs.reduce((sum, run) => sum + run.frames.length, 0), ...found }
  }

  return async (feed, position, limit, hotFrom) => {
    const key = `${feed.roomId} ${position.seq} ${position.chain} ${limit} ${hotFrom}`
    let asked = waiting.get(key)
    if (asked === undefined) {
      // Begun when the turn ends: whoever shares it asked before it was read, so nobody is given what was deleted before they asked.
      asked = new Promise(resolve => { setImmediate(resolve) }).then(async () => {
        waiting.delete(key)
        return await chunk(feed, position, limit, hotFrom)
      })
      waiting.set(key, asked)
    }
    return await asked
  }
}

/** Whether this is the end of a hole, as it was told with `erased`: what follows it cannot be checked against it. */
export function isBehindHole ({ seq, chain }: ClaimedPosition): boolean {
  return seq > 0 && chain === START.chain
}
