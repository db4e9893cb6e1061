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
import { readArchive } from '../../src/store/archive.ts'
import { openStore } from '../../src/store/pool.ts'
import type { LogEvent } from '../../src/log/codec.ts'
import type { Position } from '../../src/domain/position.ts'
import { clientIdOf } from './dialect.ts'

/** Whoever receives or sends, as the verdict sees it: one connection, or a client that comes back on others. */
export interface Witness {
  readonly index: number
  /** Every frame of it is kept. */
  readonly sampled: boolean
  /** Rooms that it is subscribed to: the newest seq that it has, and the messages of the load that it received. The chain, if it notes it. */
  readonly places: ReadonlyMap<string, { readonly seq: number, readonly received: number, readonly chain?: string }>
  /** What its first subscription followed; left out: live, from the head. */
  readonly from?: Position
}

export interface JudgedRoom {
  readonly id: string
  readonly members: readonly Witness[]
  readonly sampled: boolean
}

type Kept =
  | { kind: 'sent', who: Witness, roomId: string, clientId: string, content: string }
  | { kind: 'frame' | 'ack', who: Witness, text: string }
  | { kind: 'refused', who: Witness, roomId: string, clientId: string, code: string }
  | { kind: 'cut', who: Witness }
  | { kind: 'from', who: Witness, roomId: string, position: Position }

const CHUNK_EVENTS = 5000

export interface Verdict {
  ok: boolean
  problems: string[]
  /** What was looked at: by the full checker, and by the cheap check of all. */
  checked: { sampled_rooms: number, sampled_sockets: number, entries: number, acked: number, delivered: number, all_rooms: number, all_sockets: number, all_received: number }
}

export function createEvidence () {
  const kept: Kept[] = []
  return {
    keepSent (who: Witness, roomId: string, clientId: string, content: string): void {
      kept.push({ kind: 'sent', who, roomId, clientId, content })
    },
    keep (who: Witness, kind: 'frame' | 'ack', text: string): void {
      kept.push({ kind, who, text })
    },
    /** A message was answered by `error`. */
    keepRefused (who: Witness, roomId: string, clientId: string, code: string): void {
      kept.push({ kind: 'refused', who, roomId, clientId, code })
    },
    /** The connection is gone; what comes next continues where it ended. */
    keepCut (who: Witness): void {
      kept.push({ kind: 'cut', who })
    },
    /** What it had is forgotten: it begins from this position. */
    keepFrom (who: Witness, roomId: string, position: Position): void {
      kept.push({ kind: 'from', who, roomId, position })
    },

    /** Of Millrace: reads the logs from Redis, and from the archive what is not there any more. */
    async judge (rooms: readonly JudgedRoom[], { redisUrl, databaseUrl, partitions }: { redisUrl: string, databaseUrl?: string, partitions: number }): Promise<Verdict> {
      const checker = createChecker()
      const recorders = new Map<Witness, SubscriberRecorder>()
      const sampled = new Set(rooms.flatMap(room => room.sampled ? [room.id] : []))
      for (const { id, members, sampled } of rooms) {
        if (!sampled) continue
        for (const member of members) {
          const recorder = checker.subscriber(`socket ${member.index}`)
          recorders.set(member, recorder)
          if (member.sampled) recorder.subscribed(id, member.from ?? 'live')
        }
      }
      for (const item of kept) {
        const recorder = recorders.get(item.who)!
        if (item.kind === 'sent') recorder.sent({ room_id: item.roomId, client_id: item.clientId, content: item.content })
        else if (item.kind === 'refused') recorder.refused({ room_id: item.roomId, client_id: item.clientId, code: item.code })
        else if (item.kind === 'cut') recorder.cut()
        else if (item.kind === 'from') recorder.subscribed(item.roomId, item.position)
        else {
          const frame = JSON.parse(item.text)
          if (item.kind === 'ack') {
            // A sender to many rooms has acks of others too.
            if (sampled.has(frame.room_id)) recorder.acked({ ...frame, client_id: clientIdOf(item.who.index, frame.ref) })
          } else recorder.frame(frame)
        }
      }
      const logger = createLogger({ level: 'silent', role: 'bench' })
      const redis = await connectRedis(redisUrl, 'bench', logger)
      const store = databaseUrl === undefined ? undefined : await openStore({ url: databaseUrl, max: 1, name: 'bench', log: logger })
      try {
        const log = createRedisLog({ redis, keys: createKeys(partitions), log: logger })
        const { heads } = await log.heads(rooms.map(({ id }) => id))
        const logs = new Map<string, LogEvent[]>()
        for (const { id, sampled } of rooms) {
          if (!sampled) continue
          logs.set(id, await wholeLog(heads.get(id)?.seq ?? 0, async (after, limit) => {
            const events = await log.read(id, after, limit)
            return store === undefined || events[0]?.seq === after + 1 ? events : await readArchive(store, id, after, limit)
          }))
        }
        const { problems, counted } = checker.judge({ logs, expectAllDelivered: true })
        const behind = rooms.flatMap(({ id, members }) => members.flatMap(({ index, places }) => {
          const [place, head] = [places.get(id), heads.get(id)]
          if (place === undefined || (place.seq === head?.seq && (place.chain ?? head.chain) === head.chain)) return []
          return [`socket ${index} is at seq ${place.seq} ${place.chain ?? ''} of room ${id}, whose head is ${head?.seq} ${head?.chain}`]
        }))
        const all = [...problems, ...behind.slice(0, 10)]
        return { ok: all.length === 0, problems: all, checked: { ...countedOf(rooms), entries: counted.entries, acked: counted.acked, delivered: counted.delivered } }
      } finally {
        redis.disconnect()
        await store?.close()
      }
    },

    /** Of a peer without a log: the check of every frame while it arrived, and that everything arrived, is all there is. */
    judgePeer: (rooms: readonly JudgedRoom[]): Verdict => ({ ok: true, problems: [], checked: { ...countedOf(rooms), entries: 0, acked: 0, delivered: 0 } }),
  }
}

function countedOf (rooms: readonly JudgedRoom[]) {
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

async function wholeLog (head: number, read: (after: number, limit: number) => Promise<LogEvent[]>): Promise<LogEvent[]> {
  const events: LogEvent[] = []
  for (;;) {
    const after = events.at(-1)?.seq ?? 0
    const chunk = await read(after, CHUNK_EVENTS)
    for (const event of chunk) events.push(event)
    if (chunk.length === 0 || events.at(-1)!.seq >= head) return events
  }
}
