// Notifications, from the screen where they are switched on to the click that opens the room: Chromium's real service worker and the server's real jobs.
// Its push service cannot be reached from here (a headless browser has none): in its place stands one of the test, which decrypts what it gets; what it
// would hand to the browser goes to the worker by the DevTools protocol.
import { once } from 'node:events'
import type { CDPSession, Worker } from 'playwright-core'
import t from 'tap'
import { browser, jobsWorld, receiver, vapidClaims, type Received } from '../jobs/stand.ts'
import { until } from '../until.ts'
import { browserAt, built, lacksBrowser, PASSWORD } from './browser.ts'

/** Stands for what the browser keeps of its subscription. `key`: what it was subscribed with. */
const subscribes = (subscription: object): string => `{
  const KEPT = 'test-subscription'
  const one = () => {
    const kept = JSON.parse(localStorage.getItem(KEPT))
    return kept && { ...kept, options: { applicationServerKey: Uint8Array.from(kept.key).buffer }, toJSON: () => (${JSON.stringify(subscription)}), unsubscribe: async () => { localStorage.removeItem(KEPT); return true } }
  }
  PushManager.prototype.getSubscription = async () => one()
  PushManager.prototype.subscribe = async ({ userVisibleOnly, applicationServerKey }) => {
    localStorage.setItem(KEPT, JSON.stringify({ endpoint: ${JSON.stringify((subscription as { endpoint: string }).endpoint)}, userVisibleOnly, key: [...applicationServerKey] }))
    return one()
  }
}`

