// Without a network, and without a server: the page opens all the same, with what it had, and what is written then arrives once. Whoever signs out
// leaves nothing behind.
import type { Page } from 'playwright-core'
import t from 'tap'
import { LOBBY_ID } from '../../src/domain/lobby.ts'
import { decodeEvent } from '../../src/log/codec.ts'
import { http } from '../client.ts'
import { millrace } from '../e2e/world.ts'
import { until } from '../until.ts'
import { browserAt, built, lacksBrowser, PASSWORD, type Person } from './browser.ts'

/** What a page that is loaded without a server reports of it. */
const AWAY = /ERR_INTERNET_DISCONNECTED|ERR_CONNECTION_REFUSED|ERR_FAILED|WebSocket connection|status of 401/

t.test('the page without a server', { skip: lacksBrowser }, async t => {
  await built()
  const world = await millrace(t, { gateways: 1 })
  const server = world.gateways[0]!
  const { person, open, personIn } = await browserAt(t, server.url)
  const [ada, bob] = await Promise.all([person('ada', {}, AWAY), person('bob', {}, AWAY)])
  await Promise.all([ada.open('Lobby'), bob.open('Lobby')])
  const said: string[] = []
  const say = async (who: Person, text: string): Promise<void> => {
    said.push(text)
    await who.say(text)
  }
  const logged = async (): Promise<string[]> => (await world.logOf(LOBBY_ID)).map(decodeEvent).filter(event => event.type === 'message').map(({ content }) => content)
  const shows = async (who: Person): Promise<void> => {
    await until(async () => (await who.texts()).filter(text => text !== '').length >= said.length, { what: `${who.name} to see ${said.length} messages` }) // empty: the list is not shown yet
    t.same(await who.texts(), said, `${who.name} sees each message once`)
  }

  await t.test('the worker keeps the page, and rules it from the first visit on', async t => {
    await say(bob, 'hello ada')
    await ada.message('hello ada').waitFor()
    await say(ada, 'hello **bob**')
    await bob.message('hello bob').waitFor()
    said[1] = 'hello bob' // as it is shown
    await kept(ada)
    t.equal(await ada.page.evaluate('caches.keys().then(names => names.length)'), 1)
    t.notOk(await ada.page.evaluate('caches.keys().then(async names => (await (await caches.open(names[0])).keys()).some(({ url }) => !/^\\/($|assets\\/)/.test(new URL(url).pathname)))'), 'nothing but the page and its files')
  })

  await t.test('loaded anew without a network, it shows the conversation, and who wrote it', async t => {
    await ada.context.setOffline(true)
    await ada.page.reload()
    await ada.message('hello ada').waitFor()
    await ada.connection('offline')
    t.same(await ada.texts(), said)
    await ada.page.locator('.mr-author', { hasText: 'bob' }).waitFor()
    await ada.page.getByRole('link', { name: 'Lobby', exact: true }).waitFor() // nothing of what was read is unread again
    await ada.page.getByRole('button', { name: 'Your account' }).click() // parts that were never loaded before
    await ada.page.getByRole('menuitem', { name: 'Settings' }).click()
    await ada.page.getByRole('dialog').waitFor()
    await ada.page.keyboard.press('Escape')
  })

  await t.test('what is written then outlives another reload, and arrives once when the network is back', async t => {
    await say(ada, 'written without a network')
    await ada.message('written without a network').and(ada.page.locator('[data-state=sending]')).waitFor()
    await ada.page.reload()
    await ada.message('written without a network').and(ada.page.locator('[data-state=sending]')).waitFor()
    t.match(await ada.page.getByTestId('connection').first().innerText(), /1 queued/)
    await ada.context.setOffline(false)
    await ada.connection('live')
    await bob.message('written without a network').waitFor()
    await ada.page.locator('[data-testid=message][data-state]').waitFor({ state: 'detached' })
    for (const who of [ada, bob]) await shows(who)
  })

  await t.test('the same when the server is killed, with what was said meanwhile by another', async t => {
    await kept(bob)
    await until(async () => await cached(ada) >= said.length, { what: 'the cache to be written' })
    await server.kill()
    await ada.page.reload()
    await ada.message('hello ada').waitFor()
    await ada.connection('offline')
    t.same(await ada.texts(), said)
    await say(ada, 'written to a server that is not there')
    await ada.page.goto('about:blank') // the page is closed, and opened anew
    await ada.page.goto(server.url)
    await ada.open('Lobby')
    await ada.message('written to a server that is not there').waitFor()
    await server.restart()
    await Promise.all([ada, bob].map(async who => {
      await who.page.evaluate('dispatchEvent(new Event("online"))') // it tries at once
      await who.connection('live')
    }))
    await bob.message('written to a server that is not there').waitFor()
    await ada.page.locator('[data-testid=message][data-state]').waitFor({ state: 'detached' })
    for (const who of [ada, bob]) await shows(who)
    t.same(await logged(), [said[0], 'hello **bob**', ...said.slice(2)], 'the log has each once')
  })

  await t.test('another build is told of', async () => {
    await ada.page.evaluate('navigator.serviceWorker.dispatchEvent(new Event("controllerchange"))')
    await ada.page.getByText('There is a new version').waitFor()
  })

  for (const [name, where, path] of [['cleo', 'the browser', '/'], ['dan', 'a tab of its own', '/?another']] as const) {
    await t.test(`whoever signs out without a network, of ${where}, is gone from there at once, and from the server once there is one`, async t => {
      const { page, context } = await open({}, AWAY)
      await page.goto(`${server.url}${path}`)
      await enter(page, 'Sign up', name)
      const { connection } = await personIn(page, context, name)
      const api = http(server.url)
      const sessions = async (): Promise<number> => {
        const token = (await api.login(name, PASSWORD)).access_token
        const { items } = (await api.get('/auth/sessions', token)).body as { items: unknown[] }
        await api.call('POST', '/auth/logout', { token, body: {} })
        return items.length - 1
      }
      t.equal(await sessions(), 1)
      await context.setOffline(true)
      await connection('offline')
      await page.getByRole('button', { name: 'Your account' }).click()
      await page.getByRole('menuitem', { name: 'Log out' }).click()
      await page.getByText('A chat that never loses its place').waitFor()
      await until(async () => (await databases({ page })).length === 0, { what: 'all databases to be gone' })
      t.equal(await sessions(), 1, 'the server could not be told')
      await context.setOffline(false)
      await until(async () => await sessions() === 0, { everyMs: 300, what: 'the session to be over' })
      await until(async () => (await page.evaluate(KEPT) as string[]).every(key => !/left|refresh|account/.test(key)), { what: 'what it took to be gone as well' })
      await enter(page, 'Log in', name)
      await connection('live')
      t.equal(await sessions(), 1, 'the next one is none of its business')
    })
  }

  await t.test('a session that was ended elsewhere leaves nothing that was read', async t => {
    const before = await ada.page.evaluate('indexedDB.databases().then(all => all.map(({ name }) => name))') as string[]
    t.ok(before.some(name => name.startsWith('millrace-cache-')))
    const api = http(server.url)
    const { access_token } = await api.login('ada', 'correct horse battery')
    const { items } = (await api.get('/auth/sessions', access_token)).body as { items: Array<{ id: string, current: boolean }> }
    for (const { id, current } of items) if (!current) await api.call('DELETE', `/auth/sessions/${id}`, { token: access_token })
    await until(async () => {
      await ada.page.evaluate('dispatchEvent(new Event("online"))') // it does not wait long before it asks for a new token
      return await ada.page.getByText('A chat that never loses its place').isVisible()
    }, { everyMs: 300, what: 'ada to be at the door' })
    await until(async () => !(await databases(ada)).some(name => name.startsWith('millrace-cache-')), { what: 'the cache to be gone' })
  })

  await t.test('whoever signs out leaves nothing, and the door opens without a server too', async t => {
    await bob.page.getByRole('button', { name: 'Your account' }).click()
    await bob.page.getByRole('menuitem', { name: 'Log out' }).click()
    await bob.page.getByText('A chat that never loses its place').waitFor()
    await until(async () => (await databases(bob)).length === 0, { what: 'all databases to be gone' })
    await server.kill()
    await bob.page.reload()
    await bob.page.getByText('A chat that never loses its place').waitFor()
    t.same(await databases(bob), [], 'and nothing comes back')
  })
})

