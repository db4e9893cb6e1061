/**
 * The web client in Chromium, as it is built and served: a room of 10,000 messages of all kinds, scrolled through from the newest to the first, and then
 * 100 messages a second coming in. Told by the browser itself: long tasks (PerformanceObserver), the time between frames (requestAnimationFrame), the
 * heap after garbage collection (DevTools). Millrace alone.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { chromium, type CDPSession, type Page } from 'playwright-core'
import { buildWeb } from '../../src/cli/web-build.ts'
import { LOBBY_ID } from '../../src/domain/lobby.ts'
import { author, fill, flow } from '../../test/web/crowd.ts'
import type { ScenarioContext } from '../main.ts'
import { openLag } from '../projections.ts'
import { atMost, row, type Result } from '../results.ts'

const CHROMIUM = '/usr/bin/chromium'
const AUTHORS = 5
/** Pixels of a turn of the wheel, and milliseconds between two: some 12,000 pixels a second. */
const WHEEL_PX = 600
const WHEEL_MS = 50
/** What the browser calls a long task, in milliseconds. */
const LONG_MS = 50
const SCROLL_MS_MAX = 240_000
/** Seq of the first message: the lobby's own creation comes before it. Which author's message is which, nobody can tell before. */
const FIRST_SEQ = 2

interface Seen { readonly tasks: readonly number[], readonly frames: readonly number[] }

/** Runs in the page: what the browser says of itself between `begin` and `end`. */
const WATCH = `window.watch = (() => {
  let tasks = [], frames = [], isOn = false, last = 0
  const observer = new PerformanceObserver(list => { if (isOn) tasks.push(...list.getEntries().map(({ duration }) => duration)) })
  observer.observe({ type: 'longtask' })
  const step = now => { if (isOn) { if (last > 0) frames.push(now - last); last = now; requestAnimationFrame(step) } }
  return {
    begin () { tasks = []; frames = []; last = 0; isOn = true; requestAnimationFrame(step) },
    end () { tasks.push(...observer.takeRecords().map(({ duration }) => duration)); isOn = false; return { tasks, frames } },
  }
})()`

export async function web ({ stage, say, quick }: ScenarioContext): Promise<Pick<Result, 'title' | 'settings' | 'rows' | 'verdicts' | 'raw'>> {
  const settings = quick ? { messages: 300, perSecond: 20, seconds: 2 } : { messages: 10_000, perSecond: 100, seconds: 20 }
  const { messages, perSecond, seconds } = settings
  if (!await buildWeb({ out: say, env: process.env })) throw new Error('there is no web client to measure')
  const server = await stage.millrace({ SENDS_BURST: '1000000' })
  await server.startProjector()
  const lag = await openLag(server)
  const url = server.gateway.url
  const authors = await Promise.all(Array.from({ length: AUTHORS }, async (_, i) => await author(url, `author${i + 1}`)))
  await fill(authors, messages)
  await lag.until([LOBBY_ID], await lag.logged([LOBBY_ID]), 120_000)
  await lag.close()
  say(`${messages} messages are there`)

  const browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox', '--disable-dev-shm-usage', '--enable-precise-memory-info'] })
  try {
    const context = await browser.newContext({ viewport: { width: 1280, height: 800 } })
    const page = await context.newPage()
    await page.addInitScript(WATCH)
    const nth = (n: number) => page.locator(`[data-testid=message][data-seq="${FIRST_SEQ + n - 1}"]`)
    await page.goto(url)
    await page.getByRole('tab', { name: 'Guest' }).click()
    await page.getByLabel('User name').fill('reader')
    await page.getByRole('button', { name: 'Come in' }).click()
    await page.getByRole('link', { name: /^Lobby/ }).click()
    await nth(messages).waitFor()
    await sleep(quick ? 500 : 5_000) // the worker fetches all parts of the page
    const devtools = await context.newCDPSession(page)
    const open = await heapMb(devtools)

    const up = await scrollUp(page, devtools, messages, say)
    const top = await heapMb(devtools)
    await page.getByRole('button', { name: 'Jump to newest' }).click()
    await nth(messages).waitFor()
    const back = await heapMb(devtools)

    await page.evaluate('watch.begin()')
    await flow(authors, messages, perSecond, seconds)
    await nth(messages + perSecond * seconds).waitFor()
    const live = await page.evaluate('watch.end()') as Seen
    const rowsLive = await domRows(page)
    const after = await heapMb(devtools)
    say(`live: ${live.tasks.length} long tasks, heap ${after.toFixed(1)} MB`)

    const scrolled = `scrolling through ${messages} messages, ${Math.round(up.ms / 1000)} s`
    const incoming = `${perSecond} messages/s coming in, ${seconds} s`
    return {
      title: `web: ${messages} messages in Chromium`,
      settings,
      rows: [
        ...smooth(scrolled, up.seen),
        row(scrolled, 'rows in the page, at most', '', [up.domRows], undefined, atMost(200, 'rows')),
        row(scrolled, 'heap with the newest page, after GC', 'MB', [open]),
        row(scrolled, `heap after ${up.full} messages, window full`, 'MB', [up.heaps[0] ?? top]),
        row(scrolled, 'heap at the first message', 'MB', [top]),
        row(scrolled, 'the most against the window just full', '×', [Math.max(top, ...up.heaps) / (up.heaps[0] ?? top)], undefined, atMost(1.25, '×')),
        row(scrolled, 'heap at the newest again', 'MB', [back]),
        ...smooth(incoming, live),
        row(incoming, 'rows in the page', '', [rowsLive], undefined, atMost(200, 'rows')),
        row(incoming, 'heap after it', 'MB', [after]),
      ],
      verdicts: {}, // a message that did not come into the page would have ended the run
      raw: { heaps: { open, scrolling: up.heaps, top, back, after }, tasks: { scrolling: up.seen.tasks, incoming: live.tasks } },
    }
  } finally {
    await browser.close()
    for (const { close } of authors) close()
  }
}

