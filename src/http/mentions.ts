/**
 * Messages that name me, the latest first: by my name in any room that I may read, or by `@room` in rooms that I am in (but the lobby,
 * where everyone is), since I came in. As far as the read model is; access, and whom a message names now, are asked of the room.
 */
import Type from 'typebox'
import { mentionsOf, type Mention, type MentionKey } from '../store/mentions.ts'
import type { Message as MessageItem } from '../store/messages.ts'
import { about } from './about.ts'
import { identityOf, Limit, listOf, UUID_PATTERN, type App } from './app.ts'
import { Cursor, cursorFrom, cursorText, FoundMessage, messagesOf, myRooms, placeKey, readable } from './found.ts'
import type { RoomReads } from './room-reads.ts'

/** Times that more is read for one page, where much of it is not the asker's any more; then the page is given as it is. */
const ROUNDS_MAX = 4

const Query = Type.Object({ before: Cursor, limit: Limit })
const Named = FoundMessage({ named_at: Type.String({ description: 'When I was named: by the message, or by an edit of it' }) })
const Place = Type.Object({ at: Type.Integer({ minimum: 0, maximum: 8.64e15 }), room_id: Type.String({ pattern: UUID_PATTERN }), seq: Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }) })

export function mentionsRoutes (app: App, deps: RoomReads): void {
  app.get('/mentions', { schema: { ...about('Messages', 'Messages that name me, the latest first', 'busy'), querystring: Query, response: { 200: listOf(Named, Type.String()) } } }, async request => {
    const { user_id } = identityOf(request)
    const { before, limit = 50 } = request.query
    const first: MentionKey | undefined = before === undefined ? undefined : cursorFrom(Place, before)
    return await deps.gate(async () => await page(user_id, first, limit))
  })

  async function page (userId: string, first: MentionKey | undefined, limit: number) {
    const readings = await myRooms(deps, userId)
    const mine = [...readings].map(([room_id, { member: { joined_seq } }]) => ({ room_id, joined_seq }))
    const items: Array<MessageItem & { room_id: string, named_at: string }> = []
    let before = first
    for (let round = 0; round < ROUNDS_MAX; round++) {
      const missing = limit - items.length
      const found = await mentionsOf(deps.store, userId, mine, { before, limit: missing + 1 })
      const looked = found.slice(0, missing)
      const unknown = [...new Set(looked.map(({ room_id }) => room_id))].filter(id => !readings.has(id))
      if (unknown.length > 0) for (const [id, reading] of await readable(deps, unknown, userId)) readings.set(id, reading)
      const messages = await messagesOf(deps, looked, readings)
      for (const mention of looked) {
        const message = messages.get(placeKey(mention))
        if (message !== undefined && names(message, mention, userId)) items.push({ room_id: mention.room_id, ...message, named_at: new Date(mention.at).toISOString() })
      }
      const last = looked.at(-1)
      if (found.length <= missing || last === undefined) return { items, next: null }
      before = { at: last.at, room_id: last.room_id, seq: last.seq }
      if (items.length === limit) break
    }
    return { items, next: cursorText(before!) }
  }
}

/** Whether it still does. Who writes `@room` means the others. */
function names ({ user_id, mentions, mentions_room }: MessageItem, { everyone }: Mention, userId: string): boolean {
  return everyone ? mentions_room === true && user_id !== userId : mentions.includes(userId)
}
