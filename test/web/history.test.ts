// Loading history: pages come before what one reads without moving it, all the way to the beginning, and the way back is one button.
import t from 'tap'
import { until } from '../until.ts'
import { lacksBrowser, webWorld } from './browser.ts'

const MESSAGES = 250
const FIRST = /line 1(?!\d)/
const RATE = { SENDS_BURST: '1000' }

interface Place { seq: string, top: number }
const PLACE = `(() => {
  const row = [...document.querySelectorAll('[data-testid=message]')].find(row => row.getBoundingClientRect().top > 200)
  return { seq: row.dataset.seq, top: row.getBoundingClientRect().top }
})()`
/** Pixels to the end. */
const GAP = '(list => list.scrollHeight - list.scrollTop - list.clientHeight)(document.querySelector("[data-testid=messages]"))'
const topOf = (seq: string): string => `document.querySelector('[data-seq="${seq}"]')?.getBoundingClientRect().top`

t.test('history', { skip: lacksBrowser }, async t => {
  const world = await webWorld(t, RATE)
  const ada = await world.person('ada')
  await ada.open('Lobby')
  const writer = await world.person('writer')
  await writer.page.evaluate(`(async () => {
    const token = (await (await fetch('/auth/login', { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ username: 'writer', password: 'correct horse battery' }) })).json()).access_token
    for (let i = 1; i <= ${MESSAGES}; i++) await fetch('/rooms/lobby/messages', { method: 'POST', headers: { 'content-type': 'application/json', authorization: 'Bearer ' + token }, body: JSON.stringify({ content: 'line ' + i + ' ' + 'word '.repeat((i * 7) % 60) }) })
  })()`)
  await ada.message(`line ${MESSAGES}`).waitFor()
  await until(async () => await ada.page.evaluate(GAP) as number < 5, { what: 'who is at the end to stay there' })

  await ada.page.goto('about:blank')
  await ada.page.goto(world.url) // the newest page only is in the cache, or less
  await ada.open('Lobby')
  await ada.message(`line ${MESSAGES}`).waitFor()
  await ada.page.mouse.move(800, 400)
  const moved: number[] = []
  /** Where the wheel's own movement ends. */
  const whereItStops = async (): Promise<Place> => {
    await ada.page.waitForTimeout(200)
    for (let place = await ada.page.evaluate(PLACE) as Place; ;) {
      await ada.page.waitForTimeout(100)
      const next = await ada.page.evaluate(PLACE) as Place
      if (next.seq === place.seq && next.top === place.top) return place
      place = next
    }
  }
  for (let i = 0; i < 60 && await ada.message(FIRST).count() === 0; i++) {
    await ada.page.mouse.wheel(0, -500)
    const { seq, top } = await whereItStops()
    await ada.page.waitForTimeout(300) // pages come
    const now = await ada.page.evaluate(topOf(seq)) as number | undefined
    if (now === undefined || Math.abs(now - top) > 2) moved.push((now ?? 0) - top)
  }
  t.equal(await ada.message(FIRST).count(), 1, 'the first message is reached')
  t.same(moved, [], 'what one reads does not move when older messages come')
  await ada.page.getByRole('button', { name: 'Jump to newest' }).click()
  await ada.message(`line ${MESSAGES}`).waitFor()
})
