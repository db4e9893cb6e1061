/**
 * The sweep: compares the heads of all rooms of some partitions with the checkpoints. It makes up for every bell, `active`
 * entry and group that was ever lost, and finds rooms whose log is behind their checkpoint or parted from it. It only
 * looks; the projector acts.
 */
import type { Position } from '../src/domain/position.ts'
import type { Groups } from '../src/log/groups.ts'
import type { RoomLog } from '../src/log/log.ts'
import type { Queryable } from '../src/store/pool.ts'
import { checkpointsIn } from './checkpoint.ts'
import { parkedIn } from './park.ts'

export const NEWS_MAX = 1000

/** Rooms have UUIDs, written as Postgres writes them. Whatever else is in `active` was not put there by us. */
export const isRoomId = (id: string): boolean => /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(id)

export interface Sweep {
  /** Rooms with events beyond the checkpoint, up to `head` at least. */
  readonly behind: Array<{ readonly id: string, readonly partition: number, readonly head: number }>
  /** Rooms whose log does not have what was applied. */
  readonly off: Array<{ readonly id: string, readonly partition: number, readonly at: Position, readonly head: Position }>
  readonly parked: Array<{ readonly room_id: string, readonly partition: number, readonly seq: number, readonly attempts: number }>
  /** Events not applied yet, by partition; fenced partitions are absent. */
  readonly lag: Map<number, number>
}

interface Deps { readonly store: Queryable, readonly groups: Groups, readonly log: RoomLog, readonly group: string }

/** @param scannedAt counter of each partition when its keys were last looked through; kept by the caller between sweeps */
export async function sweep ({ store, groups, log, group }: Deps, partitions: readonly number[], scannedAt: Map<number, number>): Promise<Sweep> {
  const found: Sweep = { behind: [], off: [], parked: await parkedIn(store, group, partitions), lag: new Map() }
  const rooms = new Map(partitions.map(partition => [partition, new Map<string, Position>()]))
  // Checkpoints before heads: a healthy head is then at its checkpoint or beyond.
  for (const { partition, room_id, seq, chain } of await checkpointsIn(store, group, partitions)) rooms.get(partition)?.set(room_id, { seq, chain })
  const suspects = new Map<number, number>()
  const compared = new Set<string>()

  await Promise.all([...rooms].map(async ([partition, checkpoints]) => {
    const counter = await groups.counter(partition)
    const active = new Set(await activeRooms(groups, partition))
    const ids = [...new Set([...checkpoints.keys(), ...active])]
    const behind = await compare(partition, ids, checkpoints)
    if (behind === undefined) return
    // An append always leaves an entry. One that is missing was lost, and with it perhaps those of rooms never seen.
    if (counter > (scannedAt.get(partition) ?? 0) && (active.size === 0 || behind.some(id => !active.has(id)))) suspects.set(partition, counter)
  }))

  if (suspects.size > 0) {
    const byPartition = new Map<number, string[]>([...suspects.keys()].map(partition => [partition, []]))
    for (const { id, partition } of await groups.scan(new Set(suspects.keys()))) {
      if (isRoomId(id) && !compared.has(id)) byPartition.get(partition)?.push(id)
    }
    await Promise.all([...byPartition].map(async ([partition, ids]) => await compare(partition, ids, new Map())))
    for (const [partition, counter] of suspects) scannedAt.set(partition, counter)
  }
  return found

  /** Returns the rooms that are behind; undefined where the partition is fenced, which says nothing about its heads. */
  async function compare (partition: number, ids: readonly string[], checkpoints: ReadonlyMap<string, Position>): Promise<string[] | undefined> {
    const { fenced, heads } = await log.heads(ids)
    if (fenced) return undefined
    const behind: string[] = []
    for (const id of ids) compared.add(id)
    let lag = found.lag.get(partition) ?? 0
    for (const [id, head] of heads) {
      const at = checkpoints.get(id)
      if (at !== undefined && (head.seq < at.seq || (head.seq === at.seq && head.chain !== at.chain))) {
        found.off.push({ id, partition, at, head })
      } else if (head.seq > (at?.seq ?? 0)) {
        lag += head.seq - (at?.seq ?? 0)
        behind.push(id)
        found.behind.push({ id, partition, head: head.seq })
      }
    }
    found.lag.set(partition, lag)
    return behind
  }
}

async function activeRooms (groups: Groups, partition: number): Promise<string[]> {
  const rooms: string[] = []
  let cursor = 0
  for (;;) {
    const news = await groups.news(partition, cursor, NEWS_MAX)
    for (const id of news.rooms) if (isRoomId(id)) rooms.push(id)
    if (news.rooms.length < NEWS_MAX || news.cursor <= cursor) return rooms
    cursor = news.cursor
  }
}
