/**
 * Which connection gets which rooms: subscribing (access, limits, resume), leaving, and the heads for heartbeats. Catch-ups
 * run in parallel within a limit per node; what exceeds the queue behind it is answered with `busy`.
 */
import type { Access } from '../commands/access.ts'
import type { Config } from '../config.ts'
import { reject, type Rejection } from '../domain/rejections.ts'
import { LogFault } from '../log/log.ts'
import type { Logger } from '../telemetry/logging.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import type { ClaimedPlace } from './frames.ts'
import type { Feed, Hub, Subscriber } from './hub.ts'
import type { Outbox } from './outbox.ts'
import { AccessLost, type ResumeRequest } from './resume.ts'
import { createTurnstile } from './turnstile.ts'

/** Whoever subscribes: a connection. */
export interface Subscribing {
  readonly userId: string | undefined
  readonly outbox: Outbox
}

interface Subscription extends Subscriber {
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
  /** Heads of the connection's rooms that moved since the last time it asked. */
  movedHeads: (connection: Subscribing) => Record<string, number>
}

export interface SubscriptionsOptions {
  hub: Hub
  access: Access
  resume: (request: ResumeRequest) => Promise<void>
  config: Config
  metrics: Metrics
  logger: Logger
}

export function createSubscriptions ({ hub, access, resume, config, metrics, logger }: SubscriptionsOptions): Subscriptions {
  const all = new Map<Subscribing, Map<string, Subscription>>()
  const turnstile = createTurnstile({ inside: config.RESUMES_MAX, waiting: config.RESUMES_QUEUED_MAX })

  function answerError (connection: Subscribing, roomId: string, rejection: Rejection, ref?: number): void {
    connection.outbox.send({ type: 'error', ...(ref === undefined ? {} : { ref }), room_id: roomId, ...rejection })
  }

  async function subscribe (connection: Subscribing, roomId: string, subscription: Subscription, after: ClaimedPlace | undefined): Promise<void> {
    const reading = await access.reading(roomId, connection.userId!)
    if (!reading.allowed) return drop(connection, roomId, subscription, reading.rejection)
    const feed = await hub.feed(roomId)
    subscription.feed = feed
    if (subscription.gone) return feed.leave(subscription)
    const { seq, chain } = feed.position()
    if (subscription.ref !== undefined) connection.outbox.send({ type: 'ack', ref: subscription.ref, room_id: roomId, seq, chain })
    subscription.ref = undefined
    await resume({ feed, subscriber: subscription, userId: connection.userId!, after, from: reading.from, gone: () => subscription.gone })
  }

  /** Ends a subscription that could not be brought to live, and says why. */
  function drop (connection: Subscribing, roomId: string, subscription: Subscription, rejection: Rejection): void {
    if (subscription.gone) return
    const { ref } = subscription
    subscription.ref = undefined
    end(connection, roomId, subscription)
    answerError(connection, roomId, rejection, ref)
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

  return {
    add (connection, roomId, after, ref) {
      let rooms = all.get(connection)
      if (rooms === undefined) all.set(connection, rooms = new Map())
      const before = rooms.get(roomId)
      if (before !== undefined) { // again, from another position: begins anew
        end(connection, roomId, before)
        all.set(connection, rooms)
      }
      if (rooms.size >= config.SUBSCRIPTIONS_MAX) return answerError(connection, roomId, reject('too_many_subscriptions'), ref)
      const subscription: Subscription = { outbox: connection.outbox, state: 'catching up', buffer: [], reset: undefined, beat: 0, feed: undefined, gone: false, ref }
      rooms.set(roomId, subscription)
      const admitted = turnstile.enter(async () => {
        if (subscription.gone) return
        try {
          await subscribe(connection, roomId, subscription, after)
        } catch (error) {
          metrics.resumes.inc({ result: 'failed' })
          if (error instanceof AccessLost) drop(connection, roomId, subscription, reject('forbidden'))
          else {
            if (!(error instanceof LogFault)) logger.error({ err: error }, 'a subscription failed')
            drop(connection, roomId, subscription, reject('unavailable', undefined, 500 + Math.floor(Math.random() * 500)))
          }
        }
      })
      if (!admitted) drop(connection, roomId, subscription, reject('busy', undefined, 1000 + Math.floor(Math.random() * 2000)))
    },

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
    },

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
