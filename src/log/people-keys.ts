/**
 * Names of keys and channels for what concerns people and not the log: their signals, their presence, their marks.
 *
 * Marks lie with their room. Presence is dealt to a few shards, so that what many people do at the same time is a few calls;
 * each shard has the hash tag of one of the partitions, so shards spread over a cluster as those do.
 */
import type { Keys } from './keys.ts'

const SHARDS_MAX = 16

export interface PeopleKeys {
  /** Sharded channel of the signals to a user. */
  signals: (userId: string) => string
  /** Stream of the marks of the partition's rooms: room, user, device, kind, seq. */
  marks: (partition: number) => string
  /** Hash of the newest marks of a room: `<kind>:<user>` and `<kind>:<user>:<device>` → seq. */
  roomMarks: (roomId: string) => string
  readonly presenceShards: number
  presenceShardOf: (userId: string) => number
  /** Sorted set: user → when the first of their leases runs out (Redis time, ms). */
  presenceLeases: (shard: number) => string
  /** Hash of one user's presence; see `lua/presence.lua`. */
  presence: (userId: string) => string
}

export function createPeopleKeys (keys: Keys): PeopleKeys {
  const shards = Math.min(SHARDS_MAX, keys.partitions)
  /** Another key in the slot of this one. */
  const beside = (key: string, name: string): string => `${key.slice(0, key.indexOf('}') + 1)}:${name}`
  const inPartition = (partition: number, name: string): string => beside(keys.epoch(partition), name)
  const shardOf = (userId: string): number => keys.partitionOf(userId) % shards
  const inShard = (shard: number, name: string): string => inPartition(Math.floor(shard * keys.partitions / shards), name)
  return {
    signals: userId => inPartition(keys.partitionOf(userId), `user:${userId}`),
    marks: partition => inPartition(partition, 'marks'),
    roomMarks: roomId => `${keys.bell(roomId)}:marks`,
    presenceShards: shards,
    presenceShardOf: shardOf,
    presenceLeases: shard => inShard(shard, 'presence'),
    presence: userId => inShard(shardOf(userId), `presence:${userId}`),
  }
}
