// Searching: in a room and everywhere, with operators that complete themselves; what is found is marked, never HTML, and leads to its place.
import t from 'tap'
import { http } from '../client.ts'
import { until } from '../until.ts'
import { lacksBrowser, PASSWORD, webWorld } from './browser.ts'

/** Messages that are found, more than a page of them, and what they stand among. */
const FOUND = 25
const AMONG = 150
const RATE = { SENDS_BURST: '1000' }

t.test('search', { skip: lacksBrowser }, async t => {
  const world = await webWorld(t, RATE)
  const REFUSED = /status of 422|ERR_INTERNET_DISCONNECTED|WebSocket connection/
  const ada = await world.person('ada', {}, REFUSED)
  const api = http(world.url)
  const bob = await api.signup('bob')
  const { access_token: token } = await api.login('ada', PASSWORD)
  const say = async (room: string, content: string, as = bob.access_token): Promise<number> => (await api.post(`/rooms/${room}/messages`, { content }, as)).body.seq
  const needle = await say('lobby', 'the needle <img src=x onerror=alert(1)> in **bold** is Übung')
  for (let i = 1; i <= AMONG; i++) await say('lobby', `hay ${i}`)
  for (let i = 1; i <= FOUND; i++) await say('lobby', `straw number ${i}`)
  const { body: barn } = await api.post('/rooms', { name: 'The barn', kind: 'private' }, token)
  await say(barn.id, 'a needle of my own', token)
  await world.projected()

  const { page } = ada
  const field = page.getByTestId('search-field')
  const found = page.getByTestId('found')
  const count = async (n: number): Promise<void> => { await until(async () => await found.count() === n, { what: `${n} to be found` }) }
  await page.reload()
  await ada.open('Lobby')
  await ada.message(`straw number ${FOUND}`).waitFor()

  await t.test('Ctrl+F searches the room that is open; what is found is marked, and no HTML', async t => {
    await page.getByTestId('composer').press('Control+f')
    await field.waitFor()
    await page.keyboard.type('NEEDLE ubung')
    await count(1)
    t.same(await found.locator('mark').allInnerTexts(), ['needle', 'Übung'])
    t.match(await found.innerText(), '<img src=x onerror=alert(1)> in **bold**', 'as it was written')
    t.equal(await found.locator('img[src=x], strong').count(), 0)
  })

  await t.test('↓ and Enter lead to its place among its neighbours, where it is marked', async t => {
    await page.keyboard.press('ArrowDown')
    await page.keyboard.press('Enter')
    const target = page.locator(`[data-testid=message][data-seq="${needle}"]`)
    await target.waitFor()
    t.match(await target.getAttribute('class'), 'mr-target')
    await ada.message(/^.*hay 1$/).waitFor()
    t.equal(await ada.message(`straw number ${FOUND}`).count(), 0, 'the newest are far')
    t.equal(await found.getAttribute('aria-current'), 'true')
    t.match(page.url(), new RegExp(`at=${needle}$`))
  })

  await t.test('everywhere finds in all rooms, and says in which', async t => {
    await page.getByRole('button', { name: 'Everywhere' }).click()
    await field.fill('needle')
    await count(2)
    t.match((await found.allInnerTexts()).join(), /The barn/)
    await found.filter({ hasText: 'The barn' }).click()
    await page.getByRole('heading', { name: 'The barn' }).first().waitFor()
    await ada.message('a needle of my own').waitFor()
    t.equal(await found.count(), 2, 'the list stays beside it')
  })

  await t.test('operators complete themselves: names of people, rooms, days', async t => {
    const option = (name: RegExp) => page.getByRole('option', { name })
    await field.fill('')
    await page.keyboard.type('needle fr')
    await option(/^from:/).waitFor()
    t.equal(await field.getAttribute('aria-expanded'), 'true')
    await page.keyboard.press('ArrowDown')
    t.ok(await field.getAttribute('aria-activedescendant'))
    await page.keyboard.press('Enter')
    t.equal(await field.inputValue(), 'needle from:')
    await page.keyboard.type('b')
    await option(/@bob/).click()
    t.equal(await field.inputValue(), 'needle from:bob ')
    await count(1)
    await page.keyboard.type('in:the')
    await option(/^The barn/).click()
    t.equal(await field.inputValue(), 'needle from:bob in:"The barn" ')
    await page.getByText('Nothing was found').last().waitFor()
    await field.fill('needle after:')
    await option(/^Yesterday/).click()
    await count(2)
    await field.fill('needle before:')
    await option(/^Today/).click()
    await page.getByText('Nothing was found').last().waitFor()
  })

  await t.test('what the server cannot search for is said in words, and hints are offered where nothing is asked', async () => {
    await field.fill('-hay')
    await page.getByText('A search needs a word to look for').waitFor()
    await page.keyboard.press('Escape')
    await page.getByText('Narrow it down').waitFor()
    await page.getByRole('button', { name: 'has:' }).click()
    await page.getByRole('option', { name: /^link/ }).waitFor()
  })

  await t.test('more is brought, each once', async t => {
    await field.fill('straw')
    await count(20)
    await page.getByText('20 or more messages').waitFor()
    await page.getByRole('button', { name: 'Show more' }).click()
    await count(FOUND)
    t.equal(new Set(await found.evaluateAll(items => items.map(item => item.dataset.seq))).size, FOUND)
    t.equal(await page.getByRole('button', { name: 'Show more' }).count(), 0)
  })

  await t.test('closed by Esc and opened again, it is as it was', async t => {
    await found.first().focus()
    await page.keyboard.press('Escape')
    await field.waitFor({ state: 'detached' })
    await page.getByRole('button', { name: 'Search all rooms' }).click()
    t.equal(await field.inputValue(), 'straw')
    t.equal(await found.count(), FOUND, 'without asking')
  })

  await t.test('without a connection it says so, and asks when there is one again', async () => {
    await ada.context.setOffline(true)
    await ada.connection('offline')
    await field.fill('needle')
    await page.getByTestId('search').getByText('There is no connection').waitFor()
    await ada.context.setOffline(false)
    await ada.connection('live')
    await count(2)
  })

  await t.test('on a phone it takes the screen, and gives it to the message', async t => {
    await page.setViewportSize({ width: 390, height: 844 })
    await found.last().waitFor()
    t.equal(Math.round((await page.getByTestId('search').boundingBox())?.width ?? 0), 390)
    await found.filter({ hasText: 'own' }).click()
    await page.getByTestId('search').waitFor({ state: 'detached' })
    await ada.message('a needle of my own').waitFor()
    await page.getByRole('button', { name: 'Search in this room' }).click()
    t.equal(await field.inputValue(), 'needle', 'the way back to what was found')
  })
})
