/**
 * Restoring: the one routine that puts a room's state back into Redis, for rooms that were let go of because they were idle, that
 * were truncated, or that Redis lost altogether [G5, G8]. The archive is asked, which was the whole of the room when it became cold.
 */
import { memberRecordOf } from '../src/commands/room-hashes.ts'
import { LogFault, type RoomHashes } from '../src/log/log.ts'
import type { Cold } from '../src/log/cold.ts'
import { roomSnapshot, roomStatesFor, type AskedRecord, type FirstResult } from '../src/store/room-state.ts'
import type { Store } from '../src/store/pool.ts'
import type { Metrics } from '../src/telemetry/metrics.ts'

/** Events that come back with a room: what most who come back to it have missed, not what it once had. */
const EVENTS = 200
/** As long as the append script remembers a command with a `client_id`, and one without. */
const ONCE_CLIENT_MS = 600_000
const ONCE_OWN_MS = 60_000
/** Commands that are remembered again, at most. */
const ONCE_EVENTS = 50_000

export interface Restorer {
  /** Puts a cold room back; nothing to do where it is not cold. Throws faults of Redis and Postgres. */
  restore: (roomId: string) => Promise<void>
  /** State of a cold room and the record of a user in it, as Redis would have them. What is asked for in one turn of the loop is one query. */
  hashes: (roomId: string, userId: string) => Promise<RoomHashes | undefined>
}

export function createRestorer ({ store, cold, metrics, clock }: { store: Store, cold: Cold, metrics: Metrics, clock: () => number }): Restorer {
  const underWay = new Map<string, Promise<void>>()
  let asked: AskedRecord[] = []
  let answering: Promise<Map<string, RoomHashes>> | undefined

  async function hashesOfAsked (): Promise<Map<string, RoomHashes>> {
    await new Promise(resolve => setImmediate(resolve))
    const now = asked
    asked = []
    answering = undefined
    const states = await roomStatesFor(store, now)
    return new Map(states.map(({ room_id, user_id, head, meta, members: [member] }) => {
      const all = new Map([...meta, ['seq', String(head.seq)], ['chain', head.chain]])
      return [`${room_id} ${user_id}`, { meta: all, members: new Map([[user_id, member === undefined ? '' : memberRecordOf(member)]]) }]
    }))
  }

  async function thaw (roomId: string): Promise<void> {
    const now = clock()
    const snapshot = await roomSnapshot(store, roomId, { events: EVENTS, onceEvents: ONCE_EVENTS, since: new Date(now - ONCE_CLIENT_MS) })
    if (snapshot === undefined) throw new LogFault('unavailable', `the archive does not have the room ${roomId}`)
    const { head, meta, members, events, results } = snapshot
    const records = new Map(members.map(member => [member.user_id, memberRecordOf(member)]))
    if (await cold.thaw(roomId, { head, meta, members: records, events, once: rememberedOf(results, now) })) metrics.restored.inc()
  }

  return {
    async restore (roomId) {
      let restoring = underWay.get(roomId)
      if (restoring === undefined) {
        restoring = thaw(roomId).finally(() => { underWay.delete(roomId) })
        underWay.set(roomId, restoring)
      }
      await restoring
    },

    async hashes (roomId, userId) {
      asked.push({ room_id: roomId, user_id: userId })
      answering ??= hashesOfAsked()
      return (await answering).get(`${roomId} ${userId}`)
    },
  }
}

/** Of several events of one command the first counts: they come newest first. */
function rememberedOf (results: readonly FirstResult[], now: number) {
  const once = new Map<string, { seq: number, chain: string, author: string, client_id: string, event_id: string, ms: number }>()
  for (const { seq, chain, event_id, user_id: author, client_id, timestamp } of results) {
    const key = client_id ?? event_id // without a client's key, the gateway's own: the ID of the event
    const ms = (client_id === null ? ONCE_OWN_MS : ONCE_CLIENT_MS) - Math.max(0, now - timestamp.getTime())
    if (ms > 0) once.set(`${author} ${key}`, { seq, chain, author, client_id: key, event_id, ms })
  }
  return [...once.values()]
}
