/**
 * `unread` frames: when somebody's read mark moves, their sockets on all nodes are told what is left to read in the room, but for the
 * one that moved it. Marks that move within `GATHER_MS` are one frame; new messages are none: clients count those. Ephemeral: what
 * exceeds a bound, or fails, is dropped and counted, and the next mark brings the truth.
 */
import type { Counts } from '../commands/counts.ts'
import type { Mark } from '../log/marks.ts'
import type { Publisher } from '../log/publisher.ts'
import type { Logger } from '../telemetry/logging.ts'
import type { Metrics } from '../telemetry/metrics.ts'

/** How long marks are gathered before what is left is counted. */
const GATHER_MS = 250
/** People and rooms that may wait to be counted, and that are counted with one query. */
const WAITING_MAX = 10_000
const PER_QUERY = 200

export interface UnreadFrames {
  /** A read mark has moved. */
  moved: (mark: Mark) => void
  /** Counts no more; resolves when what is under way has ended. */
  stop: () => Promise<void>
}

interface Waiting { readonly room_id: string, readonly user_id: string, moved_to: number, connection: string | undefined }

export function createUnreadFrames ({ counts, publisher, metrics, logger }: { counts: Pick<Counts, 'unread'>, publisher: Publisher, metrics: Metrics, logger: Logger }): UnreadFrames {
  let waiting = new Map<string, Waiting>()
  let timer: NodeJS.Timeout | undefined
  let underWay: Promise<void> = Promise.resolve()
  const stopping = new AbortController()
  const { signal } = stopping

  function flush (): void {
    timer = undefined
    const all = [...waiting.values()]
    waiting = new Map()
    underWay = underWay.then(async () => { for (let i = 0; i < all.length && !signal.aborted; i += PER_QUERY) await tell(all.slice(i, i + PER_QUERY)) })
  }

  async function tell (some: readonly Waiting[]): Promise<void> {
    try {
      const connections = new Map(some.map(({ room_id, user_id, connection }) => [`${user_id} ${room_id}`, connection]))
      for (const { room_id, user_id, unread, mentions } of await counts.unread(some)) {
        publisher.toUser(user_id, { type: 'frame', frame: { type: 'unread', room_id, unread, mentions }, except: connections.get(`${user_id} ${room_id}`) })
      }
    } catch (error) {
      metrics.ephemeralDropped.inc({ reason: 'not counted' }, some.length)
      logger.debug({ reason: (error as Error).message }, 'unread messages could not be counted: devices are not told')
    }
  }

  return {
    moved ({ room_id, user_id, seq, connection }) {
      if (signal.aborted) return
      const key = `${user_id} ${room_id}`
      const before = waiting.get(key)
      if (before === undefined && waiting.size >= WAITING_MAX) return metrics.ephemeralDropped.inc({ reason: 'too many' })
      if (before === undefined) waiting.set(key, { room_id, user_id, moved_to: seq, connection })
      else {
        before.moved_to = Math.max(before.moved_to, seq)
        if (before.connection !== connection) before.connection = undefined // two devices: each is told of the other's
      }
      timer ??= setTimeout(flush, GATHER_MS)
    },

    async stop () {
      stopping.abort()
      clearTimeout(timer)
      await underWay
    },
  }
}
