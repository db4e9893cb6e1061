/**
 * Publishes what is ephemeral, best effort: what a turn of the loop gathered for one channel is one message, and all messages
 * of a turn are one write. Nothing is kept while Redis is away, and what exceeds a bound is dropped and counted [G7]. So nothing
 * that must not be lost goes this way alone.
 */
import type { Metrics } from '../telemetry/metrics.ts'
import { ephemeralLine } from './ephemeral.ts'
import type { Keys } from './keys.ts'
import type { PeopleKeys } from './people-keys.ts'
import type { Redis } from './redis.ts'
import type { Signal } from './signals.ts'

/** Lines that may be gathered in one turn. */
const LINES_MAX = 10_000
/** Writes that may wait for Redis to answer. */
const WRITES_MAX = 8

export interface Publisher {
  /** A frame to the live subscribers of a room. @param except IDs of connections and users that are not to get it */
  toRoom: (roomId: string, frame: object, except?: readonly string[]) => void
  /** A signal to the gateways that have sockets of this user. */
  toUser: (userId: string, signal: Signal) => void
}

export function createPublisher ({ redis, keys, peopleKeys, metrics }: { redis: Redis, keys: Keys, peopleKeys: PeopleKeys, metrics: Metrics }): Publisher {
  let messages = new Map<string, string>()
  let lines = 0
  let writes = 0

  function publish (channel: string, line: string): void {
    if (lines >= LINES_MAX) return metrics.ephemeralDropped.inc({ reason: 'too many' })
    if (lines === 0) setImmediate(flush)
    lines += 1
    const before = messages.get(channel)
    messages.set(channel, before === undefined ? line : `${before}\n${line}`)
  }

  function flush (): void {
    const gathered = messages
    const count = lines
    messages = new Map()
    lines = 0
    if (redis.status !== 'ready' || writes >= WRITES_MAX) return metrics.ephemeralDropped.inc({ reason: 'no Redis' }, count)
    const pipeline = redis.pipeline()
    for (const [channel, text] of gathered) pipeline.spublish(channel, text)
    writes += 1
    pipeline.exec().then(() => { metrics.ephemeralPublished.inc(count) }, () => { metrics.ephemeralDropped.inc({ reason: 'no Redis' }, count) }).finally(() => { writes -= 1 })
  }

  return {
    toRoom (roomId, frame, except) { publish(keys.bell(roomId), ephemeralLine(frame, except)) },
    toUser (userId, signal) { publish(peopleKeys.signals(userId), JSON.stringify(signal)) },
  }
}
