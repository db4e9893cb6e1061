/**
 * Names of the keys and channels in Redis, and which partition a room is in (the table of DESIGN.md §4).
 *
 * The partition is the hash tag, so all that an append touches is in one slot. Tags are picked so that partition p of P
 * lies in the p-th of P equal ranges of slots: a cluster that deals slots in ranges gets the partitions evenly.
 */
import keySlot from 'cluster-key-slot'

const SLOTS = 16384

/** Keys of a deployment with a fixed number of partitions. */
export interface Keys {
  readonly partitions: number
  partitionOf: (roomId: string) => number
  log: (roomId: string) => string
  meta: (roomId: string) => string
  members: (roomId: string) => string
  /** Sorted set: seq of each deleted message, scored with the seq of its delete. */
  deleted: (roomId: string) => string
  once: (roomId: string, author: string, clientId: string) => string
  /** Sharded channel of the room's bell. */
  bell: (roomId: string) => string
  count: (partition: number) => string
  active: (partition: number) => string
  epoch: (partition: number) => string
  /** Sharded channel of the projectors' bell of the partition. */
  partitionBell: (partition: number) => string
}

/** Holds the number of partitions of the deployment; in no slot range, outside every partition. */
export const PARTITIONS_KEY = 'millrace:partitions'

export function createKeys (partitions: number): Keys {
  const tags = Array.from({ length: partitions }, (_, p) => tagOf(p, partitions))
  const partitionOf = (roomId: string): number => keySlot(roomId) % partitions
  const tag = (p: number): string => {
    const found = tags[p]
    if (found === undefined) throw new RangeError(`partition ${p} of ${partitions}`)
    return found
  }
  // The keys of one room are asked for one after the other: the last one's beginning is kept.
  let last = { roomId: '', prefix: '' }
  const room = (roomId: string): string => {
    if (last.roomId !== roomId) last = { roomId, prefix: `${tag(partitionOf(roomId))}:room:${roomId}` }
    return last.prefix
  }
  return {
    partitions,
    partitionOf,
    log: roomId => `${room(roomId)}:log`,
    meta: roomId => `${room(roomId)}:meta`,
    members: roomId => `${room(roomId)}:members`,
    deleted: roomId => `${room(roomId)}:deleted`,
    once: (roomId, author, clientId) => `${room(roomId)}:once:${author}:${clientId}`,
    bell: room,
    count: p => `${tag(p)}:count`,
    active: p => `${tag(p)}:active`,
    epoch: p => `${tag(p)}:epoch`,
    partitionBell: p => `${tag(p)}:bell`,
  }
}

function tagOf (partition: number, partitions: number): string {
  const from = Math.floor(partition * SLOTS / partitions)
  const to = Math.floor((partition + 1) * SLOTS / partitions)
  for (let n = 0; ; n++) {
    const tag = n === 0 ? `${partition}` : `${partition}.${n}`
    const slot = keySlot(tag)
    if (slot >= from && slot < to) return `{${tag}}`
  }
}
