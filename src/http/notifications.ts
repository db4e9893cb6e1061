/** When whoever asks does not want to be disturbed by notifications. What they want to be told of in a room is at the room (`unread.ts`). */
import Type from 'typebox'
import { changeSettings, isTimeZone, settingsOf, type Dnd } from '../store/notification-settings.ts'
import type { Queryable } from '../store/pool.ts'
import { about } from './about.ts'
import { identityOf, type App } from './app.ts'
import { refuse } from './problems.ts'

const ZONE_CHARS_MAX = 64
const TIME_PATTERN = '^([01]\\d|2[0-3]):[0-5]\\d$'

const Hours = Type.Object({
  from: Type.String({ pattern: TIME_PATTERN, description: 'HH:MM' }),
  to: Type.String({ pattern: TIME_PATTERN, description: 'HH:MM; over midnight if it is before `from`' }),
})
const Settings = Type.Object({
  dnd_until: Type.Union([Type.String({ description: 'RFC 3339, UTC: nothing before then' }), Type.Null()]),
  dnd_hours: Type.Union([Hours, Type.Null()], { description: 'Nothing between these times of every day' }),
  time_zone: Type.String({ description: 'IANA name of the time zone of these hours' }),
})
const Change = Type.Object({
  dnd_until: Type.Optional(Type.Union([Type.String({ pattern: '^\\d{4}-\\d\\d-\\d\\dT[\\d:.]{5,15}(Z|[+-]\\d\\d:\\d\\d)$', description: 'RFC 3339' }), Type.Null()])),
  dnd_hours: Type.Optional(Type.Union([Hours, Type.Null()])),
  time_zone: Type.Optional(Type.String({ minLength: 1, maxLength: ZONE_CHARS_MAX })),
}, { minProperties: 1 })

export function notificationsRoutes (app: App, { store }: { store: Queryable }): void {
  app.get('/me/notifications', { schema: { ...about('Notifications', 'When I do not want to be disturbed'), response: { 200: Settings } } }, async request => {
    return shown(await settingsOf(store, identityOf(request).user_id))
  })

  app.patch('/me/notifications', { schema: { ...about('Notifications', 'Say when I do not want to be disturbed'), body: Change, response: { 200: Settings } } }, async request => {
    const { dnd_until, dnd_hours, time_zone } = request.body
    if (typeof dnd_until === 'string' && Number.isNaN(Date.parse(dnd_until))) refuse('bad_request', 'dnd_until must be a time', 'dnd_until')
    if (time_zone !== undefined && !isTimeZone(time_zone)) refuse('bad_request', 'time_zone must be the IANA name of a time zone', 'time_zone')
    return shown(await changeSettings(store, identityOf(request).user_id, {
      ...(dnd_until === undefined ? {} : { dnd_until: dnd_until === null ? null : new Date(dnd_until) }),
      ...(dnd_hours === undefined ? {} : { dnd_from: dnd_hours?.from ?? null, dnd_to: dnd_hours?.to ?? null }),
      ...(time_zone === undefined ? {} : { time_zone }),
    }))
  })
}

function shown ({ dnd_until, dnd_from, dnd_to, time_zone }: Dnd) {
  return { dnd_until: dnd_until?.toISOString() ?? null, dnd_hours: dnd_from === null || dnd_to === null ? null : { from: dnd_from, to: dnd_to }, time_zone }
}
