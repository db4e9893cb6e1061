/**
 * Resume: brings one subscriber of one room from the position that its client claims to live, without a gap and without a
 * double [G4].
 *
 * Settle the position (is it in this history? else `reset` to the newest common one) → read the log in chunks, each checked
 * to chain onto the last, waiting for the client to read → within one buffer of the head, join the feed and buffer → ask for
 * access again → read up to the cut-off → send what was buffered beyond it → `live`.
 */
import { START, claims, type ClaimedPosition, type Position } from '../domain/position.ts'
import type { Access } from '../commands/access.ts'
import { frameOf, type LogEvent } from '../log/codec.ts'
import { chainOf } from '../log/chain.ts'
import { LogFault, type RoomLog } from '../log/log.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import type { ClaimedPlace } from './frames.ts'
import { BUFFER_EVENTS, resetFrame, type Feed, type Subscriber } from './hub.ts'
import { wireFrame } from './outbox.ts'

/** Events that are read at a time: at first, and at most, when they are small. */
const CHUNK_EVENTS_FIRST = 50
const CHUNK_EVENTS = 500
/** What a chunk should come to: 500 messages of 8,000 characters would be 4 MB for each of many sockets that catch up. */
const CHUNK_BYTES = 262_144
/** What is written at once, before waiting for the client to read: less than any outbox may hold. */
const RUN_BYTES = 32_768
/** How long the tail may take to hear what the client has heard already. */
const TAIL_MS = 10_000
const TAIL_PAUSE_MS = 25

export interface ResumeOptions {
  log: RoomLog
  /** Events of any age, for what the stream does not have any more. */
  readArchive: (roomId: string, after: number, limit: number) => Promise<LogEvent[]>
  access: Access
  metrics: Metrics
}

export interface ResumeRequest {
  readonly feed: Feed
  readonly subscriber: Subscriber
  readonly userId: string
  /** Where the client says it is; undefined: from the head on. */
  readonly after: ClaimedPlace | undefined
  /** The client may see events with seq > `from` only. */
  readonly from: number
  /** True once the subscriber has left: stop. */
  readonly gone: () => boolean
}

/** The subscriber may not read the room any more. */
export class AccessLost extends Error {
  override name = 'AccessLost'
}

