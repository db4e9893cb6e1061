/**
 * Which connection gets which rooms: subscribing (access, limits, resume), leaving, and the heads for heartbeats. Catch-ups
 * run in parallel within a limit per node, round-robin between connections, a few of each at a time; what exceeds the queue behind
 * them is answered with `busy`. A connection that goes takes with it what it had waiting.
 */
import type { Access } from '../commands/access.ts'
import type { Config } from '../config.ts'
import { reject, type Rejection } from '../domain/rejections.ts'
import { LogFault } from '../log/log.ts'
import { isUnavailable } from '../store/pool.ts'
import type { Logger } from '../telemetry/logging.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import { createFairLine, type FairLine, type Piece } from './fair-line.ts'
import type { ClaimedPlace } from './frames.ts'
import type { Feed, Hub, Subscriber } from './hub.ts'
import type { Outbox } from './outbox.ts'
import { AccessLost, type CatchUp, type ResumeRequest } from './resume.ts'

/** Rooms that are caught up at the same time for one connection; its others wait. */
export const CATCH_UPS_EACH = 8

/** Whoever subscribes: a connection. */
export interface Subscribing {
  readonly id: string
  readonly userId: string | undefined
  readonly outbox: Outbox
  /** Told when a subscription has ended that it did not end itself, after the `error` that says why. */
  readonly onDropped?: (roomId: string, rejection: Rejection) => void
}

interface Subscription extends Subscriber {
  readonly connection: Subscribing
  feed: Feed | undefined
  gone: boolean
  /** Of the frame that asked, until it is answered. */
  ref: number | undefined
}

export interface Subscriptions {
  /** Subscribes, from the head or from a claimed position. All answers, good or bad, go to the connection's outbox. */
  add: (connection: Subscribing, roomId: string, after: ClaimedPlace | undefined, ref?: number) => void
  remove: (connection: Subscribing, roomId: string) => void
  removeAll: (connection: Subscribing) => void
  /** Whether the connection is subscribed, or about to be. */
  has: (connection: Subscribing, roomId: string) => boolean
  roomsOf: (connection: Subscribing) => Iterable<string>
  /** How many more rooms the connection may subscribe to. */
  room: (connection: Subscribing) => number
  /** Heads of the connection's rooms that moved since the last time it asked. */
  movedHeads: (connection: Subscribing) => Record<string, number>
  stats: () => ReturnType<FairLine<Subscribing>['stats']>
}

export interface SubscriptionsOptions {
  hub: Hub
  access: Access
  resume: (request: ResumeRequest) => CatchUp
  /** Told when a connection has become live in a room. */
  onLive?: (connection: Subscribing, roomId: string) => void
  /** Told when one was ended from this side. */
  onDropped?: (connection: Subscribing, roomId: string) => void
  config: Config
  metrics: Metrics
  logger: Logger
}

