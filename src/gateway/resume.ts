/**
 * Resume: brings one subscriber of one room from the position that its client claims to live, without a gap and without a
 * double [G4, G5].
 *
 * Settle the position (is it in this history? else `reset` to the newest common one) → read the log in chunks, each checked
 * to chain onto the last, as fast as the client reads → within one buffer of the head, buffer what the feed brings → read up to the
 * cut-off → send what was buffered beyond it → `live`. Access was asked after the feed was joined, which tells of whoever is put out
 * from then on, and is asked again every `ACCESS_MS`: what the feed tells may be late.
 *
 * What the stream does not have any more, or has not at all, the archive has; as long as it has it, Postgres is not asked. A catch-up
 * is done in pieces, a chunk each, so that others have their turn in between (`fair-line.ts`), and is nowhere while its client reads.
 */
import { START, claims, type ClaimedPosition, type Position } from '../domain/position.ts'
import type { Rejection } from '../domain/rejections.ts'
import type { Access } from '../commands/access.ts'
import type { LogEvent } from '../log/codec.ts'
import { chainOf } from '../log/chain.ts'
import { LogFault, type RoomLog } from '../log/log.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import { createChunks, isBehindHole, type Chunk, type Chunks } from './chunks.ts'
import type { ClaimedPlace } from './frames.ts'
import { BUFFER_EVENTS, resetFrame, type Feed, type Subscriber } from './hub.ts'

/** Events that are read at a time: at first, and at most, when they are small. */
const CHUNK_EVENTS_FIRST = 128
const CHUNK_EVENTS = 200
/** What a chunk should come to: 200 messages of 8,000 characters would be 1.6 MB for each of many sockets that catch up. */
const CHUNK_BYTES = 131_072
/** The same for a client that does not take all of one at once: what it does not take is read again. */
const CHUNK_BYTES_SLOW = 65_536
/** A catch-up that takes longer asks for access again as often. */
export const ACCESS_MS = 1000
/** How long the tail may take to hear what the client has heard already. */
const TAIL_MS = 10_000
const TAIL_PAUSE_MS = 25

export interface ResumeOptions {
  log: RoomLog
  /** Events of any age, for what the stream does not have any more. */
  readArchive: (roomId: string, after: number, limit: number) => Promise<LogEvent[]>
  /** The events of the archive at these seqs. */
  archivedAt: (roomId: string, seqs: readonly number[]) => Promise<LogEvent[]>
  /** Last seq of a hole right behind this seq, which neither has and somebody skipped by hand; undefined if there is none. */
  holeAfter?: (roomId: string, seq: number) => Promise<number | undefined>
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
  /** Whether the client's user is in the room, not only looking in. */
  readonly inside: boolean
  /** True once the subscriber has left: stop. */
  readonly gone: () => boolean
}

export type Progress =
  | 'live'
  /** The subscriber has left. */
  | 'gone'
  /** There is more to read: call again. */
  | 'again'
  /** Call again after this. */
  | { readonly until: Promise<unknown> }

/**
 * Does the next piece of the catch-up. Throws LogFault and AccessLost; the subscriber is then still in the feed, not live, and
 * nothing more is to be called.
 */
export type CatchUp = () => Promise<Progress>

/** The subscriber may not read the room any more. */
export class AccessLost extends Error {
  override name = 'AccessLost'
  readonly rejection: Rejection
  constructor (rejection: Rejection) {
    super(rejection.message)
    this.rejection = rejection
  }
}

export function createResume (options: ResumeOptions): (request: ResumeRequest) => CatchUp {
  const chunks = createChunks(options)
  return request => {
    const resuming = new Resuming(options, request, chunks)
    return async () => await resuming.step()
  }
}

class Resuming {
  readonly #deps: ResumeOptions
  readonly #request: ResumeRequest
  readonly #chunks: Chunks
  /** Everything up to here was sent, or is known to the client. */
  #position: Position | undefined
  #from: number
  #inside: boolean
  #synced = false
  /** Where what was sent came from. */
  #source: 'none' | 'log' | 'archive' | 'both' = 'none'
  #waitedMs = 0
  #askedAt = performance.now()
  #limit = CHUNK_EVENTS_FIRST
  /** The stream does not have what is before this seq. */
  #hotFrom = 0

  constructor (deps: ResumeOptions, request: ResumeRequest, chunks: Chunks) {
    this.#deps = deps
    this.#chunks = chunks
    this.#request = request
    this.#from = request.from
    this.#inside = request.inside
  }

