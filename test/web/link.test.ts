// A link to a message opens its room there, in a page that has nothing of the room yet; without a network it does as soon as there is one. (The page once
// froze over it: its list asked for what is beyond its ends, which made another list, which asked again.)
import t from 'tap'
import { LOBBY_ID } from '../../src/domain/lobby.ts'
import { lacksBrowser, webWorld, type Person } from './browser.ts'

t.test('links to messages', { skip: lacksBrowser }, async t => {
  const world = await webWorld(t)
  const [ada, bob, cleo] = await Promise.all(['ada', 'bob', 'cleo'].map(async name => await world.person(name))) as [Person, Person, Person]
  await ada.open('Lobby')
  for (const text of ['one', 'two', 'three', 'four']) await ada.say(text)
  await ada.message('four').waitFor()
  const seq = await ada.message('three').getAttribute('data-seq')
  const follow = async ({ page }: Person): Promise<void> => { await page.evaluate(`location.hash = '#/room/${LOBBY_ID}?at=${seq}'`) }
  const leadsThere = async ({ page }: Person): Promise<void> => {
    await page.locator(`[data-seq="${seq}"].mr-target`).waitFor()
    await page.getByText('four', { exact: true }).last().waitFor()
  }

  await t.test('a room that was never opened here', async () => {
    await follow(bob)
    await leadsThere(bob)
    await ada.say('five')
    await bob.message('five').waitFor()
  })

  await t.test('without a network: there, once there is one', async () => {
    await cleo.context.setOffline(true)
    await cleo.connection('offline')
    await follow(cleo)
    await cleo.page.getByText('Nothing of this room is here yet').waitFor()
    await cleo.context.setOffline(false)
    await cleo.connection('live')
    await leadsThere(cleo)
  })
})
