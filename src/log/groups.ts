/**
 * Consumer groups on the room streams, as projectors use them: which rooms of a partition have news, one XREADGROUP over
 * them. What is applied is said by the projection's checkpoint in Postgres alone; a group only spares reading twice, and is set back to
 * the checkpoint wherever that is in doubt. So Redis keeps no list of what is read and not applied yet (NOACK, ADR 17).
 *
 * What is asked in one turn of the loop goes out in one write: a projector asks all its partitions at once, and a write for each
 * command costs both ends more than the command.
 */
import type { ChainableCommander } from 'ioredis'
import type { LogEvent } from './codec.ts'
import { logEventOf } from './entries.ts'
import type { Keys } from './keys.ts'
import { faultOf, script, type Redis } from './redis.ts'

const groupScript = script('group')

export interface News {
  /** Rooms appended to since the cursor, oldest news first. */
  readonly rooms: string[]
  /** Hand it in the next time. Where `rooms` was cut at the limit, it stands at the last of them. */
  readonly cursor: number
}

export interface Groups {
  /** Rooms of the partition that were appended to after `cursor` (0: all that ever were). A cursor ahead of the counter starts again at 0. */
  news: (partition: number, cursor: number, limit: number) => Promise<News>
  /** The partition's counter now: a cursor that hears of everything appended from here on. */
  counter: (partition: number) => Promise<number>
  /** Rooms of the partition whose last append is the longest ago, in that order, from the `offset`-th on. */
  longestIdle: (partition: number, offset: number, limit: number) => Promise<string[]>
  /**
   * All rooms of these partitions that Redis has, found by looking through every key: slow, for when there is reason to think that
   * entries of `active` were lost. Keys may be missed while they come and go.
   */
  scan: (partitions: ReadonlySet<number>) => Promise<Array<{ id: string, partition: number }>>
  /** Sets the room's group to `seq`; former workers are taken out of it (`group.lua`). False: the room has no stream. */
  open: (roomId: string, group: string, consumer: string, seq: number) => Promise<boolean>
  /**
   * New entries of the rooms' groups, at most `count` a room, in order. All rooms must be of one partition and have been opened.
   * Throws GroupMissing when a stream or group is gone: open those rooms again.
   */
  read: (rooms: readonly string[], group: string, consumer: string, count: number) => Promise<Map<string, LogEvent[]>>
  /** Takes a group that nobody follows any more from these rooms; where there is none, nothing happens. */
  destroy: (rooms: readonly string[], group: string) => Promise<void>
}

/** A stream or group that XREADGROUP named is not there. */
export class GroupMissing extends Error {
  override name = 'GroupMissing'
}

type Answers = Array<[error: Error | null, answer: unknown]>

export function createGroups ({ redis, keys }: { redis: Redis, keys: Keys }): Groups {
  let turn: { readonly commands: ChainableCommander, readonly answers: Promise<Answers> } | undefined

  /** Sends a command with the others of this turn. */
  async function ask (add: (commands: ChainableCommander) => unknown): Promise<unknown> {
    if (turn === undefined) {
      const commands = redis.pipeline()
      const answers = new Promise<Answers>((resolve, reject) => {
        process.nextTick(() => {
          turn = undefined
          commands.exec().then(answers => { resolve(answers ?? []) }, reject)
        })
      })
      turn = { commands, answers }
    }
    const nth = turn.commands.length
    add(turn.commands)
    const [error, answer] = (await turn.answers)[nth]!
    if (error !== null) throw error
    return answer
  }

  return {
    async news (partition, cursor, limit) {
      try {
        const [count, pairs] = await Promise.all([
          ask(commands => commands.get(keys.count(partition))),
          ask(commands => commands.zrangebyscore(keys.active(partition), `(${cursor}`, '+inf', 'WITHSCORES', 'LIMIT', 0, limit)),
        ]) as [string | null, string[]]
        if (cursor > Number(count ?? 0)) return cursor === 0 ? { rooms: [], cursor: 0 } : await this.news(partition, 0, limit)
        const rooms = pairs.filter((_, i) => i % 2 === 0)
        return { rooms, cursor: pairs.length === 0 ? cursor : Number(pairs.at(-1)) }
      } catch (error) {
        throw faultOf(error)
      }
    },

    async counter (partition) {
      try {
        return Number(await ask(commands => commands.get(keys.count(partition))) ?? 0)
      } catch (error) {
        throw faultOf(error)
      }
    },

    async longestIdle (partition, offset, limit) {
      try {
        return await redis.zrange(keys.active(partition), String(offset), String(offset + limit - 1))
      } catch (error) {
        throw faultOf(error)
      }
    },

    async scan (partitions) {
      const rooms = new Map<string, { id: string, partition: number }>()
      let cursor = '0'
      try {
        do {
          const [next, found] = await redis.scan(cursor, 'MATCH', '*:room:*:meta', 'COUNT', 1000)
          for (const key of found) {
            const id = key.slice(key.indexOf(':room:') + 6, -5)
            const partition = keys.partitionOf(id)
            if (partitions.has(partition) && key === keys.meta(id)) rooms.set(id, { id, partition })
          }
          cursor = next
        } while (cursor !== '0')
        return [...rooms.values()]
      } catch (error) {
        throw faultOf(error)
      }
    },

    async open (roomId, group, consumer, seq) {
      try {
        return await groupScript(redis, [keys.log(roomId)], [group, String(seq), consumer]) === 1
      } catch (error) {
        throw faultOf(error)
      }
    },

    async read (rooms, group, consumer, count) {
      try {
        const streams = rooms.map(keys.log)
        const answer = await ask(commands => commands.xreadgroup('GROUP', group, consumer, 'COUNT', count, 'NOACK', 'STREAMS', ...streams, ...rooms.map(() => '>'))) as Array<[string, Array<[string, string[]]>]> | null
        const byKey = new Map((answer ?? []).map(([key, entries]) => [key, entries]))
        const events = new Map<string, LogEvent[]>()
        rooms.forEach((room, i) => {
          const entries = byKey.get(streams[i]!)
          if (entries !== undefined) events.set(room, entries.map(logEventOf))
        })
        return events
      } catch (error) {
        if (/NOGROUP/.test((error as Error).message)) throw new GroupMissing((error as Error).message, { cause: error })
        throw faultOf(error)
      }
    },

    async destroy (rooms, group) {
      try {
        await Promise.all(rooms.map(async room => {
          await redis.xgroup('DESTROY', keys.log(room), group).catch((error: Error) => { if (!/requires the key to exist|WRONGTYPE/.test(error.message)) throw error })
        }))
      } catch (error) {
        throw faultOf(error)
      }
    },
  }
}
