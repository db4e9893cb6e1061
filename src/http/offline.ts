/**
 * What one device of whoever asks was not delivered: by room, from the device's delivered mark on (without one, from when they came in),
 * so that a client that comes back knows what waits before it resumes.
 */
import Type from 'typebox'
import { about } from './about.ts'
import { identityOf, type App } from './app.ts'
import type { Gate } from './gate.ts'
import { asOf, AsOf, roomsNow, type UnreadDeps } from './unread.ts'

const Query = Type.Object({ device_id: Type.String({ minLength: 1, maxLength: 100, pattern: '^[^\\u0000\\ud800-\\udfff]+$', description: 'As it was named in `hello`' }) })
const Item = Type.Object({
  room_id: Type.String(),
  from_seq: Type.Integer({ description: 'The first event that was not delivered' }),
  to_seq: Type.Integer({ description: 'The newest event' }),
  count: Type.Integer({ description: 'Messages among them that are not deleted, my own from other devices included' }),
})

export function offlineRoutes (app: App, deps: UnreadDeps & { gate: Gate }): void {
  app.get('/offline', { schema: { ...about('Log', 'What a device of mine was not delivered', 'busy'), querystring: Query, response: { 200: Type.Object({ items: Type.Array(Item), as_of: AsOf }) } } }, async request => {
    const { user_id } = identityOf(request)
    return await deps.gate(async () => {
      const found = await deps.counts.undelivered(user_id, request.query.device_id, await roomsNow(deps, user_id))
      return {
        items: found.map(({ room_id, from_seq, to_seq, count }) => ({ room_id, from_seq, to_seq, count })),
        ...asOf(found.map(({ room_id, applied_seq, to_seq }) => ({ room_id, applied_seq, head: to_seq }))),
      }
    })
  })
}
