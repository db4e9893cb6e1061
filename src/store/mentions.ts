/**
 * Messages that name a user, in the read model `mentions`: where they are, the latest first. What they say now is read from the room
 * itself by the caller, who also asks whether the user may read it [G9].
 */
import type { Queryable } from './pool.ts'

/** In the place of a user: everyone in the room, by `@room`. */
export const EVERYONE = '00000000-0000-0000-0000-000000000000'

/** Where a mention is: when it was made, in epoch milliseconds, and the message. */
export interface MentionKey { readonly at: number, readonly room_id: string, readonly seq: number }
/** `everyone`: they are named by `@room` alone. */
export type Mention = MentionKey & { readonly everyone: boolean }

/**
 * Mentions before a place, the latest first.
 * @param rooms where `@room` names them: after the seq at which they came in
 */
export async function mentionsOf (db: Queryable, userId: string, rooms: ReadonlyArray<{ readonly room_id: string, readonly joined_seq: number }>, { before, limit }: { readonly before: MentionKey | undefined, readonly limit: number }): Promise<Mention[]> {
  const { rows } = await db.query<{ room_id: string, seq: number, at: number, everyone: boolean }>({
    name: 'mentions_of',
    text: `
    SELECT room_id, seq, (extract(epoch FROM named_at) * 1000)::bigint AS at, everyone
      FROM (
           (SELECT room_id, seq, named_at, false AS everyone
              FROM mentions
             WHERE user_id = $1
               AND (named_at, room_id, seq) < ($2::timestamptz, $3::uuid, $4::bigint)
             ORDER BY named_at DESC, room_id DESC, seq DESC
             LIMIT $5)
            UNION ALL
           (SELECT everyone.*
              FROM unnest($6::uuid[], $7::bigint[]) AS room (room_id, joined_seq)
             CROSS JOIN LATERAL (
                   SELECT room_id, seq, named_at, true
                     FROM mentions
                    WHERE mentions.room_id = room.room_id
                      AND user_id = '${EVERYONE}'
                      AND seq > room.joined_seq
                      AND named_at <= $2::timestamptz
                      AND (named_at, room_id, seq) < ($2::timestamptz, $3::uuid, $4::bigint)
                      AND NOT EXISTS (SELECT FROM mentions AS mine WHERE mine.room_id = mentions.room_id AND mine.seq = mentions.seq AND mine.user_id = $1)
                    ORDER BY named_at DESC, seq DESC
                    LIMIT $5) AS everyone
             ORDER BY named_at DESC, room_id DESC, seq DESC
             LIMIT $5)) AS named (room_id, seq, named_at, everyone)
     ORDER BY named_at DESC, room_id DESC, seq DESC
     LIMIT $5`,
    values: [userId, before === undefined ? 'infinity' : new Date(before.at), before?.room_id ?? EVERYONE, before?.seq ?? 0, limit, rooms.map(({ room_id }) => room_id), rooms.map(({ joined_seq }) => joined_seq)],
  })
  return rows
}