function smooth (part: string, { tasks, frames }: Seen) {
  const sorted = frames.toSorted((a, b) => a - b)
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN
  return [
    row(part, `tasks of ${LONG_MS} ms and more`, '', [tasks.length], undefined, atMost(0, '')),
    row(part, 'the longest of them (0: none)', 'ms', [Math.max(0, ...tasks)]),
    row(part, 'from frame to frame, p50', 'ms', [at(0.5)]),
    row(part, 'from frame to frame, p99', 'ms', [at(0.99)]),
    row(part, 'from frame to frame, at most', 'ms', [at(1)]),
  ]
}

const domRows = async (page: Page): Promise<number> => await page.evaluate('document.querySelectorAll("[data-testid=message]").length')

async function heapMb (devtools: CDPSession): Promise<number> {
  await devtools.send('HeapProfiler.enable')
  for (let i = 0; i < 2; i++) await devtools.send('HeapProfiler.collectGarbage')
  const { usedSize } = await devtools.send('Runtime.getHeapUsage')
  return usedSize / 2 ** 20
}

/** By the wheel, from the newest message to the first. Looks at the heap each time that a tenth was passed, while nothing is watched: collecting garbage is a long task. */
async function scrollUp (page: Page, devtools: CDPSession, messages: number, say: (line: string) => void) {
  const heaps: number[] = []
  const seen = { tasks: [] as number[], frames: [] as number[] }
  let most = 0
  let ms = 0
  const add = async (): Promise<void> => {
    const { tasks, frames } = await page.evaluate('watch.end()') as Seen
    seen.tasks.push(...tasks)
    for (const frame of frames) seen.frames.push(frame)
  }
  const step = messages / 10
  let next = messages - step
  await page.mouse.move(800, 400)
  await page.evaluate('watch.begin()')
  let began = performance.now()
  const first = page.locator(`[data-testid=message][data-seq="${FIRST_SEQ}"]`)
  for (const end = began + SCROLL_MS_MAX; ;) {
    await page.mouse.wheel(0, -WHEEL_PX)
    await sleep(WHEEL_MS)
    const [rows, oldest] = await page.evaluate('(all => [all.length, Number(all[0]?.dataset.seq ?? NaN)])([...document.querySelectorAll("[data-testid=message]")])') as [number, number]
    most = Math.max(most, rows)
    if (oldest <= next) {
      ms += performance.now() - began
      await add()
      heaps.push(await heapMb(devtools))
      say(`at seq ${oldest}: ${seen.tasks.length} long tasks, heap ${heaps.at(-1)!.toFixed(1)} MB`)
      next -= step
      await page.evaluate('watch.begin()')
      began = performance.now()
    }
    if (await first.count() > 0) break
    if (performance.now() > end) throw new Error(`the first message was not reached in ${SCROLL_MS_MAX / 1000} s, but seq ${oldest}`)
  }
  ms += performance.now() - began
  await add()
  return { seen, heaps, domRows: most, ms, full: step }
}
