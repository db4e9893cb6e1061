// Every screen at one width, light and dark: nothing sticks out of the page, and axe-core finds no serious violation in any. Pictures
// of them go to a folder, which is kept where SCREENS names one.
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { AxeResults } from 'axe-core'
import type { Page } from 'playwright-core'
import type { Test } from 'tap'
import { http } from '../client.ts'
import { PASSWORD, webWorld } from './browser.ts'
import { lively } from './lively.ts'

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const SCHEMES = ['light', 'dark'] as const
const WORST = new Set(['serious', 'critical'])
/** Time for pictures and menus to come to rest. */
const REST_MS = 350

export async function screens (t: Test, viewport: { width: number, height: number }): Promise<void> {
  const dir = process.env.SCREENS ?? mkdtempSync(join(tmpdir(), 'millrace-screens-'))
  mkdirSync(dir, { recursive: true })
  if (process.env.SCREENS === undefined) t.teardown(() => { rmSync(dir, { recursive: true }) })
  const world = await webWorld(t)
  const { page, context } = await world.open({ viewport, reducedMotion: 'reduce' })
  const { width } = viewport

  /** Looks at what is shown now, in both schemes. */
  async function look (name: string): Promise<void> {
    for (const colorScheme of SCHEMES) {
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' })
      await page.waitForTimeout(REST_MS)
      await page.screenshot({ path: join(dir, `${name}-${width}-${colorScheme}.png`) })
      const found = await violations(page)
      t.same(found, [], `${name}, ${width} px, ${colorScheme}: axe has nothing to say`)
    }
    t.ok(await page.evaluate('document.documentElement.scrollWidth <= innerWidth'), `${name}, ${width} px: nothing sticks out`)
  }

  /** Opens what stands beside a conversation: on a phone it is in a menu. */
  async function beside (name: string): Promise<void> {
    if (width >= 900) return await page.getByRole('button', { name }).click()
    await page.getByRole('button', { name: 'More of this room' }).click()
    await page.getByRole('menuitem', { name }).click()
  }

  await page.goto(world.url)
  await t.test('the door', async () => {
    for (const tab of ['Sign up', 'Log in', 'Guest']) {
      await page.getByRole('tab', { name: tab }).click()
      await look(`door-${tab.toLowerCase().replace(' ', '-')}`)
    }
  })

  await page.getByRole('tab', { name: 'Sign up' }).click()
  await page.getByLabel('User name').fill('ada')
  await page.getByLabel('Password').fill(PASSWORD)
  await page.getByRole('button', { name: 'Create account' }).click()
  const ada = await world.personIn(page, context, 'ada')

  await t.test('the first minute: one room, nothing in it', async () => {
    await page.goto(`${world.url}/#/`)
    await page.getByTestId('room').first().waitFor()
    await look('first-rooms')
    await ada.open('Lobby')
    await page.getByTestId('composer').waitFor()
    await look('first-room')
  })

  const api = http(world.url)
  const place = await lively(api, (await api.login('ada', PASSWORD)).access_token)
  const { id: elsewhere } = (await api.post('/rooms', { name: 'Elsewhere', kind: 'public', topic: 'Not yet mine' }, place.people.bob.access_token)).body

  await t.test('a lively place', async () => {
    await page.goto(`${world.url}/#/`)
    await page.reload()
    await page.getByRole('link', { name: /^Zürich/ }).waitFor()
    await look('rooms')
    await page.goto(`${world.url}/#/room/${place.roomId}`)
    await ada.message('🎉🎉🎉').waitFor()
    await look('conversation')
    await beside('Inspector')
    await page.getByTestId('log-row').first().waitFor()
    await look('inspector')
    await page.keyboard.press('Escape')
    await page.getByTestId('inspector').waitFor({ state: 'detached' })
    await ada.message('never').or(ada.message('was deleted')).first().scrollIntoViewIfNeeded()
    await page.getByTestId('messages').evaluate(list => { list.scrollTop -= 500 })
    await look('conversation-above')
    await page.goto(`${world.url}/#/room/${elsewhere}`)
    await page.getByRole('button', { name: /join/i }).waitFor()
    await look('outside')
  })

  await t.test('what can be done with a message', async () => {
    await page.goto(`${world.url}/#/room/${place.roomId}`)
    const mine = ada.message('I pulled the plug')
    await mine.waitFor()
    await mine.focus()
    await look('message-actions')
    await mine.getByRole('button', { name: 'More' }).click()
    await page.getByRole('menuitem').first().waitFor()
    await look('message-menu')
    await page.keyboard.press('Escape')
    await page.locator('.MuiPopover-root').waitFor({ state: 'detached' }) // what fades out still takes the mouse away from the row
    await mine.getByRole('button', { name: 'Reply', exact: true }).click()
    await look('reply')
    await page.getByTestId('composer').press('Escape')
    await page.getByRole('button', { name: 'Emoji', exact: true }).click()
    await page.getByPlaceholder(/search/i).waitFor()
    await look('emoji')
    await page.keyboard.press('Escape')
  })

  await t.test('searching', async () => {
    const field = page.getByTestId('search-field')
    await page.goto(`${world.url}/#/`)
    await page.getByRole('button', { name: 'Search all rooms' }).click()
    await field.waitFor()
    await look('search-everywhere')
    await page.goto(`${world.url}/#/room/${place.roomId}`)
    await ada.message('🎉🎉🎉').waitFor()
    if (await field.count() === 0) await page.getByRole('button', { name: 'Search in this room' }).click()
    else await page.getByRole('button', { name: /^In Water works/ }).click()
    await field.fill('ha')
    await page.getByRole('option', { name: /^has:/ }).waitFor()
    await look('search-operators')
    await field.fill('tail from:')
    await page.getByRole('option', { name: /@bob/ }).waitFor()
    await look('search-people')
    await field.press('Escape')
    await page.getByRole('button', { name: 'Everywhere', exact: true }).click()
    await field.fill('what')
    await page.getByTestId('found').nth(3).waitFor()
    await field.press('ArrowDown')
    await look('search-found')
    await field.fill('nowhere to be found')
    await page.getByText('Nothing was found').last().waitFor()
    await look('search-none')
    await page.getByRole('button', { name: 'Close the search' }).click()
    await page.getByTestId('search').waitFor({ state: 'detached' })
  })

  await t.test('a thread, pins, mentions, and naming somebody', async () => {
    const gone = async (id: string): Promise<void> => { await page.getByTestId(id).waitFor({ state: 'detached' }) }
    await page.goto(`${world.url}/#/room/${place.roomId}?at=${place.plan}`)
    await page.getByTestId('thread-summary').first().waitFor()
    await look('thread-summary')
    await page.getByTestId('thread-summary').first().click()
    await page.getByTestId('thread').getByText('nothing is appended').waitFor()
    await look('thread')
    await page.getByTestId('thread').getByTestId('message').nth(1).focus()
    await look('thread-actions')
    await page.getByRole('button', { name: 'Close the thread' }).click()
    await gone('thread')
    await beside('Pinned messages')
    await page.getByTestId('found').nth(1).waitFor()
    await look('pins')
    await page.getByRole('button', { name: 'Close the pinned messages' }).click()
    await gone('pins')
    await page.getByTestId('composer').fill('What do you say, @')
    await page.getByTestId('names').getByRole('option').nth(3).waitFor()
    await look('names')
    await page.getByTestId('composer').fill('')
    await page.goto(`${world.url}/#/`)
    await page.getByRole('button', { name: /^Mentions/ }).click()
    await page.getByTestId('found').nth(3).waitFor()
    await look('mentions')
    await page.getByRole('button', { name: 'Close the mentions' }).click()
    await gone('mentions-panel')
  })

  await t.test('dialogs and menus', async () => {
    const escape = async (): Promise<void> => {
      await page.keyboard.press('Escape')
      await page.locator('.MuiModal-root').first().waitFor({ state: 'detached' })
    }
    await page.goto(`${world.url}/#/`)
    await page.getByRole('link', { name: /^Zürich/ }).waitFor()
    for (const [item, name] of [['Write to somebody', 'direct'], ['Create a room', 'create-room'], ['Browse', 'directory']] as const) {
      await page.getByRole('button', { name: 'New conversation' }).click()
      await page.getByRole('menuitem', { name: item }).click()
      await page.getByRole('dialog').waitFor()
      await look(name)
      await escape()
    }
    await page.getByRole('button', { name: 'Your account' }).click()
    await page.getByRole('menuitem', { name: 'Log out' }).waitFor()
    await look('account')
    await page.getByRole('menuitem', { name: 'Settings' }).click()
    await page.getByRole('dialog').waitFor()
    const tabs = page.getByRole('dialog').getByRole('tab')
    for (let i = 0; i < await tabs.count(); i++) {
      await tabs.nth(i).click()
      await look(`settings-${(await tabs.nth(i).innerText()).toLowerCase().replaceAll(/\W+/g, '-')}`)
    }
    await escape()
    await page.keyboard.press('Control+k')
    await page.getByRole('combobox', { name: 'Go to a room' }).fill('a')
    await look('switcher')
    await escape()
    await page.getByTestId('room').first().focus()
    await page.keyboard.press('?')
    await page.getByRole('dialog', { name: 'Keyboard shortcuts' }).waitFor()
    await look('shortcuts')
    await escape()
  })
}

/** The link to a room is called what the room is called, and what is unread; axe takes the time and the preview in it for a part of its label as well. */
const isNamedByItsRoom = (rule: string, html: string): boolean => rule === 'label-content-name-mismatch' && html.includes('data-testid="room"')

/** What axe-core finds that is serious or worse, in a line each. */
async function violations (page: Page): Promise<string[]> {
  if (await page.evaluate('typeof axe === "undefined"')) await page.evaluate(AXE)
  const { violations } = await page.evaluate('axe.run(document, { resultTypes: ["violations"] })') as AxeResults
  return violations.filter(({ impact }) => WORST.has(impact ?? '')).flatMap(({ id, nodes }) => nodes.filter(({ html }) => !isNamedByItsRoom(id, html)).slice(0, 3).map(({ html, failureSummary }) => `${id}: ${html.slice(0, 240)} ${failureSummary?.split('\n')[1]?.trim() ?? ''}`))
}
