/**
 * Presence as Redis holds it: for each user a lease of each node that has sockets of theirs, with the best status among them.
 * A lease that is not renewed runs out; the user is what the other leases say, or offline. By the clock of Redis.
 *
 * It knows of each user what was last announced, so that of all nodes that notice a change exactly one announces it. It does not
 * announce, renew or sweep by itself.
 */
import { LogFault } from './log.ts'
import type { Keys } from './keys.ts'
import type { PeopleKeys } from './people-keys.ts'
import { faultOf, script, type Redis } from './redis.ts'

/** What people may say of themselves. */
export type Status = 'online' | 'away' | 'dnd'

const USERS_PER_CALL = 200
/** Users of a shard that one look for leases that ran out gives. */
const DUE_PER_SHARD_MAX = 200
/** Commands in one write. */
const COMMANDS_MAX = 2000

export interface Present {
  readonly user_id: string
  readonly status: Status | 'offline'
  /** Whether that is other than what was last announced. */
  readonly changed: boolean
  /** When a node last had sockets of theirs, as far as it is known here. Epoch ms; 0 if not. */
  readonly seen: number
}

export interface PresenceWrite {
  readonly user_id: string
  /** The node's lease; `gone`: it has none of their sockets any more; `same`: nothing new of them. */
  readonly what: Status | 'gone' | 'same'
}

/** Who of a room is told of a user. */
export interface HearingRoom {
  readonly room_id: string
  /** Those of `others` who are in it. */
  readonly others: readonly string[]
}

export interface PresenceLeases {
  /** Writes, and gives how it stands then. @param say the caller announces what has changed · `leaseMs`: if not the usual Throws LogFault. */
  write: (users: readonly PresenceWrite[], more?: { say?: boolean, leaseMs?: number }) => Promise<Present[]>
  /** Users of whom a lease has run out, or whose going was not announced. Throws LogFault. */
  due: () => Promise<string[]>
  of: (userIds: readonly string[]) => Promise<Map<string, Present>>
  /** For each user, which of `rooms` have at most `membersMax` members and the user among them. In a few round trips. Throws LogFault. */
  hearing: (users: ReadonlyArray<{ user_id: string, rooms: readonly string[], others: readonly string[] }>, membersMax: number) => Promise<Map<string, HearingRoom[]>>
}

const presenceScript = script('presence')
const WORDS: Readonly<Record<PresenceWrite['what'], string>> = { online: 'online', away: 'away', dnd: 'dnd', gone: '-', same: '=' }

/** @param node ID of this gateway, another after each start · @param graceMs how long a going may stay unannounced */
export function createPresenceLeases ({ redis, keys, peopleKeys, node, leaseMs: usualMs, graceMs }: { redis: Redis, keys: Keys, peopleKeys: PeopleKeys, node: string, leaseMs: number, graceMs: number }): PresenceLeases {
  async function call (shard: number, users: readonly PresenceWrite[], say: boolean, leaseMs: number): Promise<Present[]> {
    const args = [node, String(leaseMs), String(graceMs)]
    for (const { user_id, what } of users) args.push(user_id, WORDS[what], say ? '1' : '0')
    try {
      const answer = await presenceScript(redis, [peopleKeys.presenceLeases(shard), ...users.map(({ user_id }) => peopleKeys.presence(user_id))], args) as Array<string | number>
      return users.map(({ user_id }, i) => ({ user_id, status: answer[3 * i] as Present['status'], changed: answer[3 * i + 1] === 1, seen: Number(answer[3 * i + 2]) }))
    } catch (error) {
      throw faultOf(error)
    }
  }

  async function write (users: readonly PresenceWrite[], { say = false, leaseMs = usualMs } = {}): Promise<Present[]> {
    const shards = Map.groupBy(users, ({ user_id }) => peopleKeys.presenceShardOf(user_id))
    const found = await Promise.all([...shards].map(async ([shard, ofShard]) => {
      const present: Present[] = []
      for (let i = 0; i < ofShard.length; i += USERS_PER_CALL) present.push(...await call(shard, ofShard.slice(i, i + USERS_PER_CALL), say, leaseMs))
      return present
    }))
    return found.flat()
  }

  /** Many reads of hashes at once; the answers in their order. */
  async function hmgets (asked: ReadonlyArray<[key: string, ...fields: string[]]>): Promise<Array<Array<string | null>>> {
    const found: Array<Array<string | null>> = []
    for (let i = 0; i < asked.length; i += COMMANDS_MAX) {
      const pipeline = redis.pipeline()
      for (const [key, ...fields] of asked.slice(i, i + COMMANDS_MAX)) pipeline.hmget(key, ...fields)
      const answers = await pipeline.exec().catch((error: unknown) => { throw faultOf(error) })
      for (const [error, values] of answers ?? []) {
        if (error !== null) throw faultOf(error)
        found.push(values as Array<string | null>)
      }
    }
    return found
  }

  return {
    write,

    async of (userIds) {
      const present = await write(userIds.map(user_id => ({ user_id, what: 'same' })))
      return new Map(present.map(one => [one.user_id, one]))
    },

    async due () {
      try {
        const [seconds, micros] = await redis.time() as unknown as [string, string]
        const now = Number(seconds) * 1000 + Math.floor(Number(micros) / 1000)
        const pipeline = redis.pipeline()
        for (let shard = 0; shard < peopleKeys.presenceShards; shard++) pipeline.zrange(peopleKeys.presenceLeases(shard), '-inf', String(now), 'BYSCORE', 'LIMIT', 0, DUE_PER_SHARD_MAX)
        const answers = await pipeline.exec() ?? []
        const failed = answers.find(([error]) => error !== null)?.[0]
        if (failed != null) throw new LogFault('unavailable', failed.message)
        return answers.flatMap(([, users]) => users as string[])
      } catch (error) {
        throw faultOf(error)
      }
    },

    async hearing (users, membersMax) {
      const rooms = [...new Set(users.flatMap(({ rooms }) => rooms))]
      const sizes = await hmgets(rooms.map(roomId => [keys.meta(roomId), 'kind', 'members', 'removed']))
      // Nobody is counted in the lobby or in an inbox; a DM has two.
      const small = new Set(rooms.filter((_, i) => {
        const [kind, members, removed] = sizes[i]!
        return kind != null && kind !== 'lobby' && kind !== 'inbox' && removed !== '1' && Number(members ?? 0) <= membersMax
      }))
      const asked = users.flatMap(({ user_id, rooms, others }) => rooms.filter(roomId => small.has(roomId)).map(room_id => ({ user_id, room_id, others })))
      const records = await hmgets(asked.map(({ user_id, room_id, others }) => [keys.members(room_id), user_id, ...others]))
      const hearing = new Map<string, HearingRoom[]>()
      asked.forEach(({ user_id, room_id, others }, i) => {
        const [own, ...theirs] = records[i]!
        if (!isInside(own)) return
        const heard = { room_id, others: others.filter((_, o) => theirs[o] != null) }
        const before = hearing.get(user_id)
        if (before === undefined) hearing.set(user_id, [heard])
        else before.push(heard)
      })
      return hearing
    },
  }
}

/** A member's record begins with their role. */
function isInside (record: string | null | undefined): boolean {
  return record != null && record !== '' && !/^(none|kicked)\|/.test(record)
}