t.test('notifications', { skip: lacksBrowser }, async t => {
  await built()
  const service = await receiver(t)
  const world = await jobsWorld(t, { NOTIFY_DELAY_S: '4' }) // long enough for two messages to be told of together
  const { key } = (await world.http.get('/push/key', (await world.person()).token)).body as { key: string }
  const { person, open } = await browserAt(t, world.url)
  const bob = await person('bob', {}, /ERR_INTERNET_DISCONNECTED|WebSocket connection|does not support the Push API in incognito/)
  const { page } = bob
  await bob.context.grantPermissions(['notifications'], { origin: world.url })
  const api = await world.http.login('bob', PASSWORD)
  const get = async (path: string): Promise<any> => (await world.http.get(path, api.access_token)).body
  const told = async (): Promise<Array<{ endpoint: string, confirmed_at: string }>> => (await get('/me/push-subscriptions')).items
  const ann = await world.person('ann')
  const { id: room } = (await world.http.post('/rooms', { name: 'The kitchen', kind: 'group', members: [api.user.id] }, ann.token)).body as { id: string }
  await page.getByRole('link', { name: /^The kitchen/ }).waitFor()
  const own = browser(`${service.url}/bob`)
  const settings = async (): Promise<void> => {
    await page.getByRole('button', { name: 'Your account' }).click()
    await page.getByRole('menuitem', { name: 'Settings' }).click()
    await page.getByRole('tab', { name: 'Notifications' }).click()
  }
  const toggle = page.getByRole('switch', { name: 'Notifications in this browser' })
  await until(async () => await page.evaluate('navigator.serviceWorker.controller?.state === "activated"'), { what: 'the worker to take over' })

  await t.test('a browser whose push service cannot be reached says so, and stays off', async t => {
    await settings()
    await toggle.click()
    await page.getByText('has no push service, or could not reach it').waitFor()
    t.equal(await toggle.isChecked(), false)
    t.same(await told(), [])
  })

  await t.test('switched on, it subscribes with the key of the server, which lists it', async t => {
    await page.addInitScript(subscribes(own.subscription))
    await page.reload()
    await bob.connection('live')
    await settings()
    await toggle.click()
    await page.getByTestId('told').getByText('This one').waitFor()
    t.equal(await toggle.isChecked(), true)
    t.match(await page.getByTestId('told').innerText(), /Chrome on Linux/, 'as it is called among the sessions')
    const { userVisibleOnly, key: with_ } = JSON.parse(await page.evaluate('localStorage.getItem("test-subscription")') as string)
    t.same([userVisibleOnly, Buffer.from(with_).toString('base64url')], [true, key])
    t.match(await told(), [{ endpoint: `${service.url}/bob`, current: false }])
  })

  await t.test('at each start it is put again, and made anew where the server has another key', async t => {
    const [before] = await told()
    await page.evaluate('localStorage.setItem("test-subscription", localStorage.getItem("test-subscription").replace(/"key":\\[\\d+,\\d+/, \'"key":[4,0\'))')
    await page.reload()
    await bob.connection('live')
    await until(async () => (await told())[0]!.confirmed_at !== before!.confirmed_at, { what: 'it to be put again' })
    t.equal(Buffer.from(JSON.parse(await page.evaluate('localStorage.getItem("test-subscription")') as string).key).toString('base64url'), key)
    t.equal((await told()).length, 1)
  })

  await t.test('what is to be told of a room, and when nothing is, is set here and true at the server', async t => {
    await settings()
    const level = page.getByRole('combobox', { name: 'Tell me of The kitchen' })
    const atServer = async (): Promise<string> => (await get('/unread')).items.find(({ room_id }: { room_id: string }) => room_id === room).notifications ?? 'all'
    for (const [name, is] of [['Nothing: the room is muted', 'none'], ['Only when I am named', 'mentions'], ['Every message', 'all']] as const) {
      await level.selectOption(name)
      await until(async () => await atServer() === is, { what: `the level to be ${is}` })
    }
    await page.getByRole('button', { name: '4 hours' }).click()
    await page.getByText(/^Nothing until/).waitFor()
    t.ok(Math.abs(Date.parse((await get('/me/notifications')).dnd_until) - Date.now() - 4 * 3_600_000) < 600_000)
    await page.getByRole('button', { name: 'End it now' }).click()
    await page.getByRole('button', { name: '4 hours' }).waitFor()
    t.equal((await get('/me/notifications')).dnd_until, null)
    const daily = page.getByRole('switch', { name: 'Nothing every day between' })
    await daily.click()
    await page.getByLabel('From', { exact: true }).fill('21:30')
    await page.getByLabel('To', { exact: true }).focus()
    await until(async () => (await get('/me/notifications')).dnd_hours?.from === '21:30', { what: 'the hours to be kept' })
    t.match(await get('/me/notifications'), { dnd_hours: { from: '21:30', to: '07:00' }, time_zone: await page.evaluate('Intl.DateTimeFormat().resolvedOptions().timeZone') })
    await page.reload()
    await bob.connection('live')
    await settings()
    t.equal(await page.getByLabel('From', { exact: true }).inputValue(), '21:30', 'over a reload')
    await daily.click()
    await until(async () => (await get('/me/notifications')).dnd_hours === null, { what: 'the hours to be gone' })
    await page.keyboard.press('Escape')
  })

  const devtools = await page.context().newCDPSession(page)
  const id = await registrationOf(devtools)
  const deliver = async (data: string): Promise<void> => { await devtools.send('ServiceWorker.deliverPushMessage', { origin: world.url, registrationId: id, data }) }
  const shown = async (): Promise<Array<{ title: string, body: string, tag: string }>> => await page.evaluate('navigator.serviceWorker.ready.then(found => found.getNotifications()).then(all => all.map(({ title, body, tag }) => ({ title, body, tag })))') as never

  await t.test('who is away is told by a push, and its click opens the room at the message', async t => {
    await world.jobs()
    await page.getByRole('link', { name: /^Lobby/ }).click()
    await bob.context.setOffline(true)
    await bob.connection('offline')
    await ann.say(room, 'are you there?')
    const seq = await ann.say(room, 'tea is ready')
    await until(() => service.received.length > 0, { what: 'the push service to be asked' })
    const push = service.received.at(-1) as Received
    t.ok(vapidClaims(push, key))
    const sent = own.decrypt(push)
    await deliver(JSON.stringify(sent))
    await until(async () => (await shown()).length === 1, { what: 'the notification to be shown' })
    t.same(await shown(), [{ title: 'ann in The kitchen', body: 'tea is ready\nand 1 more', tag: room }])
    await deliver(JSON.stringify({ ...sent, preview: 'it gets cold', count: 3 }))
    await until(async () => (await shown())[0]?.body === 'it gets cold\nand 2 more', { what: 'the newer one in its place' })
    t.equal((await shown()).length, 1, 'one for each room')

    await bob.context.setOffline(false)
    await page.evaluate('dispatchEvent(new Event("online"))')
    await bob.connection('live')
    await bob.open('The kitchen')
    await bob.message('tea is ready').waitFor()
    await page.getByRole('link', { name: /^Lobby/ }).click()
    const refused = await click(page.context().serviceWorkers()[0]!)
    t.match(refused, /Not allowed to focus a window/, 'all but the focus, which the browser gives to real clicks only')
    await page.waitForURL(`**/#/room/${room}?at=${seq}`)
    t.same(await shown(), [], 'it is gone')
    await page.locator(`[data-seq="${seq}"].mr-target`).waitFor()
  })

  await t.test('a push without content is shown as well: browsers want that', async () => {
    await deliver('')
    await until(async () => (await shown())[0]?.body === 'There is something new', { what: 'the notification' })
  })

  await t.test('the page of another account is left alone: the worker would open one of its own', async t => {
    const worker = page.context().serviceWorkers()[0]!
    await page.goto('about:blank')
    const other = (await page.context().newPage())
    await other.goto(`${world.url}/?another`)
    await other.getByText('A chat that never loses its place').waitFor()
    await devtools.detach()
    const again = await other.context().newCDPSession(other)
    await again.send('ServiceWorker.deliverPushMessage', { origin: world.url, registrationId: await registrationOf(again), data: JSON.stringify({ type: 'message', room_id: room, room_name: 'x', room_kind: 'dm', count: 1, mentions: 0, seq: 1, timestamp: new Date().toISOString(), display_name: 'Ann' }) })
    await until(async () => await other.evaluate('navigator.serviceWorker.ready.then(found => found.getNotifications()).then(all => all.map(({ title, body }) => title + \': \' + body))').then(all => (all as string[]).includes('Ann: A new message')), { what: 'the notification' })
    t.match(await click(worker, room), /Not allowed to open a window/, 'which it may for real clicks only')
    t.notMatch(other.url(), /room/)
    await other.close()
    await page.goto(world.url)
    await bob.connection('live')
  })

  await t.test('signing out ends it, at the server as well, and leaves no notification', async t => {
    await page.getByRole('button', { name: 'Your account' }).click()
    await page.getByRole('menuitem', { name: 'Log out' }).click()
    await page.getByText('A chat that never loses its place').waitFor()
    t.same(await told(), [])
    t.same(await page.evaluate('["test-subscription", "millrace-push"].map(key => localStorage.getItem(key))'), [null, null])
    t.same(await shown(), [])
  })

  await t.test('a tab with an account of its own has no switch, and is told why', async () => {
    const { page } = await open()
    await page.goto(`${world.url}/?another`)
    await page.getByRole('tab', { name: 'Guest' }).click()
    await page.getByLabel('User name').fill('gus')
    await page.getByRole('button', { name: 'Come in' }).click()
    await page.getByRole('button', { name: 'Your account' }).click()
    await page.getByRole('menuitem', { name: 'Settings' }).click()
    await page.getByRole('tab', { name: 'Notifications' }).click()
    await page.getByText('signed in in this tab only').waitFor()
  })
})

/** The number under which DevTools knows the worker. */
async function registrationOf (devtools: CDPSession): Promise<string> {
  const known = once(devtools as never, 'ServiceWorker.workerRegistrationUpdated')
  await devtools.send('ServiceWorker.enable')
  const [{ registrations }] = await known as [{ registrations: Array<{ registrationId: string }> }]
  return registrations[0]!.registrationId
}

/** What a click does, as far as the worker goes: nobody can click on what a headless browser shows. Returns what it was refused. */
async function click (worker: Worker, tag = ''): Promise<string> {
  return await worker.evaluate(`(async () => {
    const notification = (await registration.getNotifications()).findLast(({ tag }) => tag.includes(${JSON.stringify(tag)}))
    const event = new Event('notificationclick')
    let done
    Object.defineProperties(event, { notification: { value: notification }, waitUntil: { value: promise => { done = promise } } })
    dispatchEvent(event)
    return await done.then(() => 'done', String)
  })()`)
}