export function createResume ({ log, readArchive, access, metrics }: ResumeOptions): (request: ResumeRequest) => Promise<void> {
  /** Brings the subscriber to live. Throws LogFault and AccessLost; the subscriber is then still in the feed, not live. */
  return async request => {
    const { feed, subscriber, after, gone } = request
    const { roomId } = feed
    let position = after === undefined ? feed.position() : await settle(request, after)
    let synced = false
    let waitedMs = 0
    let limit = CHUNK_EVENTS_FIRST
    while (!gone()) {
      if (subscriber.reset !== undefined) {
        const { reset } = subscriber
        subscriber.reset = undefined
        if (reset.seq < position.seq) position = tell(request, 'parted', reset)
      }
      const head = feed.position()
      if (position.seq > head.seq) { // the client has heard from another node what this tail has not yet
        if (waitedMs >= TAIL_MS) throw new LogFault('unavailable', 'the tail is behind')
        waitedMs += TAIL_PAUSE_MS
        await new Promise(resolve => setTimeout(resolve, TAIL_PAUSE_MS))
        continue
      }
      if (!synced && position.seq < head.seq) {
        subscriber.outbox.send({ type: 'sync', room_id: roomId, from: position.seq, to: head.seq, source: 'log' })
        synced = true
      }
      if (subscriber.state === 'catching up' && position.seq < head.seq && head.seq - position.seq <= BUFFER_EVENTS / 2) {
        feed.buffer(subscriber) // no await since `head` was read: the buffer begins right after it
        await checkAccess(request)
        continue
      }
      const cutOff = subscriber.state === 'buffering' ? bufferStart(subscriber, feed) : head.seq
      if (position.seq < cutOff) {
        const { bytes, ...reached } = await readOn(request, position, Math.min(limit, cutOff - position.seq))
        if (bytes > 0) limit = Math.max(1, Math.min(CHUNK_EVENTS, Math.floor(CHUNK_BYTES * (reached.seq - position.seq) / bytes)))
        position = reached
      } else if ((feed.chainAt(position.seq) ?? position.chain) !== position.chain) {
        position = await goBack(request, position)
      } else {
        const next = subscriber.buffer.filter(({ seq }) => seq > position.seq)
        if (next.length > 0) subscriber.outbox.push(Buffer.concat(next.map(({ frame }) => frame)))
        // No await from the look at the feed to here: the first live event is the one after feed.position().
        feed.live(subscriber)
        metrics.resumes.inc({ result: synced ? 'caught up' : 'at head' })
        const { seq, chain } = feed.position()
        subscriber.outbox.send({ type: 'live', room_id: roomId, seq, chain })
        return
      }
    }
  }

  function tell ({ feed, subscriber }: ResumeRequest, reason: 'parted' | 'membership', position: Position): Position {
    metrics.resets.inc({ reason })
    subscriber.outbox.send(resetFrame(feed.roomId, reason, position))
    return position
  }

  /** Sends at most `limit` events of the log after `position`, as the client reads them; returns the position reached, and what it took. */
  async function readOn (request: ResumeRequest, position: Position, limit: number): Promise<Position & { bytes: number }> {
    const { feed: { roomId }, subscriber: { outbox }, gone } = request
    const last = position.seq + limit
    let events = await log.read(roomId, position.seq, limit)
    if (events.length > 0 && events[0]!.seq > position.seq + 1) events = await readArchive(roomId, position.seq, limit)
    let { seq, chain } = position
    const frames: Buffer[] = []
    for (const event of events) {
      if (event.seq !== seq + 1 || event.seq > last || event.chain !== chainOf(chain, event.event_id)) break
      seq = event.seq
      chain = event.chain
      frames.push(wireFrame(frameOf(roomId, event)))
    }
    if (frames.length === 0) return { ...await goBack(request, position), bytes: 0 }
    let bytes = 0
    for (let run: Buffer[] = [], size = 0, i = 0; i < frames.length && !gone(); i++) {
      run.push(frames[i]!)
      size += frames[i]!.length
      if (size < RUN_BYTES && i < frames.length - 1) continue
      outbox.push(run.length === 1 ? run[0]! : Buffer.concat(run))
      await outbox.drained()
      bytes += size
      run = []
      size = 0
    }
    metrics.eventsOut.inc(frames.length)
    return { seq, chain, bytes }
  }

  /** The log does not go on from `position`: it has parted meanwhile, or it cannot be read now. */
  async function goBack (request: ResumeRequest, position: Position): Promise<Position> {
    const { feed, from } = request
    const { fenced, heads } = await log.heads([feed.roomId])
    if (fenced) throw new LogFault('fenced', 'the partition is fenced')
    const back = await common(feed, [position], heads.get(feed.roomId) ?? START, from)
    if (back.seq === position.seq) throw new LogFault('unavailable', `the log does not go on after seq ${position.seq}`)
    return tell(request, 'parted', back)
  }

  /** The position from which the client goes on; tells the client if it is another than claimed. */
  async function settle (request: ResumeRequest, after: ClaimedPlace): Promise<Position> {
    const { feed, from } = request
    let head = feed.position()
    if (claims(after, head)) return head
    if (after.seq >= head.seq) { // perhaps the tail is behind
      const { fenced, heads } = await log.heads([feed.roomId])
      if (fenced) throw new LogFault('fenced', 'the partition is fenced')
      head = heads.get(feed.roomId) ?? START
    }
    const position = await common(feed, [after, ...after.also ?? []], head, from)
    if (claims(after, position)) return position
    return tell(request, after.seq < from && position.seq === from ? 'membership' : 'parted', position)
  }

  /** The newest of `claimed` that the log has, at or below its head; else the first that this client may see. */
  async function common (feed: Feed, claimed: readonly ClaimedPosition[], head: Position, from: number): Promise<Position> {
    const wanted = claimed.filter(({ seq }) => seq <= head.seq && seq >= from).sort((a, b) => b.seq - a.seq)
    const chains = await chainsAt(feed, [...wanted.map(({ seq }) => seq), from])
    for (const claim of wanted) {
      const chain = chains.get(claim.seq)
      if (chain !== undefined && claims(claim, { seq: claim.seq, chain })) return { seq: claim.seq, chain }
    }
    return { seq: from, chain: chains.get(from) ?? START.chain }
  }

  /** Chains of the log at these seqs: from memory, the stream, or the archive. */
  async function chainsAt (feed: Feed, seqs: readonly number[]): Promise<Map<number, string>> {
    const chains = new Map<number, string>([[0, START.chain]])
    for (const seq of seqs) {
      const chain = feed.chainAt(seq)
      if (chain !== undefined) chains.set(seq, chain)
    }
    const unknown = seqs.filter(seq => !chains.has(seq))
    if (unknown.length === 0) return chains
    for (const [seq, chain] of await log.chainsAt(feed.roomId, unknown)) chains.set(seq, chain)
    for (const seq of unknown) {
      if (chains.has(seq)) continue
      const [event] = await readArchive(feed.roomId, seq - 1, 1)
      if (event?.seq === seq) chains.set(seq, event.chain)
    }
    return chains
  }

  async function checkAccess ({ feed, userId }: ResumeRequest): Promise<void> {
    const reading = await access.reading(feed.roomId, userId)
    if (!reading.allowed) throw new AccessLost(feed.roomId)
  }
}

/** The last seq before the buffer: what must be read from the log. */
function bufferStart (subscriber: Subscriber, feed: Feed): number {
  return subscriber.buffer[0] === undefined ? feed.position().seq : subscriber.buffer[0].seq - 1
}