  async step (): Promise<Progress> {
    const { feed, subscriber, after, gone } = this.#request
    this.#position ??= after === undefined ? feed.position() : await this.#settle(after)
    while (!gone()) {
      this.#heedReset()
      const position = this.#position
      const head = feed.position()
      if (position.seq > head.seq) return this.#awaitTail()
      if (subscriber.state === 'catching up' && position.seq < head.seq && head.seq - position.seq <= BUFFER_EVENTS / 2) {
        feed.buffer(subscriber) // no await since `head` was read: the buffer begins right after it
        continue
      }
      const cutOff = subscriber.state === 'buffering' ? bufferStart(subscriber, feed) : head.seq
      if (position.seq < cutOff) {
        if (!await this.#readOn(position, cutOff)) {
          feed.unbuffer(subscriber) // what comes while the client reads is read from the log
          return { until: subscriber.outbox.drained() }
        }
        if (performance.now() - this.#askedAt >= ACCESS_MS) await this.#askAccess()
        if (subscriber.state === 'catching up') return 'again'
      } else if ((feed.chainAt(position.seq) ?? position.chain) !== position.chain) {
        this.#position = await this.#goBack(position)
      } else {
        this.#becomeLive(position)
        return 'live'
      }
    }
    return 'gone'
  }

  /** No await since the look at the feed: the first live event is the one after feed.position(). */
  #becomeLive (position: Position): void {
    const { feed, subscriber } = this.#request
    const next = subscriber.buffer.filter(({ seq }) => seq > position.seq)
    if (next.length > 0) {
      subscriber.outbox.push(Buffer.concat(next.map(({ frame }) => frame)))
      this.#count(next.length)
    }
    feed.live(subscriber)
    this.#deps.metrics.resumes.inc({ source: this.#source, result: this.#synced ? 'caught up' : 'at head' })
    const { seq, chain } = feed.position()
    subscriber.outbox.send({ type: 'live', room_id: feed.roomId, seq, chain })
  }

  /** The client has heard from another node what this tail has not yet. */
  #awaitTail (): Progress {
    if (this.#waitedMs >= TAIL_MS) throw new LogFault('unavailable', 'the tail is behind')
    this.#waitedMs += TAIL_PAUSE_MS
    return { until: new Promise(resolve => setTimeout(resolve, TAIL_PAUSE_MS)) }
  }

  /** The tail has found that histories parted, while this was on its way. */
  #heedReset (): void {
    const { subscriber } = this.#request
    const { reset } = subscriber
    if (reset === undefined) return
    subscriber.reset = undefined
    if (reset.seq < this.#position!.seq) this.#position = this.#tell('parted', reset)
  }

  #tell (reason: 'parted' | 'membership' | 'erased', position: Position): Position {
    const { feed, subscriber } = this.#request
    if (this.#request.gone()) return position // another run has begun: what this one finds is nothing to the client
    this.#deps.metrics.resets.inc({ reason })
    subscriber.outbox.send(resetFrame(feed.roomId, reason, position))
    return position
  }

  /** Asks whether the room may still be read, and from where. Throws AccessLost. */
  async #askAccess (): Promise<void> {
    const { feed, userId } = this.#request
    this.#askedAt = performance.now()
    const reading = await this.#deps.access.reading(feed.roomId, userId)
    if (!reading.allowed) throw new AccessLost(reading.rejection)
    if (!reading.inside && !this.#inside) return // who only looks in keeps the place at which they came
    this.#inside = reading.inside
    if (reading.from <= this.#from) return
    this.#from = reading.from
    if (this.#position!.seq < this.#from) this.#position = this.#tell('membership', await this.#positionAt(this.#from))
  }

  /** Sends the next events after `position`, at most up to `last`. False: the client has to read before it takes more. */
  async #readOn (position: Position, last: number): Promise<boolean> {
    const { feed, subscriber: { outbox }, gone } = this.#request
    if (!outbox.isDrained()) return false
    const chunk = await this.#chunks(feed, position, Math.min(this.#limit, last - position.seq), this.#hotFrom)
    this.#hotFrom = chunk.hotFrom
    if (chunk.events === 0) {
      this.#position = await this.#goBack(position)
      return true
    }
    if (gone()) return true
    const { source } = chunk
    if (!this.#synced) outbox.send({ type: 'sync', room_id: feed.roomId, from: position.seq, to: feed.position().seq, source })
    this.#synced = true
    const taken = this.#offer(chunk)
    this.#source = this.#source === 'none' || this.#source === source ? source : 'both'
    this.#deps.metrics.catchUpEvents.inc({ source }, taken)
    const aim = taken === chunk.events ? CHUNK_BYTES : CHUNK_BYTES_SLOW
    this.#limit = Math.max(1, Math.min(CHUNK_EVENTS, Math.floor(aim * chunk.events / chunk.bytes)))
    return taken === chunk.events
  }

  /** Gives the client a chunk, run by run; returns how many events of it were taken. */
  #offer ({ runs }: Chunk): number {
    const { outbox } = this.#request.subscriber
    let taken = 0
    for (const { at, events, frames } of runs) {
      if (!outbox.offer(frames)) break
      taken += events
      this.#position = at
    }
    this.#count(taken)
    return taken
  }

  #count (events: number): void {
    this.#deps.metrics.eventsOut.inc(events)
    this.#deps.metrics.framesOut.inc({ type: 'event' }, events)
  }

