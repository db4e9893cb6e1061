// The web client in a real browser: Millrace as in production (a gateway that serves the build, a projector, a real Redis and Postgres), and
// Chromium as the system has it. Everything that a page reports as an error fails the test that opened it.
import { existsSync } from 'node:fs'
import { chromium, type Browser, type BrowserContext, type BrowserContextOptions, type Locator, type Page } from 'playwright-core'
import { buildWeb } from '../../src/cli/web-build.ts'
import { liveWorld } from '../gateway/live.ts'

const CHROMIUM = '/usr/bin/chromium'
/** Milliseconds that a page has to show what is waited for. */
const ANSWER_MS = 40_000
/** Most that the client waits between two tries, and what a try takes. */
const RECONNECT_MS = 60_000
export const PASSWORD = 'correct horse battery'
/** Set to why the tests of pages cannot run here. With MILLRACE_SKIPS=fail they are run, and fail. */
export const lacksBrowser = existsSync(CHROMIUM) || process.env.MILLRACE_SKIPS === 'fail' ? false : `${CHROMIUM} is not there`

export interface Test { teardown: (fn: () => unknown) => unknown, fail: (message: string) => unknown }

export interface Person {
  readonly name: string
  readonly page: Page
  readonly context: BrowserContext
  /** All messages in the page, in their order, by what they say. */
  texts: () => Promise<string[]>
  say: (text: string) => Promise<void>
  message: (text: string | RegExp) => Locator
  open: (room: string) => Promise<void>
  /** Waits for what the chip says of the connection. */
  connection: (state: 'live' | 'offline') => Promise<void>
}

export async function webWorld (t: Test, env: Record<string, string> = {}) {
  await built()
  const world = await liveWorld(t, { env })
  return { ...world, ...await browserAt(t, world.url) }
}

/** The build is there, and up to date. */
export async function built (): Promise<void> {
  const lines: string[] = []
  if (!await buildWeb({ out: line => { lines.push(line) }, env: process.env })) throw new Error(lines.join('\n'))
}

/** Chromium, for the page that is served at `url`. */
export async function browserAt (t: Test, url: string) {
  const browser: Browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox', '--disable-dev-shm-usage'] })
  t.teardown(async () => { await browser.close() })

  /** A page in a browser of its own. `expects`: what it may report without failing the test. */
  async function open (options: BrowserContextOptions = {}, expects: RegExp = /ERR_INTERNET_DISCONNECTED|ERR_CONNECTION_REFUSED|WebSocket connection|status of 401/): Promise<{ context: BrowserContext, page: Page }> {
    const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options })
    context.setDefaultTimeout(ANSWER_MS)
    return { context, page: watch(await context.newPage(), expects) }
  }

  function watch (page: Page, expects: RegExp): Page {
    page.on('pageerror', error => { t.fail(`the page threw ${error.stack ?? error.message}`) })
    page.on('console', message => { if (message.type() === 'error' && !expects.test(message.text())) t.fail(`the page says ${message.text()} ${message.location().url}`) })
    return page
  }

  /** Somebody who signed up by the page itself. */
  async function person (name: string, options?: BrowserContextOptions, expects?: RegExp): Promise<Person> {
    const { context, page } = await open(options, expects)
    await page.goto(url)
    await page.getByRole('tab', { name: 'Sign up' }).click()
    await page.getByLabel('User name').fill(name)
    await page.getByLabel('Password').fill(PASSWORD)
    await page.getByRole('button', { name: 'Create account' }).click()
    return await personIn(page, context, name)
  }

  async function personIn (page: Page, context: BrowserContext, name: string): Promise<Person> {
    const messages = page.getByTestId('message')
    const connection = async (state: string): Promise<void> => { await page.locator(`[data-testid=connection][data-state=${state}]`).first().waitFor({ timeout: RECONNECT_MS }) }
    await connection('live')
    return {
      name,
      page,
      context,
      connection,
      texts: async () => await messages.locator('.mr-content').allInnerTexts(),
      message: text => messages.filter({ hasText: text }),
      async say (text) {
        await page.getByTestId('composer').fill(text)
        await page.getByTestId('composer').press('Enter')
      },
      async open (room) {
        await page.getByRole('link', { name: new RegExp(`^${room}`) }).click()
        await page.locator('header h2').filter({ hasText: new RegExp(`^${room}`) }).waitFor() // until then, where one writes is the room before
      },
    }
  }

  return { browser, open, watch, person, personIn }
}
