// What one takes for granted: rooms that were made elsewhere, drafts, what waits to be sent, the line of the unread and the way to it, days and groups,
// answers that lead to what they answer, who has read, and who is there.
import t from 'tap'
import { http } from '../client.ts'
import { until } from '../until.ts'
import { lacksBrowser, PASSWORD, webWorld } from './browser.ts'

/** Unread messages: more than this browser keeps of a room. */
const UNREAD = 200

t.test('everyday things', { skip: lacksBrowser }, async t => {
  const world = await webWorld(t, { SENDS_BURST: '1000' })
  const [ada, bob] = await Promise.all([world.person('ada'), world.person('bob')])
  const { page } = ada
  const api = http(world.url)
  const [adas, bobs] = await Promise.all([api.login('ada', PASSWORD), api.login('bob', PASSWORD)])
  const room = (name: string | RegExp, of = ada) => of.page.getByRole('link', { name })
  const say = async (id: string, content: string, more: object = {}): Promise<number> => (await api.post(`/rooms/${id}/messages`, { content, ...more }, bobs.access_token)).body.seq

  /** Another browser, of the same user. */
  const { page: other, context } = await world.open()
  await other.goto(world.url)
  await other.getByRole('tab', { name: 'Log in' }).click()
  await other.getByLabel('User name').fill('ada')
  await other.getByLabel('Password').fill(PASSWORD)
  await other.getByRole('button', { name: 'Log in' }).click()
  const second = await world.personIn(other, context, 'ada')

  await t.test('a room that is made in one session is in the others of the same user at once', async () => {
    await page.getByRole('button', { name: 'New conversation' }).click()
    await page.getByRole('menuitem', { name: 'Create a room or group' }).click()
    await page.getByLabel('Name', { exact: false }).first().fill('Made here')
    await page.getByRole('button', { name: 'Create', exact: true }).click()
    await page.getByRole('heading', { name: 'Made here' }).first().waitFor()
    await room(/^Made here/, second).waitFor()
    await ada.say('hello, other me')
    await room(/^Made here/, second).filter({ hasText: 'hello, other me' }).waitFor()
  })

  await t.test('a room that one is put into comes with what is unread in it', async () => {
    const { body: { id } } = await api.post('/rooms', { name: 'Put into', kind: 'private' }, bobs.access_token)
    await api.call('PUT', `/rooms/${id}/members/${adas.user.id}`, { body: {}, token: bobs.access_token })
    await say(id, 'welcome, @ada')
    await room('Put into, 1 unread, 1 mention').filter({ hasText: 'welcome, @ada' }).waitFor()
  })

  await t.test('what is begun and left is a draft, in the list and in its room', async t => {
    await page.getByTestId('composer').fill('half a thought')
    await ada.open('Lobby')
    await room(/^Made here/).filter({ hasText: 'Draft: half a thought' }).waitFor()
    await ada.open('Made here')
    t.equal(await page.getByTestId('composer').inputValue(), 'half a thought')
    await page.getByTestId('composer').fill('')
  })

  await t.test('what waits to be sent is the preview of its room', async () => {
    await ada.context.setOffline(true)
    await ada.connection('offline')
    await ada.say('from the tunnel')
    await room(/^Made here/).filter({ hasText: 'You: from the tunnel' }).waitFor()
    await ada.context.setOffline(false)
    await ada.connection('live')
    await room(/^Made here/, second).filter({ hasText: 'You: from the tunnel' }).waitFor()
  })

  await t.test('the unread begin at a line, however many they are, and a button leads there', async t => {
    const { body: { id } } = await api.post('/rooms', { name: 'Busy', kind: 'public' }, bobs.access_token)
    await api.post(`/rooms/${id}/join`, {}, adas.access_token)
    await say(id, 'seen before')
    await page.goto(`${world.url}/#/room/${id}`)
    await page.reload()
    await ada.message('seen before').waitFor()
    await until(async () => (await api.get('/unread', adas.access_token)).body.items.find(({ room_id }: { room_id: string }) => room_id === id)?.unread === 0, { what: 'it to be read' })
    await ada.open('Lobby')
    for (let i = 1; i <= UNREAD; i++) await say(id, `unread ${i}.`)
    await room(new RegExp(`^Busy, ${UNREAD} unread`)).waitFor()
    await page.reload()
    await room(new RegExp(`^Busy, ${UNREAD} unread`)).click()
    await ada.message(`unread ${UNREAD}.`).waitFor()
    await page.getByRole('button', { name: 'Jump to unread' }).click()
    await page.getByTestId('new-messages').waitFor()
    const line = await page.getByTestId('new-messages').evaluate(line => line.parentElement?.querySelector('.mr-content')?.textContent)
    t.equal(line, 'unread 1.')
  })

  await t.test('messages of one person in a row are a group, and each day begins with a line', async t => {
    const { body: { id } } = await api.post('/dms', { user_id: adas.user.id }, bobs.access_token)
    await say(id, 'one')
    const two = await say(id, 'two')
    await room(/^bob/).click()
    await ada.message('two').waitFor()
    t.equal(await page.locator('.mr-day').innerText(), 'Today')
    t.equal(await page.getByTestId('message').locator('.mr-author').count(), 1, 'the name stands once')
    await ada.message('two').hover()
    await ada.message('two').getByRole('button', { name: 'Reply', exact: true }).click()
    await ada.say('to that')
    await ada.message('to that').getByRole('button', { name: /An answer to/ }).click()
    await until(async () => (await page.locator(`[data-testid=message][data-seq="${two}"]`).getAttribute('class'))?.includes('mr-target') === true, { what: 'the answered message to be shown' })
  })

  await t.test('who has read is told, and who is there', async t => {
    await page.getByTestId('receipts').waitFor({ state: 'detached' })
    await bob.page.reload() // it was made by the API: this page was not told
    await bob.open('ada')
    await bob.message('to that').waitFor()
    await page.getByTestId('receipts').filter({ hasText: 'Read by 1' }).waitFor()
    await room(/^bob/).getByLabel('online').waitFor({ state: 'attached' })
    t.match(await page.getByRole('main').locator('header').innerText(), /bob\s+Online/)
    await bob.context.setOffline(true)
    await bob.connection('offline')
    await bob.page.close()
  })
})
