/**
 * What the load client keeps for the checker, and its verdict. Of the sampled rooms every send and every ack is kept, and of
 * some of their sockets every frame, as texts; they are parsed and judged against the log when the load is over. Contiguity is
 * checked for all sockets while frames arrive; here every room's head is compared with what its sockets have.
 */
import { createChecker, type SubscriberRecorder } from '../../test/checker.ts'
import { createKeys } from '../../src/log/keys.ts'
import { createRedisLog } from '../../src/log/redis-log.ts'
import { connectRedis } from '../../src/log/redis.ts'
import { createLogger } from '../../src/telemetry/logging.ts'
import type { LogEvent } from '../../src/log/codec.ts'
import type { Connection } from './connection.ts'
import { clientIdOf } from './dialect.ts'
import type { Room } from './phases.ts'

type Kept =
  | { kind: 'sent', connection: Connection, roomId: string, clientId: string, content: string }
  | { kind: 'frame' | 'ack', connection: Connection, text: string }

export interface Verdict {
  ok: boolean
  problems: string[]
  /** What was looked at: by the full checker, and by the cheap check of all. */
  checked: { sampled_rooms: number, sampled_sockets: number, entries: number, acked: number, delivered: number, all_rooms: number, all_sockets: number, all_received: number }
}

export function createEvidence () {
  const kept: Kept[] = []
  return {
    keepSent (connection: Connection, roomId: string, clientId: string, content: string): void {
      kept.push({ kind: 'sent', connection, roomId, clientId, content })
    },
    keep (connection: Connection, kind: 'frame' | 'ack', text: string): void {
      kept.push({ kind, connection, text })
    },

    /** Of Millrace: reads the logs from Redis. */
    async judge (rooms: readonly Room[], { redisUrl, partitions }: { redisUrl: string, partitions: number }): Promise<Verdict> {
      const checker = createChecker()
      const recorders = new Map<Connection, SubscriberRecorder>()
      const sampled = new Set(rooms.flatMap(room => room.sampled ? [room.id] : []))
      for (const { id, members, sampled } of rooms) {
        if (!sampled) continue
        for (const member of members) {
          const recorder = checker.subscriber(`socket ${member.index}`)
          recorders.set(member, recorder)
          if (member.sampled) recorder.subscribed(id, 'live')
        }
      }
      for (const item of kept) {
        const recorder = recorders.get(item.connection)!
        if (item.kind === 'sent') recorder.sent({ room_id: item.roomId, client_id: item.clientId, content: item.content })
        else {
          const frame = JSON.parse(item.text)
          if (item.kind === 'ack') {
            // A sender to many rooms has acks of others too.
            if (sampled.has(frame.room_id)) recorder.acked({ ...frame, client_id: clientIdOf(item.connection.index, frame.ref) })
          } else recorder.frame(frame)
        }
      }
      const redis = await connectRedis(redisUrl, 'bench', createLogger({ level: 'silent', role: 'bench' }))
      try {
        const log = createRedisLog({ redis, keys: createKeys(partitions), log: createLogger({ level: 'silent', role: 'bench' }) })
        const logs = new Map<string, LogEvent[]>()
        for (const { id, sampled } of rooms) if (sampled) logs.set(id, await wholeLog(async (after, limit) => await log.read(id, after, limit)))
        const { problems, counted } = checker.judge({ logs, expectAllDelivered: true })
        const { heads } = await log.heads(rooms.map(({ id }) => id))
        const behind = rooms.flatMap(({ id, members }) => members
          .filter(({ places }) => places.has(id) && places.get(id)!.seq !== heads.get(id)?.seq)
          .map(({ index, places }) => `socket ${index} is at seq ${places.get(id)!.seq} of room ${id}, whose head is ${heads.get(id)?.seq}`))
        const all = [...problems, ...behind.slice(0, 10)]
        return { ok: all.length === 0, problems: all, checked: { ...countedOf(rooms), entries: counted.entries, acked: counted.acked, delivered: counted.delivered } }
      } finally {
        redis.disconnect()
      }
    },

    /** Of a peer without a log: the check of every frame while it arrived, and that everything arrived, is all there is. */
    judgePeer: (rooms: readonly Room[]): Verdict => ({ ok: true, problems: [], checked: { ...countedOf(rooms), entries: 0, acked: 0, delivered: 0 } }),
  }
}

function countedOf (rooms: readonly Room[]) {
  const sampled = rooms.filter(room => room.sampled)
  const places = rooms.flatMap(({ id, members }) => members.flatMap(member => member.places.get(id) ?? []))
  return {
    sampled_rooms: sampled.length,
    sampled_sockets: sampled.reduce((sum, { members }) => sum + members.filter(member => member.sampled).length, 0),
    all_rooms: rooms.length,
    all_sockets: places.length,
    all_received: places.reduce((sum, { received }) => sum + received, 0),
  }
}

async function wholeLog (read: (after: number, limit: number) => Promise<LogEvent[]>): Promise<LogEvent[]> {
  const events: LogEvent[] = []
  for (;;) {
    const chunk = await read(events.at(-1)?.seq ?? 0, 5000)
    events.push(...chunk)
    if (chunk.length < 5000) return events
  }
}
