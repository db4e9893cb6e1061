/** Reactions as of the checkpoint of history. Written by `projections/history.ts` alone. */
import type { Queryable } from './pool.ts'

/** The different emoji on a message. */
export async function emojiOn (db: Queryable, roomId: string, seq: number): Promise<string[]> {
  const { rows } = await db.query<{ emoji: string }>({
    name: 'emoji_on',
    text: `
    SELECT DISTINCT emoji
      FROM reactions
     WHERE room_id = $1
       AND message_seq = $2`,
    values: [roomId, seq],
  })
  return rows.map(({ emoji }) => emoji)
}
