// Unread badges in two tabs of one user: both count, and what is read in one is read in the other.
import t from 'tap'
import { until } from '../until.ts'
import { lacksBrowser, webWorld } from './browser.ts'

t.test('unread badges on a second tab', { skip: lacksBrowser }, async t => {
  const world = await webWorld(t)
  const [ada, bob] = await Promise.all([world.person('ada'), world.person('bob')])
  const page = world.watch(await bob.context.newPage(), /^$/)
  await page.goto(world.url)
  const second = await world.personIn(page, bob.context, 'bob')
  const tabs = [bob, second]
  await ada.open('Lobby')

  await t.test('three messages, one of which names the user, are counted in both', async t => {
    await ada.say('one')
    await ada.say('two')
    await ada.say('three, @bob')
    for (const tab of tabs) {
      await tab.page.getByRole('link', { name: 'Lobby, 3 unread, 1 mention' }).waitFor()
      t.equal(await tab.page.getByTestId('unread').innerText(), '3')
      t.equal(await tab.page.getByTestId('mentions').innerText(), '@1')
    }
  })

  await t.test('the tab that nobody looks at counts them in its title', async () => {
    await until(async () => (await page.title()).startsWith('(3) '), { what: 'the title to say so' })
  })

  await t.test('read in the first, they are gone from the second', async t => {
    await bob.open('Lobby')
    await bob.message('three, @bob').waitFor()
    await second.page.getByRole('link', { name: 'Lobby', exact: true }).waitFor()
    t.equal(await second.page.getByTestId('unread').count(), 0)
    t.equal(await second.page.getByTestId('mentions').count(), 0)
    await until(async () => !(await page.title()).startsWith('('), { what: 'the title to say nothing' })
  })

  await t.test('a reload counts the same', async t => {
    await bob.page.goto(`${world.url}/#/`)
    await ada.say('four')
    await second.page.getByRole('link', { name: 'Lobby, 1 unread' }).waitFor()
    await second.page.reload()
    await second.connection('live')
    await second.page.getByRole('link', { name: 'Lobby, 1 unread' }).waitFor()
    t.equal(await second.page.getByTestId('unread').innerText(), '1')
  })
})
