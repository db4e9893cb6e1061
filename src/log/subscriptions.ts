/**
 * Sharded pub/sub over one connection: channels are subscribed in batches, again after every reconnect, and the connection is
 * PINGed, because a half-open one says nothing (REDIS.md).
 *
 * Messages are hints: any may be lost. `onReady` is called each time a channel is (again) subscribed and means: what came
 * before may have been missed, catch up by reading.
 */
import type { Redis } from './redis.ts'
import type { Logger } from '../telemetry/logging.ts'

const BATCH_CHANNELS = 500
const PING_MS = 1500
const PONG_MS = 2000

export interface Listener {
  /** One listener may listen to many channels. */
  onMessage: (text: string, channel: string) => void
  onReady: () => void
}

export interface Subscriptions {
  add: (channel: string, listener: Listener) => void
  remove: (channel: string) => void
  close: () => void
}

export function createSubscriptions ({ client, logger }: { client: Redis, logger: Logger }): Subscriptions {
  const listeners = new Map<string, Listener>()
  const wanted = new Set<string>()
  const unwanted = new Set<string>()
  let scheduled = false
  let again = false // asked for while a flush is under way, which may be about to fail
  let closed = false

  client.on('smessage', (channel: string, text: string) => { listeners.get(channel)?.onMessage(text, channel) })
  client.on('ready', () => {
    for (const channel of listeners.keys()) wanted.add(channel)
    unwanted.clear()
    schedule()
  })

  function schedule (): void {
    if (closed) return
    if (scheduled) {
      again = true
      return
    }
    scheduled = true
    setImmediate(() => { void flush() })
  }

  async function flush (): Promise<void> {
    let join: string[] = []
    let leave: string[] = []
    try {
      while (client.status === 'ready' && wanted.size + unwanted.size > 0) {
        leave = take(unwanted)
        if (leave.length > 0) await client.sunsubscribe(...leave)
        join = take(wanted)
        if (join.length > 0) await client.ssubscribe(...join)
        for (const channel of join) listeners.get(channel)?.onReady()
        leave = join = []
      }
    } catch (error) {
      // Tried again with the next PING; after a reconnect, everything is subscribed anew.
      for (const channel of join) if (listeners.has(channel)) wanted.add(channel)
      for (const channel of leave) if (!listeners.has(channel)) unwanted.add(channel)
      logger.debug({ reason: (error as Error).message }, 'subscribing was cut off')
    } finally {
      scheduled = false
      if (again) schedule()
      again = false
    }
  }

  function take (from: Set<string>): string[] {
    const batch: string[] = []
    for (const channel of from) {
      if (batch.length === BATCH_CHANNELS) break
      batch.push(channel)
      from.delete(channel)
    }
    return batch
  }

  const pinging = setInterval(() => {
    if (client.status !== 'ready') return
    const late = setTimeout(() => {
      logger.warn('the subscriber connection to Redis does not answer; connecting anew')
      client.disconnect(true)
    }, PONG_MS)
    client.ping().catch(() => {}).finally(() => { clearTimeout(late) })
    if (wanted.size + unwanted.size > 0) schedule()
  }, PING_MS)

  return {
    add (channel, listener) {
      listeners.set(channel, listener)
      unwanted.delete(channel)
      wanted.add(channel)
      schedule()
    },
    remove (channel) {
      if (!listeners.delete(channel)) return
      if (!wanted.delete(channel)) unwanted.add(channel)
      schedule()
    },
    close () {
      closed = true
      clearInterval(pinging)
      client.disconnect()
    },
  }
}
