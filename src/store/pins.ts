/** Pinned messages of a room, the newest pin first: the read model joined with the log, as `history.ts` does it. */
import { foldMessages } from '../domain/messages.ts'
import type { Position } from '../domain/position.ts'
import { shownAll } from './history.ts'
import { HISTORY, MESSAGE_COLUMNS, reactionsTouched, storedMessages, type Message } from './messages.ts'
import { beyond, readSuffix, type LogReads, type Suffix } from './suffix.ts'

export type PinnedMessage = Message & { readonly pinned_by: string, readonly pinned_at: string }

export interface PinsPage {
  readonly items: PinnedMessage[]
  /** Hand it in as `before` for the page of older pins: the seq of a pin, not of a message. Null: there are none. */
  readonly next: number | null
  readonly as_of: Position
}

/** @param query `from`: only messages with seq > `from` are shown */
export async function pinsPage (deps: LogReads, { room_id, from = 0, before = Number.MAX_SAFE_INTEGER, limit }: { readonly room_id: string, readonly from?: number, readonly before?: number | undefined, readonly limit: number }): Promise<PinsPage> {
  const suffix = await readSuffix(deps, HISTORY, room_id)
  const page = {
    name: 'pins',
    page: `
           (SELECT ${MESSAGE_COLUMNS}
              FROM pins AS pin
              JOIN messages ON messages.room_id = pin.room_id AND messages.seq = pin.message_seq
             WHERE pin.room_id = $2
               AND pin.message_seq > $7
               AND pin.seq < $8
               AND pin.message_seq <> ALL ($10::bigint[])
             ORDER BY pin.seq DESC
             LIMIT $9)
            UNION ALL
           (SELECT ${MESSAGE_COLUMNS}
              FROM messages
             WHERE room_id = $2
               AND seq > $7
               AND seq = ANY ($10::bigint[]))`,
    values: [from, before, limit + 1, uncertain(suffix)],
  }
  const { at, rows } = await storedMessages(deps.store, room_id, page, reactionsTouched(suffix.events))
  const { events, as_of } = beyond(suffix, at, deps.chainOf)
  const all = shownAll(rows, foldMessages(events), suffix.deleted)
    .flatMap(({ message, pin }) => pin === undefined || message.seq <= from || pin.seq >= before ? [] : [{ message, pin }])
    .sort((a, b) => b.pin.seq - a.pin.seq)
  const shown = all.slice(0, limit)
  return {
    items: shown.map(({ message, pin }) => ({ ...message, pinned_by: pin.user_id, pinned_at: pin.timestamp })),
    next: all.length > limit ? shown.at(-1)!.pin.seq : null,
    as_of,
  }
}

/** Messages that the suffix pins, unpins or deletes: they are read whatever the read model says. */
function uncertain ({ events, deleted }: Suffix): number[] {
  const seqs = new Set(deleted)
  for (const { event } of events) if (event.type === 'pin' || event.type === 'delete') seqs.add(event.message_seq)
  return [...seqs]
}