  /** The log does not go on from `position`: it has parted meanwhile, or it cannot be read now. */
  async #goBack (position: Position): Promise<Position> {
    const back = await this.#common([position], await this.#head())
    if (back.seq !== position.seq) return this.#tell('parted', back)
    const behind = await this.#behindHole(position.seq)
    if (behind === undefined) throw new LogFault('unavailable', `the log does not go on after seq ${position.seq}`)
    return this.#tell('erased', behind)
  }

  /** The end of the hole that begins right behind `seq`. What the chain was there, nobody knows, unless it is the head. */
  async #behindHole (seq: number): Promise<Position | undefined> {
    const { roomId } = this.#request.feed
    const to = await this.#deps.holeAfter?.(roomId, seq)
    return to === undefined ? undefined : { seq: to, chain: (await this.#chainsAt([{ seq: to }])).get(to) ?? START.chain }
  }

  /** The head as Redis has it now. */
  async #head (): Promise<Position> {
    const { roomId } = this.#request.feed
    const { fenced, heads } = await this.#deps.log.heads([roomId])
    if (fenced) throw new LogFault('fenced', 'the partition is fenced')
    return heads.get(roomId) ?? START
  }

  /** The position from which the client goes on; tells the client if it is another than claimed. */
  async #settle (after: ClaimedPlace): Promise<Position> {
    let head = this.#request.feed.position()
    if (claims(after, head)) return head
    if (after.seq >= head.seq) head = await this.#head() // perhaps the tail is behind
    const position = await this.#common([after, ...after.also ?? []], head)
    if (claims(after, position)) return position
    return this.#tell(after.seq < this.#from && position.seq === this.#from ? 'membership' : 'parted', position)
  }

  /** The newest of `claimed` that the log has, at or below its head; else the first that this client may see. */
  async #common (claimed: readonly ClaimedPosition[], head: Position): Promise<Position> {
    const wanted = claimed.filter(({ seq }) => seq <= head.seq && seq >= this.#from).sort((a, b) => b.seq - a.seq)
    for (const some of [wanted.slice(0, 1), wanted.slice(1)]) { // nearly always the newest is good: the others are asked for only if not
      const chains = await this.#chainsAt(some)
      for (const claim of some) {
        const chain = chains.get(claim.seq)
        if (chain !== undefined && claims(claim, { seq: claim.seq, chain })) return { seq: claim.seq, chain }
        if (isBehindHole(claim) && (await this.#behindHole(claim.seq - 1))?.seq === claim.seq) return { seq: claim.seq, chain: START.chain }
      }
    }
    return await this.#positionAt(this.#from)
  }

  async #positionAt (seq: number): Promise<Position> {
    const chain = (await this.#chainsAt([{ seq }])).get(seq)
    if (chain !== undefined) return { seq, chain }
    const behind = await this.#behindHole(seq)
    if (behind === undefined) throw new LogFault('unavailable', `neither log nor archive has seq ${seq}`)
    return behind
  }

  /** Chains of the log at the seqs of these claims: from memory, the stream, or the archive. */
  async #chainsAt (claimed: readonly ClaimedPosition[]): Promise<Map<number, string>> {
    const { log, archivedAt } = this.#deps
    const { feed } = this.#request
    const chains = new Map<number, string>([[0, START.chain]])
    for (const { seq } of claimed) {
      const chain = feed.chainAt(seq)
      if (chain !== undefined) chains.set(seq, chain)
    }
    const unknown = claimed.filter(({ seq }) => !chains.has(seq))
    if (unknown.length === 0) return chains
    const hot = await log.at(feed.roomId, [...new Set(unknown.flatMap(({ seq }) => [seq, seq + 1]))])
    for (const { seq, chain } of unknown) {
      const [here, next] = [hot.get(seq), hot.get(seq + 1)]
      if (here !== undefined) chains.set(seq, here.chain)
      // The place right before the stream's first entry proves itself by what follows it.
      else if (chain !== undefined && next !== undefined && chainOf(chain, next.event_id) === next.chain) chains.set(seq, chain)
    }
    const cold = unknown.flatMap(({ seq }) => chains.has(seq) ? [] : [seq])
    if (cold.length > 0) for (const { seq, chain } of await archivedAt(feed.roomId, cold)) chains.set(seq, chain)
    return chains
  }
}

/** The last seq before the buffer: what must be read from the log. */
function bufferStart (subscriber: Subscriber, feed: Feed): number {
  return subscriber.buffer[0] === undefined ? feed.position().seq : subscriber.buffer[0].seq - 1
}
