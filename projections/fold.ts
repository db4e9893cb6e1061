/**
 * What a batch changes about rooms and their members, folded by `effectsOf`: the function that made the patches of the
 * append. The archive keeps it for restoring, history for room lists; so Redis and both of them cannot drift apart.
 */
import type { StoredEvent } from '../src/domain/events.ts'
import { effectsOf, STRANGER, type Effect, type Member } from '../src/domain/room.ts'
import type { BatchEvent, RoomBatch } from './projection.ts'

export interface MemberChange {
  readonly before: Member
  after: Member
  /** The last event that changed it. */
  by: BatchEvent
  /** The event by which the user last came in, if that is in the batch. */
  joined?: BatchEvent | undefined
}

export interface RoomChange {
  readonly room_id: string
  /** Last event of the batch. */
  readonly last: BatchEvent
  /** The room's making, if that is in the batch. */
  created?: StoredEvent
  /** Settings that changed. */
  readonly meta: { kind?: string, name?: string, topic?: string, history?: string }
  /** How many were added. */
  readonly count: { messages: number, rules: number }
  readonly members: Map<string, MemberChange>
}

type Records = (pairs: ReadonlyArray<readonly [roomId: string, userId: string]>) => Promise<Map<string, Member>>

export const pairKey = (roomId: string, userId: string): string => `${roomId} ${userId}`

/** @param records the records of these members before the batch, by `pairKey`; strangers may be left out */
export async function foldRooms (batch: readonly RoomBatch[], records: Records): Promise<RoomChange[]> {
  const known = await recordsNeeded(batch, records)
  return batch.map(({ room_id, events }) => {
    const change: RoomChange = { room_id, last: events.at(-1)!, meta: {}, count: { messages: 0, rules: 0 }, members: new Map() }
    const recordOf = (userId: string): Member => change.members.get(userId)?.after ?? known.get(pairKey(room_id, userId)) ?? STRANGER
    for (const item of events) {
      if (item.event.type === 'room' && item.event.change === 'created') change.created ??= item.event
      for (const effect of effectsOf(item.event, recordOf(item.event.user_id))) fold(change, item, effect, recordOf)
    }
    return change
  })
}

function fold (change: RoomChange, item: BatchEvent, effect: Effect, recordOf: (userId: string) => Member): void {
  if (effect.on === 'count') { change.count[effect.field]++; return }
  if (effect.on === 'meta') { change.meta[effect.field] = effect.value; return }
  const earlier = change.members.get(effect.user_id)
  const after = effect.joins ? { ...effect.member, joined_seq: item.entry.seq } : effect.member
  change.members.set(effect.user_id, {
    before: earlier?.before ?? recordOf(effect.user_id),
    after,
    by: item,
    joined: effect.joins ? item : earlier?.joined,
  })
}

/** Most events are messages, which change no member: their authors need not be looked up. */
async function recordsNeeded (batch: readonly RoomBatch[], records: Records): Promise<Map<string, Member>> {
  const pairs = new Map<string, readonly [string, string]>()
  for (const { room_id, events } of batch) {
    for (const { event } of events) {
      const touched = effectsOf(event, STRANGER).flatMap(effect => effect.on === 'member' ? [effect.user_id] : [])
      if (touched.length === 0) continue
      for (const user of [event.user_id, ...touched]) pairs.set(pairKey(room_id, user), [room_id, user])
    }
  }
  return pairs.size === 0 ? new Map() : await records([...pairs.values()])
}
