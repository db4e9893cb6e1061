// Pins: whoever keeps order pins and unpins, the others see it at once; the list of pins leads to their places.
import t from 'tap'
import { http } from '../client.ts'
import { until } from '../until.ts'
import { lacksBrowser, PASSWORD, webWorld } from './browser.ts'

/** Messages between the pin and the newest. */
const AFTER = 120

t.test('pins', { skip: lacksBrowser }, async t => {
  const world = await webWorld(t, { SENDS_BURST: '1000' })
  const [ada, bob] = await Promise.all([world.person('ada'), world.person('bob')])
  const api = http(world.url)
  const { access_token: token } = await api.login('ada', PASSWORD)
  const { access_token: bobs } = await api.login('bob', PASSWORD)
  const { body: room } = await api.post('/rooms', { name: 'Board', kind: 'public' }, token)
  await api.post(`/rooms/${room.id}/join`, {}, bobs)
  const say = async (content: string): Promise<number> => (await api.post(`/rooms/${room.id}/messages`, { content }, token)).body.seq
  const rules = await say('the rules of the house')
  for (const { page } of [ada, bob]) {
    await page.goto(`${world.url}/#/room/${room.id}`)
    await page.reload()
  }
  const pins = (of: typeof ada) => of.page.getByTestId('pins').getByTestId('found')

  await t.test('the owner pins a message, and it says so to everybody', async t => {
    await bob.message('the rules').waitFor()
    await bob.page.getByRole('button', { name: 'Pinned messages' }).click()
    await bob.page.getByText('Nothing is pinned').waitFor()
    await ada.message('the rules').hover()
    await ada.message('the rules').getByRole('button', { name: 'More' }).click()
    await ada.page.getByRole('menuitem', { name: 'Pin' }).click()
    await bob.message('the rules').getByText('Pinned', { exact: true }).waitFor()
    await pins(bob).filter({ hasText: 'Pinned by ada' }).waitFor()
    t.equal(await pins(bob).count(), 1, 'the list that is open has it at once')
  })

  await t.test('who may not pin is not offered to', async t => {
    t.equal(await bob.page.getByRole('button', { name: 'Unpin' }).count(), 0)
    await bob.message('the rules').hover()
    await bob.message('the rules').getByRole('button', { name: 'More' }).click()
    await bob.page.getByRole('menuitem', { name: 'Copy link' }).waitFor()
    t.equal(await bob.page.getByRole('menuitem', { name: /pin/i }).count(), 0)
    await bob.page.keyboard.press('Escape')
  })

  await t.test('an edit is seen in the list, and a pin leads to its place however old', async t => {
    await api.call('PATCH', `/rooms/${room.id}/messages/${rules}`, { body: { content: 'the rules of the mill' }, token })
    await pins(bob).filter({ hasText: 'of the mill' }).waitFor()
    for (let i = 1; i <= AFTER; i++) await say(`line ${i}`)
    await bob.message(`line ${AFTER}`).waitFor()
    await until(async () => (await api.get('/unread', bobs)).body.items.every(({ unread }: { unread: number }) => unread === 0), { what: 'bob to have read it all: a room opens at the first unread message' })
    await bob.page.reload()
    await bob.message(`line ${AFTER}`).waitFor()
    await bob.page.getByRole('button', { name: 'Pinned messages' }).click()
    await pins(bob).click()
    const target = bob.page.locator(`[data-testid=message][data-seq="${rules}"]`)
    await target.waitFor()
    t.match(await target.getAttribute('class'), 'mr-target')
  })

  await t.test('unpinned in the list, it is gone from both', async () => {
    await ada.page.getByRole('button', { name: 'Pinned messages' }).click()
    await ada.page.getByTestId('pins').getByRole('button', { name: 'Unpin' }).click()
    await ada.page.getByText('Nothing is pinned').waitFor()
    await bob.page.getByText('Nothing is pinned').waitFor()
    await until(async () => await bob.page.locator('.mr-pinned').count() === 0, { what: 'the message to be as any other' })
  })

  await t.test('both of two may pin', async () => {
    const { body: direct } = await api.post('/dms', { user_id: (await api.get('/me', bobs)).body.id }, token)
    await api.post(`/rooms/${direct.id}/messages`, { content: 'our secret' }, token)
    await bob.page.goto(`${world.url}/#/room/${direct.id}`)
    await bob.message('our secret').hover()
    await bob.message('our secret').getByRole('button', { name: 'More' }).click()
    await bob.page.getByRole('menuitem', { name: 'Pin' }).click()
    await bob.message('our secret').getByText('Pinned', { exact: true }).waitFor()
  })
})
