/** One parked room, looked into: the event that could not be applied, and what waits behind it. */
import { decodeEvent, type LogEvent } from '../log/codec.ts'
import type { RoomLog } from '../log/log.ts'
import { archivedAt } from '../store/archive.ts'
import { listParked, type ParkedRoom } from '../store/parked.ts'
import type { Queryable } from '../store/pool.ts'

export interface ParkDetails extends Omit<ParkedRoom, 'parked_at'> {
  readonly parked_at: string
  /** Undefined where neither store has it, or it cannot be read. */
  readonly event?: { readonly type: string, readonly user_id: string, readonly timestamp: string } | undefined
  /** Text of the event as the log has it; only where asked for. */
  readonly content?: string | undefined
  /** End of the room's log; undefined where Redis cannot be asked. */
  readonly head_seq?: number | undefined
  /** Events from the parked one on. */
  readonly waiting?: number | undefined
}

/**
 * Undefined if it is not parked there. Throws faults of Postgres; what Redis does not answer is left out.
 * @param projection name and version
 */
export async function lookIntoPark ({ db, log }: { db: Queryable, log: RoomLog | undefined }, projection: string, roomId: string, { content }: { content: boolean }): Promise<ParkDetails | undefined> {
  const [parked] = await listParked(db, { projection, room_id: roomId, limit: 1 })
  if (parked === undefined) return undefined
  const [[archived], fresh, head] = await Promise.all([
    archivedAt(db, roomId, [parked.seq]),
    log?.at(roomId, [parked.seq]).then(found => found.get(parked.seq), () => undefined),
    log?.heads([roomId]).then(({ heads }) => heads.get(roomId)?.seq, () => undefined),
  ])
  const entry = archived ?? fresh
  return {
    ...parked,
    parked_at: parked.parked_at.toISOString(),
    ...given('event', entry === undefined ? undefined : shownOf(entry)),
    ...given('content', content ? entry?.data : undefined),
    ...given('head_seq', head),
    ...given('waiting', head === undefined ? undefined : Math.max(0, head - parked.seq + 1)),
  }
}

/** What may be shown of it to whoever did not ask for its content. */
function shownOf (entry: LogEvent): ParkDetails['event'] {
  try {
    const { type, user_id, timestamp } = decodeEvent(entry)
    return { type: String(type), user_id: String(user_id), timestamp: String(timestamp) }
  } catch {
    return undefined // that is why it is parked
  }
}

function given<N extends string, T> (name: N, value: T | undefined): { [K in N]?: T } {
  return value === undefined ? {} : { [name]: value } as { [K in N]?: T }
}
