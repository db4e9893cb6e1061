// A long room: whoever goes through all of them has a bounded part of it in the page and in memory at any time, and reading along while
// very much comes in stays at the end. How smooth that is, among 10,000 messages, `npm run bench -- web` measures.
import t from 'tap'
import { until } from '../until.ts'
import { lacksBrowser, webWorld } from './browser.ts'
import { author, fill, flow } from './crowd.ts'

const MESSAGES = 3_000
/** Rows of three screens or so, and what the list holds: WINDOW_MAX of `timeline.ts`, and a page. */
const ROWS_MAX = 200
const KEPT_MAX = 1_000

/** Goes up to the oldest message that is loaded, again and again, until the first is there; resolves with the most that was held. */
const THROUGH = `(async () => {
  const list = () => document.querySelector('[data-testid=messages]')
  const most = { rows: 0, kept: 0, seen: 0 }
  let last
  for (;;) {
    const rows = [...document.querySelectorAll('[data-testid=message]')]
    const first = rows[0]?.dataset.seq
    most.rows = Math.max(most.rows, rows.length)
    most.kept = Math.max(most.kept, Number(list().dataset.kept))
    if (first !== last) most.seen++
    last = first
    if (rows[0]?.dataset.seq === '2') return most // the first event made the lobby
    list().scrollTop = 0
    await new Promise(resolve => setTimeout(resolve, 20))
  }
})()`

/** Pixels to the end of the list; and those that are too many in the next second. */
const GAP = '(list => list.scrollHeight - list.scrollTop - list.clientHeight)(document.querySelector("[data-testid=messages]"))'
const GAPS = `(async () => {
  const gaps = []
  for (const end = performance.now() + 1000; performance.now() < end; await new Promise(resolve => setTimeout(resolve, 20))) gaps.push(${GAP})
  return gaps.filter(gap => gap > 1)
})()`

t.test('a long room', { skip: lacksBrowser, timeout: 600_000 }, async t => {
  const world = await webWorld(t, { SENDS_BURST: '1000000' })
  const authors = await Promise.all([1, 2, 3].map(async n => await author(world.url, `author${n}`)))
  t.teardown(() => { for (const { close } of authors) close() })
  const ada = await world.person('ada')
  await fill(authors, MESSAGES)
  await ada.open('Lobby')
  await ada.message(`message number ${MESSAGES}:`).waitFor()

  await t.test('all of it is gone through, and never more than a part of it held', async t => {
    const most = await ada.page.evaluate(THROUGH) as { rows: number, kept: number, seen: number }
    t.comment(most)
    t.ok(most.rows > 5 && most.rows <= ROWS_MAX, `${most.rows} rows in the page`)
    t.ok(most.kept > ROWS_MAX && most.kept <= KEPT_MAX, `${most.kept} messages in the list`)
    await ada.page.getByRole('button', { name: 'Jump to newest' }).click()
    await ada.message(`message number ${MESSAGES}:`).waitFor()
  })

  let head = 1 + MESSAGES // the first event made the lobby
  const more = async (perSecond: number, seconds: number): Promise<void> => {
    await flow(authors, head - 1, perSecond, seconds)
    head += perSecond * seconds
  }
  const held = async (): Promise<number> => await ada.page.evaluate('Number(document.querySelector("[data-testid=messages]").dataset.kept)') as number

  for (const [perSecond, seconds] of [[1_000, 1], [100, 6]] as const) {
    await t.test(`whoever reads along stays at the end, and what they have seen is let go: ${perSecond} messages/s`, async t => {
      await more(perSecond, seconds)
      await ada.page.locator(`[data-testid=message][data-seq="${head}"]`).waitFor() // whichever it is: authors do not wait for each other
      t.equal(await ada.page.getByRole('button', { name: 'Jump to newest' }).count(), 0, 'it is at the end')
      await until(async () => await ada.page.evaluate(GAP) as number <= 1, { what: 'the list to stand at its very end' })
      t.same(await ada.page.evaluate(GAPS), [], 'and it stays there')
      t.ok(await ada.page.getByTestId('message').count() <= ROWS_MAX, 'rows in the page')
      t.ok(await held() <= KEPT_MAX, 'messages in the list')
    })
  }

  await t.test('whoever scrolls up while much comes in is not drawn back', async t => {
    const coming = more(100, 4)
    await ada.page.mouse.move(800, 400)
    for (let i = 0; i < 5; i++) await ada.page.mouse.wheel(0, -300)
    await ada.page.getByRole('button', { name: 'Jump to newest' }).waitFor()
    await coming
    t.equal(await ada.page.getByRole('button', { name: 'Jump to newest' }).count(), 1)
    t.ok(await ada.page.evaluate(GAP) as number > 1_000, 'still where they were')
    await ada.page.getByRole('button', { name: 'Jump to newest' }).click()
    await ada.page.locator(`[data-testid=message][data-seq="${head}"]`).waitFor()
    await until(async () => await ada.page.evaluate(GAP) as number <= 1, { what: 'the way back to lead to the very end' })
  })

  await t.test('whoever has scrolled up stays there, and no more is held however much comes', async t => {
    await ada.page.mouse.move(800, 400)
    await ada.page.mouse.wheel(0, -1_500)
    await ada.page.getByRole('button', { name: 'Jump to newest' }).waitFor()
    await more(1_000, 1)
    await until(async () => await held() > 880, { what: 'as much to be held as may be' })
    t.ok(await held() <= KEPT_MAX, 'messages in the list')
    t.equal(await ada.page.locator(`[data-testid=message][data-seq="${head}"]`).count(), 0)
    await ada.page.getByRole('button', { name: 'Jump to newest' }).click()
    await ada.page.locator(`[data-testid=message][data-seq="${head}"]`).waitFor()
  })
})
