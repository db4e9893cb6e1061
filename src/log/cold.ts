/**
 * Rooms leave Redis and come back: trimming a stream behind the archive, letting go of an idle room (its head stays, marked
 * `cold`), and putting a cold room back. Each is one conditional script, or steps under a token: nothing here can overwrite what
 * was appended meanwhile [G5]. Where the state comes from, the caller knows (`projections/restore.ts`).
 */
import { randomUUID } from 'node:crypto'
import type { Position } from '../domain/position.ts'
import type { LogEvent } from './codec.ts'
import { entryText } from './entries.ts'
import type { Keys } from './keys.ts'
import { LogFault, type RoomHashes } from './log.ts'
import { faultOf, script, type Redis } from './redis.ts'

const evictScript = script('evict')
const freezeScript = script('freeze')
const thawScript = script('thaw')
const trimScript = script('trim')

/** Members that one step writes. */
const MEMBERS_PER_STEP = 2000

/** All that putting a room back needs, as of its head. */
export interface RoomState {
  readonly head: Position
  /** Fields of `meta` besides the head. */
  readonly meta: ReadonlyMap<string, string>
  /** Records by user. */
  readonly members: ReadonlyMap<string, string>
  /** The hot window, ending at the head; may be empty. */
  readonly events: readonly LogEvent[]
  /** Commands that are still remembered: first result, and for how long yet. */
  readonly once: ReadonlyArray<Position & { readonly author: string, readonly client_id: string, readonly event_id: string, readonly ms: number }>
}

export interface Cold {
  /** Lets go of a room whose head is the archive's checkpoint. False: it is not, or it is cold already. */
  evict: (roomId: string, archived: Position) => Promise<boolean>
  /** For reconciling, in a fenced partition: makes a room cold at the archive's checkpoint. False: look again. @param head as compared */
  freeze: (roomId: string, archived: Position, head: Position | undefined) => Promise<boolean>
  /** Puts a cold room back. False: it is not cold (any more), or its head is not the state's. Throws LogFault. */
  thaw: (roomId: string, state: RoomState) => Promise<boolean>
  /** What Redis holds of a room besides its stream, in one moment; undefined if it does not know the room. Throws LogFault. */
  holds: (roomId: string) => Promise<RoomHashes | undefined>
  /** Trims to the events with seq ≥ `keep`. Undefined: the log does not have the checkpoint, or is fenced; else how many went. */
  trim: (roomId: string, archived: Position, keep: number) => Promise<number | undefined>
}

export function createCold ({ redis, keys }: { redis: Redis, keys: Keys }): Cold {
  const epoch = (roomId: string): string => keys.epoch(keys.partitionOf(roomId))
  const all = (roomId: string): string[] => [epoch(roomId), keys.active(keys.partitionOf(roomId)), keys.log(roomId), keys.meta(roomId), keys.members(roomId), keys.deleted(roomId)]

  async function run (asked: Promise<unknown>): Promise<unknown> {
    try {
      return await asked
    } catch (error) {
      throw faultOf(error)
    }
  }

  return {
    evict: async (roomId, { seq, chain }) => await run(evictScript(redis, all(roomId), [roomId, String(seq), chain])) === 1,

    freeze: async (roomId, { seq, chain }, head) =>
      await run(freezeScript(redis, all(roomId), [roomId, String(seq), chain, head === undefined ? '' : String(head.seq), head?.chain ?? ''])) === 1,

    async thaw (roomId, { head, meta, members, events, once }) {
      const token = randomUUID()
      const place = [token, String(head.seq), head.chain, roomId]
      const partition = keys.partitionOf(roomId)
      const own = [keys.epoch(partition), keys.log(roomId), keys.meta(roomId), keys.members(roomId), keys.deleted(roomId), keys.count(partition), keys.active(partition)]
      const step = async (name: string, args: readonly string[], more: readonly string[] = []): Promise<boolean> => {
        const answer = await run(thawScript(redis, [...own, ...more], [name, ...place, ...args]))
        if (answer === 'fenced') throw new LogFault('fenced', `partition ${partition} is fenced`)
        return answer === 1
      }
      if (!await step('begin', [])) return false
      const records = [...members]
      for (let i = 0; i < records.length; i += MEMBERS_PER_STEP) {
        if (!await step('members', records.slice(i, i + MEMBERS_PER_STEP).flat())) return false
      }
      return await step('finish', [
        String(meta.size), ...[...meta].flat(),
        String(events.length), ...events.flatMap(event => [String(event.seq), event.chain, entryText(event)]),
        ...once.flatMap(({ seq, chain, event_id, ms }) => [`${seq} ${chain} ${event_id}`, String(ms)]),
      ], once.map(({ author, client_id }) => keys.once(roomId, author, client_id)))
    },

    async holds (roomId) {
      const answers = await run(redis.multi().hgetall(keys.meta(roomId)).hgetall(keys.members(roomId)).exec()) as Array<[Error | null, Record<string, string>]>
      const [meta, members] = answers.map(([error, hash]) => {
        if (error !== null) throw faultOf(error)
        return new Map(Object.entries(hash))
      }) as [Map<string, string>, Map<string, string>]
      return meta.size === 0 ? undefined : { meta, members }
    },

    async trim (roomId, { seq, chain }, keep) {
      const gone = await run(trimScript(redis, [epoch(roomId), keys.log(roomId), keys.meta(roomId), keys.deleted(roomId)], [String(seq), chain, String(keep)])) as number
      return gone < 0 ? undefined : gone
    },
  }
}
