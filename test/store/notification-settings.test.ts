// When somebody does not want to be disturbed.
import t from 'tap'
import { isDnd, isTimeZone } from '../../src/store/notification-settings.ts'

const at = (time: string): number => Date.parse(`2026-11-20T${time}:00Z`)
const hours = (dnd_from: string, dnd_to: string, time_zone = 'UTC') => ({ dnd_until: null, dnd_from, dnd_to, time_zone })

t.test('between two times of the day, over midnight too, where they are', async t => {
  const cases: Array<[ReturnType<typeof hours>, string[], string[]]> = [
    [hours('09:00', '17:30'), ['09:00', '12:00', '17:29'], ['08:59', '17:30', '00:00']],
    [hours('22:00', '07:00'), ['22:00', '00:00', '06:59'], ['21:59', '07:00', '12:00']],
    [hours('22:00', '07:00', 'Asia/Tokyo'), ['13:00', '21:59'], ['12:59', '22:00']],
    [hours('00:00', '00:00'), [], ['00:00', '12:00']],
  ]
  for (const [settings, inside, outside] of cases) {
    for (const time of inside) t.ok(isDnd(settings, at(time)), `${settings.dnd_from}–${settings.dnd_to} ${settings.time_zone}: ${time}`)
    for (const time of outside) t.notOk(isDnd(settings, at(time)), `${settings.dnd_from}–${settings.dnd_to} ${settings.time_zone}: not ${time}`)
  }
})

t.test('until a time, or never', async t => {
  const settings = { dnd_until: new Date(at('12:00')), dnd_from: null, dnd_to: null, time_zone: 'UTC' }
  t.ok(isDnd(settings, at('11:59')))
  t.notOk(isDnd(settings, at('12:00')))
  t.notOk(isDnd({ ...settings, dnd_until: null }, at('11:59')))
  t.ok(isTimeZone('Europe/Vienna'))
  t.notOk(isTimeZone('Europe/Nowhere'))
})
