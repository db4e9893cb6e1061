/**
 * The projection `notifications`: which rooms have messages of which it was not looked yet whom to tell. One row for each room and batch,
 * whatever the number of members and messages: who is told is found by `src/jobs/notify.ts`, when the delay is over.
 *
 * Not to be rebuilt: what it leads to is outside. So what is old notifies nobody, neither what is older than the first start (the archive
 * is read from its beginning then) nor what is older than a day (a room is replayed after a loss); and what was sent is kept by user and
 * room, in a table of the jobs' own.
 */
import type { Queryable } from '../src/store/pool.ts'
import { createColumns } from './columns.ts'
import type { Projection } from './projection.ts'

export const notifications: Projection = {
  name: 'notifications',
  version: 1,
  tables: ['notification_rooms'],
  rebuildable: false,
  async apply (tx, batch) {
    const columns = createColumns(4)
    for (const { room_id, events } of batch) {
      const messages = events.filter(({ event }) => event.type === 'message' && event.deleted !== true)
      const newest = messages.at(-1)
      if (newest !== undefined) columns.add(room_id, messages[0]!.entry.seq, newest.entry.seq, newest.event.timestamp)
    }
    if (columns.rows > 0) await note(tx, columns.parameters())
  },
  /** What was sent is not forgotten: the same messages are not told of twice. */
  async forget (tx, roomIds) {
    await tx.query('DELETE FROM notification_rooms WHERE room_id = ANY ($1::uuid[])', [roomIds])
  },
}

/** Since when a room waits is told by the clock of Postgres: gateways' clocks, by which events are stamped, may differ by more than the delay. */
async function note (tx: Queryable, columns: string[]): Promise<void> {
  await tx.query({
    name: 'notification_rooms',
    text: `
    INSERT INTO notification_rooms (room_id, first_seq, last_seq)
    SELECT said.room_id, said.first_seq, said.last_seq
      FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::timestamptz[]) AS said (room_id, first_seq, last_seq, newest)
     WHERE said.newest >= (SELECT greatest(started_at, now() - interval '1 day') FROM notification_start)
     ORDER BY said.room_id
        ON CONFLICT (room_id) DO UPDATE
       SET first_seq = least(notification_rooms.first_seq, excluded.first_seq),
           last_seq = greatest(notification_rooms.last_seq, excluded.last_seq)`,
    values: columns,
  })
}