/** The worker has all of the page, and answers for it. */
async function kept ({ page }: Person): Promise<void> {
  await until(async () => await page.evaluate('navigator.serviceWorker.controller !== null && navigator.serviceWorker.controller.state === "activated"') === true, { what: 'the worker to take over' })
}

/** By the door. */
async function enter (page: Page, how: 'Sign up' | 'Log in', name: string): Promise<void> {
  await page.getByRole('tab', { name: how }).click()
  await page.getByLabel('User name').fill(name)
  await page.getByLabel('Password').fill(PASSWORD)
  await page.locator('button[type=submit]').click()
}

/** What is kept in the open. */
const KEPT = '[...Object.keys(localStorage), ...Object.keys(sessionStorage)]'

async function databases ({ page }: Pick<Person, 'page'>): Promise<string[]> {
  return await page.evaluate('indexedDB.databases().then(all => all.map(({ name }) => name))') as string[]
}

/** Messages of the lobby that are kept in the browser. */
async function cached ({ page }: Person): Promise<number> {
  return await page.evaluate(`(async () => {
    const { name } = (await indexedDB.databases()).find(({ name }) => name.startsWith('millrace-cache-'))
    const ask = request => new Promise((resolve, reject) => { request.onsuccess = () => resolve(request.result); request.onerror = () => reject(request.error) })
    const db = await ask(indexedDB.open(name))
    const room = await ask(db.transaction('rooms').objectStore('rooms').get(${JSON.stringify(LOBBY_ID)}))
    db.close()
    return room === undefined ? 0 : room.messages.length
  })()`) as number
}
