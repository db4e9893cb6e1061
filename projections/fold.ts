/**
 * What a batch changes about rooms and their members, folded by `effectsOf`: the function that made the patches of the
 * append. The archive keeps it for restoring, history for room lists; so Redis and both of them cannot drift apart.
 */
import type { StoredEvent } from '../src/domain/events.ts'
import { RANK } from '../src/domain/permissions.ts'
import { effectsOf, STRANGER, type CountField, type Effect, type Member, type MetaField } from '../src/domain/room.ts'
import { tidingsOf, type Tiding } from '../src/domain/tidings.ts'
import type { BatchEvent, RoomBatch } from './projection.ts'

export interface MemberChange {
  readonly before: Member
  after: Member
  /** The event by which the user last came in, if that is in the batch. */
  joined?: BatchEvent | undefined
  /** The event by which the user last went out, if that is in the batch. */
  left?: BatchEvent | undefined
}

export interface RoomChange {
  readonly room_id: string
  /** Last event of the batch. */
  readonly last: BatchEvent
  /** The room's making, if that is in the batch. */
  created?: StoredEvent
  /** Settings that changed, as the texts of `meta`. */
  readonly meta: { [F in MetaField]?: string }
  /** How many were added. */
  readonly count: { [F in CountField]: number }
  readonly members: Map<string, MemberChange>
  /** Messages that events of the batch deleted. */
  readonly deleted: Set<number>
  /** News of the batch for single persons, in order. */
  readonly tidings: Tiding[]
}

type RecordOf = (userId: string) => Member
type Records = (pairs: ReadonlyArray<readonly [roomId: string, userId: string]>) => Promise<Map<string, Member>>

export const pairKey = (roomId: string, userId: string): string => `${roomId} ${userId}`

/** @param records the records of these members before the batch, by `pairKey`; strangers may be left out */
export async function foldRooms (batch: readonly RoomBatch[], records: Records): Promise<RoomChange[]> {
  const known = await recordsNeeded(batch, records)
  return batch.map(({ room_id, events }) => {
    const change: RoomChange = { room_id, last: events.at(-1)!, meta: {}, count: { messages: 0, rules: 0, members: 0, owners: 0 }, members: new Map(), deleted: new Set(), tidings: [] }
    const recordOf: RecordOf = userId => change.members.get(userId)?.after ?? known.get(pairKey(room_id, userId)) ?? STRANGER
    for (const item of events) {
      if (item.event.type === 'room' && item.event.change === 'created') change.created ??= item.event
      change.tidings.push(...tidingsOf(item.event, item.entry.seq, recordOf))
      for (const effect of effectsOf(item.event, recordOf)) fold(change, item, effect, recordOf)
    }
    return change
  })
}

function fold (change: RoomChange, item: BatchEvent, effect: Effect, recordOf: RecordOf): void {
  switch (effect.on) {
    case 'count': change.count[effect.field] += effect.by; break
    case 'meta': change.meta[effect.field] = effect.value; break
    case 'deleted': change.deleted.add(effect.message_seq); break
    case 'member': change.members.set(effect.user_id, memberChange(change.members.get(effect.user_id), item, effect, recordOf(effect.user_id))); break
  }
}

function memberChange (earlier: MemberChange | undefined, item: BatchEvent, { member, joins }: Extract<Effect, { on: 'member' }>, now: Member): MemberChange {
  const left = RANK[now.role] >= 0 && RANK[member.role] < 0
  return {
    before: earlier?.before ?? now,
    after: joins ? { ...member, joined_seq: item.entry.seq } : member,
    joined: joins ? item : earlier?.joined,
    left: left ? item : earlier?.left,
  }
}

/** Most events are messages, which change no member: their authors need not be looked up. */
async function recordsNeeded (batch: readonly RoomBatch[], records: Records): Promise<Map<string, Member>> {
  const pairs = new Map<string, readonly [string, string]>()
  for (const { room_id, events } of batch) {
    for (const { event } of events) {
      effectsOf(event, user => {
        pairs.set(pairKey(room_id, user), [room_id, user])
        return STRANGER
      })
    }
  }
  return pairs.size === 0 ? new Map() : await records([...pairs.values()])
}