export function createSubscriptions ({ hub, access, resume, onLive = () => {}, onDropped = () => {}, config, metrics, logger }: SubscriptionsOptions): Subscriptions {
  const all = new Map<Subscribing, Map<string, Subscription>>()
  const line = createFairLine<Subscribing>({ inside: config.RESUMES_MAX, eachUnderWay: CATCH_UPS_EACH, waiting: config.RESUMES_QUEUED_MAX })

  hub.onLost((subscriber, roomId, code) => {
    const subscription = subscriber as Subscription
    drop(subscription.connection, roomId, subscription, reject(code))
  })

  function answerError (connection: Subscribing, roomId: string, rejection: Rejection, ref?: number): void {
    connection.outbox.send({ type: 'error', ...(ref === undefined ? {} : { ref }), room_id: roomId, ...rejection })
  }

  /** Makes it one of the room's subscribers, to be brought to live. Undefined: it may not be, which is answered, or has gone. */
  async function begin (connection: Subscribing, roomId: string, subscription: Subscription, after: ClaimedPlace | undefined): Promise<CatchUp | undefined> {
    if (!hub.has(roomId)) { // nothing is opened for whoever may not read it
      const reading = await access.reading(roomId, connection.userId!)
      if (!reading.allowed) return void drop(connection, roomId, subscription, reading.rejection)
      if (subscription.gone) return undefined
    }
    const feed = await hub.feed(roomId)
    if (subscription.gone) return void feed.leave(subscription)
    subscription.feed = feed
    feed.join(subscription)
    // Whoever was put out before the feed could tell is found out now.
    const reading = await access.reading(roomId, connection.userId!)
    if (!reading.allowed) return void drop(connection, roomId, subscription, reading.rejection)
    if (subscription.gone) return undefined
    subscription.open = reading.room.kind === 'public'
    const { seq, chain } = feed.position()
    if (subscription.ref !== undefined) connection.outbox.send({ type: 'ack', ref: subscription.ref, room_id: roomId, seq, chain })
    subscription.ref = undefined
    return resume({ feed, subscriber: subscription, userId: connection.userId!, after, from: reading.from, inside: reading.inside, gone: () => subscription.gone })
  }

  /** The subscription, piece by piece. */
  function piecesOf (connection: Subscribing, roomId: string, subscription: Subscription, after: ClaimedPlace | undefined): Piece {
    let catchUp: CatchUp | undefined
    return async () => {
      if (subscription.gone) return 'done'
      try {
        catchUp ??= await begin(connection, roomId, subscription, after)
        const progress = await catchUp?.() ?? 'gone'
        if (progress === 'live' && !subscription.gone) onLive(connection, roomId)
        return progress === 'live' || progress === 'gone' ? 'done' : progress
      } catch (error) {
        metrics.resumes.inc({ source: 'none', result: 'failed' })
        if (!(error instanceof LogFault || error instanceof AccessLost || isUnavailable(error))) logger.error({ err: error }, 'a subscription failed')
        drop(connection, roomId, subscription, error instanceof AccessLost ? error.rejection : reject('unavailable', undefined, 500 + Math.floor(Math.random() * 500)))
        return 'done'
      }
    }
  }

  /** Ends a subscription that could not be brought to live, and says why. */
  function drop (connection: Subscribing, roomId: string, subscription: Subscription, rejection: Rejection): void {
    if (subscription.gone) return
    const { ref } = subscription
    subscription.ref = undefined
    end(connection, roomId, subscription)
    answerError(connection, roomId, rejection, ref)
    connection.onDropped?.(roomId, rejection)
    onDropped(connection, roomId)
  }

  function end (connection: Subscribing, roomId: string, subscription: Subscription): void {
    subscription.gone = true
    subscription.feed?.leave(subscription)
    const { ref } = subscription
    subscription.ref = undefined
    if (ref !== undefined) answerError(connection, roomId, reject('conflict', 'Before this was done, the room was subscribed to again, or left'), ref)
    const rooms = all.get(connection)
    if (rooms?.get(roomId) === subscription) rooms.delete(roomId)
    if (rooms?.size === 0) all.delete(connection)
  }

  hub.onParted((subscriber, roomId, position) => {
    const { connection, gone } = subscriber as Subscription
    if (!gone) add(connection, roomId, position)
  })

  function add (connection: Subscribing, roomId: string, after: ClaimedPlace | undefined, ref?: number): void {
    let rooms = all.get(connection)
    if (rooms === undefined) all.set(connection, rooms = new Map())
    const before = rooms.get(roomId)
    if (before !== undefined) { // again, from another position: begins anew
      end(connection, roomId, before)
      all.set(connection, rooms)
    }
    if (rooms.size >= config.SUBSCRIPTIONS_MAX) return answerError(connection, roomId, reject('too_many_subscriptions'), ref)
    const subscription: Subscription = { connection, outbox: connection.outbox, userId: connection.userId!, open: true, state: 'catching up', buffer: [], reset: undefined, beat: 0, feed: undefined, gone: false, ref }
    rooms.set(roomId, subscription)
    const admitted = line.enter(connection, piecesOf(connection, roomId, subscription, after))
    if (admitted) return
    metrics.resumes.inc({ source: 'none', result: 'busy' })
    drop(connection, roomId, subscription, reject('busy', undefined, 1000 + Math.floor(Math.random() * 2000)))
  }

  return {
    add,

    remove (connection, roomId) {
      const subscription = all.get(connection)?.get(roomId)
      if (subscription !== undefined) end(connection, roomId, subscription)
    },

    removeAll (connection) {
      for (const [roomId, subscription] of [...all.get(connection) ?? []]) {
        subscription.ref = undefined // `bye` is answer enough
        end(connection, roomId, subscription)
      }
      all.delete(connection)
      line.leave(connection)
    },

    has: (connection, roomId) => all.get(connection)?.has(roomId) === true,
    roomsOf: connection => all.get(connection)?.keys() ?? [],
    room: connection => config.SUBSCRIPTIONS_MAX - (all.get(connection)?.size ?? 0),
    stats: line.stats,

    movedHeads (connection) {
      const heads: Record<string, number> = {}
      for (const [roomId, subscription] of all.get(connection) ?? []) {
        if (subscription.state !== 'live' || subscription.feed === undefined) continue
        const { seq } = subscription.feed.position()
        if (seq === subscription.beat) continue
        subscription.beat = seq
        heads[roomId] = seq
      }
      return heads
    },
  }
}
